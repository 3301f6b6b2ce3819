/**
 * Middleware between two ends.
 *
 * Theory of operation
 *
 * All of it is around one end, the one that is a carrier: that which is no device and no echo, and the second when both are
 * carriers or neither is. From there to the other end:
 *
 *     carrier -- impair -- shape -- compress -- clamp the MSS -- the other end
 *
 * So the network that is played carries what the carrier does, compressed packets too, and its losses and rates count their
 * bytes. `out` and `toLink` of the middleware are "to the carrier", which is from A to B only when the carrier is B.
 */

import { VnicError } from '../base/index.ts';
import type { PacketLink } from '../link/index.ts';
import {
  type ClampedLink,
  type CompressedLink,
  clampMss,
  compress,
  type ImpairedLink,
  type ImpairmentStep,
  impair,
  middlewareDropReasons,
  type ShapedLink,
  shape,
} from '../middleware/index.ts';
import type { OpenEnd } from './end.ts';
import { type EndSpec, mistake } from './end-spec.ts';
import type { EachWay, MiddlewareCounters, MiddlewareOptions } from './middleware-options.ts';

/** Kinds whose packets are those of a host, which nothing else can read: they cannot be compressed, for example. */
const hostKinds: ReadonlySet<string> = new Set(['tun', 'tap', 'if', 'pcap', 'echo', 'null']);

/** Which way: from A to B, or back. */
export type Way = 'aToB' | 'bToA';

/** Middleware on its end. */
export interface EndMiddleware {
  /** The end with what belongs around it; of the other end the end itself. Both have to be shown, in any order. */
  wrap(spec: EndSpec, end: OpenEnd): OpenEnd;
  /** What it has done so far. */
  counters(way: Way): MiddlewareCounters;
  /** Packets that it has lost, by reason; only reasons that have occurred. */
  dropped(way: Way): Readonly<Record<string, number>>;
  /** True for the direction in which packets reach the middleware after they were forwarded, so that its losses come off. */
  isBehind(way: Way): boolean;
}

/**
 * Settles around which end the middleware goes; undefined where there is none.
 * @throws VNIC_INVALID_ARGUMENT, VNIC_INVALID_END where packets cannot be compressed
 */
export function planMiddleware(
  specs: readonly [EndSpec, EndSpec],
  options: MiddlewareOptions,
): EndMiddleware | undefined {
  const { impair: impairment, shape: rates, compress: compresses = false, clampMss: clamps = false } = options;
  if (impairment === undefined && rates === undefined && !compresses && clamps === false) return undefined;
  const [a, b] = specs;
  const carrier = !isHost(a) && isHost(b) ? a : b;
  if (compresses) requireCompressible(carrier);
  return new Around(carrier, carrier === b, options);
}

function isHost({ kind }: EndSpec): boolean {
  return hostKinds.has(kind);
}

function requireCompressible(carrier: EndSpec): void {
  if (isHost(carrier)) {
    throw new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted: `compress what goes to ${carrier.text}`,
      reason: 'nobody is there who would inflate it again',
      hint: 'Compress between two programs, each with a carrier such as udp: or tcp:.',
    });
  }
  if (carrier.options.get('framing')?.at(-1) !== 'ip') return;
  const at = carrier.text.indexOf('framing=');
  throw mistake(carrier.text, at, 'framing=ip'.length, 'compressed packets do not say how long they are', {
    hint: 'Choose another framing: length, slip, hdlc or cobs.',
  });
}

class Around implements EndMiddleware {
  readonly #carrier: EndSpec;
  readonly #carrierIsB: boolean;
  readonly #options: MiddlewareOptions;
  #impaired: ImpairedLink | undefined;
  #shaped: ShapedLink | undefined;
  #compressed: CompressedLink | undefined;
  #clamped: ClampedLink | undefined;
  #other: PacketLink | undefined;

  constructor(carrier: EndSpec, carrierIsB: boolean, options: MiddlewareOptions) {
    this.#carrier = carrier;
    this.#carrierIsB = carrierIsB;
    this.#options = options;
  }

  wrap(spec: EndSpec, end: OpenEnd): OpenEnd {
    if (spec !== this.#carrier) {
      this.#other = end.link;
      return end;
    }
    const link = this.#wrapLink(end.link);
    return {
      ...end,
      link,
      // That of the end stops first what would connect again.
      close: async () => void (await Promise.all([end.close(), link.close()])),
    };
  }

  counters(way: Way): MiddlewareCounters {
    const side = this.isBehind(way) ? 'toLink' : 'fromLink';
    return {
      ...(this.#impaired && { impair: this.#impaired[side] }),
      ...(this.#shaped && { shape: this.#shaped[side] }),
      ...(this.#compressed && { compress: this.#compressed[side] }),
      ...(this.#clamped && { clampedSyns: this.#clamped.clamped[side] }),
    };
  }

  dropped(way: Way): Readonly<Record<string, number>> {
    const { impair: impaired, shape: shaped, compress: compressed } = this.counters(way);
    const totals: Record<string, number> = {};
    for (const counters of [impaired, shaped, compressed]) {
      for (const reason of Object.keys(middlewareDropReasons) as (keyof typeof middlewareDropReasons)[]) {
        const count = counters?.dropped[reason] ?? 0;
        if (count > 0) totals[reason] = (totals[reason] ?? 0) + count;
      }
    }
    return totals;
  }

  isBehind(way: Way): boolean {
    return (way === 'aToB') === this.#carrierIsB;
  }

  #wrapLink(inner: PacketLink): PacketLink {
    const { impair: impairment, shape: rates, compress: compresses, clampMss: clamps } = this.#options;
    let link = inner;
    if (impairment !== undefined) {
      const { seed, schedule } = impairment;
      this.#impaired = impair(link, {
        ...this.#sides(impairment),
        ...(seed !== undefined && { seed }),
        ...(schedule !== undefined && { schedule: this.#carrierIsB ? schedule : schedule.map(turned) }),
      });
      link = this.#impaired;
    }
    if (rates !== undefined) {
      this.#shaped = shape(link, this.#sides(rates));
      link = this.#shaped;
    }
    if (compresses) {
      this.#compressed = compress(link);
      link = this.#compressed;
    }
    if (clamps === undefined || clamps === false) return link;
    this.#clamped = clampMss(link, {
      ...(clamps !== true && { mss: clamps }),
      besides: this.#otherMtu(link),
    });
    return this.#clamped;
  }

  #sides<T>({ aToB, bToA }: EachWay<T>): { toLink?: T; fromLink?: T } {
    const [to, from] = this.#carrierIsB ? [aToB, bToA] : [bToA, aToB];
    return { ...(to !== undefined && { toLink: to }), ...(from !== undefined && { fromLink: from }) };
  }

  /** The other end may be opened later, and its MTU may change. */
  #otherMtu(link: PacketLink): Pick<PacketLink, 'mtu'> {
    const other = (): PacketLink => this.#other ?? link;
    return {
      get mtu(): number {
        return other().mtu;
      },
    };
  }
}

function turned(step: ImpairmentStep): ImpairmentStep {
  const turns = { out: 'in', in: 'out', both: 'both' } as const;
  return { ...step, direction: turns[step.direction] };
}
