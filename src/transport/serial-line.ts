/**
 * A serial line as a stream of bytes: a UART, a USB adapter, a pseudo terminal.
 *
 * Theory of operation
 *
 *   open      Without waiting for a carrier and without becoming the terminal of this process. The line is taken for this process
 *             alone (`flock`, and `TIOCEXCL`, which root passes by); what it was set to is noted, and what had come before is discarded.
 *   reading   On readiness, as long as the reader takes it; what is not taken stays in the kernel, which then uses the flow control.
 *   writing   As much as the line takes; the rest on readiness. A line on which the other side stops us takes nothing.
 *   hang-up   An unplugged adapter, or the other end of a pseudo terminal closed: a read gives nothing or EIO, and the stream
 *             is destroyed with that error. Whoever wants it back opens it again.
 *   ending    What was written has `DRAIN_MS` to go out; then it is discarded, since a close would wait for it in the kernel. The line
 *             gets back the settings that were found. After `kill -9` it keeps those it has: nobody can tell then whose they are.
 */

import { Duplex } from 'node:stream';

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, errnoName, nativeCore, Poll, PollEvent, systemError } from '../native/index.ts';
import {
  FLUSH_BOTH,
  FLUSH_OUTPUT,
  type LineSettings,
  lineSettings,
  rawSettings,
  SerialRequest,
  TERMIOS_LEN,
} from './termios.ts';

/** Which line, and how it is set. */
export interface SerialOptions extends Partial<LineSettings> {
  /** Path of the device, for example `/dev/ttyUSB0`. */
  readonly path: string;
}

const DEFAULT_BAUD = 115_200;
const MAX_BAUD = 0xffff_ffff;
const O_RDWR = 0o2;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
/** The kernel hands out at most a page of a line at once. */
const READ_LEN = 4096;
const READS_A_TURN = 16;
const DRAIN_MS = 800;
const DRAIN_CHECK_MS = 10;
/** A speed that is further off than this, in percent, garbles bytes. */
const MAX_SPEED_ERROR = 3;

/** Errors of a device that is not there, or not any more. */
const ABSENT: ReadonlySet<number> = new Set([errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO]);

/**
 * Opens a line: 8 bits, no parity, one stop bit, bytes untouched. The stream that comes back has it until it is destroyed, or its writable
 * side is ended.
 * @throws VNIC_PEER_UNREACHABLE where there is no such device at present, VNIC_DEVICE_BUSY, VNIC_INVALID_ARGUMENT for a path that is no
 *   line, VNIC_UNSUPPORTED for a speed or flow control that it cannot do, VNIC_SYSTEM_CALL, VNIC_TOO_MANY_FILES
 */
export function openSerialLine({ path, baud = DEFAULT_BAUD, flow = 'none' }: SerialOptions): Duplex {
  const attempted = `open the serial line ${path}`;
  if (!Number.isInteger(baud) || baud < 1 || baud > MAX_BAUD) {
    throw invalidArgument(attempted, `a speed of 1 to ${MAX_BAUD} baud`, baud);
  }
  const core = nativeCore();
  const fd = core.open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) throw openError(attempted, -fd);
  try {
    const before = new Uint8Array(TERMIOS_LEN);
    const result = core.ioctl(fd, SerialRequest.getSettings, before);
    if (result === -errno.ENOTTY) throw invalidArgument(attempted, 'a serial line', 'another kind of file');
    if (result < 0) throw openError(attempted, -result);
    if (core.lock(fd) < 0) throw busyError(attempted);
    configure(fd, attempted, before, { baud, flow });
    return new SerialLine(path, fd, before);
  } catch (error) {
    core.close(fd);
    throw error;
  }
}

function configure(fd: number, attempted: string, before: Uint8Array, wanted: LineSettings): void {
  const core = nativeCore();
  const set = core.ioctl(fd, SerialRequest.setSettings, rawSettings(before, wanted));
  if (set < 0) throw openError(attempted, -set);
  const after = new Uint8Array(TERMIOS_LEN);
  core.ioctl(fd, SerialRequest.getSettings, after);
  const found = lineSettings(after);
  const isOff = Math.abs(found.baud - wanted.baud) * 100 > wanted.baud * MAX_SPEED_ERROR;
  if (isOff || found.flow !== wanted.flow) {
    core.ioctl(fd, SerialRequest.setSettings, before);
    throw new VnicError('VNIC_UNSUPPORTED', {
      attempted,
      reason: isOff ? `it makes ${found.baud} of ${wanted.baud} baud` : `it knows no ${wanted.flow} flow control`,
      hint: isOff ? 'Choose a speed that both sides can do.' : 'Choose another flow control.',
    });
  }
  core.ioctl(fd, SerialRequest.exclusive, 0);
  core.ioctl(fd, SerialRequest.flush, FLUSH_BOTH);
}

/** An open line. Owns its descriptor. */
class SerialLine extends Duplex {
  readonly #path: string;
  readonly #fd: number;
  readonly #before: Uint8Array;
  readonly #core = nativeCore();
  readonly #poll: Poll;
  readonly #input = new Uint8Array(READ_LEN);
  readonly #descriptor = new Uint32Array(4);
  readonly #status = new Uint32Array(3);
  #wantsInput = false;
  #isHungUp = false;
  #output: Uint8Array | undefined;
  #written = 0;
  #onWritten: ((error?: Error) => void) | undefined;

  /** @param before the settings that it gets back in the end */
  constructor(path: string, fd: number, before: Uint8Array) {
    super({ readableHighWaterMark: READ_LEN * 4, writableHighWaterMark: READ_LEN });
    this.#path = path;
    this.#fd = fd;
    this.#before = before;
    this.#poll = new Poll(fd, (error, events) => this.#onReady(error, events));
  }

  override _read(): void {
    this.#wantsInput = true;
    if (this.#isHungUp) setImmediate(() => this.#readNow());
    else this.#watch();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#output = chunk;
    this.#written = 0;
    this.#onWritten = done;
    this.#writeNow();
  }

  override _final(done: (error?: Error | null) => void): void {
    const endMs = performance.now() + DRAIN_MS;
    const check = (): void => {
      if (!this.destroyed && this.#pendingLen() > 0 && performance.now() < endMs) {
        setTimeout(check, DRAIN_CHECK_MS);
        return;
      }
      done();
      // One direction of a line cannot end alone.
      setImmediate(() => this.destroy());
    };
    check();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#poll.close();
    this.#output = undefined;
    this.#core.ioctl(this.#fd, SerialRequest.flush, FLUSH_OUTPUT);
    this.#core.ioctl(this.#fd, SerialRequest.setSettings, this.#before);
    this.#core.ioctl(this.#fd, SerialRequest.shared, 0);
    // A driver may wait in close(2) for the line.
    this.#core.closeAsync(this.#fd).then(
      () => done(error),
      () => done(error),
    );
  }

  #pendingLen(): number {
    const value = new Int32Array(1);
    const result = this.#core.ioctl(this.#fd, SerialRequest.outputQueue, new Uint8Array(value.buffer));
    return result < 0 ? 0 : (value[0] as number);
  }

  #watch(): void {
    if (this.destroyed || this.#isHungUp) return;
    const readable = this.#wantsInput ? PollEvent.readable : PollEvent.none;
    this.#poll.watch(readable | (this.#output === undefined ? PollEvent.none : PollEvent.writable));
  }

  #onReady(error: number, events: number): void {
    if (error !== 0) {
      this.#onHangUp();
      return;
    }
    if ((events & PollEvent.writable) !== 0) this.#writeNow();
    if ((events & PollEvent.readable) !== 0 && this.#wantsInput && !this.destroyed) this.#readNow();
  }

  /** Nothing is watched any more. What has come before is read first, if anybody wants it. */
  #onHangUp(): void {
    this.#isHungUp = true;
    if (this.#output !== undefined) this.#finishWrite(hangUp(this.#path, 'write', errno.EIO));
    else if (this.#wantsInput) this.#readNow();
  }

  #readNow(): void {
    for (let i = 0; i < READS_A_TURN && this.#wantsInput && !this.destroyed; i++) {
      const input = this.#input;
      const count = this.#core.readBatch(this.#fd, input, this.#descriptor, 1, 1, 0, this.#status, 0);
      const error = this.#status[0] as number;
      if (count === 0) {
        // Nothing, and no error either: a line that was hung up.
        if (error !== errno.EAGAIN || this.#isHungUp) this.destroy(hangUp(this.#path, 'read', errno.EIO));
        break;
      }
      this.#wantsInput = this.push(Buffer.from(input.subarray(0, this.#descriptor[1])));
    }
    this.#watch();
  }

  #writeNow(): void {
    const output = this.#output;
    if (output === undefined) return;
    while (this.#written < output.length && !this.#isHungUp) {
      this.#descriptor[0] = this.#written;
      this.#descriptor[1] = output.length - this.#written;
      this.#core.writeBatch(this.#fd, output, this.#descriptor, 0, 1, this.#status, 0);
      const [error, length] = this.#status as unknown as [number, number];
      this.#written += length;
      if (error === errno.EAGAIN || (error === 0 && length === 0)) break;
      if (error !== 0) {
        this.#finishWrite(hangUp(this.#path, 'write', error));
        return;
      }
    }
    if (this.#isHungUp) this.#finishWrite(hangUp(this.#path, 'write', errno.EIO));
    else if (this.#written < output.length) this.#watch();
    else this.#finishWrite();
  }

  #finishWrite(error?: Error): void {
    const done = this.#onWritten;
    this.#output = undefined;
    this.#onWritten = undefined;
    this.#watch();
    done?.(error);
  }
}

function openError(attempted: string, error: number): VnicError {
  if (error === errno.EBUSY) return busyError(attempted);
  const failure = { errno: errnoName(error), syscall: 'open' };
  if (ABSENT.has(error)) {
    const reason = 'no device is there';
    return new VnicError('VNIC_PEER_UNREACHABLE', {
      attempted,
      reason,
      hint: 'Plug it in, or check the path.',
      ...failure,
    });
  }
  if (error !== errno.EACCES) return systemError(attempted, 'open', error);
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted,
    reason: 'this user may not open it',
    hint: 'Add the user to the group of the device, mostly `dialout`, or use `sudo`.',
    ...failure,
  });
}

function busyError(attempted: string): VnicError {
  return new VnicError('VNIC_DEVICE_BUSY', {
    attempted,
    reason: 'another program has it',
    hint: 'End that program: `fuser -v` tells which it is.',
  });
}

function hangUp(path: string, syscall: string, error: number): VnicError {
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `use the serial line ${path}`,
    reason: 'the line was hung up: unplugged, or closed at its other end',
    hint: 'It is opened again once it is back.',
    errno: errnoName(error),
    syscall,
  });
}
