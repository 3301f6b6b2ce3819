/**
 * Settings of a serial line as the kernel has them: `struct termios2` of `asm-generic/termbits.h`, the same on x64 and arm64. Unlike
 * the struct of the C library it takes any speed.
 *
 * ```
 * octet 0          4           8             12          16         17       36           40           44
 *       +----------+-----------+-------------+-----------+----------+--------+------------+-------------+
 *       | input (4)| output (4)| control (4) | local (4) | line (1) | cc (19)| speed in(4)| speed out(4)|
 *       +----------+-----------+-------------+-----------+----------+--------+------------+-------------+
 * ```
 */

/** How the two sides of a line stop each other: not at all, by RTS and CTS, or by the bytes XON and XOFF. */
export type FlowControl = 'none' | 'hardware' | 'software';

/** Octets of `struct termios2`. */
export const TERMIOS_LEN = 44;

/** Requests of `ioctl`, from `asm-generic/ioctls.h`. */
export const SerialRequest = {
  getSettings: 0x802c_542a,
  setSettings: 0x402c_542b,
  /** Once what was written has gone out. */
  setSettingsDrained: 0x402c_542c,
  exclusive: 0x540c,
  shared: 0x540d,
  flush: 0x540b,
  /** How many bytes have not gone out yet. */
  outputQueue: 0x5411,
} as const;
/** Argument of `flush`: both directions. */
export const FLUSH_BOTH = 2;
/** Argument of `flush`: what has not gone out. */
export const FLUSH_OUTPUT = 1;

const inputAt = 0;
const outputAt = 4;
const controlAt = 8;
const localAt = 12;
const specialAt = 17;
const speedInAt = 36;
const speedOutAt = 40;

const IGNBRK = 0o1;
const IXON = 0o2000;
const IXOFF = 0o10000;
const CS8 = 0o60;
const CREAD = 0o200;
const CLOCAL = 0o4000;
/** The speed stands in the fields of its own. */
const BOTHER = 0o10000;
const CRTSCTS = 0o20_000_000_000;
const VTIME = 5;
const VMIN = 6;
const VSTART = 8;
const VSTOP = 9;
const XON = 0x11;
const XOFF = 0x13;

/** What is asked of a line: bytes of 8 bits without parity, one stop bit, untouched on their way. */
export interface LineSettings {
  /** Bits a second, each way. */
  readonly baud: number;
  readonly flow: FlowControl;
}

/** The settings for a line, made from what was read of it. */
export function rawSettings(before: Uint8Array, { baud, flow }: LineSettings): Uint8Array {
  const settings = before.slice(0, TERMIOS_LEN);
  const words = new DataView(settings.buffer);
  words.setUint32(inputAt, IGNBRK | (flow === 'software' ? IXON | IXOFF : 0), true);
  words.setUint32(outputAt, 0, true);
  words.setUint32(controlAt, CS8 + CREAD + CLOCAL + BOTHER + (flow === 'hardware' ? CRTSCTS : 0), true);
  words.setUint32(localAt, 0, true);
  settings[specialAt + VMIN] = 1;
  settings[specialAt + VTIME] = 0;
  settings[specialAt + VSTART] = XON;
  settings[specialAt + VSTOP] = XOFF;
  words.setUint32(speedInAt, baud, true);
  words.setUint32(speedOutAt, baud, true);
  return settings;
}

/** What a line has come to, which may be less than was asked for. */
export function lineSettings(settings: Uint8Array): LineSettings {
  const words = new DataView(settings.buffer, settings.byteOffset);
  const isHardware = words.getUint32(controlAt, true) >= CRTSCTS;
  const isSoftware = (words.getUint32(inputAt, true) & IXON) !== 0;
  return { baud: words.getUint32(speedOutAt, true), flow: isHardware ? 'hardware' : isSoftware ? 'software' : 'none' };
}
