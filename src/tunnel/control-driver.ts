/** Runs a core of one side over a connection: messages and time in, messages out, everything else to the owner. */

import { type ControlMessage, parseControl } from './control-message.ts';
import type { ControlledLink } from './controlled-link.ts';

/** Time, as drivers need it: that of the system, or a virtual one in tests. */
export interface TunnelClock {
  /** Milliseconds of a clock that does not go back. */
  nowMs(): number;
  /** Calls `fn` once after `delayMs`; the returned function cancels it. */
  setTimer(delayMs: number, fn: () => void): () => void;
}

type SendAction = { readonly do: 'send'; readonly message: ControlMessage };

/** What the two cores have in common. */
interface ControlCore<Action> {
  readonly nextWakeupMs: number | undefined;
  poll(nowMs: number): (Action | SendAction)[];
  heard(nowMs: number): void;
  receive(message: ControlMessage, nowMs: number): (Action | SendAction)[];
  suspect?(nowMs: number): (Action | SendAction)[];
}

/** A core at work. Somebody has to read the link. */
export class ControlDriver<Action extends { readonly do: string }> {
  readonly #link: ControlledLink;
  readonly #core: ControlCore<Action>;
  readonly #clock: TunnelClock;
  readonly #onAction: (action: Action) => void;
  readonly #stopListening: readonly (() => void)[];
  #cancelTimer: () => void = () => undefined;
  #stopped = false;
  /** Control packets that broke the rules. */
  malformed = 0;

  constructor(link: ControlledLink, core: ControlCore<Action>, clock: TunnelClock, onAction: (action: Action) => void) {
    this.#link = link;
    this.#core = core;
    this.#clock = clock;
    this.#onAction = onAction;
    this.#stopListening = [
      link.onControl('heard', () => core.heard(clock.nowMs())),
      link.onControl('control', (packet) => this.#receive(packet)),
    ];
    this.#poll();
  }

  /** The network underneath has changed: ask whether the other side is still there. */
  suspect(): void {
    if (!this.#stopped) this.#carryOut(this.#core.suspect?.(this.#clock.nowMs()) ?? []);
  }

  /** Idempotent; the link stays open. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelTimer();
    for (const stop of this.#stopListening) stop();
  }

  #receive(packet: Uint8Array): void {
    const message = parseControl(packet);
    if (message === undefined) this.malformed++;
    else this.#carryOut(this.#core.receive(message, this.#clock.nowMs()));
  }

  #poll(): void {
    this.#carryOut(this.#core.poll(this.#clock.nowMs()));
  }

  #carryOut(actions: readonly (Action | SendAction)[]): void {
    for (const action of actions) {
      if (this.#stopped) return;
      // A message that finds no room is repeated by the core.
      if (isSend(action)) this.#link.send(action.message);
      else this.#onAction(action);
    }
    this.#setTimer();
  }

  #setTimer(): void {
    this.#cancelTimer();
    const dueMs = this.#stopped ? undefined : this.#core.nextWakeupMs;
    if (dueMs === undefined) return;
    this.#cancelTimer = this.#clock.setTimer(Math.max(1, Math.ceil(dueMs - this.#clock.nowMs())), () => this.#poll());
  }
}

function isSend<Action extends { readonly do: string }>(action: Action | SendAction): action is SendAction {
  return action.do === 'send';
}
