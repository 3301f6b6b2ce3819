/** What a capture file carries, by a look at its beginning. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import { VnicError } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import { CaptureDecoder } from './capture-decoder.ts';
import { fileError } from './capture-sink.ts';
import { damaged } from './damage.ts';
import { createCaptureRecord } from './format.ts';
import { mediumOfLinkType } from './link-type.ts';

const CHUNK_LEN = 65_536;
/** So far the first interface is looked for. */
const MAX_LOOK_LEN = 16 << 20;
/** Opening does not wait for somebody at the other end of a named pipe. */
const O_RDONLY_NONBLOCK = 0o4000;

/**
 * The medium of the packets of a file: that of its first interface.
 * @throws VNIC_CAPTURE_DAMAGED, VNIC_UNSUPPORTED for another link type, VNIC_INVALID_ARGUMENT for what is no file, VNIC_SYSTEM_CALL
 */
export function captureMedium(path: string): Medium {
  const linkType = firstLinkType(path);
  const medium = mediumOfLinkType(linkType);
  if (medium !== undefined) return medium;
  throw new VnicError('VNIC_UNSUPPORTED', {
    attempted: `read ${path}`,
    reason: `its packets are of link type ${linkType}, neither Ethernet nor IP`,
    hint: '`capinfos` names the type; capture on one interface, or convert it with `editcap -T`.',
  });
}

function firstLinkType(path: string): number {
  const decoder = new CaptureDecoder();
  const record = createCaptureRecord();
  const chunk = new Uint8Array(CHUNK_LEN);
  try {
    const fd = openSync(path, O_RDONLY_NONBLOCK);
    try {
      if (!fstatSync(fd).isFile()) throw notAFile(path);
      for (let position = 0; position < MAX_LOOK_LEN; ) {
        while (decoder.next(record) === 'record' && decoder.linkType === undefined);
        if (decoder.linkType !== undefined) return decoder.linkType;
        if (decoder.damage !== undefined) throw damaged(path, decoder.damage);
        const read = readSync(fd, chunk, 0, CHUNK_LEN, position);
        if (read === 0) break;
        decoder.append(chunk.subarray(0, read));
        position += read;
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw error instanceof VnicError ? error : fileError(`read ${path}`, error);
  }
  decoder.end();
  decoder.next(record);
  throw decoder.damage === undefined ? withoutInterface(path) : damaged(path, decoder.damage);
}

function notAFile(path: string): VnicError {
  return new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted: `read ${path}`,
    reason: 'it is no file',
    hint: 'Give a file: it is looked into before it is played.',
  });
}

function withoutInterface(path: string): VnicError {
  return new VnicError('VNIC_UNSUPPORTED', {
    attempted: `read ${path}`,
    reason: 'it describes no interface, and so has no packets',
    hint: '`capinfos` tells more of the file.',
  });
}
