/**
 * Two devices in two namespaces, joined by a program: near, 10.9.0.1, here; far, 10.9.0.2, in the namespace `far`.
 * The program has a processor of its own, both ends of the load share the other one.
 */

import { findProgram, inRoot } from '../../scripts/process.mjs';
import { answers, ip, linkExists } from './network.mjs';
import { baselineProgram, nodeCommand, output, pinned, until } from './processes.mjs';

const near = { name: 'wireA', address: '10.9.0.1' };
const far = { name: 'wireB', address: '10.9.0.2', namespace: 'far' };
export const farAddress = far.address;

const library = new URL('../../dist/index.js', import.meta.url).href;

export function inC() {
  return { name: 'C, packet by packet', command: [baselineProgram('tun-wire'), near.name, far.name] };
}

export function superInC() {
  return { name: 'C, super-packets', command: [baselineProgram('tun-wire'), near.name, far.name, 'vnet'] };
}

/** `forward()` between two devices opened with these options. */
export function inTypeScript(name, options) {
  const body = `
    import { forward, TunDevice } from '${library}';
    const open = (name) => TunDevice.open({ name, ...${JSON.stringify(options)} });
    const [a, b] = [await open('${near.name}'), await open('${far.name}')];
    await forward(a, b).done;`;
  return { name, command: nodeCommand(body) };
}

/** Super-packets pass untouched; left out where the kernel has none. */
export function superInTypeScript(name = 'vnic, super-packets') {
  const code = `import { TunDevice } from '${library}';
    const tun = await TunDevice.open({ name: '${near.name}', superPackets: true });
    console.log(tun.offload);
    await tun.close();`;
  const [command, ...args] = nodeCommand(code);
  const works = output(command, ...args)?.trim() === 'true';
  return {
    ...inTypeScript(name, { superPackets: true }),
    missing: works ? undefined : 'which this kernel does not have',
  };
}

/** The command `vnic link`, its devices with these options of an end. */
export function byCommand(name, options = '') {
  const ends = [near, far].map((end) => `tun:${end.name}${options}`);
  return { name, command: [process.execPath, inRoot('dist/cli/main.js'), 'link', '--quiet', ...ends] };
}

/** Two TUN devices joined by socat, as its manual shows. */
export function bySocat() {
  const end = ({ name }) => `TUN,tun-name=${name},tun-type=tun,iff-no-pi`;
  return { name: 'socat', command: ['socat', '-b', '65536', end(near), end(far)], missing: unlessSocat() };
}

/** `missing` of a kind that needs socat. */
export function unlessSocat() {
  return findProgram('socat') === undefined ? 'which is not installed' : undefined;
}

/** No program at all: what the kernel does by itself is the ceiling. */
export function byKernel() {
  return { name: 'veth, in the kernel', command: undefined };
}

/** Two TAP devices joined by a program, each a host of its own. */
export const byHubInC = (name, ...flags) => ({
  name,
  command: [baselineProgram('tun-wire'), near.name, far.name, 'tap', ...flags],
});

/** The command `vnic switch`, its devices with these options of an end. */
export function bySwitch(name, options = '') {
  const ends = [near, far].map((end) => `tap:${end.name}${options}`);
  return { name, command: [process.execPath, inRoot('dist/cli/main.js'), 'switch', '--quiet', ...ends] };
}

/** `vde_switch`, which ends with its standard input. */
export function byVdeSwitch(folder) {
  const missing = findProgram('vde_switch') === undefined ? 'which is not installed' : undefined;
  const command = ['vde_switch', '-sock', folder, '-tap', near.name, '-tap', far.name];
  return { name: 'vde_switch', command, stdin: 'pipe', missing };
}

/** Two veth pairs and a bridge of the kernel, without any program. */
export function byBridge() {
  return { name: 'bridge of the kernel, over veth', command: undefined, bridge: 'wireBr' };
}

/** Makes the far namespace with a server of iperf3 for as long as `work()` takes. */
export async function withFarEnd(work) {
  ip('netns', 'add', far.namespace);
  const server = pinned('0', ['ip', 'netns', 'exec', far.namespace, 'iperf3', '-s'], { stdio: 'ignore' });
  try {
    return await work();
  } finally {
    await server.stop();
    ip('netns', 'delete', far.namespace);
  }
}

/** Runs a wire on processor 1 for as long as `work(wire)` takes; without a program, `wire` is undefined. */
export async function withWire(kind, work, { mtu = 1500 } = {}) {
  const wire =
    kind.command &&
    pinned(1, kind.command, { stdio: [kind.stdin ?? 'ignore', 'ignore', 'inherit', ...(kind.ipc ? ['ipc'] : [])] });
  try {
    if (kind.bridge) makeBridge(kind.bridge);
    else if (wire === undefined) ip('link', 'add', near.name, 'type', 'veth', 'peer', 'name', far.name);
    await until(() => linkExists(near.name) && linkExists(far.name));
    ip('link', 'set', far.name, 'netns', far.namespace);
    setUp([], near, mtu);
    setUp(['-n', far.namespace], far, mtu);
    await answers(far.address);
    return await work(wire);
  } finally {
    if (wire === undefined) ip('link', 'delete', near.name);
    if (kind.bridge) removeBridge(kind.bridge);
    await wire?.stop();
    await until(() => !linkExists(near.name));
  }
}

function makeBridge(bridge) {
  ip('link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0');
  ip('link', 'set', bridge, 'up');
  for (const { name } of [near, far]) {
    ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}P`);
    ip('link', 'set', `${name}P`, 'master', bridge, 'up');
  }
}

function removeBridge(bridge) {
  // The far end of the other pair is in the far namespace.
  ip('link', 'delete', `${far.name}P`);
  ip('link', 'delete', bridge);
}

function setUp(namespace, { name, address }, mtu) {
  ip(...namespace, 'address', 'add', `${address}/24`, 'dev', name);
  ip(...namespace, 'link', 'set', name, 'mtu', String(mtu), 'up');
}
