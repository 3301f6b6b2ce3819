/** What else a program holds while devices come and go: UDP sockets, keys, and devices with a worker a queue. */

import { entry, ignored } from './soak-library.mjs';

const PACKETS = 64;
const SLOT = 2048;
const queueWorker = `import { openQueueInWorker } from '${entry('queues')}';
  const { link } = await openQueueInWorker();
  link.onBatch((batch) => link.write(batch));`;

/** Up to six sockets, four keys and two devices with workers. */
export class Holdings {
  #sockets = [];
  #keys = [];
  #groups = [];
  #library;
  #random;

  constructor(library, random) {
    this.#library = library;
    this.#random = random;
  }

  /** Weight, name and function of each decision. */
  steps() {
    return [
      [3, 'socket', () => this.#openSocket()],
      [6, 'send', () => this.#send()],
      [2, 'close socket', () => this.#any(this.#sockets)?.close()],
      [3, 'key', () => this.#createKey()],
      [6, 'seal', () => this.#seal()],
      [1, 'close key', () => this.#pick(this.#keys)?.key.close()],
      // Garbage collection is to erase it.
      [1, 'forget key', () => this.#pick(this.#keys)],
      [2, 'run queues', () => this.#runQueues()],
      [2, 'lose queue', () => this.#any(this.#any(this.#groups)?.workers ?? [])?.terminate()],
      [1, 'close queues', () => this.#pick(this.#groups)?.close()],
    ];
  }

  /** Gives away everything, to be closed. */
  take() {
    const keys = this.#keys.splice(0).map(({ key }) => key);
    return [...this.#sockets.splice(0), ...keys, ...this.#groups.splice(0)];
  }

  #below(limit) {
    return Math.floor(this.#random() * limit);
  }

  #any(list) {
    return list[this.#below(list.length)];
  }

  #pick(list) {
    return list.splice(this.#below(list.length), 1)[0];
  }

  async #openSocket() {
    this.#sockets = this.#sockets.filter((socket) => !socket.closed);
    if (this.#sockets.length >= 6) return false;
    const address = this.#random() < 0.5 ? '127.0.0.1' : '::1';
    const peer = this.#sockets.find((socket) => socket.local.address.toString() === address);
    const socket = await this.#library.openUdp({
      local: { address, port: 0 },
      gso: this.#random() < 0.5 ? 'auto' : 'off',
      gro: this.#random() < 0.5 ? 'auto' : 'off',
      receiveTrafficClass: this.#random() < 0.5,
      batch: { capacity: 128 + this.#below(512) },
      ...(peer !== undefined && this.#random() < 0.5 && { remote: peer.local }),
    });
    this.#sockets.push(socket);
    const ways = [
      () =>
        socket.onBatch(
          (batch) => this.#random() < 0.5 && socket.send(batch),
          () => {},
        ),
      () =>
        socket.onBatch(
          () => this.#below(20) === 0 && socket.close(),
          () => {},
        ),
      () => ignored(socket.receive({ signal: AbortSignal.timeout(1 + this.#below(20)) })),
    ];
    this.#any(ways)();
  }

  #send() {
    const socket = this.#any(this.#sockets);
    const peer = this.#any(this.#sockets);
    if (socket === undefined || peer === undefined || socket.closed || socket.family !== peer.family) return false;
    const length = this.#below(1400);
    if (socket.remote === undefined) return socket.send(new Uint8Array(length), peer.local);
    const batch = new this.#library.PacketBatch({ capacity: 1 + this.#below(128) });
    while (batch.append(new Uint8Array(length)));
    return socket.send(batch);
  }

  #createKey() {
    if (this.#keys.length >= 4) return false;
    const backends = this.#library.aeadBackends();
    const algorithm = this.#any(Object.keys(backends));
    const key = this.#library.createAead({
      algorithm,
      backend: this.#any(backends[algorithm]),
      key: new Uint8Array(algorithm === 'aes-128-gcm' ? 16 : 32).fill(this.#below(256)),
    });
    const bytes = new Uint8Array(new SharedArrayBuffer(PACKETS * SLOT));
    const descriptors = new Uint32Array(new SharedArrayBuffer(PACKETS * 16));
    this.#keys.push({ key, bytes, descriptors, counter: 0 });
  }

  /** Now and here, or on the pool, where a call may outlive its key; packets that are open already do not open again. */
  #seal() {
    const held = this.#any(this.#keys);
    if (held === undefined) return false;
    const { key, bytes, descriptors, counter } = held;
    const layout = new this.#library.AeadLayout({ payloadOffset: 8, counter: { offset: 0, length: 8 }, tag: 'end' });
    if (this.#random() < 0.3) return ignored(key.openBatchAsync(bytes, descriptors, 0, PACKETS, layout));
    for (let i = 0; i < PACKETS; i++) descriptors.set([i * SLOT, 8 + this.#below(1400)], i * 4);
    held.counter += PACKETS;
    if (this.#random() < 0.5) return ignored(key.sealBatchAsync(bytes, descriptors, 0, PACKETS, layout, counter));
    return key.sealBatch(bytes, descriptors, 0, PACKETS, layout, counter);
  }

  async #runQueues() {
    if (this.#groups.length >= 2) return false;
    const group = await this.#library.runInWorkers({
      worker: new URL(`data:text/javascript,${encodeURIComponent(queueWorker)}`),
      queues: 1 + this.#below(3),
      device: {
        kind: this.#random() < 0.5 ? 'tun' : 'tap',
        name: 'queues%d',
        ...(this.#random() < 0.5 && { offload: 'auto' }),
      },
      onFailure: this.#random() < 0.5 ? 'close' : 'continue',
    });
    ignored(group.wait());
    this.#groups.push(group);
  }
}
