/**
 * Two ends joined into a link: what comes from one goes to the other, both ways, until one of them ends for good.
 */

import { invalidArgument, type VnicError } from '../base/index.ts';
import type { Recorder, RecorderOptions } from '../capture/index.ts';
import { type Forwarding, type ForwardOptions, forward, type Medium } from '../link/index.ts';
import type { CarrierEvent } from './carrier.ts';
import type { OpenEnd } from './end.ts';
import { type EndSpec, parseEnd } from './end-spec.ts';
import { carriesSuperPackets, takesMtu } from './kinds/device.ts';
import { isPlayed } from './medium.ts';
import { openEnd } from './open-end.ts';

/** How two ends are joined. */
export interface JoinOptions extends Pick<ForwardOptions, 'policy' | 'queuePackets'> {
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
 * @throws VNIC_INVALID_END, VNIC_MEDIUM_MISMATCH, what `openEnd` and `openRecorder` throw; nothing is left open then
 */
export async function joinEnds(
  first: string | EndSpec,
  second: string | EndSpec,
  options: JoinOptions = {},
): Promise<JoinedEnds> {
  const specs = [first, second].map((end) => (typeof end === 'string' ? parseEnd(end) : end)) as [EndSpec, EndSpec];
  const { medium, segment } = await (await import('./agree-medium.ts')).agreeOnMedium(...specs);
  const { once = false, onEvent, queuePackets, capture } = options;
  // A file waits until it is read on.
  const policy = options.policy ?? (specs.some(isPlayed) ? 'wait' : 'drop-oldest');
  const opened = new Map<EndSpec, OpenEnd>();
  let recorder: Recorder | undefined;
  try {
    if (capture !== undefined) recorder = await openCapture(capture, specs, medium, onEvent);
    // The MTU of a device is that of the other end, which therefore comes first.
    let mtu: number | undefined;
    const superPackets = recorder === undefined && segment === undefined && specs.every(carriesSuperPackets);
    for (const spec of specs.toSorted((x, y) => Number(takesMtu(x)) - Number(takesMtu(y)))) {
      const isBehind = segment?.spec === spec;
      const end = await openEnd(spec, {
        medium: isBehind ? 'ip' : medium,
        once,
        superPackets,
        ...(onEvent && { onEvent }),
        ...(mtu !== undefined && { mtu }),
      });
      opened.set(spec, isBehind ? (await import('./segment.ts')).putOnSegment(end, segment) : end);
      mtu = end.link.mtu;
    }
    const [a, b] = specs.map((spec) => opened.get(spec)) as [OpenEnd, OpenEnd];
    const near = recorder === undefined ? a.link : (await import('../capture/index.ts')).captureLink(a.link, recorder);
    const forwarding = forward(near, b.link, { policy, ...(queuePackets !== undefined && { queuePackets }) });
    return new Joined(a, b, medium, forwarding, recorder);
  } catch (error) {
    for (const end of opened.values()) await end.close();
    await recorder?.close();
    throw error;
  }
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

class Joined implements JoinedEnds {
  readonly a: OpenEnd;
  readonly b: OpenEnd;
  readonly medium: Medium;
  readonly forwarding: Forwarding;
  readonly recorder: Recorder | undefined;
  readonly done: Promise<void>;

  constructor(a: OpenEnd, b: OpenEnd, medium: Medium, forwarding: Forwarding, recorder: Recorder | undefined) {
    this.a = a;
    this.b = b;
    this.medium = medium;
    this.forwarding = forwarding;
    this.recorder = recorder;
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
    await this.recorder?.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
