/**
 * Ends whose stream comes and goes: a connection that is made again, or one that others make. The link stays, so that what is behind
 * it does not notice more than a pause.
 *
 * Theory of operation
 *
 *   connecting  connect -> attach -> the stream ends -> wait -> connect …; the wait doubles from half a second to half a minute,
 *               each time by chance up to a quarter less, and begins anew once a connection has lasted.
 *   listening   One stream at a time: who comes while another is there is turned away. A peer that has vanished is noticed by
 *               TCP's keep-alive.
 *   once        The first stream that ends, or cannot be had, ends the link.
 */

import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { isVnicError, type VnicError } from '../base/index.ts';
import type { StreamLink } from '../transport/index.ts';

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
  | { readonly event: 'refused'; readonly link: string; readonly peer: string };

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 30_000;
/** A connection that has lasted so long was good. */
const LASTED_MS = 10_000;

/** Streams to carry packets over, one after the other. */
export interface Connected {
  readonly stream: Duplex;
  /** Who is there, for people. */
  readonly peer: string;
}

/**
 * Connects the link, and unless `once` again whenever a stream ends.
 * @returns what stops that; the link stays open
 * @throws with `once`, what `connect` throws
 */
export async function keepConnected(
  link: StreamLink,
  connect: (signal: AbortSignal) => Promise<Connected>,
  { once, onEvent }: CarrierPolicy,
): Promise<() => void> {
  const stopped = new AbortController();
  if (once) attach(link, await connect(stopped.signal), onEvent);
  else void reconnect(link, connect, stopped.signal, onEvent);
  return () => stopped.abort();
}

async function reconnect(
  link: StreamLink,
  connect: (signal: AbortSignal) => Promise<Connected>,
  signal: AbortSignal,
  onEvent: CarrierPolicy['onEvent'],
): Promise<void> {
  for (let delayMs = FIRST_DELAY_MS; !signal.aborted; ) {
    const { error, lastedMs } = await runOnce(link, connect, signal, onEvent);
    if (signal.aborted || error === undefined) return;
    if (lastedMs > LASTED_MS) delayMs = FIRST_DELAY_MS;
    const wait = Math.round(delayMs * (0.75 + Math.random() / 4));
    onEvent?.({ event: 'retry', link: link.name, error, delayMs: wait });
    await delay(wait, undefined, { signal }).catch(() => undefined);
    delayMs = Math.min(LAST_DELAY_MS, delayMs * 2);
  }
}

async function runOnce(
  link: StreamLink,
  connect: (signal: AbortSignal) => Promise<Connected>,
  signal: AbortSignal,
  onEvent: CarrierPolicy['onEvent'],
): Promise<{ readonly error: VnicError | undefined; readonly lastedMs: number }> {
  let connected: Connected;
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
export function offer(link: StreamLink, connected: Connected, onEvent: CarrierPolicy['onEvent']): void {
  if (!link.isUp && !link.closed) {
    attach(link, connected, onEvent);
    return;
  }
  connected.stream.on('error', () => undefined).destroy();
  onEvent?.({ event: 'refused', link: link.name, peer: connected.peer });
}

function attach(link: StreamLink, { stream, peer }: Connected, onEvent: CarrierPolicy['onEvent']): void {
  const stop = link.onStreamEnd((error) => {
    stop();
    onEvent?.({ event: 'down', link: link.name, error });
  });
  link.attach(stream);
  if (!link.closed) onEvent?.({ event: 'up', link: link.name, peer });
}
