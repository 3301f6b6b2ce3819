/**
 * Two ends joined into a link: what comes from one goes to the other, both ways, until one of them ends for good.
 */

import { invalidArgument, type VnicError } from '../base/index.ts';
import type { Recorder, RecorderOptions } from '../capture/index.ts';
import { type Forwarding, type ForwardOptions, forward, type Medium, type TooLongHandler } from '../link/index.ts';
import { createTooLongHandler } from '../mtu/index.ts';
import { systemClock } from '../netdev/index.ts';
import type { CarrierEvent } from './carrier.ts';
import type { OpenEnd } from './end.ts';
import { type EndSpec, parseEnd } from './end-spec.ts';
import { followMtu } from './follow-mtu.ts';
import { carriesSuperPackets, takesMtu } from './kinds/device.ts';
import { isPlayed } from './medium.ts';
import { type EndMiddleware, planMiddleware } from './middleware.ts';
import type { MiddlewareOptions } from './middleware-options.ts';
import { openEnd } from './open-end.ts';
import type { SegmentSettings } from './segment.ts';

/** How two ends are joined. */
export interface JoinOptions extends Pick<ForwardOptions, 'policy' | 'queuePackets'>, MiddlewareOptions {
  /** End with the first connection that ends, instead of making it again; default false. */
  readonly once?: boolean;
  /**
   * Records what passes the first end: what comes from it is incoming, what it takes outgoing. Super-packets are then cut up before
   * they are joined, so that the file has what a wire would have.
   */
  readonly capture?: Omit<RecorderOptions, 'medium' | 'name' | 'onEnd'>;
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
  /** With `capture`: what was recorded. */
  readonly recorder: Recorder | undefined;
  /** Resolves when it was closed, or an end has ended; rejects with the error of an end that failed. */
  readonly done: Promise<void>;
  /** Closes both ends. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens two ends, as text or parsed, and joins them.
 * @example
 * await using wire = await joinEnds('tun:tun0,address=10.0.0.1/24', 'udp:192.0.2.1:7000');
 * @throws VNIC_INVALID_END, VNIC_MEDIUM_MISMATCH, VNIC_INVALID_ARGUMENT of middleware, what `openEnd` and `openRecorder` throw; nothing
 *   is left open then
 */
export async function joinEnds(
  first: string | EndSpec,
  second: string | EndSpec,
  options: JoinOptions = {},
): Promise<JoinedEnds> {
  const specs = [first, second].map((end) => (typeof end === 'string' ? parseEnd(end) : end)) as [EndSpec, EndSpec];
  const { medium, segment } = await (await import('./agree-medium.ts')).agreeOnMedium(...specs);
  const { onEvent, capture } = options;
  const middleware = planMiddleware(specs, options);
  const opened = new Map<EndSpec, OpenEnd>();
  let recorder: Recorder | undefined;
  try {
    if (capture !== undefined) recorder = await openCapture(capture, specs, medium, onEvent);
    await openBoth(specs, opened, { medium, segment, middleware, isRecorded: recorder !== undefined }, options);
    const [a, b] = specs.map((spec) => opened.get(spec)) as [OpenEnd, OpenEnd];
    const near = recorder === undefined ? a.link : (await import('../capture/index.ts')).captureLink(a.link, recorder);
    const devices = [a.takesLonger ? [near] : [], b.takesLonger ? [b.link] : []].flat();
    const queuePackets = options.queuePackets ?? a.queuePackets ?? b.queuePackets;
    const forwarding = forward(near, b.link, {
      // A file waits until it is read on.
      policy: options.policy ?? (specs.some(isPlayed) ? 'wait' : 'drop-oldest'),
      onTooLong: tooLongHandler(new Set(devices), medium),
      ...(queuePackets !== undefined && { queuePackets }),
    });
    return new Joined(a, b, medium, forwarding, { onEvent, middleware, recorder });
  } catch (error) {
    for (const end of opened.values()) await end.close();
    await recorder?.close();
    throw error;
  }
}

/** What is settled before the ends are opened. */
interface JoinPlan {
  readonly medium: Medium;
  readonly segment: SegmentSettings | undefined;
  readonly middleware: EndMiddleware | undefined;
  readonly isRecorded: boolean;
}

/** Opens both; what is open already when the second fails is in the map. */
async function openBoth(
  specs: readonly [EndSpec, EndSpec],
  opened: Map<EndSpec, OpenEnd>,
  { medium, segment, middleware, isRecorded }: JoinPlan,
  { once = false, onEvent }: JoinOptions,
): Promise<void> {
  const isPlain = middleware === undefined && segment === undefined && !isRecorded;
  const superPackets = isPlain && specs.every(carriesSuperPackets);
  // The MTU of a device, and the room before its packets, are those of the other end, which therefore comes first.
  let mtu: number | undefined;
  let headroom: number | undefined;
  for (const spec of specs.toSorted((x, y) => Number(takesMtu(x)) - Number(takesMtu(y)))) {
    const isBehind = segment?.spec === spec;
    const end = await openEnd(spec, {
      medium: isBehind ? 'ip' : medium,
      once,
      superPackets,
      ...(onEvent && { onEvent }),
      ...(mtu !== undefined && { mtu }),
      ...(headroom !== undefined && { headroom }),
    });
    opened.set(spec, end);
    const placed = isBehind ? (await import('./segment.ts')).putOnSegment(end, segment) : end;
    const wrapped = middleware?.wrap(spec, placed) ?? placed;
    opened.set(spec, wrapped);
    mtu = wrapped.link.mtu;
    headroom = end.headroom;
  }
}

/** Devices are given what is too long for them as well: the kernel takes it. */
function tooLongHandler(devices: ReadonlySet<unknown>, medium: Medium): TooLongHandler {
  const handle = createTooLongHandler({ medium, nowMs: () => systemClock.nowMs() });
  return (packet, sink, out) => (devices.has(sink) ? 'fits' : handle(packet, sink, out));
}

/** Opened before the ends, so that a file that cannot be written leaves nothing made. */
async function openCapture(
  capture: NonNullable<JoinOptions['capture']>,
  specs: readonly [EndSpec, EndSpec],
  medium: Medium,
  onEvent: JoinOptions['onEvent'],
): Promise<Recorder> {
  const isOutput = specs.some(({ kind }) => kind === 'stdio');
  if (capture.path === '-' && isOutput) {
    throw invalidArgument('record to standard output', 'a file, since standard output is an end', '-');
  }
  const [{ kind, where }] = specs;
  const name = where === '' ? kind : `${kind}:${where}`;
  const onEnd = (error: VnicError): void => onEvent?.({ event: 'recording-ended', link: name, error });
  const { openRecorder } = await import('../capture/index.ts');
  return openRecorder({ ...capture, medium, name, onEnd });
}

interface JoinedExtras extends Pick<JoinedEnds, 'middleware' | 'recorder'> {
  readonly onEvent: JoinOptions['onEvent'];
}

class Joined implements JoinedEnds {
  readonly a: OpenEnd;
  readonly b: OpenEnd;
  readonly medium: Medium;
  readonly forwarding: Forwarding;
  readonly middleware: EndMiddleware | undefined;
  readonly recorder: Recorder | undefined;
  readonly done: Promise<void>;
  readonly #stopFollowing: readonly (() => void)[];

  constructor(
    a: OpenEnd,
    b: OpenEnd,
    medium: Medium,
    forwarding: Forwarding,
    { onEvent, middleware, recorder }: JoinedExtras,
  ) {
    this.a = a;
    this.b = b;
    this.medium = medium;
    this.forwarding = forwarding;
    this.middleware = middleware;
    this.recorder = recorder;
    // A device is its owner's to set; of other ends the carrier says what fits.
    this.#stopFollowing = [
      [a, b],
      [b, a],
    ].flatMap(([one, other]) =>
      one === undefined || other === undefined || one.takesLonger ? [] : [followMtu(one, other, onEvent)],
    );
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
    await this.recorder?.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
