/** What the two file formats have in common: a record when read, an interface and a record when written. */

import type { ByteQueue } from './byte-queue.ts';
import type { CaptureDamageReason } from './damage.ts';

/** A format of capture files. */
export type CaptureFormatName = 'pcap' | 'pcapng';

/** `in`: what was read from a link; `out`: what was written to it. */
export type CaptureDirection = 'in' | 'out';

/** A packet of a file. One object serves all: what it says is valid until the next record. */
export interface CaptureRecord {
  /** Memory of the reader, in which the record stands. */
  bytes: Uint8Array;
  offset: number;
  /** Bytes that were captured. */
  length: number;
  /** Bytes that the packet had; more than `length` when it was cut. */
  originalLength: number;
  /** See `LinkType`. */
  linkType: number;
  /** Seconds since 1970, and nanoseconds from 0 to 999,999,999 behind them. Below 0 before 1970. */
  seconds: number;
  nanoseconds: number;
  direction: CaptureDirection | undefined;
}

/** An empty record, for `CaptureDecoder.next`. */
export function createCaptureRecord(): CaptureRecord {
  return {
    bytes: new Uint8Array(0),
    offset: 0,
    length: 0,
    originalLength: 0,
    linkType: 0,
    seconds: 0,
    nanoseconds: 0,
    direction: undefined,
  };
}

/** The longest packet of a file; libpcap has the same limit. */
export const MAX_CAPTURED_LEN = 262_144;

/** Reads what stands behind the magic number of a format. */
export interface FormatReader {
  /** `record`: it is filled in. `more`: of bytes. `again`: something else was consumed. */
  next(queue: ByteQueue, record: CaptureRecord): 'record' | 'more' | 'again' | CaptureDamageReason;
  /** Link type of the first interface, once it is known. */
  readonly linkType: number | undefined;
  /** Whether the file may end where it was read to. */
  readonly isWhole: boolean;
}

/** The link that a file describes. */
export interface CaptureInterface {
  readonly linkType: number;
  /** Name of the link; pcap has no place for it. */
  readonly name: string;
  /** Bytes that a packet is cut to, 1 to `MAX_CAPTURED_LEN`. */
  readonly snapLen: number;
}

/** Writes a format. Everything is in little-endian byte order. */
export interface CaptureFormat {
  readonly name: CaptureFormatName;
  /** What a file begins with. */
  header(link: CaptureInterface): Uint8Array;
  /** Bytes of a record of a packet of `length` bytes. */
  recordLen(length: number): number;
  /** Bytes of the record that `encode` has written at `offset`. */
  writtenLen(view: DataView, offset: number): number;
  /**
   * Hot. Writes a record at `at`, where there is room for `recordLen(length)` bytes.
   * @param view over the whole of `out`
   * @param time as in `CaptureRecord`; before 1970 becomes 1970
   * @returns where the next one goes
   */
  encode(out: Uint8Array, view: DataView, at: number, time: CaptureTime, packet: CapturedPacket): number;
}

/** When. */
export interface CaptureTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** What. */
export interface CapturedPacket {
  readonly bytes: Uint8Array;
  readonly offset: number;
  /** Bytes to be written, 0 to `MAX_CAPTURED_LEN`. */
  readonly length: number;
  readonly originalLength: number;
  readonly direction: CaptureDirection | undefined;
}
