/**
 * The longest datagram that a path takes, found by probes that the peer acknowledges: Datagram Packetization Layer Path MTU
 * Discovery (RFC 8899). Sizes are those of the payload of a datagram (PLPMTU), in bytes.
 *
 * Theory of operation
 *
 *   disabled   The peer acknowledges nothing; now and then it is asked again, and at once when it asks by itself.
 *   base       Is a datagram of `baseSize` acknowledged? `MAX_PROBES` that are not lead to `error`.
 *   error      Is one of `minSize`? The same number that are not lead to `disabled`.
 *   searching  Between what was acknowledged and what cannot be: first the longest, which mostly passes, then the middle of
 *              what is left. `MAX_PROBES` that are lost stand for a size that does not pass.
 *   complete   After `raiseMs` longer ones are tried. Every `confirmMs` one of the size found is sent: `MAX_PROBES` that are
 *              lost mean a path that has become narrower without a word (a black hole), and lead to `base`.
 *
 *                  acknowledged                         nothing left
 *     base ----------------------------> searching --------------------> complete
 *      |  ^                               ^   ^                           |  |
 *      |  +---------- black hole ---------|---|---------------------------+  |
 *      v                                  |   +---------- raise -------------+
 *     error ------------------------------+
 *
 * "Packet too big" from the path (section 4.6.2) is believed only where it is narrower than what is known or asked, and is tried by
 * a probe of just that size. A forged one costs a probe and lasts until the next raise.
 *
 * Until a probe tells otherwise, the size that the kernel knows of the path is kept (`assumedSize`): a path that takes what it
 * promises sees no step down and up again. A size that is not acknowledged any more is kept likewise until a shorter probe is
 * acknowledged: if none is, it is the peer that has gone, and the path may be as it was.
 *
 *   events   `poll(nowMs)` until it gives no more, and again at `nextWakeupMs`
 *   limits   one probe is under way at a time; RFC 8899 section 3 asks for no more than one in a round trip
 */

import { invalidArgument } from '../base/index.ts';

/** See the head of this file. */
export type PathMtuSearchState = 'disabled' | 'base' | 'error' | 'searching' | 'complete';

/** Sizes and times; sizes in bytes of payload of a datagram. */
export interface PathMtuSearchOptions {
  /** MIN_PLPMTU: what every path takes. */
  readonly minSize: number;
  /** BASE_PLPMTU: what nearly every path takes; RFC 8899 recommends 1200 for IPv4. */
  readonly baseSize: number;
  /** MAX_PLPMTU: the longest that is of use. */
  readonly maxSize: number;
  /** What the path is believed to take before anything was asked; default `baseSize`. */
  readonly assumedSize?: number;
  /** PROBE_TIMER: so long an acknowledgement may take, at least 1000 (section 5.1.1); default that. */
  readonly probeTimeoutMs?: number;
  /** MAX_PROBES; default 3. */
  readonly maxProbes?: number;
  /** PMTU_RAISE_TIMER; default 600000. */
  readonly raiseMs?: number;
  /** CONFIRMATION_TIMER; default 10000. */
  readonly confirmMs?: number;
  /** How long a peer that acknowledges nothing is left alone; default 30000. */
  readonly retryMs?: number;
  /** Number of the first probe; random, so that nobody else can acknowledge it. */
  readonly firstSequence?: number;
}

/** A probe to be sent now. */
export interface PathProbe {
  /** Bytes of payload. */
  readonly size: number;
  /** Comes back with the acknowledgement; 32 bits. */
  readonly sequence: number;
}

/** The search for one path. */
export class PathMtuSearch {
  readonly #options: Required<PathMtuSearchOptions>;
  #state: PathMtuSearchState = 'base';
  #confirmed: number;
  #assumed: number | undefined;
  /** The longest that may pass. */
  #high: number;
  #isHighTried = false;
  /** In `base`: what was found before does not pass any more. */
  #isSuspected = false;
  #probe = 0;
  #count = 0;
  #firstSequence = 0;
  #nextSequence: number;
  #isUnderWay = false;
  #dueMs: number;
  #raiseDueMs = Number.POSITIVE_INFINITY;

  /** @throws VNIC_INVALID_ARGUMENT unless 1 <= minSize <= baseSize <= maxSize <= 65507 */
  constructor(options: PathMtuSearchOptions, nowMs: number) {
    const { minSize, baseSize, maxSize } = options;
    const sizes = [1, minSize, baseSize, maxSize, 65_507];
    if (!sizes.every((size, i) => Number.isInteger(size) && size >= (sizes[i - 1] ?? 0))) {
      throw invalidArgument(
        'search for a path MTU',
        '1 <= minSize <= baseSize <= maxSize <= 65507',
        `${minSize}, ${baseSize}, ${maxSize}`,
      );
    }
    this.#options = {
      assumedSize: baseSize,
      probeTimeoutMs: 1000,
      maxProbes: 3,
      raiseMs: 600_000,
      confirmMs: 10_000,
      retryMs: 30_000,
      firstSequence: 0,
      ...options,
    };
    this.#assumed = Math.min(maxSize, this.#options.assumedSize);
    this.#confirmed = baseSize;
    this.#high = maxSize;
    this.#nextSequence = this.#options.firstSequence >>> 0;
    this.#dueMs = nowMs;
  }

  get state(): PathMtuSearchState {
    return this.#state;
  }

  /** The longest payload to send now. Undefined while the peer acknowledges nothing: then this search knows nothing. */
  get size(): number | undefined {
    return this.#state === 'disabled' ? undefined : (this.#assumed ?? this.#confirmed);
  }

  /** When `poll` has something to do next. */
  get nextWakeupMs(): number {
    return Math.min(this.#dueMs, this.#raiseDueMs);
  }

  /** Does what is due. Call it until it gives undefined. */
  poll(nowMs: number): PathProbe | undefined {
    if (this.#isUnderWay && nowMs >= this.#dueMs) this.#onLost(nowMs);
    if (this.#state === 'disabled' && nowMs >= this.#dueMs) this.#enterBase(nowMs);
    if (this.#state === 'complete' && nowMs >= this.#raiseDueMs) this.#raise(nowMs);
    if (this.#isUnderWay || nowMs < this.#dueMs) return undefined;
    return this.#nextProbe(nowMs);
  }

  /** The peer has a probe; numbers that were not sent, and old ones, are left out. */
  acknowledged(sequence: number, nowMs: number): void {
    const isExpected = this.#count > 0 && (sequence - this.#firstSequence) >>> 0 < this.#count;
    if (!isExpected || this.#state === 'disabled') return;
    const size = this.#probe;
    this.#forgetProbe(nowMs);
    switch (this.#state) {
      case 'error':
        this.#assumed = undefined;
        this.#search(size, nowMs);
        return;
      case 'base':
        if (this.#isSuspected) this.#assumed = undefined;
        this.#search(size, nowMs);
        return;
      case 'searching':
        this.#confirmed = size;
        this.#finishIfDone(nowMs);
        return;
      case 'complete':
        this.#dueMs = nowMs + this.#options.confirmMs;
    }
  }

  /** This machine refuses a probe of that size: it is longer than the interface takes, and nothing has to be waited for. */
  refused(size: number, nowMs: number): void {
    if (!this.#isUnderWay || size !== this.#probe) return;
    this.#count = this.#options.maxProbes;
    this.#onLost(nowMs);
  }

  /** Somebody on the path says that it takes datagrams of `size` bytes only (RFC 8899 section 4.6.2). */
  tooBig(size: number, nowMs: number): void {
    const { minSize, baseSize } = this.#options;
    const known = this.#assumed ?? this.#confirmed;
    const asked = this.#isUnderWay ? this.#probe : 0;
    if (this.#state === 'disabled' || size < minSize || size >= Math.max(known, asked)) return;
    this.#high = Math.min(this.#high, size);
    this.#isHighTried = false;
    if (size < known) this.#assumed = size;
    if (this.#state === 'base' || this.#state === 'error') {
      if (this.#state === 'base' && size < baseSize) this.#enterError(nowMs);
      return;
    }
    // What was acknowledged before may not pass any more; what certainly does is searched from.
    if (size < this.#confirmed) this.#confirmed = size >= baseSize ? baseSize : minSize;
    this.#enter('searching');
    this.#forgetProbe(nowMs);
    this.#finishIfDone(nowMs);
  }

  /** The peer has sent a probe of its own: it acknowledges, so it is asked at once. */
  heard(nowMs: number): void {
    if (this.#state === 'disabled') this.#enterBase(nowMs);
  }

  #nextProbe(nowMs: number): PathProbe {
    const { baseSize, minSize, probeTimeoutMs } = this.#options;
    if (this.#count === 0) {
      this.#firstSequence = this.#nextSequence;
      if (this.#state === 'base') this.#probe = baseSize;
      else if (this.#state === 'error') this.#probe = minSize;
      else if (this.#state === 'complete') this.#probe = this.#confirmed;
      else this.#probe = this.#isHighTried ? Math.ceil((this.#confirmed + this.#high) / 2) : this.#high;
    }
    this.#count++;
    this.#isUnderWay = true;
    this.#dueMs = nowMs + Math.max(1, probeTimeoutMs);
    const sequence = this.#nextSequence;
    this.#nextSequence = (sequence + 1) >>> 0;
    return { size: this.#probe, sequence };
  }

  #onLost(nowMs: number): void {
    this.#isUnderWay = false;
    this.#dueMs = nowMs;
    // The first that is lost ends the belief: the path does not take what it promised, or not always.
    if (this.#state === 'searching' && this.#probe <= (this.#assumed ?? 0)) this.#assumed = undefined;
    if (this.#count < this.#options.maxProbes) return;
    const size = this.#probe;
    this.#forgetProbe(nowMs);
    switch (this.#state) {
      case 'base':
        this.#enterError(nowMs);
        return;
      case 'error':
        this.#enter('disabled');
        this.#dueMs = nowMs + this.#options.retryMs;
        return;
      case 'searching':
        this.#high = size - 1;
        this.#isHighTried = true;
        this.#finishIfDone(nowMs);
        return;
      case 'complete':
        // A black hole, or nobody there any more: a shorter one tells, and until then the size is kept.
        this.#assumed = size;
        this.#enterBase(nowMs);
        this.#isSuspected = true;
        this.#high = size;
    }
  }

  #enterBase(nowMs: number): void {
    this.#confirmed = this.#options.baseSize;
    this.#high = this.#options.maxSize;
    this.#isHighTried = false;
    this.#isSuspected = false;
    this.#enter('base');
    this.#forgetProbe(nowMs);
  }

  #enterError(nowMs: number): void {
    this.#confirmed = this.#options.minSize;
    this.#enter('error');
    this.#forgetProbe(nowMs);
  }

  /** From a size that was acknowledged up to `#high`. */
  #search(confirmed: number, nowMs: number): void {
    this.#confirmed = confirmed;
    this.#high = Math.max(confirmed, this.#high);
    this.#isHighTried = false;
    this.#enter('searching');
    this.#finishIfDone(nowMs);
  }

  #raise(nowMs: number): void {
    this.#forgetProbe(nowMs);
    this.#high = this.#options.maxSize;
    this.#search(this.#confirmed, nowMs);
  }

  #finishIfDone(nowMs: number): void {
    this.#dueMs = nowMs;
    if (this.#confirmed < this.#high) return;
    this.#assumed = undefined;
    this.#enter('complete');
    this.#dueMs = nowMs + this.#options.confirmMs;
    this.#raiseDueMs =
      this.#confirmed < this.#options.maxSize ? nowMs + this.#options.raiseMs : Number.POSITIVE_INFINITY;
  }

  #enter(state: PathMtuSearchState): void {
    this.#state = state;
    this.#raiseDueMs = Number.POSITIVE_INFINITY;
  }

  #forgetProbe(nowMs: number): void {
    this.#isUnderWay = false;
    this.#count = 0;
    this.#dueMs = nowMs;
  }
}
