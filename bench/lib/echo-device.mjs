/** One device `bench0`, 10.9.0.1/24, and the programs that answer pings to the rest of its network. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';

import { inRoot } from '../../scripts/process.mjs';
import { answers, ip, linkExists } from './network.mjs';
import { baselineProgram, nodeCommand, pinned, until } from './processes.mjs';
import { unlessWorks } from './turns.mjs';

export const device = 'bench0';
/** One of the addresses that are answered for. */
export const target = '10.9.0.2';
/** Debian's own: others may be started by way of a script. */
export const python = '/usr/bin/python3';
const library = new URL('../../dist/index.js', import.meta.url).href;

/** The baseline that all others are compared with. */
export function blockingInC() {
  return { name: 'C, blocking read/write', command: [baselineProgram('tun-echo'), 'block', device] };
}

/** What others do, in C and elsewhere. */
export function peers() {
  const inC = baselineProgram('tun-echo');
  const exec = baselineProgram('tun-exec', { folder: 'peers' });
  const inNode = (way) => [exec, device, process.execPath, inRoot('bench/peers/tun-echo.mjs'), way];
  return [
    { name: 'C, epoll', command: [inC, 'epoll', device] },
    { name: 'C, busy loop', command: [inC, 'busy', device] },
    byUringInC(),
    {
      name: 'Python, read and write',
      command: [python, inRoot('bench/peers/tun-echo.py'), device],
      missing: existsSync(python) ? undefined : 'which is not installed',
    },
    { name: 'Node, fs.readSync and writeSync', command: inNode('sync') },
    { name: 'Node, fs.read and write', command: inNode('pool') },
    { name: 'Node, fs streams', command: inNode('streams') },
  ];
}

function byUringInC() {
  const name = 'C, io_uring';
  let program;
  try {
    program = baselineProgram('tun-echo-uring', { flags: ['-luring'] });
  } catch {
    return { name, missing: 'which needs liburing' };
  }
  return {
    name,
    command: [program, device],
    missing: unlessWorks([program], 'which this kernel does not permit or have'),
  };
}

/** The command, as a user starts it. */
export function vnicEcho(...options) {
  const main = inRoot('dist/cli/main.js');
  return {
    name: ['vnic echo', ...options].join(' '),
    command: [process.execPath, main, 'echo', device, '--address', '10.9.0.1/24', '--quiet', ...options],
    addressesItself: true,
  };
}

/** The two ways to read and write that the command otherwise chooses between by load. */
export function vnicEchoEitherWay() {
  const probe = `import { TunDevice } from '${library}';
    await (await TunDevice.open({ name: 'probe', io: 'io_uring' })).close();`;
  const missing = unlessWorks(nodeCommand(probe), 'which this kernel does not permit or have');
  return [vnicEcho('--io', 'readiness'), { ...vnicEcho('--io', 'io_uring'), missing }];
}

/** A batch handler that does what the program in C does. `device` are options of `openDevice`. */
export function vnicHandler({ name = 'vnic, batch handler', reading = 'batches', devices = 1, ...options } = {}) {
  const run = reading === 'iteration' ? 'for await (const batch of device) handle(batch);' : 'device.onBatch(handle);';
  const body = `${openDevices(devices, options)}
    function use(device) {
      const handle = (batch) => {
        for (let i = 0; i < batch.count; i++) if (!answer(batch.bytes, batch.offset(i), batch.length(i))) batch.drop(i);
        device.write(batch);
      };
      (async () => { ${run} })();
    }
    ${answerInPlace}`;
  return { name, command: nodeCommand(body), ipc: true };
}

/** The responder of vnic, which verifies the checksum over every byte, and more. */
export function vnicResponder({ name = 'vnic, responder', devices = 1, ...options } = {}) {
  const body = `import { attachResponder, Cidr, createResponder, IpAddress, systemClock } from '${library}';
    ${openDevices(devices, options)}
    function use(device, i) {
      const except = [IpAddress.parse('10.9.' + i + '.1')];
      const responder = createResponder({ medium: 'ip', answer: [Cidr.parse('10.9.' + i + '.0/24')], except });
      attachResponder(device, responder, systemClock);
    }`;
  return { name, command: nodeCommand(body), ipc: true };
}

/** Devices benchN, of address 10.9.N.1/24. The message tells that they are there. */
const openDevices = (count, options) => `
    import { openDevice } from '${library}';
    for (let i = 0; i < ${count}; i++) {
      const more = ${JSON.stringify(options)};
      use(await openDevice({ kind: 'tun', name: 'bench' + i, addresses: ['10.9.' + i + '.1/24'], up: true, ...more }), i);
    }
    process.send('ready');`;

/** As `answer()` in bench/baseline/common.h; text, because it runs in the process that is measured. */
export const answerInPlace = `
    function answer(bytes, at, length) {
      const icmp = at + (bytes[at] & 15) * 4;
      if (bytes[at] >> 4 !== 4 || icmp + 8 > at + length || bytes[at + 9] !== 1 || bytes[icmp] !== 8) return false;
      for (let i = at + 12; i < at + 16; i++) [bytes[i], bytes[i + 4]] = [bytes[i + 4], bytes[i]];
      bytes[icmp] = 0;
      let sum = ((bytes[icmp + 2] << 8) | bytes[icmp + 3]) + 0x0800;
      sum = (sum & 0xffff) + (sum >> 16);
      bytes[icmp + 2] = sum >> 8;
      bytes[icmp + 3] = sum;
      return true;
    }`;

/** Runs a responder on processor 1, or on `processors`, for as long as `work(responder)` takes. */
export async function withResponder(kind, work, { processors = 1, mtu = 1500, prefix = 24, devices = 1 } = {}) {
  const stdio = ['ignore', 'ignore', 'inherit', ...(kind.ipc ? ['ipc'] : [])];
  const responder = pinned(processors, kind.command, { stdio });
  try {
    if (kind.ipc) await ready(responder.child);
    for (let i = 0; i < devices; i++) await setUp(kind, i, { mtu, prefix });
    await answers(target);
    return await work(responder);
  } finally {
    await responder.stop();
    await until(() => !linkExists(device));
  }
}

/** What the program sets up itself stays; it may be about to do so. */
async function setUp({ addressesItself = false }, i, { mtu, prefix }) {
  const name = `bench${i}`;
  await until(() => linkExists(name));
  const address = `10.9.${i}.1`;
  const hasAddress = () => ip('address', 'show', 'dev', name).includes(address);
  if (addressesItself) await until(hasAddress);
  if (!hasAddress()) ip('address', 'add', `${address}/${prefix}`, 'dev', name);
  ip('link', 'set', name, 'mtu', String(mtu), 'up');
}

/** Waits for the first message; a program that dies instead has told why. */
async function ready(child) {
  const ended = once(child, 'exit').then(() => {
    throw new Error('the program to be measured ended early');
  });
  await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => {});
}
