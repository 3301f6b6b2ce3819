/** Octets for people, in the layout of `tcpdump -XX`. */

const rowLen = 16;

/**
 * Rows of 16 octets: offset, octets in pairs, and the printable ASCII among them, dots for the rest.
 *
 * ```
 *         0x0000:  4500 0054 0000 4000 4001 26a7 0a00 0001  E..T..@.@.&.....
 * ```
 * @returns rows joined by newlines; empty for no octets
 */
export function hexdump(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += rowLen) rows.push(row(bytes.subarray(at, at + rowLen), at));
  return rows.join('\n');
}

function row(octets: Uint8Array, at: number): string {
  let hex = '';
  let text = '';
  for (const [i, octet] of octets.entries()) {
    hex += (i > 0 && i % 2 === 0 ? ' ' : '') + octet.toString(16).padStart(2, '0');
    text += octet > 0x20 && octet < 0x7f ? String.fromCharCode(octet) : '.';
  }
  return `\t0x${at.toString(16).padStart(4, '0')}:  ${hex.padEnd(39)}  ${text}`;
}
