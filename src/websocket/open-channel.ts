/**
 * A WebSocket that is open: whole binary messages, in order, both ways.
 *
 * Theory of operation
 *
 *   reading   Begins with `start`, which sets who is told. While `paused`, what comes fills the buffers of the kernel; a chunk that
 *             was read already is still told.
 *   alive     A ping every `PING_INTERVAL_MS`. Who has neither answered nor sent anything until the next is gone. While paused
 *             nothing is heard, so nothing is concluded either; a peer that has vanished is noticed by TCP then.
 *   bounds    A message that no link can carry ends the connection (1009), as do fragments without end.
 */

import type { Duplex } from 'node:stream';

import { type ClientOptions, type ServerOptions, WebSocket } from 'ws';

import { MAX_FRAME_LEN } from '../link/index.ts';
import type { WebSocketChannel, WebSocketChannelEvents } from './channel.ts';

const PING_INTERVAL_MS = 15_000;
const LINGER_MS = 1000;
const NORMAL_CLOSURE = 1000;
const SEND_OPTIONS = { binary: true, compress: false } as const;

/** What both sides ask of `ws`: no compression, which packets do not need and hostile peers use; bounded messages. */
export const socketOptions: ClientOptions & ServerOptions = {
  perMessageDeflate: false,
  maxPayload: MAX_FRAME_LEN,
  skipUTF8Validation: true,
};

/** Wraps a WebSocket that has just been opened, before it has read anything. */
export function channelOf(socket: WebSocket, stream: Duplex): WebSocketChannel {
  return new Channel(socket, stream);
}

class Channel implements WebSocketChannel {
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  #heard = true;
  #ping: NodeJS.Timeout | undefined;
  #error: Error | undefined;

  constructor(socket: WebSocket, stream: Duplex) {
    this.#socket = socket;
    this.#stream = stream;
    socket.pause();
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.once('close', () => clearInterval(this.#ping));
  }

  start({ onMessage, onText, onEnd }: WebSocketChannelEvents): void {
    const socket = this.#socket;
    if (socket.readyState === WebSocket.CLOSED) {
      queueMicrotask(() => onEnd(this.#error));
      return;
    }
    const hear = (): void => {
      this.#heard = true;
    };
    socket.on('message', (data, isBinary) => {
      this.#heard = true;
      // Without `binaryType`, messages are Buffers.
      if (isBinary) onMessage(data as Buffer);
      else onText();
    });
    socket.on('ping', hear).on('pong', hear);
    socket.once('close', (code) => onEnd(this.#error ?? (code === ABNORMAL_CLOSURE ? new Error(VANISHED) : undefined)));
    this.#ping = setInterval(() => this.#checkAlive(), PING_INTERVAL_MS).unref();
    socket.resume();
  }

  send(bytes: Uint8Array, onSent?: () => void): void {
    this.#socket.send(bytes, SEND_OPTIONS, onSent);
  }

  cork(): void {
    this.#stream.cork();
  }

  uncork(): void {
    this.#stream.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#heard = true;
    this.#socket.resume();
  }

  close(): void {
    const socket = this.#socket;
    if (socket.readyState === WebSocket.CLOSED) return;
    // Its answer is to be read.
    socket.resume();
    socket.close(NORMAL_CLOSURE);
    const timer = setTimeout(() => socket.terminate(), LINGER_MS).unref();
    socket.once('close', () => clearTimeout(timer));
  }

  destroy(): void {
    this.#socket.terminate();
  }

  #checkAlive(): void {
    if (this.#socket.isPaused) return;
    if (!this.#heard) {
      this.#error ??= new Error(`nothing was heard for ${(2 * PING_INTERVAL_MS) / 1000} s`);
      this.#socket.terminate();
      return;
    }
    this.#heard = false;
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }
}

/** No close message has come (RFC 6455, 7.1.5). */
const ABNORMAL_CLOSURE = 1006;
const VANISHED = 'the connection was cut off';
