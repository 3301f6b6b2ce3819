/**
 * Those who have connected and have not said who they are: a bounded number for a bounded time. Pure.
 *
 * Theory of operation
 *
 *   A newcomer always gets in, or nobody would while the room is full of others. When one address has more than its share, its own
 *   must go; when the room is full, one of the address that has the most. Of an address the one goes that has waited longest of
 *   those who have said nothing yet, or else of all. So somebody who fills the room with silence drives out himself, and who
 *   shakes hands as fast as the network lets him gets through.
 */

/** How many may wait. */
export interface WaitingRoomLimits {
  /** At all. */
  readonly total: number;
  /** From one address. */
  readonly perSource: number;
}

/** Who waits. */
export interface Waiting {
  /** What counts as one machine. */
  readonly source: string;
  /** True as long as nothing whole was said. */
  isSilent: boolean;
}

/** The room. */
export class WaitingRoom<T extends Waiting> {
  readonly #limits: WaitingRoomLimits;
  readonly #bySource = new Map<string, Set<T>>();
  #size = 0;

  constructor(limits: WaitingRoomLimits) {
    this.#limits = limits;
  }

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Lets one in. @returns who must go for it, and is out already */
  enter(one: T): T | undefined {
    const same = this.#bySource.get(one.source) ?? new Set<T>();
    this.#bySource.set(one.source, same.add(one));
    this.#size++;
    const crowd =
      same.size > this.#limits.perSource ? same : this.#size > this.#limits.total ? this.#largest() : undefined;
    const victim = crowd === undefined ? undefined : longest(crowd, one);
    if (victim !== undefined) this.leave(victim);
    return victim;
  }

  /** Takes one out. @returns whether it was in */
  leave(one: T): boolean {
    const same = this.#bySource.get(one.source);
    if (!same?.delete(one)) return false;
    if (same.size === 0) this.#bySource.delete(one.source);
    this.#size--;
    return true;
  }

  /** Everybody, in no order. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const same of this.#bySource.values()) yield* same;
  }

  /** Of several the one that came first. */
  #largest(): Set<T> | undefined {
    let found: Set<T> | undefined;
    for (const same of this.#bySource.values()) if (same.size > (found?.size ?? 0)) found = same;
    return found;
  }
}

/** Sets keep the order in which they were filled. */
function longest<T extends Waiting>(crowd: ReadonlySet<T>, newcomer: T): T | undefined {
  let first: T | undefined;
  for (const one of crowd) {
    if (one === newcomer) continue;
    if (one.isSilent) return one;
    first ??= one;
  }
  return first;
}
