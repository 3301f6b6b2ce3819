/** Links of the file as things that run: opened by `joinEnds`, told in the words of `vnic link --json`. */

import { VnicError } from '../base/index.ts';
import { type Config, joinOptionsOf, type LinkConfig } from '../config/index.ts';
import { type CarrierEvent, deviceOf, type EndSpec, type JoinedEnds, joinEnds, parseEnd } from '../ends/index.ts';
import type { ForwardCounters } from '../link/index.ts';
import { RateMeter } from './rate-meter.ts';
import type { Runnable, Running, RunningEvent, RunningStatus } from './runnable.ts';

const SAMPLE_MS = 1000;

/** One direction of a link, as the status has it. */
export interface LinkWayStatus {
  readonly from: string;
  readonly to: string;
  readonly packets: number;
  readonly bytes: number;
  readonly packetsPerSec: number;
  readonly bitsPerSec: number;
  /** Packets that wait now. */
  readonly queued: number;
  readonly stalls: number;
  /** Packets lost, by reason; those that have occurred. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** What a link says while it runs: `detail` of its `RunnerStatus`. */
export interface LinkDetail {
  readonly medium: 'ip' | 'ethernet';
  readonly ends: readonly { readonly label: string; readonly mtu: number }[];
  readonly ways: readonly LinkWayStatus[];
}

/** The links of a configuration. */
export function linkRunnables(config: Config): readonly Runnable[] {
  return config.links.map((link) => linkRunnable(link, config));
}

function linkRunnable(link: LinkConfig, config: Config): Runnable {
  const { name, ends, ...options } = link;
  const specs = ends.map((text) => attaching(parseEnd(text), config));
  const attached = specs.map(({ mustExist = false }) => mustExist);
  return {
    kind: 'link',
    name,
    identity: JSON.stringify({ ends, options, attached }),
    about: { ends, ...options },
    start: (signal, tell) => startLink(specs as [EndSpec, EndSpec], { link, signal, tell }),
  };
}

/** A device of the file is made by the file. */
function attaching(spec: EndSpec, { devices }: Config): EndSpec {
  const claim = deviceOf(spec);
  const isOfFile = devices.some(({ name, namespace = '' }) => name === claim?.name && namespace === claim.netns);
  // One that is not ours to make, and that the end says nothing of, comes when its owner makes it.
  return isOfFile ? { ...spec, mustExist: true } : spec;
}

interface StartOptions {
  readonly link: LinkConfig;
  readonly signal: AbortSignal;
  readonly tell: (event: RunningEvent) => void;
}

async function startLink(specs: readonly [EndSpec, EndSpec], { link, signal, tell }: StartOptions): Promise<Running> {
  const carriers = new Carriers(tell);
  const opening = joinEnds(...specs, { ...joinOptionsOf(link), onEvent: (event) => carriers.note(event) });
  return new RunningLink(await unlessAborted(opening, signal, link.name), carriers);
}

/** Opening may wait long for a name to be resolved; what comes too late is closed. */
async function unlessAborted(opening: Promise<JoinedEnds>, signal: AbortSignal, name: string): Promise<JoinedEnds> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      opening.then((joined) => joined.close()).catch(() => undefined);
      reject(
        new VnicError('VNIC_ABORTED', {
          attempted: `open link ${name}`,
          reason: 'it was told to end',
          hint: 'Start it again.',
        }),
      );
    };
  });
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([opening, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A connection of an end that comes and goes. */
interface CarrierState {
  readonly isUp: boolean;
  readonly reason: string;
  readonly againAtMs?: number;
}

/** How the connections of a link are, by the name of their end. */
class Carriers {
  readonly states = new Map<string, CarrierState>();
  readonly #tell: (event: RunningEvent) => void;

  constructor(tell: (event: RunningEvent) => void) {
    this.#tell = tell;
  }

  note(event: CarrierEvent): void {
    const before = this.states.get(event.link);
    const end = event.link;
    if (event.event === 'up') {
      this.states.set(end, { isUp: true, reason: '' });
      this.#tell({
        level: 'info',
        event: 'up',
        message: `${end} is connected: ${event.peer}`,
        fields: { end, peer: event.peer },
      });
    } else if (event.event === 'refused') {
      const message = `${end}: ${event.peer} was turned away, since another is connected`;
      this.#tell({ level: 'warn', event: 'refused', message, fields: { end, peer: event.peer } });
    } else if (event.event === 'mtu') {
      const { mtu } = event;
      this.#tell({
        level: 'info',
        event: 'mtu',
        message: `${end} carries packets of up to ${mtu} bytes`,
        fields: { end, mtu },
      });
    } else if (event.event === 'played') {
      const { packets, skipped } = event;
      this.#tell({
        level: 'info',
        event: 'played',
        message: `${end} was played: ${packets} packets`,
        fields: { end, packets, ...skipped },
      });
    } else if (event.event === 'recording-ended') {
      const { code, errno, reason } = event.error;
      const message = `${end}: recording has ended: ${reason}; the packets pass on`;
      this.#tell({ level: 'warn', event: 'recording-ended', message, fields: { end, code, errno } });
    } else if (!('error' in event)) {
      this.#tell(identityEvent(event));
    } else {
      const { code, errno, reason } = event.error;
      const delayMs = event.event === 'retry' ? event.delayMs : undefined;
      this.states.set(end, { isUp: false, reason, ...(delayMs !== undefined && { againAtMs: Date.now() + delayMs }) });
      this.#tell({
        level: 'warn',
        event: event.event,
        message: event.event === 'down' ? `${end} has lost its connection: ${reason}` : `${end}: ${reason}`,
        fields: { end, code, errno, ...(delayMs !== undefined && { retryMs: delayMs }) },
        // That it is tried again goes without saying; and so does the same reason again.
        isRepeated: before?.isUp === false && before.reason === reason,
      });
    }
  }
}

/** What has to do with keys: whose is shown, believed and refused. */
function identityEvent(event: Extract<CarrierEvent, { readonly fingerprint: string | undefined }>): RunningEvent {
  const { event: word, link: end, fingerprint, ...fields } = event;
  const told = { event: word, fields: { end, fingerprint, ...fields } };
  switch (event.event) {
    case 'identity':
      return { ...told, level: 'info', message: `${end}: the key of this side is ${event.fingerprint}` };
    case 'pinned':
      return {
        ...told,
        level: 'warn',
        message: `${end}: ${event.peer} was met for the first time and has the key ${event.fingerprint}: compare it`,
      };
    case 'unallowed':
      return {
        ...told,
        level: 'warn',
        message: `${end}: ${event.peer} may not connect with ${event.fingerprint === undefined ? 'no key' : `the key ${event.fingerprint}`}`,
      };
  }
}

class RunningLink implements Running {
  readonly label: string;
  readonly done: Promise<void>;
  readonly #joined: JoinedEnds;
  readonly #carriers: Carriers;
  readonly #meter: RateMeter;
  readonly #timer: NodeJS.Timeout;

  constructor(joined: JoinedEnds, carriers: Carriers) {
    this.#joined = joined;
    this.#carriers = carriers;
    const packets = joined.medium === 'ip' ? 'IP packets' : 'Ethernet frames';
    this.label = `${joined.a.label} and ${joined.b.label}: ${packets}, MTU ${Math.min(joined.a.link.mtu, joined.b.link.mtu)}`;
    this.#meter = new RateMeter(this.#totals(), performance.now());
    this.#timer = setInterval(() => this.#meter.sample(this.#totals(), performance.now()), SAMPLE_MS);
    this.#timer.unref();
    this.done = joined.done.finally(() => clearInterval(this.#timer));
  }

  status(): RunningStatus {
    const { a, b, medium } = this.#joined;
    const down = [a, b].map(({ link }) => this.#downState(link)).find((state) => state !== undefined);
    const detail: LinkDetail = {
      medium,
      ends: [a, b].map(({ label, link }) => ({ label, mtu: link.mtu })),
      ways: this.#ways(),
    };
    return {
      isUp: down === undefined,
      ...(down && { reason: down.reason }),
      ...(down?.againAtMs !== undefined && { againAtMs: down.againAtMs }),
      detail: { ...detail },
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#joined.close();
  }

  /** A link over streams knows whether it has one; others are up as long as they are open. */
  #downState(link: { readonly name: string; readonly isUp?: boolean }): CarrierState | undefined {
    const told = this.#carriers.states.get(link.name);
    if (told !== undefined) return told.isUp ? undefined : told;
    return link.isUp === false ? { isUp: false, reason: `${link.name}: not connected yet` } : undefined;
  }

  #ways(): LinkWayStatus[] {
    const { a, b, forwarding } = this.#joined;
    const rates = this.#meter.rates(performance.now());
    return [
      wayStatus(a.label, b.label, forwarding.aToB, rates.slice(0, 2)),
      wayStatus(b.label, a.label, forwarding.bToA, rates.slice(2)),
    ];
  }

  #totals(): number[] {
    const { aToB, bToA } = this.#joined.forwarding;
    return [aToB.packets, aToB.bytes, bToA.packets, bToA.bytes];
  }
}

function wayStatus(from: string, to: string, counters: ForwardCounters, rates: readonly number[]): LinkWayStatus {
  const { packets, bytes, queued, stalls, dropped } = counters;
  const [packetsPerSec = 0, bytesPerSec = 0] = rates;
  return {
    from,
    to,
    packets,
    bytes,
    packetsPerSec: Math.round(packetsPerSec),
    bitsPerSec: Math.round(bytesPerSec * 8),
    queued,
    stalls,
    dropped: Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0)),
  };
}
