/** The result of one check of `vnic doctor`. */

import type { SandboxProbe } from './sandbox.ts';

/** `fail`: vnic cannot do its work. `warn`: something of it is missing or works otherwise than expected. */
export type CheckStatus = 'ok' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Check {
  /** Stable, for scripts. */
  readonly id: CheckId;
  /** For people, a few words. */
  readonly title: string;
  readonly status: CheckStatus;
  /** What was found. */
  readonly detail: string;
  /** The command line, or the sentence, that mends it; present unless the status is `ok`. */
  readonly fix?: string;
}

/** Name of a check in `--json`; stable. */
export type CheckId =
  | 'node'
  | 'native-core'
  | 'kernel'
  | 'tun-driver'
  | 'tun-node'
  | 'capabilities'
  | 'user-namespaces'
  | 'network-namespace'
  | 'container'
  | 'netlink'
  | 'ipv6'
  | 'tun-features'
  | 'tun-offloads'
  | 'io-uring'
  | 'udp-offload'
  | 'encryption'
  | 'file-limit'
  | 'programs';

/** What the checks know of the machine beforehand. */
export interface DoctorContext {
  readonly sandbox: SandboxProbe;
  readonly offloadProbe: readonly string[] | undefined;
}
