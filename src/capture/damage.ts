/** Why a capture file cannot be read on. */

import { VnicError } from '../base/index.ts';

/** The reasons with what they mean, in one sentence. */
export const captureDamageReasons = {
  'not-a-capture': 'The file begins as neither pcap nor pcapng does.',
  'unsupported-version': 'The file says that it is of a version that is not known.',
  truncated: 'The file ends within a header or a packet.',
  'bad-block-length': 'A block is shorter than its fixed part, or says two lengths.',
  'bad-byte-order': 'The section header says neither of the two byte orders.',
  'block-too-long': 'A block is longer than anything that its kind has to say.',
  'packet-too-long': 'A packet is longer than the 256 KiB that a capture may have.',
  'packet-beyond-block': 'A packet is longer than the block that it stands in.',
  'bad-option': 'An option is longer than the block that it stands in.',
  'unknown-interface': 'A packet names an interface that was not described.',
  'too-many-interfaces': 'A section describes more interfaces than 1024.',
} as const;

/** A key of `captureDamageReasons`. */
export type CaptureDamageReason = keyof typeof captureDamageReasons;

/** Where reading ended before the end of the file. */
export interface CaptureDamage {
  readonly reason: CaptureDamageReason;
  /** Of the block or packet that cannot be read, from the start of the file, in bytes. */
  readonly offset: number;
}

/** The error of a file that cannot be read on. */
export function damaged(path: string, { reason, offset }: CaptureDamage): VnicError {
  const sentence = captureDamageReasons[reason];
  return new VnicError('VNIC_CAPTURE_DAMAGED', {
    attempted: `read ${path}`,
    reason: `${sentence.charAt(0).toLowerCase()}${sentence.slice(1, -1)} (${reason}, at byte ${offset})`,
    hint:
      reason === 'not-a-capture'
        ? 'Give a pcap or pcapng file; a compressed one is to be unpacked before.'
        : '`capinfos` tells more of the file.',
  });
}
