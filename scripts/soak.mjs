/**
 * Random use and abuse of devices while traffic runs, for as long as it is given.
 *
 *   node scripts/soak.mjs                      ten minutes
 *   node scripts/soak.mjs --minutes 600
 *   node scripts/soak.mjs --seconds 20 --seed 7
 *   node scripts/soak.mjs --sanitize           the native core under ASan and UBSan; memory is not judged then
 *
 * Opens and closes devices, attaches and detaches queues, reads in every way, joins devices, sets them down and up,
 * deletes them underneath, collects garbage, and starts and terminates workers that hold devices. In between everything
 * is closed, and nothing may be left of it: no descriptor, device or thread, and no more memory than after the first
 * rounds. Ends with status 1 and the seed on a leak or an unexpected error; a crash ends it by a signal. The seed gives
 * the same decisions, not the same timing. Everything happens in namespaces that go with it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import { buildSanitized } from './build-native.mjs';
import { inNamespaces, namespaceHint } from './namespaces.mjs';
import { fail, runProgram } from './process.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
    sanitize: { type: 'boolean', default: false },
    inside: { type: 'boolean', default: false },
  },
});
const seconds = values.seconds === undefined ? Number(values.minutes) * 60 : Number(values.seconds);
const seed = Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) fail('--minutes, --seconds and --seed take numbers');

const MIB = 2 ** 20;
const ROUND_SECONDS = 2;
/** Rounds after which memory has reached what it needs. */
const WARM_UP_ROUNDS = 4;
/** V8 and malloc give memory back late and in pieces. A batch is 0.2 MiB, and a round opens hundreds. */
const RSS_GROWTH_MIB = 48;
const HEAP_GROWTH_MIB = 8;

/** What misuse, and devices deleted underneath, may bring. */
const expectedCodes = new Set([
  'VNIC_ABORTED',
  'VNIC_DEVICE_BUSY',
  'VNIC_DEVICE_GONE',
  'VNIC_INVALID_ARGUMENT',
  'VNIC_LINK_CLOSED',
  'VNIC_NO_SUCH_ADDRESS',
  'VNIC_NO_SUCH_INTERFACE',
  'VNIC_QUEUE_MODE',
  'VNIC_READER_BUSY',
  'VNIC_WRONG_KIND',
]);

async function startInside() {
  const command = [process.execPath, '--expose-gc', ...process.argv.slice(1), '--seed', String(seed), '--inside'];
  const wrapped = inNamespaces(command);
  if (wrapped.command === undefined) fail(`soaking needs a network namespace: ${wrapped.reason}`, namespaceHint);
  const env = { ...process.env, ...(values.sanitize && buildSanitized()) };
  const status = await runProgram(wrapped.command, { env });
  if (status > 1) process.stderr.write(`error: ended with status ${status}, seed ${seed}\n`);
  process.exitCode = status;
}

async function soak() {
  const library = await import('../dist/index.js');
  const world = new World(library, library.seededRandom(seed));
  process.on('uncaughtException', (error) => broken(world, error));
  process.on('unhandledRejection', (error) => broken(world, error));
  await world.open();
  const end = performance.now() + seconds * 1000;
  const rounds = [];
  while (performance.now() < end) {
    const roundEnd = Math.min(end, performance.now() + ROUND_SECONDS * 1000);
    while (performance.now() < roundEnd) await world.step();
    await world.closeAll();
    rounds.push(await world.measure());
    checkLeaks(rounds);
    const { rssMib, heapMib } = rounds.at(-1);
    const done = Object.entries(world.done).map(([name, count]) => `${name} ${count}`);
    if (rounds.length % 15 === 1) process.stdout.write(`${done.join(', ')}; ${rssMib} MiB, heap ${heapMib} MiB\n`);
  }
  await world.close();
  process.stdout.write(`${JSON.stringify({ seed, rounds: rounds.length, ...world.done, last: rounds.at(-1) })}\n`);
  process.exit(0);
}

function broken(world, error) {
  if (expectedCodes.has(error?.code)) return;
  process.stderr.write(`after ${JSON.stringify(world.done)}\n${error?.stack ?? error}\n`);
  fail('an unexpected error', `seed ${seed}`);
}

function checkLeaks(rounds) {
  const now = rounds.at(-1);
  if (now.devices.length > 0) fail(`left over devices: ${now.devices.join(', ')}`, `seed ${seed}`);
  if (rounds.length <= WARM_UP_ROUNDS) return;
  const before = rounds[WARM_UP_ROUNDS - 1];
  const most = (key) => Math.max(...rounds.slice(0, WARM_UP_ROUNDS).map((round) => round[key]));
  for (const key of ['descriptors', 'threads']) {
    if (now[key] > most(key)) fail(`${key} grew from ${before[key]} to ${now[key]}: ${openFiles()}`, `seed ${seed}`);
  }
  // Three rounds in a row: one may end before the garbage of its workers is gone.
  const least = (key) => Math.min(...rounds.slice(-3).map((round) => round[key]));
  if (least('heapMib') > most('heapMib') + HEAP_GROWTH_MIB) {
    fail(`the heap grew from ${most('heapMib')} to ${least('heapMib')} MiB`, `seed ${seed}`);
  }
  // AddressSanitizer keeps freed memory for itself.
  if (!values.sanitize && least('rssMib') > most('rssMib') + RSS_GROWTH_MIB) {
    fail(`memory grew from ${most('rssMib')} to ${least('rssMib')} MiB`, `seed ${seed}`);
  }
}

function openFiles() {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return 'closed';
    }
  });
  return targets.toSorted().join(' ');
}

/** Up to twelve devices of this thread, and up to three workers with one each. */
class World {
  done = {};
  #devices = [];
  #workers = [];
  #wires = [];
  #library;
  #random;
  #netlink;
  #traffic;
  #steps;

  constructor(library, random) {
    this.#library = library;
    this.#random = random;
    const weighted = [
      [8, 'open', () => this.#openDevice()],
      [4, 'queue', () => this.#openQueue()],
      [3, 'detach', () => this.#any()?.detachQueue()],
      [3, 'attach', () => this.#any()?.attachQueue()],
      [6, 'read', () => this.#startReading()],
      [6, 'write', () => this.#write()],
      [3, 'close', () => this.#closeDevice(false)],
      [1, 'close unawaited', () => this.#closeDevice(true)],
      [2, 'delete', () => this.#deleteDevice()],
      [2, 'flap', () => this.#flap()],
      [3, 'wire', () => this.#join()],
      [2, 'unwire', () => this.#wires.splice(this.#below(this.#wires.length), 1)[0]?.close()],
      [1, 'worker', () => this.#startWorker()],
      [1, 'terminate', () => this.#workers.splice(this.#below(this.#workers.length), 1)[0]?.terminate()],
      [1, 'collect', () => globalThis.gc?.()],
      [6, 'pass', () => new Promise((resolve) => setTimeout(resolve, this.#below(8)))],
    ];
    this.#steps = weighted.flatMap(([weight, name, act]) => Array.from({ length: weight }, () => [name, act]));
  }

  async open() {
    this.#netlink = await this.#library.openNetlink();
    // Every subnet, whether a device has it or not.
    const traffic = `const socket = require('dgram').createSocket('udp4');
      socket.on('error', () => {});
      setInterval(() => {
        for (let i = 0; i < 64; i++) socket.send(Buffer.alloc(i * 20), 9, '10.66.' + (i % 16) + '.9', () => {});
      }, 2);`;
    this.#traffic = spawn(process.execPath, ['-e', traffic], { stdio: 'ignore', env: {} });
  }

  async close() {
    this.#traffic.kill('SIGKILL');
    await this.#netlink.close();
  }

  /** One decision. What misuse brings is what this is about; everything else ends the program. */
  async step() {
    const [name, act] = this.#steps[this.#below(this.#steps.length)];
    try {
      await act();
      this.done[name] = (this.done[name] ?? 0) + 1;
    } catch (error) {
      if (!expectedCodes.has(error?.code)) throw error;
    }
  }

  async closeAll() {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
    await Promise.all(this.#wires.splice(0).map((wire) => wire.close()));
    await Promise.all(this.#devices.splice(0).map((device) => device.close()));
  }

  async measure() {
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { rss, heapUsed, external } = process.memoryUsage();
    const links = await this.#netlink.links.list();
    return {
      devices: links.map(({ name }) => name).filter((name) => name !== 'lo'),
      descriptors: readdirSync('/proc/self/fd').length,
      threads: readdirSync('/proc/self/task').length,
      rssMib: Math.round(rss / MIB),
      heapMib: Math.round((heapUsed + external) / MIB),
    };
  }

  #below(limit) {
    return Math.floor(this.#random() * limit);
  }

  #any() {
    this.#devices = this.#devices.filter((device) => !device.closed);
    return this.#devices[this.#below(this.#devices.length)];
  }

  async #openDevice() {
    if (this.#devices.length >= 12) return;
    const slot = this.#below(12);
    const options = {
      name: `soak${slot}`,
      multiQueue: this.#random() < 0.5,
      packetInfo: this.#random() < 0.2,
      vnetHeader: this.#random() < 0.2,
      batch: { capacity: 1 + this.#below(64) },
      ...(this.#random() < 0.3 && { offload: 'auto', superPackets: this.#random() < 0.5 }),
      ...(this.#random() < 0.2 && { busyPollUs: this.#below(100) }),
    };
    const { TapDevice, TunDevice, Cidr } = this.#library;
    const device = await (this.#random() < 0.5 ? TunDevice : TapDevice).open(options);
    this.#devices.push(device);
    if (this.#random() < 0.5) device.on('mtu', () => {});
    await this.#netlink.addresses.add(device.name, Cidr.parse(`10.66.${slot}.1/24`)).catch((error) => {
      // A second queue finds the address of the first.
      if (error.code !== 'VNIC_ADDRESS_EXISTS' && !expectedCodes.has(error.code)) throw error;
    });
    await this.#netlink.links.set(device.name, { up: true });
  }

  /** A queue is attached to and detached from a device that others are using. */
  async #openQueue() {
    const device = this.#any();
    if (device === undefined || this.#devices.length >= 12) return;
    const { TapDevice, TunDevice } = this.#library;
    const { name, flags, medium } = device;
    const { packetInfo, vnetHeader, multiQueue } = flags;
    const options = { name, packetInfo, vnetHeader, multiQueue, mustExist: true, batch: { capacity: 8 } };
    this.#devices.push(await (medium === 'ip' ? TunDevice : TapDevice).open(options));
  }

  #startReading() {
    const device = this.#any();
    if (device === undefined) return;
    const ways = [
      () =>
        device.onBatch(
          (batch) => device.write(batch),
          () => {},
        ),
      () => {
        let left = this.#below(20);
        const stop = device.onBatch(
          () => {
            if (left-- === 0) stop();
          },
          () => {},
        );
      },
      () =>
        device.onBatch(
          () => this.#below(10) === 0 && device.close(),
          () => {},
        ),
      () => this.#iterate(device, this.#below(50)),
      () => ignored(device.read({ signal: AbortSignal.timeout(1 + this.#below(20)) })),
      () => ignored(device.toWeb().readable.pipeTo(new WritableStream(), { signal: AbortSignal.timeout(20) })),
    ];
    ways[this.#below(ways.length)]();
  }

  #iterate(device, batches) {
    const reading = async () => {
      let left = batches;
      for await (const batch of device) {
        device.write(batch);
        if (left-- === 0) break;
      }
    };
    ignored(reading());
  }

  #write() {
    const device = this.#any();
    if (device === undefined) return;
    const batch = new this.#library.PacketBatch({ capacity: 1 + this.#below(64) });
    for (;;) {
      const packet = Uint8Array.from({ length: this.#below(200) }, () => this.#below(256));
      if (packet.length > 0 && this.#random() < 0.7) packet[0] = this.#random() < 0.5 ? 0x45 : 0x60;
      if (!batch.append(packet)) break;
    }
    device.write(batch);
  }

  async #closeDevice(unawaited) {
    const device = this.#any();
    const closing = device?.close();
    if (!unawaited) await closing;
  }

  async #deleteDevice() {
    const device = this.#any();
    if (device !== undefined) await this.#netlink.links.delete(device.name);
  }

  async #flap() {
    const device = this.#any();
    if (device === undefined) return;
    await this.#netlink.links.set(device.name, { up: false });
    await this.#netlink.links.set(device.name, { up: true, mtu: 1300 + this.#below(200) });
  }

  #join() {
    const [a, b] = [this.#any(), this.#any()];
    if (a === undefined || b === undefined) return;
    const policy = ['wait', 'drop-newest', 'drop-oldest'][this.#below(3)];
    const wire = this.#library.forward(a, b, { policy, closeLinks: this.#random() < 0.3 });
    ignored(wire.done);
    this.#wires.push(wire);
  }

  /**
   * It opens a device, reads and writes it, and is terminated in the middle of that, but not while it loads modules:
   * Node 20 leaves the file open that it is just reading.
   */
  async #startWorker() {
    if (this.#workers.length >= 3) return;
    const body = `import { openDevice } from '${new URL('../dist/index.js', import.meta.url).href}';
      import { parentPort } from 'node:worker_threads';
      parentPort.postMessage('loaded');
      const device = await openDevice({ name: 'worker%d', kind: 'tun', addresses: ['10.66.${12 + this.#below(4)}.1/24'], up: true });
      device.onBatch((batch) => device.write(batch));
      setInterval(() => device.write(new Uint8Array(100).fill(0x45)), 1);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(body)}`));
    worker.on('error', (error) => {
      if (!expectedCodes.has(error?.code)) throw error;
    });
    await once(worker, 'message');
    this.#workers.push(worker);
  }
}

/** Hides what is expected; anything else becomes an unhandled rejection, which ends the program. */
function ignored(promise) {
  promise.catch((error) => {
    if (!expectedCodes.has(error?.code) && error?.name !== 'TimeoutError') throw error;
  });
}

if (values.inside) await soak();
else await startInside();
