/** The devices, workers and traffic of scripts/soak.mjs, and the decisions about them. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { Holdings } from './soak-holdings.mjs';
import { entry, ignored, isExpected } from './soak-library.mjs';

const MIB = 2 ** 20;

/** Up to twelve devices of this thread, three workers with one each, and what soak-holdings.mjs has. */
export class World {
  done = {};
  #devices = [];
  #workers = [];
  #wires = [];
  #library;
  #random;
  #netlink;
  #traffic;
  #holdings;
  #steps;

  constructor(library, random) {
    this.#library = library;
    this.#random = random;
    this.#holdings = new Holdings(library, random);
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
      [2, 'worker', () => this.#startWorker()],
      [2, 'end worker', () => this.#endWorker()],
      ...this.#holdings.steps(),
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
      // Nothing to do it with is no deed.
      if ((await act()) === false) return;
      this.done[name] = (this.done[name] ?? 0) + 1;
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }

  async closeAll() {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
    await Promise.all(this.#wires.splice(0).map((wire) => wire.close()));
    await Promise.all([...this.#devices.splice(0), ...this.#holdings.take()].map((each) => each.close()));
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
    if (this.#devices.length >= 12) return false;
    const slot = this.#below(12);
    const options = {
      name: `soak${slot}`,
      multiQueue: this.#random() < 0.5,
      packetInfo: this.#random() < 0.2,
      vnetHeader: this.#random() < 0.2,
      io: ['auto', 'io_uring', 'readiness'][this.#below(3)],
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
      if (error.code !== 'VNIC_ADDRESS_EXISTS' && !isExpected(error)) throw error;
    });
    await this.#netlink.links.set(device.name, { up: true });
  }

  /** A queue is attached to and detached from a device that others are using. */
  async #openQueue() {
    const device = this.#any();
    if (device === undefined || this.#devices.length >= 12) return false;
    const { TapDevice, TunDevice } = this.#library;
    const { name, flags, medium } = device;
    const { packetInfo, vnetHeader, multiQueue } = flags;
    const options = { name, packetInfo, vnetHeader, multiQueue, mustExist: true, batch: { capacity: 8 } };
    this.#devices.push(await (medium === 'ip' ? TunDevice : TapDevice).open(options));
  }

  #startReading() {
    const device = this.#any();
    if (device === undefined) return false;
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
    if (device === undefined) return false;
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
    if (device === undefined) return false;
    await this.#netlink.links.set(device.name, { up: false });
    await this.#netlink.links.set(device.name, { up: true, mtu: 1300 + this.#below(200) });
  }

  #join() {
    const [a, b] = [this.#any(), this.#any()];
    if (a === undefined || b === undefined) return false;
    const policy = ['wait', 'drop-newest', 'drop-oldest'][this.#below(3)];
    const wire = this.#library.forward(a, b, { policy, closeLinks: this.#random() < 0.3 });
    ignored(wire.done);
    this.#wires.push(wire);
  }

  /**
   * It holds a device, a socket and a key that seals on the pool, and uses all three until its end, by its own will or not; but
   * not while it loads modules: Node 20 leaves the file open that it is just reading.
   */
  async #startWorker() {
    if (this.#workers.length >= 3) return false;
    const body = `import { openDevice } from '${entry('.')}';
      import { AeadLayout, createAead } from '${entry('crypto')}';
      import { openUdp } from '${entry('transport')}';
      import { parentPort } from 'node:worker_threads';
      parentPort.on('message', () => process.exit());
      parentPort.postMessage('loaded');
      const key = createAead({ algorithm: 'chacha20-poly1305', key: new Uint8Array(32) });
      const layout = new AeadLayout({ payloadOffset: 8, counter: { offset: 0, length: 8 }, tag: 'end' });
      const bytes = new Uint8Array(new SharedArrayBuffer(2 ** 17));
      const descriptors = new Uint32Array(new SharedArrayBuffer(64 * 16));
      const seal = async () => {
        for (let counter = 0; ; counter += 64) {
          for (let i = 0; i < 64; i++) descriptors.set([i * 2048, 1400], i * 4);
          await key.sealBatchAsync(bytes, descriptors, 0, 64, layout, counter);
        }
      };
      seal();
      const socket = await openUdp({ local: { address: '127.0.0.1', port: 0 } });
      socket.onBatch((batch) => socket.send(batch));
      socket.send(new Uint8Array(100), socket.local);
      const device = await openDevice({ name: 'worker%d', kind: 'tun', addresses: ['10.66.${12 + this.#below(4)}.1/24'], up: true });
      device.onBatch((batch) => device.write(batch));
      setInterval(() => device.write(new Uint8Array(100).fill(0x45)), 1);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(body)}`));
    worker.on('error', (error) => {
      if (!isExpected(error)) throw error;
    });
    await once(worker, 'message');
    this.#workers.push(worker);
  }

  async #endWorker() {
    const [worker] = this.#workers.splice(this.#below(this.#workers.length), 1);
    if (worker === undefined) return false;
    if (this.#random() < 0.5) return worker.terminate();
    worker.postMessage('exit');
    await once(worker, 'exit');
  }
}
