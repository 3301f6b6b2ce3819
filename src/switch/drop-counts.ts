/** How often what was dropped, by reason. */

/** Counts of reasons that have occurred. */
export class DropCounts {
  readonly counts: Record<string, number> = {};

  count(reason: string): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
  }
}
