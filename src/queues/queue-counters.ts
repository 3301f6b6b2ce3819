/**
 * Counters of many queues in shared memory, one writer each, so that any thread reads them without a message.
 *
 * Layout: 128 bytes a queue, two cache lines, so that no two threads write to the same one. Each field is a 64-bit
 * float in host order, exact up to 2^53:
 *
 *     0   packetsRead          32  writeDropped link-down
 *     8   bytesRead            40  writeDropped refused
 *     16  packetsWritten       48  writeDropped too-long
 *     24  bytesWritten         56  writeDropped queue-full      64 to 127  zero
 *
 * Aligned 64-bit accesses are whole on x64 and arm64, so a reader sees no half-written value; it may see one field of a
 * batch before another.
 */

import { invalidArgument } from '../base/index.ts';
import type { LinkCounters, MutableCounters, WriteDropReason } from '../link/index.ts';

/** Bytes for each queue. */
export const QUEUE_COUNTERS_LEN = 128;

const FIELDS = QUEUE_COUNTERS_LEN / Float64Array.BYTES_PER_ELEMENT;

/** Memory for the counters of `queues` queues, all 0. */
export function createQueueCounters(queues: number): SharedArrayBuffer {
  return new SharedArrayBuffer(queues * QUEUE_COUNTERS_LEN);
}

/**
 * The counters of one queue in shared memory. They are live: each access reads the memory.
 * @throws VNIC_INVALID_ARGUMENT when the memory has no such queue
 */
export function queueCounters(memory: SharedArrayBuffer, index: number): LinkCounters {
  return writableQueueCounters(memory, index);
}

/** As `queueCounters`, for the one thread that reads and writes the queue. */
export function writableQueueCounters(memory: SharedArrayBuffer, index: number): MutableCounters {
  if (!Number.isInteger(index) || index < 0 || (index + 1) * QUEUE_COUNTERS_LEN > memory.byteLength) {
    const count = Math.floor(memory.byteLength / QUEUE_COUNTERS_LEN);
    throw invalidArgument('open queue counters', `a queue of 0 to ${count - 1}`, index);
  }
  return new SharedCounters(new Float64Array(memory, index * QUEUE_COUNTERS_LEN, FIELDS));
}

class SharedCounters implements MutableCounters {
  readonly writeDropped: Record<WriteDropReason, number>;
  readonly #fields: Float64Array;

  constructor(fields: Float64Array) {
    this.#fields = fields;
    this.writeDropped = new SharedDrops(fields);
  }

  get packetsRead(): number {
    return this.#fields[0] as number;
  }
  set packetsRead(value: number) {
    this.#fields[0] = value;
  }
  get bytesRead(): number {
    return this.#fields[1] as number;
  }
  set bytesRead(value: number) {
    this.#fields[1] = value;
  }
  get packetsWritten(): number {
    return this.#fields[2] as number;
  }
  set packetsWritten(value: number) {
    this.#fields[2] = value;
  }
  get bytesWritten(): number {
    return this.#fields[3] as number;
  }
  set bytesWritten(value: number) {
    this.#fields[3] = value;
  }

  /** Plain numbers, for JSON and for copies. */
  toJSON(): LinkCounters {
    const { packetsRead, bytesRead, packetsWritten, bytesWritten } = this;
    return { packetsRead, bytesRead, packetsWritten, bytesWritten, writeDropped: { ...this.writeDropped } };
  }
}

class SharedDrops implements Record<WriteDropReason, number> {
  declare 'link-down': number;
  declare refused: number;
  declare 'too-long': number;
  declare 'queue-full': number;

  constructor(fields: Float64Array) {
    for (const [reason, field] of Object.entries(DROP_FIELDS)) {
      Object.defineProperty(this, reason, {
        enumerable: true,
        get: () => fields[field],
        set: (value: number) => {
          fields[field] = value;
        },
      });
    }
  }
}

const DROP_FIELDS: Readonly<Record<WriteDropReason, number>> = {
  'link-down': 4,
  refused: 5,
  'too-long': 6,
  'queue-full': 7,
};
