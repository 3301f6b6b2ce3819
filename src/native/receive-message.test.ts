import { afterEach, describe, expect, it } from 'vitest';

import { nativeCore } from './binding.ts';
import { errno } from './system-error.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SCM_CREDENTIALS = 2;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;

const core = nativeCore();
const sockets: number[] = [];

afterEach(() => {
  for (const fd of sockets.splice(0)) core.close(fd);
});

/** A socket with an address in the abstract name space, which the kernel chooses. */
function openSocket(): { fd: number; address: Uint8Array } {
  const fd = core.socket(AF_UNIX, SOCK_DGRAM, 0);
  sockets.push(fd);
  // Only the family: bind chooses the rest.
  expect(core.bind(fd, new Uint8Array(Uint16Array.of(AF_UNIX).buffer))).toBe(0);
  const address = new Uint8Array(110);
  return { fd, address: address.subarray(0, core.getsockname(fd, address)) };
}

/** Two sockets; the second is told who sends, in ancillary data, and has been sent three bytes by the first. */
function sendWithCredentials(): { receiver: number; sender: Uint8Array } {
  const from = openSocket();
  const to = openSocket();
  expect(core.setsockopt(to.fd, SOL_SOCKET, SO_PASSCRED, new Uint8Array(Int32Array.of(1).buffer))).toBe(0);
  expect(core.send(from.fd, Uint8Array.of(1, 2, 3), 0, to.address)).toBe(3);
  return { receiver: to.fd, sender: from.address };
}

describe('receiveMessage', () => {
  it('gives a message, its sender and its ancillary data', () => {
    const { receiver, sender } = sendWithCredentials();
    const bytes = new Uint8Array(8);
    const address = new Uint8Array(sender.length);
    const words = new Uint32Array(16);
    const status = new Uint32Array(2);
    expect(core.receiveMessage(receiver, bytes, 0, address, new Uint8Array(words.buffer), status)).toBe(3);
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3, 0, 0, 0, 0, 0));
    expect(address).toEqual(sender);
    expect([...status]).toEqual([32, 0]);
    // cmsg_len in two words, then level, type, and struct ucred with the process first.
    expect([...words.subarray(0, 5)]).toEqual([28, 0, SOL_SOCKET, SCM_CREDENTIALS, process.pid]);
  });

  it('says in the flags that the message or its ancillary data found no room', () => {
    const { receiver } = sendWithCredentials();
    const control = new Uint8Array(20);
    const status = new Uint32Array(3);
    const room = new Uint8Array(2);
    expect(core.receiveMessage(receiver, room, MSG_TRUNC, undefined, control, status)).toBe(3);
    expect(room).toEqual(Uint8Array.of(1, 2));
    expect([...status]).toEqual([20, MSG_TRUNC | MSG_CTRUNC, 0]);
    const again = sendWithCredentials();
    expect(core.receiveMessage(again.receiver, room, 0, undefined, new Uint8Array(0), status)).toBe(2);
    expect([...status]).toEqual([0, MSG_TRUNC | MSG_CTRUNC, 0]);
  });

  it('clears the status when there is no message', () => {
    const { fd } = openSocket();
    const status = Uint32Array.of(7, 7);
    expect(core.receiveMessage(fd, new Uint8Array(8), 0, undefined, new Uint8Array(8), status)).toBe(-errno.EAGAIN);
    expect([...status]).toEqual([0, 0]);
  });

  it.each<[string, unknown[]]>([
    ['too few arguments', [0, new Uint8Array(1), 0, undefined, new Uint8Array(1)]],
    ['status needs two words', [0, new Uint8Array(1), 0, undefined, new Uint8Array(1), new Uint32Array(1)]],
    ['expected a Uint32Array', [0, new Uint8Array(1), 0, undefined, new Uint8Array(1), new Uint8Array(8)]],
    ['expected a Uint8Array', [0, new Uint8Array(1), 0, undefined, undefined, new Uint32Array(2)]],
    ['expected a Uint8Array', [0, new Uint8Array(1), 0, new Uint16Array(1), new Uint8Array(1), new Uint32Array(2)]],
  ])('refuses wrong arguments: %s', (message, args) => {
    expect(() => Reflect.apply(core.receiveMessage, core, args)).toThrow(message);
  });
});
