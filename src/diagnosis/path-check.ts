/** One step of the way of a packet, and what was found there. */

import type { IpAddress } from '../base/index.ts';
import type { AddressInfo, LinkInfo, Netlink } from '../netlink/index.ts';
import { NETNS_FOLDER, type NetnsOptions, type NetnsSelector, NetworkNamespace } from '../netns/index.ts';
import type { Holder } from '../tun/index.ts';

/** Name of a step in `--json`; stable. In the order in which a packet needs them. */
export type PathCheckId =
  | 'exists'
  | 'kind'
  | 'up'
  | 'attached'
  | 'queue'
  | 'ipv6'
  | 'address'
  | 'route'
  | 'neighbour'
  | 'firewall'
  | 'rp-filter'
  | 'forwarding'
  | 'mtu';

/** What was found. */
export interface PathCheck {
  readonly id: PathCheckId;
  /** For people, a few words. */
  readonly title: string;
  /** `fail`: here it ends. `warn`: here it may end. */
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** The command line, or the sentence, that mends it; present unless the status is `ok`. */
  readonly fix?: string;
}

/** What a step is looked at with. */
export interface PathContext extends NetnsOptions {
  readonly netlink: Netlink;
  readonly link: LinkInfo;
  /** Every link of the namespace. */
  readonly links: readonly LinkInfo[];
  readonly addresses: readonly AddressInfo[];
  readonly holders: readonly Holder[];
  /** Whom packets are for; undefined for nobody in particular. */
  readonly to: IpAddress | undefined;
  readonly expectedKind: 'tun' | 'tap' | undefined;
}

/** A check that found nothing. */
export function fine(id: PathCheckId, title: string, detail: string): PathCheck {
  return { id, title, status: 'ok', detail };
}

/** A check that found something. */
export function found(
  id: PathCheckId,
  title: string,
  what: { readonly detail: string; readonly fix: string; readonly status?: 'warn' | 'fail' },
): PathCheck {
  const { detail, fix, status = 'fail' } = what;
  return { id, title, status, detail, fix };
}

/** A word for sh(1). */
export function shellWord(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A command that runs `line` in another namespace, as words; nothing stands before it in that of the process. */
export function enteringWords({ netns }: NetnsOptions): string[] {
  return netns === undefined ? [] : ['nsenter', `--net=${pathOf(netns)}`];
}

/** The same check with a line that mends it from outside of the namespace. */
export function mendedFrom(check: PathCheck, options: NetnsOptions): PathCheck {
  const { netns } = options;
  if (check.fix === undefined || netns === undefined) return check;
  const entering = enteringWords(options).map(shellWord).join(' ');
  const fix = check.fix
    .replaceAll(/\bsudo (?!vnic )/g, `sudo ${entering} `)
    .replaceAll(
      /\bvnic (\w+)/g,
      `vnic $1 --netns ${shellWord(netns instanceof NetworkNamespace ? pathOf(netns) : String(netns))}`,
    );
  return { ...check, fix };
}

function pathOf(netns: NetnsSelector): string {
  if (netns instanceof NetworkNamespace) return `/proc/${process.pid}/fd/${netns.fd}`;
  if (typeof netns === 'number') return `/proc/${netns}/ns/net`;
  return netns.includes('/') ? netns : `${NETNS_FOLDER}/${netns}`;
}
