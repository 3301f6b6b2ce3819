/** `struct ifreq` as the TUN/TAP ioctls use it: a name and 16 bits of flags. */

import { IFNAMSIZ, IFREQ_LEN } from './constants.ts';

/** @param name at most 15 bytes; empty lets the kernel choose. */
export function emitInterfaceRequest(name: string, flags: number): Uint8Array {
  const request = new Uint8Array(IFREQ_LEN);
  new TextEncoder().encodeInto(name, request.subarray(0, IFNAMSIZ - 1));
  request[IFNAMSIZ] = flags & 0xff;
  request[IFNAMSIZ + 1] = flags >> 8;
  // The kernel reads the flags in host order.
  if (!littleEndian) request.subarray(IFNAMSIZ, IFNAMSIZ + 2).reverse();
  return request;
}

export function parseInterfaceRequest(request: Uint8Array): { name: string; flags: number } {
  const end = request.indexOf(0);
  const flags = new DataView(request.buffer, request.byteOffset).getUint16(IFNAMSIZ, littleEndian);
  return { name: new TextDecoder().decode(request.subarray(0, Math.min(end, IFNAMSIZ))), flags };
}

/** An `int` argument in host order. */
export function emitInt(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

export function parseInt32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, littleEndian);
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
