/**
 * Two ends joined into a link: what comes from one goes to the other, both ways, until one of them ends for good.
 */

import { type Forwarding, type ForwardOptions, forward, type Medium, type TooLongHandler } from '../link/index.ts';
import { createTooLongHandler } from '../mtu/index.ts';
import { systemClock } from '../netdev/index.ts';
import type { CarrierEvent } from './carrier.ts';
import type { OpenEnd } from './end.ts';
import { type EndSpec, parseEnd } from './end-spec.ts';
import { followMtu } from './follow-mtu.ts';
import { carriesSuperPackets, takesMtu } from './kinds/device.ts';
import { mediumOf } from './medium-of.ts';
import { type EndMiddleware, planMiddleware } from './middleware.ts';
import type { MiddlewareOptions } from './middleware-options.ts';
import { openEnd } from './open-end.ts';

/** How two ends are joined. */
export interface JoinOptions extends Pick<ForwardOptions, 'policy' | 'queuePackets'>, MiddlewareOptions {
  /** End with the first connection that ends, instead of making it again; default false. */
  readonly once?: boolean;
  /** Told of connections that come and go. */
  onEvent?(event: CarrierEvent): void;
}

/** Two joined ends. */
export interface JoinedEnds extends AsyncDisposable {
  readonly a: OpenEnd;
  readonly b: OpenEnd;
  readonly medium: Medium;
  readonly forwarding: Forwarding;
  /** What lies between the ends, if anything does. Its losses are not among those of `forwarding`. */
  readonly middleware: EndMiddleware | undefined;
  /** Resolves when it was closed, or an end has ended; rejects with the error of an end that failed. */
  readonly done: Promise<void>;
  /** Closes both ends. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens two ends, as text or parsed, and joins them.
 * @example
 * await using wire = await joinEnds('tun:tun0,address=10.0.0.1/24', 'udp:192.0.2.1:7000');
 * @throws VNIC_INVALID_END, VNIC_MEDIUM_MISMATCH, VNIC_INVALID_ARGUMENT of middleware, what `openEnd` throws; nothing is left open then
 */
export async function joinEnds(
  first: string | EndSpec,
  second: string | EndSpec,
  options: JoinOptions = {},
): Promise<JoinedEnds> {
  const specs = [first, second].map((end) => (typeof end === 'string' ? parseEnd(end) : end)) as [EndSpec, EndSpec];
  const medium = mediumOf(...specs);
  const { once = false, onEvent, policy = 'drop-oldest', queuePackets } = options;
  const middleware = planMiddleware(specs, options);
  const opened = new Map<EndSpec, OpenEnd>();
  try {
    // The MTU of a device is that of the other end, which therefore comes first.
    let mtu: number | undefined;
    const superPackets = middleware === undefined && specs.every(carriesSuperPackets);
    for (const spec of specs.toSorted((x, y) => Number(takesMtu(x)) - Number(takesMtu(y)))) {
      const end = await openEnd(spec, {
        medium,
        once,
        superPackets,
        ...(onEvent && { onEvent }),
        ...(mtu !== undefined && { mtu }),
      });
      opened.set(spec, end);
      const wrapped = middleware?.wrap(spec, end) ?? end;
      opened.set(spec, wrapped);
      mtu = wrapped.link.mtu;
    }
    const [a, b] = specs.map((spec) => opened.get(spec)) as [OpenEnd, OpenEnd];
    const onTooLong = tooLongHandler([a, b], medium);
    const queue = queuePackets !== undefined && { queuePackets };
    const forwarding = forward(a.link, b.link, { policy, onTooLong, ...queue });
    return new Joined(a, b, medium, forwarding, { onEvent, middleware });
  } catch (error) {
    for (const end of opened.values()) await end.close();
    throw error;
  }
}

/** Devices are given what is too long for them as well: the kernel takes it. */
function tooLongHandler(ends: readonly OpenEnd[], medium: Medium): TooLongHandler {
  const handle = createTooLongHandler({ medium, nowMs: () => systemClock.nowMs() });
  const devices = new Set<unknown>(ends.filter(({ takesLonger }) => takesLonger).map(({ link }) => link));
  return (packet, sink, out) => (devices.has(sink) ? 'fits' : handle(packet, sink, out));
}

interface JoinedExtras {
  readonly onEvent: JoinOptions['onEvent'];
  readonly middleware: EndMiddleware | undefined;
}

class Joined implements JoinedEnds {
  readonly a: OpenEnd;
  readonly b: OpenEnd;
  readonly medium: Medium;
  readonly forwarding: Forwarding;
  readonly middleware: EndMiddleware | undefined;
  readonly done: Promise<void>;
  readonly #stopFollowing: readonly (() => void)[];

  constructor(a: OpenEnd, b: OpenEnd, medium: Medium, forwarding: Forwarding, { onEvent, middleware }: JoinedExtras) {
    this.a = a;
    this.b = b;
    this.medium = medium;
    this.forwarding = forwarding;
    // A device is its owner's to set; of other ends the carrier says what fits.
    this.#stopFollowing = [
      [a, b],
      [b, a],
    ].flatMap(([one, other]) =>
      one === undefined || other === undefined || one.takesLonger ? [] : [followMtu(one, other, onEvent)],
    );
    this.middleware = middleware;
    this.done = this.#run();
  }

  async #run(): Promise<void> {
    try {
      await this.forwarding.done;
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    for (const stop of this.#stopFollowing) stop();
    await this.forwarding.close();
    await Promise.allSettled([this.a.close(), this.b.close()]);
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
