/** One connection of a client, on the listening side. */

import type { Cidr } from '../base/index.ts';
import type { PacketBatch } from '../link/index.ts';
import type { TunnelCarrier } from './carrier.ts';
import type { EndReason } from './client-core.ts';
import { ControlDriver, type TunnelClock } from './control-driver.ts';
import type { Hello, RefusalReason, Welcome } from './control-message.ts';
import { ControlledLink, isEnded } from './controlled-link.ts';
import { type SessionAction, SessionCore } from './session-core.ts';

/** Why packets of a tunnel were dropped. */
export type TunnelDropReason = 'no-client' | 'source' | 'access' | 'malformed' | 'queue-full' | 'forged';

/** One client that is there now. */
export interface TunnelClientStatus {
  readonly name: string;
  readonly fingerprint: string | undefined;
  readonly peer: string;
  readonly addresses: readonly Cidr[];
  readonly sinceMs: number;
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly dropped: Readonly<Record<TunnelDropReason, number>>;
}

const PACKETS_BEFORE_A_HELLO = 64;

/** What the owner of a session is asked and told. */
export interface SessionEvents {
  admit(hello: Hello): Welcome | RefusalReason;
  onEstablished(): void;
  onBatch(batch: PacketBatch): void;
  onEnd(reason: EndReason | 'closed'): void;
}

/** One connection of a client. */
export class Session {
  readonly peer: string;
  readonly fingerprint: string | undefined;
  readonly sinceMs: number = Date.now();
  readonly dropped: Record<TunnelDropReason, number> = zeroDrops();
  /** Who it is to the pool; the place among the sessions once it is established. */
  key = '';
  id = -1;
  name = '';
  addresses: readonly Cidr[] = [];
  networks: readonly Cidr[] = [];
  access: readonly Cidr[] | undefined;
  packetsIn = 0;
  bytesIn = 0;

  readonly #link: ControlledLink;
  readonly #clock: TunnelClock;
  readonly #events: SessionEvents;
  #driver: ControlDriver<Exclude<SessionAction, { do: 'send' }>> | undefined;
  #stopReading: () => void = () => undefined;
  #early = 0;
  #ended = false;

  constructor(carrier: TunnelCarrier, clock: TunnelClock, events: SessionEvents) {
    this.peer = carrier.peer;
    this.fingerprint = carrier.fingerprint;
    this.#link = new ControlledLink(carrier.link);
    this.#clock = clock;
    this.#events = events;
  }

  get status(): TunnelClientStatus {
    const { name, fingerprint, peer, addresses, sinceMs, packetsIn, bytesIn, dropped } = this;
    const { packetsWritten: packetsOut, bytesWritten: bytesOut, writeDropped } = this.#link.counters;
    const lost = Object.values(writeDropped).reduce((sum, count) => sum + count, 0);
    const drops = { ...dropped, 'queue-full': dropped['queue-full'] + lost, forged: this.#link.forged };
    return { name, fingerprint, peer, addresses, sinceMs, packetsIn, bytesIn, packetsOut, bytesOut, dropped: drops };
  }

  start(): void {
    this.#driver = new ControlDriver(
      this.#link,
      new SessionCore((hello) => this.#events.admit(hello), this.#clock.nowMs()),
      this.#clock,
      (action) => {
        if (action.do === 'end') void this.close(action.reason);
        else this.#events.onEstablished();
      },
    );
    try {
      this.#stopReading = this.#link.onBatch(
        (batch) => {
          if (this.id >= 0) this.#events.onBatch(batch);
          // Who sends packets before it was let in is not one of ours.
          else this.#onEarly(batch.count);
        },
        () => void this.close('disconnected'),
      );
    } catch (error) {
      if (!isEnded(error)) throw error;
      void this.close('disconnected');
    }
  }

  /** Hot. What is not taken is lost: nobody waits for a slow client. */
  write(batch: PacketBatch, from: number, to: number): void {
    if (this.#ended || this.#link.closed) return;
    try {
      const taken = this.#link.write(batch, from, to);
      if (taken < to - from) this.dropped['queue-full'] += to - from - taken;
    } catch (error) {
      // The reader is told of its end.
      if (!isEnded(error)) throw error;
      this.dropped['no-client'] += to - from;
    }
  }

  async close(reason: EndReason | 'closed'): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#driver?.stop();
    this.#stopReading();
    this.#events.onEnd(reason);
    if (reason === 'closed') this.#link.send({ type: 'bye' });
    await this.#link.close();
  }

  /** Who sends many packets before it was let in is not one of ours. */
  #onEarly(packets: number): void {
    this.#early += packets;
    if (this.#early > PACKETS_BEFORE_A_HELLO) void this.close('protocol');
  }
}

/** Nothing dropped. */
export function zeroDrops(): Record<TunnelDropReason, number> {
  return { 'no-client': 0, source: 0, access: 0, malformed: 0, 'queue-full': 0, forged: 0 };
}
