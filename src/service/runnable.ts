/** Things that run while a service does: links, and whatever else the file names and a process has to carry. */

import type { LogLevel } from './log.ts';

/** Something to run, as the file asks for it. */
export interface Runnable {
  /** What it is, in a word: `link`. It is the field of the log that has the name. */
  readonly kind: string;
  /** Its name in the file; one of a kind. */
  readonly name: string;
  /** As long as this stays the same, a reload leaves it alone. */
  readonly identity: string;
  /** What the file says of it, for the status: plain data. */
  readonly about: Readonly<Record<string, unknown>>;
  /**
   * Starts it. To be given up soon after the signal fires.
   * @param tell takes what happens to it, until it has ended
   * @throws VnicError; then nothing is left open, and it is tried again later
   */
  start(signal: AbortSignal, tell: (event: RunningEvent) => void): Promise<Running>;
}

/** Something that was started. */
export interface Running {
  /** What it is, for people: `TUN device tun0 and UDP on port 7000`. */
  readonly label: string;
  /** Resolves when it has ended; rejects with the reason when something ended it. */
  readonly done: Promise<void>;
  /** What is true now; asked often. */
  status(): RunningStatus;
  /** Ends it. Idempotent. */
  close(): Promise<void>;
}

/** How something that was started is. */
export interface RunningStatus {
  /** False while it waits for something outside, such as a connection. */
  readonly isUp: boolean;
  /** Why it is not up. */
  readonly reason?: string;
  /** When it tries again by itself, in milliseconds of the epoch. */
  readonly againAtMs?: number;
  /** Counters and more: plain data. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Something that happened to it. */
export interface RunningEvent {
  readonly level: LogLevel;
  /** In the words of `vnic link --json`: `up`, `down`, `retry`, `refused`. */
  readonly event: string;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Nothing new: not written down. */
  readonly isRepeated?: boolean;
}

/**
 * `starting`: the first attempt is under way. `up`. `waiting`: for a connection, or for the next attempt. `failed`: trying again
 * would change nothing until the file does. `closed`.
 */
export type RunnerState = 'starting' | 'up' | 'waiting' | 'failed' | 'closed';

/** How it is, started or not: plain data, as `vnic service status --json` prints it. */
export interface RunnerStatus {
  readonly kind: string;
  readonly name: string;
  readonly state: RunnerState;
  /** Since when it is in that state, ISO 8601. */
  readonly since: string;
  /** Why it is not up. */
  readonly reason?: string;
  readonly code?: string;
  readonly hint?: string;
  /** When the next attempt is, ISO 8601. */
  readonly again?: string;
  /** How often it was started. */
  readonly starts: number;
  /** Since when it has been running, ISO 8601; its counters begin there. */
  readonly started?: string;
  readonly label?: string;
  /** What the file says of it. */
  readonly about: Readonly<Record<string, unknown>>;
  /** What it says itself while it runs. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** What anybody may know of it: no addresses, no counters. */
export type RunnerSummary = Pick<RunnerStatus, 'kind' | 'name' | 'state' | 'since'>;
