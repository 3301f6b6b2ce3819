/**
 * Two ends joined into a link: what comes from one goes to the other, both ways, until one of them ends for good.
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import { type Forwarding, type ForwardOptions, forward, type Medium } from '../link/index.ts';
import type { CarrierEvent } from './carrier.ts';
import type { OpenEnd } from './end.ts';
import { endKinds } from './end-kinds.ts';
import { type EndSpec, parseEnd, readOption } from './end-spec.ts';
import { carriesSuperPackets, takesMtu } from './kinds/device.ts';
import { openEnd } from './open-end.ts';

/** How two ends are joined. */
export interface JoinOptions extends Pick<ForwardOptions, 'policy' | 'queuePackets'> {
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
  /** Resolves when it was closed, or an end has ended; rejects with the error of an end that failed. */
  readonly done: Promise<void>;
  /** Closes both ends. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens two ends, as text or parsed, and joins them.
 * @example
 * await using wire = await joinEnds('tun:tun0,address=10.0.0.1/24', 'udp:192.0.2.1:7000');
 * @throws VNIC_INVALID_END, VNIC_MEDIUM_MISMATCH, what `openEnd` throws; nothing is left open then
 */
export async function joinEnds(
  first: string | EndSpec,
  second: string | EndSpec,
  options: JoinOptions = {},
): Promise<JoinedEnds> {
  const specs = [first, second].map((end) => (typeof end === 'string' ? parseEnd(end) : end)) as [EndSpec, EndSpec];
  const medium = mediumOf(...specs);
  const { once = false, onEvent, policy = 'drop-oldest' } = options;
  const opened = new Map<EndSpec, OpenEnd>();
  try {
    // The MTU of a device is that of the other end, which therefore comes first.
    let mtu: number | undefined;
    let headroom: number | undefined;
    const superPackets = specs.every(carriesSuperPackets);
    for (const spec of specs.toSorted((x, y) => Number(takesMtu(x)) - Number(takesMtu(y)))) {
      const end = await openEnd(spec, {
        medium,
        once,
        superPackets,
        ...(onEvent && { onEvent }),
        ...(mtu !== undefined && { mtu }),
        ...(headroom !== undefined && { headroom }),
      });
      opened.set(spec, end);
      mtu = end.link.mtu;
      headroom = end.headroom;
    }
    const [a, b] = specs.map((spec) => opened.get(spec)) as [OpenEnd, OpenEnd];
    const queuePackets = options.queuePackets ?? a.queuePackets ?? b.queuePackets;
    const forwarding = forward(a.link, b.link, { policy, ...(queuePackets !== undefined && { queuePackets }) });
    return new Joined(a, b, medium, forwarding);
  } catch (error) {
    for (const end of opened.values()) await end.close();
    throw error;
  }
}

/** What two ends carry when they are joined. @throws VNIC_MEDIUM_MISMATCH, VNIC_INVALID_END */
export function mediumOf(a: EndSpec, b: EndSpec): Medium {
  if (a.text === b.text && a === b) throw invalidArgument('join two ends', 'two of them', 'the same one twice');
  const [one, other] = [ownMedium(a), ownMedium(b)];
  if (one !== undefined && other !== undefined && one !== other) {
    const [ip, ethernet] = one === 'ip' ? [a, b] : [b, a];
    throw new VnicError('VNIC_MEDIUM_MISMATCH', {
      attempted: `join ${a.text} and ${b.text}`,
      reason: `${ip.text} carries IP packets, and ${ethernet.text} Ethernet frames`,
      hint: 'Use tun: at both ends, or tap: at both.',
    });
  }
  return one ?? other ?? 'ip';
}

function ownMedium(spec: EndSpec): Medium | undefined {
  const { medium } = endKinds[spec.kind];
  if (medium !== 'any') return medium;
  return readOption(spec, 'medium', 'ip or ethernet', (text) =>
    text === 'ip' || text === 'ethernet' ? text : undefined,
  );
}

class Joined implements JoinedEnds {
  readonly a: OpenEnd;
  readonly b: OpenEnd;
  readonly medium: Medium;
  readonly forwarding: Forwarding;
  readonly done: Promise<void>;

  constructor(a: OpenEnd, b: OpenEnd, medium: Medium, forwarding: Forwarding) {
    this.a = a;
    this.b = b;
    this.medium = medium;
    this.forwarding = forwarding;
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
    await this.forwarding.close();
    await Promise.allSettled([this.a.close(), this.b.close()]);
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
