/**
 * A multi-queue device with its queues in one thread.
 *
 * Theory of operation
 *
 * Each queue is a descriptor of its own, here a link of its own. The kernel hashes a packet's flow (addresses, ports,
 * protocol) to a queue, and keeps to the queue on which it last saw a packet of the flow written: answer on the
 * queue that asked, and both directions of a flow stay on one queue, in order. It remembers a flow for some
 * seconds.
 *
 *   queue   attached -> detached (reads nothing, keeps its place among the 256) -> attached
 *           any -> removed (descriptor closed)
 *
 * Attaching and detaching changes the number over which flows are spread, so flows move between queues: packets of
 * a flow that wait in its former queue may then be read after later ones of its new queue. Detaching discards
 * what is queued: see `TunTapDevice.detachQueue`.
 *
 * The kernel numbers attached queues without gaps: a queue that goes leaves its number to the last one, and one that
 * comes is the last. Steering programs use these numbers; `kernelIndex` follows them, as long as nobody else attaches
 * queues to the device.
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import type { LinkCounters, WriteDropReason } from '../link/index.ts';
import { getLinkSync } from '../netlink/index.ts';
import { type DeviceOptions, TapDevice, TunDevice, type TunTapDevice } from '../tun/index.ts';
import type { SteeringProgram } from './steering-program.ts';

/** How a multi-queue device is opened; all its queues alike. */
export interface QueuesOptions extends Omit<DeviceOptions, 'multiQueue' | 'counters'> {
  readonly kind: 'tun' | 'tap';
  /** How many queues to open, 1 to 256: all that a device may have, those of other programs counted. */
  readonly queues: number;
}

/** One multi-queue device. Open it with `openQueues`. */
export class DeviceQueues implements Iterable<TunTapDevice> {
  readonly name: string;
  readonly kind: 'tun' | 'tap';
  /** Index of the interface; stays the same when it is renamed. */
  readonly ifindex: number;
  readonly #options: QueuesOptions;
  // By index; a removed queue leaves a hole, so that indexes keep their meaning.
  readonly #links: (TunTapDevice | undefined)[];
  // As the kernel numbers them.
  readonly #attached: TunTapDevice[];
  readonly #removed: MutableTotals = zeroTotals();
  #closing: Promise<void> | undefined;

  /** Use `openQueues`. */
  constructor(options: QueuesOptions, links: readonly [TunTapDevice, ...TunTapDevice[]]) {
    this.#options = options;
    this.kind = options.kind;
    this.name = links[0].name;
    this.ifindex = links[0].ifindex;
    this.#links = [...links];
    this.#attached = [...links];
  }

  /** The indexes in use, attached and detached ones, lowest first. */
  get indexes(): readonly number[] {
    return [...this.#links.keys()].filter((index) => this.#links[index] !== undefined);
  }

  /** The links of all queues, in the order of their indexes. */
  *[Symbol.iterator](): IterableIterator<TunTapDevice> {
    for (const link of this.#links) if (link !== undefined) yield link;
  }

  /**
   * The link of one queue. Read it and write to it; end it with `remove`.
   * @throws VNIC_INVALID_ARGUMENT when there is no such queue
   */
  link(index: number): TunTapDevice {
    const link = this.#links[index];
    if (link !== undefined) return link;
    throw invalidArgument(`use queue ${index} of ${this.name}`, `one of the queues ${this.indexes.join(', ')}`, index);
  }

  /** The number under which the kernel and steering programs know a queue; undefined while it is detached. */
  kernelIndex(index: number): number | undefined {
    const place = this.#attached.indexOf(this.link(index));
    return place < 0 ? undefined : place;
  }

  /** The totals of all queues, those that were removed included. */
  get counters(): LinkCounters {
    const totals = zeroTotals();
    addTotals(totals, this.#removed);
    for (const link of this) addTotals(totals, link.counters);
    return totals;
  }

  /**
   * Opens one more queue, attached.
   * @returns its index, the lowest that is free
   * @throws what `openQueues` throws, VNIC_LINK_CLOSED
   */
  async add(): Promise<number> {
    this.#requireOpen('add a queue');
    const link = await openQueue(this.#options, this.name, this.ifindex);
    const hole = this.#links.indexOf(undefined);
    const index = hole < 0 ? this.#links.length : hole;
    this.#links[index] = link;
    this.#attached.push(link);
    return index;
  }

  /** Closes one queue for good. With the last one a device that is not persistent vanishes. */
  async remove(index: number): Promise<void> {
    const link = this.link(index);
    this.#links[index] = undefined;
    this.#unplace(link);
    await link.close();
    addTotals(this.#removed, link.counters);
  }

  /** As `TunTapDevice.detachQueue`. */
  detach(index: number): void {
    const link = this.link(index);
    link.detachQueue();
    this.#unplace(link);
  }

  /** As `TunTapDevice.attachQueue`. */
  attach(index: number): void {
    const link = this.link(index);
    link.attachQueue();
    if (!this.#attached.includes(link)) this.#attached.push(link);
  }

  /** As `TunTapDevice.setSteering`. */
  setSteering(program: SteeringProgram | undefined): void {
    const [link] = this;
    if (link === undefined) this.#requireOpen('set the steering');
    link?.setSteering(program?.fd);
  }

  /** Closes all queues. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= Promise.all(this.indexes.map((index) => this.remove(index))).then(() => undefined);
    return this.#closing;
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The kernel moves the last queue to the place of one that goes. */
  #unplace(link: TunTapDevice): void {
    const place = this.#attached.indexOf(link);
    if (place < 0) return;
    const last = this.#attached.pop();
    if (last !== undefined && last !== link) this.#attached[place] = last;
  }

  #requireOpen(what: string): void {
    if (this.#closing === undefined && this.indexes.length > 0) return;
    throw new VnicError('VNIC_LINK_CLOSED', {
      attempted: `${what} of ${this.name}`,
      reason: `${this.name} was closed`,
      hint: 'Open the device again with openQueues.',
    });
  }
}

/**
 * Opens a multi-queue device with several queues, each a link of its own. A device of that name is attached to,
 * or created when there is none. It vanishes with its last queue unless it is persistent.
 * @throws VNIC_TOO_MANY_QUEUES past 256 on one device, VNIC_TOO_MANY_FILES when the process has no descriptor left,
 *   VNIC_QUEUE_MODE for a single-queue device, and the rest of what `TunDevice.open` throws; nothing stays open then
 */
export async function openQueues(options: QueuesOptions): Promise<DeviceQueues> {
  if (!Number.isInteger(options.queues) || options.queues < 1) {
    throw invalidArgument('open a multi-queue device', 'a number of queues of at least 1', options.queues);
  }
  const first = await openFirstQueue(options);
  const links: [TunTapDevice, ...TunTapDevice[]] = [first];
  try {
    while (links.length < options.queues) links.push(await openQueue(options, first.name, first.ifindex));
    // Last, so that a device that persists is complete.
    if (options.persist !== undefined) first.setPersist(options.persist);
  } catch (error) {
    await Promise.all(links.map((link) => link.close()));
    throw error;
  }
  return new DeviceQueues(options, links);
}

/** Creates the device or attaches to it, with all options but persistence. */
export function openFirstQueue(options: QueuesOptions): Promise<TunTapDevice> {
  const { kind, queues: _queues, persist: _persist, ...device } = options;
  return deviceClass(kind).open({ ...device, multiQueue: true });
}

/**
 * One more queue of a device that is there.
 * @param ifindex left out where no other device can have taken the name
 */
export async function openQueue(
  options: Omit<QueuesOptions, 'queues'> & Pick<DeviceOptions, 'counters'>,
  name: string,
  ifindex: number,
): Promise<TunTapDevice> {
  // What the first queue has settled for the device.
  const { kind, name: _, exclusive, mustExist, persist, owner, group, ...rest } = options;
  // The name is looked up first: had the device been deleted meanwhile, the kernel would make a new one.
  if (getLinkSync(name, options)?.index !== ifindex) throw gone(name);
  const device: DeviceOptions = { ...rest, name, multiQueue: true, mustExist: true };
  const link = await deviceClass(kind).open(device);
  if (link.ifindex === ifindex) return link;
  await link.close();
  throw gone(name);
}

function deviceClass(kind: 'tun' | 'tap'): typeof TunDevice | typeof TapDevice {
  return kind === 'tun' ? TunDevice : TapDevice;
}

function gone(name: string): VnicError {
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `open one more queue of ${name}`,
    reason: `${name} was deleted by another process`,
    hint: 'Open the device again; `ip monitor link` shows who deletes it.',
  });
}

interface MutableTotals extends LinkCounters {
  packetsRead: number;
  bytesRead: number;
  packetsWritten: number;
  bytesWritten: number;
  readonly writeDropped: Record<WriteDropReason, number>;
}

/** Totals of nothing. */
export function zeroTotals(): MutableTotals {
  return {
    packetsRead: 0,
    bytesRead: 0,
    packetsWritten: 0,
    bytesWritten: 0,
    writeDropped: { 'link-down': 0, refused: 0, 'too-long': 0, 'queue-full': 0 },
  };
}

/** Adds to `totals` in place. */
export function addTotals(totals: MutableTotals, more: LinkCounters): void {
  totals.packetsRead += more.packetsRead;
  totals.bytesRead += more.bytesRead;
  totals.packetsWritten += more.packetsWritten;
  totals.bytesWritten += more.bytesWritten;
  for (const reason of Object.keys(totals.writeDropped) as WriteDropReason[]) {
    totals.writeDropped[reason] += more.writeDropped[reason];
  }
}
