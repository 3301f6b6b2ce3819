/**
 * Reads capture files from bytes as they come: pcap and pcapng, which are told apart by how they begin. Pure.
 *
 * Theory of operation
 *
 *   append(chunk)  Bytes of the file, in order; copied.
 *   next(record)   `record`: a packet, valid until the next call of either. `more`: append, or say `end()`. `end`: nothing follows,
 *                  and `damage` says why if the file is damaged.
 *
 * Every length is checked before it is used. Memory is bounded by the longest block that is looked into and one chunk, if `next` is
 * called until it says `more` before another is appended. What was read before the damage is good.
 */

import { ByteQueue } from './byte-queue.ts';
import type { CaptureDamage, CaptureDamageReason } from './damage.ts';
import type { CaptureFormatName, CaptureRecord, FormatReader } from './format.ts';
import { pcapReader } from './pcap.ts';
import { pcapngReader } from './pcapng.ts';

/** See the head of this file. */
export class CaptureDecoder {
  readonly #queue = new ByteQueue();
  #reader: FormatReader | undefined;
  #format: CaptureFormatName | undefined;
  #hasEnded = false;
  #damage: CaptureDamage | undefined;

  /** Undefined before the first 4 bytes. */
  get format(): CaptureFormatName | undefined {
    return this.#format;
  }

  /** Link type of the first interface, once it is known; other interfaces of a pcapng file may have others. */
  get linkType(): number | undefined {
    return this.#reader?.linkType;
  }

  /** Why reading has ended before the end of the file. */
  get damage(): CaptureDamage | undefined {
    return this.#damage;
  }

  /** Adds bytes of the file, in order; copies them. */
  append(chunk: Uint8Array): void {
    this.#queue.append(chunk);
  }

  /** There is no more to append. */
  end(): void {
    this.#hasEnded = true;
  }

  /** Reads the next packet; see the head of this file. */
  next(record: CaptureRecord): 'record' | 'more' | 'end' {
    if (this.#damage !== undefined) return 'end';
    const reader = this.#reader ?? this.#detect();
    if (typeof reader === 'string') return this.#onMore();
    if (reader === undefined) return this.#fail('not-a-capture');
    for (;;) {
      const result = reader.next(this.#queue, record);
      if (result === 'again') continue;
      if (result === 'record') return result;
      return result === 'more' ? this.#onMore(reader) : this.#fail(result);
    }
  }

  #detect(): FormatReader | undefined | 'more' {
    if (this.#queue.available < 4) return 'more';
    const pcap = pcapReader(this.#queue);
    this.#reader = pcap ?? pcapngReader(this.#queue);
    if (this.#reader !== undefined) this.#format = pcap === undefined ? 'pcapng' : 'pcap';
    return this.#reader;
  }

  #onMore(reader?: FormatReader): 'more' | 'end' {
    if (!this.#hasEnded) return 'more';
    // A file without any byte is none.
    if (reader?.isWhole && this.#queue.available === 0) return 'end';
    return this.#fail(this.#queue.position === 0 && this.#queue.available < 4 ? 'not-a-capture' : 'truncated');
  }

  #fail(reason: CaptureDamageReason): 'end' {
    this.#damage = { reason, offset: this.#queue.position };
    return 'end';
  }
}
