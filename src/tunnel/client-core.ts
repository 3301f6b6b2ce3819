/**
 * The connecting side of a tunnel over one connection: from hello to its end. Pure: `(nowMs, input)` in, actions out.
 *
 *   greeting   hello is sent, and again while there is no answer, since a datagram may be lost
 *              -> welcome: established; -> refused: ended; nothing for `GREETING_MS`: ended
 *   established  pings are answered, silence is asked about; -> bye or silence: ended
 *   ended
 */

import type { Medium } from '../link/index.ts';
import { type ControlMessage, PROTOCOL_VERSION, type RefusalReason, type Welcome } from './control-message.ts';
import { KeepAlive } from './keep-alive.ts';

/** Why a connection of a tunnel has ended. */
export type EndReason =
  /** The other side has said so. */
  | 'bye'
  /** Nothing was heard for too long. */
  | 'silent'
  /** What it went over has ended without a word. */
  | 'disconnected'
  /** A message that makes no sense at this point. */
  | 'protocol'
  /** Another connection of the same client took its place. */
  | 'replaced'
  | RefusalReason;

/** What the driver is to do. */
export type ClientAction =
  | { readonly do: 'send'; readonly message: ControlMessage }
  /** The tunnel stands: set the device up, and carry packets. */
  | { readonly do: 'establish'; readonly welcome: Welcome }
  | { readonly do: 'end'; readonly reason: EndReason };

/** What this side is and can. */
export interface ClientCoreOptions {
  readonly medium: Medium;
  readonly name: string;
  readonly superPackets: boolean;
}

const GREETING_MS = 10_000;
const HELLO_INTERVAL_MS = 1000;

/** One connection. */
export class ClientCore {
  readonly #options: ClientCoreOptions;
  readonly #startedMs: number;
  #state: 'greeting' | 'established' | 'ended' = 'greeting';
  #helloMs = Number.NEGATIVE_INFINITY;
  #keepAlive: KeepAlive | undefined;
  #pings = 0;

  constructor(options: ClientCoreOptions, nowMs: number) {
    this.#options = options;
    this.#startedMs = nowMs;
  }

  /** When to call `poll` next; undefined when the connection has ended. */
  get nextWakeupMs(): number | undefined {
    if (this.#state === 'ended') return undefined;
    if (this.#keepAlive !== undefined) return this.#keepAlive.nextWakeupMs;
    return Math.min(this.#helloMs + HELLO_INTERVAL_MS, this.#startedMs + GREETING_MS);
  }

  /** Does what is due. The first call sends the hello. */
  poll(nowMs: number): ClientAction[] {
    if (this.#state === 'ended') return [];
    if (this.#keepAlive !== undefined) return this.#watch(this.#keepAlive, nowMs);
    if (nowMs - this.#startedMs >= GREETING_MS) return this.#end('silent');
    if (nowMs - this.#helloMs < HELLO_INTERVAL_MS) return [];
    this.#helloMs = nowMs;
    return [{ do: 'send', message: { type: 'hello', version: PROTOCOL_VERSION, ...this.#options } }];
  }

  /** A packet came, of whatever kind. */
  heard(nowMs: number): void {
    this.#keepAlive?.heard(nowMs);
  }

  /** The network underneath has changed. */
  suspect(nowMs: number): ClientAction[] {
    this.#keepAlive?.suspect(nowMs);
    return this.poll(nowMs);
  }

  /** A control message came. */
  receive(message: ControlMessage, nowMs: number): ClientAction[] {
    if (this.#state === 'ended') return [];
    this.heard(nowMs);
    switch (message.type) {
      case 'welcome':
        // A second one answers a hello that was repeated.
        if (this.#state === 'established') return [];
        this.#state = 'established';
        this.#keepAlive = new KeepAlive(message.keepAliveMs, nowMs);
        return [{ do: 'establish', welcome: message }];
      case 'refused':
        return this.#end(message.reason);
      case 'ping':
        return [{ do: 'send', message: { type: 'pong', id: message.id } }];
      case 'pong':
        return [];
      case 'bye':
        return this.#end('bye');
      case 'hello':
        return this.#end('protocol');
    }
  }

  #watch(keepAlive: KeepAlive, nowMs: number): ClientAction[] {
    const due = keepAlive.poll(nowMs);
    if (due === 'dead') return this.#end('silent');
    return due === 'ping' ? [{ do: 'send', message: { type: 'ping', id: this.#pings++ } }] : [];
  }

  #end(reason: EndReason): ClientAction[] {
    this.#state = 'ended';
    return [{ do: 'end', reason }];
  }
}
