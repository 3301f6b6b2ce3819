/**
 * How packets without a virtio-net header are read and written: a system call each, or many to one through io_uring.
 *
 * A system call costs a twelfth of what a packet costs in all, so that it pays to ask less often as soon as packets
 * come in numbers. Waiting is done by readiness in either case, and a lone packet is read by `read(2)`: armed reads of
 * io_uring would cost an idle device two to four times the round trip.
 */

import { VnicError } from '../base/index.ts';
import { errnoName, nativeCore } from '../native/index.ts';

/**
 * - `auto`: through io_uring while packets come in numbers, where the kernel allows it;
 * - `io_uring`: always, VNIC_UNSUPPORTED where the kernel does not allow it;
 * - `readiness`: never.
 *
 * What is read and written, and its order, is the same.
 */
export type PacketIo = 'auto' | 'io_uring' | 'readiness';

/** So many packets in a batch are load: below, the way through io_uring saves nothing. */
const LOAD_PACKETS = 4;
/** As many as the native core asks for at once. */
const READS_AT_ONCE = 8;

/** The longest frames that one read call has room for: each of the packets asked for may be one. */
export const RING_FRAMES: number = READS_AT_ONCE;

/** Whether io_uring is used. @throws VNIC_UNSUPPORTED when it is asked for and not to be had */
export function usesRing(name: string, io: PacketIo = 'auto'): boolean {
  if (io === 'readiness') return false;
  const result = nativeCore().ioUringProbe();
  if (result === 0) return true;
  if (io === 'auto') return false;
  throw new VnicError('VNIC_UNSUPPORTED', {
    attempted: `read and write ${name} through io_uring`,
    reason: 'this process may not use io_uring, or the kernel is older than 5.7',
    hint: 'Leave the choice to vnic (`io: "auto"`, `--io auto`); `vnic doctor` says what forbids it.',
    errno: errnoName(-result),
    syscall: 'io_uring_setup',
  });
}

/** Hot: how many packets the next read asks for at once, from how many the last one found. */
export class RingLoad {
  /** For `readBatch`; 0 asks for one after the other. */
  expected: number;
  /** For `writeBatch`: 1 writes many at once. */
  atOnce: 0 | 1;
  readonly #always: boolean;

  constructor(name: string, io: PacketIo | undefined) {
    const used = usesRing(name, io);
    this.#always = used && io === 'io_uring';
    this.atOnce = used ? 1 : 0;
    this.expected = this.#always ? READS_AT_ONCE : 0;
  }

  /** A batch of `count` packets was read. */
  found(count: number): void {
    if (this.atOnce === 0 || this.#always) return;
    this.expected = count < LOAD_PACKETS ? 0 : Math.min(count, READS_AT_ONCE);
  }

  /** The descriptor turns out not to work with it. */
  end(): void {
    this.expected = 0;
    this.atOnce = 0;
  }
}
