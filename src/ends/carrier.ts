/**
 * Ends whose stream comes and goes: a connection that is made again, or one that others make. The link stays, so that what is behind
 * it does not notice more than a pause.
 *
 * Theory of operation
 *
 *   connecting  connect -> attach -> the stream ends -> wait -> connect …; the wait doubles from half a second to half a minute,
 *               each time by chance up to a quarter less, and begins anew once a connection has lasted. A carrier of this
 *               machine is looked for more often. A reason that stays the same is not told again and again then.
 *   listening   One stream at a time: who comes while another is there is turned away. A peer that has vanished is noticed by
 *               TCP's keep-alive.
 *   final       A peer that is not the one it should be is not tried again: the link ends.
 *   once        The first stream that ends, or cannot be had, ends the link.
 */

import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { isVnicError, type VnicError } from '../base/index.ts';
import type { WebSocketChannel } from '../websocket/index.ts';

/** How often and until when. */
export interface CarrierPolicy {
  /** End with the first stream. */
  readonly once: boolean;
  /** Told of what happens, for people. */
  onEvent?(event: CarrierEvent): void;
}

/** What happens to a carrier. */
export type CarrierEvent =
  | { readonly event: 'up'; readonly link: string; readonly peer: string }
  | { readonly event: 'down'; readonly link: string; readonly error: VnicError }
  | { readonly event: 'retry'; readonly link: string; readonly error: VnicError; readonly delayMs: number }
  | { readonly event: 'refused'; readonly link: string; readonly peer: string }
  | { readonly event: 'mtu'; readonly link: string; readonly mtu: number }
  /** The key of this side, and where it listens by key, how many may connect. */
  | { readonly event: 'identity'; readonly link: string; readonly fingerprint: string; readonly allowed?: number }
  /** A server was met for the first time; nobody has compared its fingerprint. */
  | { readonly event: 'pinned'; readonly link: string; readonly peer: string; readonly fingerprint: string }
  /** A client has shown a key that may not connect, or none; so many more since the last that was told. */
  | {
      readonly event: 'unallowed';
      readonly link: string;
      readonly peer: string;
      readonly fingerprint: string | undefined;
      readonly untold: number;
    }
  /** A capture file was played to its end; what was left out, by reason. */
  | {
      readonly event: 'played';
      readonly link: string;
      readonly packets: number;
      readonly skipped: Readonly<Record<string, number>>;
    }
  /** Recording what passes a link has ended before the link. */
  | { readonly event: 'recording-ended'; readonly link: string; readonly error: VnicError };

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 30_000;
/** A connection that has lasted so long was good. */
const LASTED_MS = 10_000;

/** A link that is given one stream, or other carrier, after the other. */
export interface Attachable<Carrier> {
  readonly name: string;
  readonly isUp: boolean;
  readonly closed: boolean;
  attach(stream: Carrier): void;
  onStreamEnd(handler: (error: VnicError) => void): () => void;
  /** Ends the link for good. */
  fail(error: VnicError): void;
}

/** Streams to carry packets over, one after the other. */
export interface Connected<Carrier = Duplex> {
  readonly stream: Carrier;
  /** Who is there, for people. */
  readonly peer: string;
}

/**
 * Connects the link, and unless `once` again whenever a stream ends.
 * @returns what stops that; the link stays open
 * @throws with `once`, what `connect` throws
 */
export async function keepConnected<Carrier>(
  link: Attachable<Carrier>,
  connect: (signal: AbortSignal) => Promise<Connected<Carrier>>,
  { once, onEvent }: CarrierPolicy,
  maxDelayMs: number = LAST_DELAY_MS,
): Promise<() => void> {
  const stopped = new AbortController();
  if (once) attach(link, await connect(stopped.signal), onEvent);
  else void reconnect(link, connect, stopped.signal, onEvent, maxDelayMs);
  return () => stopped.abort();
}

async function reconnect<Carrier>(
  link: Attachable<Carrier>,
  connect: (signal: AbortSignal) => Promise<Connected<Carrier>>,
  signal: AbortSignal,
  onEvent: CarrierPolicy['onEvent'],
  maxDelayMs: number,
): Promise<void> {
  let told = '';
  for (let delayMs = FIRST_DELAY_MS; !signal.aborted; ) {
    const { error, lastedMs } = await runOnce(link, connect, signal, onEvent);
    if (signal.aborted || error === undefined) return;
    if (isFinal(error)) {
      link.fail(error);
      return;
    }
    if (lastedMs > LASTED_MS) delayMs = FIRST_DELAY_MS;
    const wait = Math.round(delayMs * (0.75 + Math.random() / 4));
    const news = `${delayMs} ${lastedMs > 0} ${error.code} ${error.reason}`;
    if (news !== told) onEvent?.({ event: 'retry', link: link.name, error, delayMs: wait });
    told = news;
    await delay(wait, undefined, { signal }).catch(() => undefined);
    delayMs = Math.min(maxDelayMs, delayMs * 2);
  }
}

/** Trying again would not help, and whoever answers now may only wait for that. */
function isFinal({ code }: VnicError): boolean {
  return code === 'VNIC_PEER_CHANGED' || code === 'VNIC_PEER_UNTRUSTED' || code === 'VNIC_IDENTITY';
}

async function runOnce<Carrier>(
  link: Attachable<Carrier>,
  connect: (signal: AbortSignal) => Promise<Connected<Carrier>>,
  signal: AbortSignal,
  onEvent: CarrierPolicy['onEvent'],
): Promise<{ readonly error: VnicError | undefined; readonly lastedMs: number }> {
  let connected: Connected<Carrier>;
  try {
    connected = await connect(signal);
  } catch (error) {
    if (signal.aborted) return { error: undefined, lastedMs: 0 };
    if (!isVnicError(error)) throw error;
    return { error, lastedMs: 0 };
  }
  const sinceMs = performance.now();
  const ended = new Promise<VnicError | undefined>((resolve) => {
    const stop = link.onStreamEnd((error) => {
      stop();
      resolve(error);
    });
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  attach(link, connected, onEvent);
  const error = await ended;
  return { error, lastedMs: performance.now() - sinceMs };
}

/** Gives the link a stream, unless it has one. */
export function offer<Carrier extends Duplex | WebSocketChannel>(
  link: Attachable<Carrier>,
  connected: Connected<Carrier>,
  onEvent: CarrierPolicy['onEvent'],
): void {
  if (!link.isUp && !link.closed) {
    attach(link, connected, onEvent);
    return;
  }
  const stream: Duplex | WebSocketChannel = connected.stream;
  if ('on' in stream) stream.on('error', () => undefined);
  stream.destroy();
  onEvent?.({ event: 'refused', link: link.name, peer: connected.peer });
}

function attach<Carrier>(
  link: Attachable<Carrier>,
  { stream, peer }: Connected<Carrier>,
  onEvent: CarrierPolicy['onEvent'],
): void {
  const stop = link.onStreamEnd((error) => {
    stop();
    onEvent?.({ event: 'down', link: link.name, error });
  });
  link.attach(stream);
  if (!link.closed) onEvent?.({ event: 'up', link: link.name, peer });
}
