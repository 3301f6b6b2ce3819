/** Places of routes: the kernel keeps one route of a destination, metric and table. */

import type { Change, RouteFields } from '../changes/index.ts';

/** The places of some routes. */
export class RouteSlots {
  readonly #slots: ReadonlySet<string>;

  constructor(changes: readonly Change[]) {
    this.#slots = new Set(changes.flatMap((change) => (change.resource === 'route' ? [slotOf(change.route)] : [])));
  }

  /** True for a route in one of the places. */
  has(change: Change): boolean {
    return change.resource === 'route' && this.#slots.has(slotOf(change.route));
  }
}

function slotOf({ to, metric, table = 254 }: RouteFields): string {
  return `${to} ${metric ?? (to.includes(':') ? 1024 : 0)} ${table}`;
}
