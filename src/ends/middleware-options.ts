/** What lies on a link between its ends, by direction: from the first end to the second, and back. */

import type {
  CompressorCounters,
  ImpairmentCounters,
  ImpairmentSettings,
  ImpairmentStep,
  ShapeSettings,
  StageCounters,
} from '../middleware/index.ts';

/** A value for each direction. */
export interface EachWay<T> {
  readonly aToB?: T;
  readonly bToA?: T;
}

/** Middleware of a link. All of it lies on the side of one end, the carrier; see `planMiddleware`. */
export interface MiddlewareOptions {
  /** A bad link; in a schedule `out` is from A to B, and `in` from B to A. */
  readonly impair?: EachWay<ImpairmentSettings> & {
    /** Default 1: the same packets are lost each time. */
    readonly seed?: number;
    readonly schedule?: readonly ImpairmentStep[];
  };
  /** Rates. */
  readonly shape?: EachWay<ShapeSettings>;
  /** Compresses packets on the carrier, whose other side needs the same; default false. */
  readonly compress?: boolean;
  /** Lowers the MSS of TCP connections, both ways: to what the MTUs of both ends allow, or to so many bytes. Default false. */
  readonly clampMss?: boolean | number;
}

/** What the middleware has done in one direction. */
export interface MiddlewareCounters {
  readonly impair?: ImpairmentCounters;
  readonly shape?: StageCounters;
  /** Of the direction that compresses `CompressorCounters`, of the other one those of what was inflated. */
  readonly compress?: CompressorCounters | StageCounters;
  /** TCP SYN packets whose MSS was lowered. */
  readonly clampedSyns?: number;
}
