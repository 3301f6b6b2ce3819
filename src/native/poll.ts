/** Readiness of a file descriptor on Node's own event loop: no thread, no polling while idle. */

import { nativeCore, type PollHandle } from './binding.ts';
import { systemError } from './system-error.ts';

/** What to be woken for; combine with `|`. `disconnect` is the peer's end, and errors, which wake for any of them. */
export const PollEvent = { none: 0, readable: 1, writable: 2, disconnect: 4 } as const;

/**
 * Called when the descriptor is ready. `errno` is 0, or that of a failed poll: libuv has then stopped
 * watching (a deleted TUN device, an error queued on a socket), so read to learn the cause and `watch` again.
 */
export type PollCallback = (errno: number, events: number) => void;

/** Watches one descriptor, level triggered. At most one per descriptor. */
export class Poll {
  readonly #handle: PollHandle;
  #events: number = PollEvent.none;
  #closed = false;

  /** @throws VNIC_SYSTEM_CALL when the descriptor cannot be watched. */
  constructor(fd: number, callback: PollCallback) {
    const handle = nativeCore().pollOpen(fd, (status, events) => {
      if (status < 0) this.#events = PollEvent.none;
      callback(status < 0 ? -status : 0, events);
    });
    if (typeof handle === 'number') throw systemError(`watch file descriptor ${fd}`, 'epoll_ctl', -handle);
    this.#handle = handle;
  }

  /** Sets what to be woken for. While it is not `none`, the process stays alive (see `unref`). */
  watch(events: number): void {
    if (this.#closed || events === this.#events) return;
    this.#events = events;
    const result = nativeCore().pollUpdate(this.#handle, events);
    if (result < 0) throw systemError('watch a file descriptor', 'epoll_ctl', -result);
  }

  get events(): number {
    return this.#events;
  }

  /** Lets the process end although the descriptor is watched. */
  unref(): void {
    if (!this.#closed) nativeCore().pollSetRef(this.#handle, 0);
  }

  ref(): void {
    if (!this.#closed) nativeCore().pollSetRef(this.#handle, 1);
  }

  /** Stops watching at once; the descriptor may be closed right after. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    nativeCore().pollClose(this.#handle);
  }
}
