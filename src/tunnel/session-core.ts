/**
 * The listening side of a tunnel over one connection. Pure: `(nowMs, input)` in, actions out. What is handed out to whom is decided by
 * the driver, which knows all clients (`onHello`).
 *
 *   waiting      for a hello, `HELLO_MS` at most -> admit: established, or refused: ended
 *   established  pings are answered, silence is asked about; -> bye or silence: ended
 *   ended
 */

import type { EndReason } from './client-core.ts';
import {
  type ControlMessage,
  type Hello,
  PROTOCOL_VERSION,
  type RefusalReason,
  type Welcome,
} from './control-message.ts';
import { KeepAlive } from './keep-alive.ts';

/** What the driver is to do. */
export type SessionAction =
  | { readonly do: 'send'; readonly message: ControlMessage }
  /** Carry packets from now on. */
  | { readonly do: 'establish'; readonly welcome: Welcome }
  | { readonly do: 'end'; readonly reason: EndReason };

/** Says whether somebody is let in, and what it gets. */
export type Admit = (hello: Hello) => Welcome | RefusalReason;

const HELLO_MS = 10_000;

/** One connection of a client. */
export class SessionCore {
  readonly #admit: Admit;
  readonly #startedMs: number;
  #state: 'waiting' | 'established' | 'ended' = 'waiting';
  #welcome: Welcome | undefined;
  #keepAlive: KeepAlive | undefined;
  #pings = 0;

  constructor(admit: Admit, nowMs: number) {
    this.#admit = admit;
    this.#startedMs = nowMs;
  }

  /** When to call `poll` next; undefined when the connection has ended. */
  get nextWakeupMs(): number | undefined {
    if (this.#state === 'ended') return undefined;
    return this.#keepAlive?.nextWakeupMs ?? this.#startedMs + HELLO_MS;
  }

  /** Does what is due. */
  poll(nowMs: number): SessionAction[] {
    if (this.#state === 'ended') return [];
    if (this.#keepAlive === undefined) return nowMs - this.#startedMs >= HELLO_MS ? this.#end('silent') : [];
    const due = this.#keepAlive.poll(nowMs);
    if (due === 'dead') return this.#end('silent');
    return due === 'ping' ? [{ do: 'send', message: { type: 'ping', id: this.#pings++ } }] : [];
  }

  /** A packet came, of whatever kind. */
  heard(nowMs: number): void {
    this.#keepAlive?.heard(nowMs);
  }

  /** A control message came. */
  receive(message: ControlMessage, nowMs: number): SessionAction[] {
    if (this.#state === 'ended') return [];
    this.heard(nowMs);
    // Over datagrams: a client that believes in a tunnel of which nothing is known here is to say hello again.
    if (this.#state === 'waiting' && message.type !== 'hello') {
      return [{ do: 'send', message: { type: 'bye' } }, ...this.#end('protocol')];
    }
    switch (message.type) {
      case 'hello':
        return this.#onHello(message, nowMs);
      case 'ping':
        return [{ do: 'send', message: { type: 'pong', id: message.id } }];
      case 'pong':
        return [];
      case 'bye':
        return this.#end('bye');
      default:
        return this.#end('protocol');
    }
  }

  #onHello(hello: Hello, nowMs: number): SessionAction[] {
    // The answer to one that was repeated because the answer was late.
    if (this.#welcome !== undefined) return [{ do: 'send', message: this.#welcome }];
    const answer = hello.version === PROTOCOL_VERSION ? this.#admit(hello) : 'version';
    if (typeof answer === 'string') {
      return [{ do: 'send', message: { type: 'refused', reason: answer } }, ...this.#end(answer)];
    }
    this.#state = 'established';
    this.#welcome = answer;
    this.#keepAlive = new KeepAlive(answer.keepAliveMs, nowMs);
    return [
      { do: 'establish', welcome: answer },
      { do: 'send', message: answer },
    ];
  }

  #end(reason: EndReason): SessionAction[] {
    this.#state = 'ended';
    return [{ do: 'end', reason }];
  }
}
