/**
 * Whether a file is in force already, without reading it: what was found once in every detail is found again by digests.
 *
 * Theory of operation
 *
 *   mark     When a configuration was compared with the kernel and nothing was to be done, the journal of the file ends with
 *            a mark: a digest of the configuration, and one of the kernel's tables, which was the same before and after the comparison.
 *   again    As long as the journal still ends with that mark, and both digests are what they were, there is nothing to do. Anything else
 *            is compared in detail.
 *   plain    Only configurations of links, addresses and routes of the own network namespace get a mark: what else there may be in one
 *            is not in those tables. One with links gets none, so that they are told each time.
 */

import { createHash } from 'node:crypto';

import type { Config } from '../config/index.ts';
import { type Journal, type JournalEntry, readMark } from '../journal/index.ts';
import { openNetlink, type TableParts } from '../netlink/index.ts';
import { journalPath } from './journal-path.ts';

/** Whose state is asked for. */
export interface InForceOptions {
  /** Path of the configuration file. Default that of the machine. */
  readonly path?: string;
  /** Folder of the journals. */
  readonly folder?: string;
  readonly signal?: AbortSignal;
}

/**
 * True when a configuration of this digest was found in force, and nothing has changed since. False says nothing.
 * @param digest of the configuration, as it was given to `applyConfig`, or what computes it
 * @throws VNIC_ABORTED, VNIC_NETLINK
 */
export async function isInForce(digest: string | (() => string), options: InForceOptions = {}): Promise<boolean> {
  const { path, folder, signal } = options;
  const mark = readMark({ kind: 'config', path: journalPath(path) }, folder === undefined ? {} : { folder });
  if (mark === undefined || mark.config !== (typeof digest === 'string' ? digest : digest())) return false;
  await using netlink = await openNetlink();
  return (await netlink.digest(mark.parts, signal === undefined ? {} : { signal })) === mark.kernel;
}

/** The digest of a configuration that was not read from a file. */
export function digestOf(config: Config): string {
  return createHash('sha256').update(JSON.stringify(config)).digest('hex');
}

/** Ends the journal with the mark, where the tables are still what they were before the comparison. */
export async function markInForce(
  journal: Journal,
  mark: { readonly config: string; readonly kernel: string; readonly parts: TableParts },
): Promise<void> {
  await using netlink = await openNetlink();
  if ((await netlink.digest(mark.parts)) === mark.kernel) journal.mark(mark);
}

/** The tables that tell all about a configuration; undefined for one that asks for more than is in them. */
export function tablesOf(config: Config, entries: readonly JournalEntry[], parts: TableParts): TableParts | undefined {
  const { devices, namespaces, sysctls, rules, masquerade, links, tunnels, switches } = config;
  const isPlain =
    Object.keys(namespaces).length +
      Object.keys(sysctls).length +
      rules.length +
      masquerade.length +
      links.length +
      tunnels.length +
      switches.length ===
      0 &&
    devices.every(
      ({ namespace, peerNamespace, owner, group, neighbours, sysctls: own }) =>
        (namespace ?? peerNamespace) === undefined &&
        isNumber(owner) &&
        isNumber(group) &&
        neighbours.length + Object.keys(own).length === 0,
    ) &&
    entries.every(({ change }) => change.netns === undefined && inTables.includes(change.resource));
  return isPlain ? parts : undefined;
}

const inTables: readonly string[] = ['device', 'link', 'owner', 'address', 'route', 'altName'];

/** A name may come to mean another account. */
function isNumber(account: string | undefined): boolean {
  return account === undefined || /^[0-9]+$/.test(account);
}
