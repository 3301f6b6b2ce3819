/**
 * The difference between a configuration and the kernel, as changes in an order in which they can be made.
 *
 * Theory of operation
 *
 *   compare   Only what the configuration names is compared; what it leaves out is left as it is. A thing that is there
 *             as asked for is not touched, whoever made it.
 *   replace   A device of ours that is of another kind is deleted and made anew; somebody else's is a conflict.
 *             A route of ours in the place of a wanted one goes first, since the kernel keeps one in a place.
 *   prune     What we own and the configuration no longer names is removed where that is asked for, and told else.
 *   order     What goes comes first, routes before addresses before devices, so that what comes finds its place free;
 *             then devices (bridges before their ports), their settings, addresses, up, routes, which need a device
 *             that is up and an address by which the gateway is reached, and last what concerns the whole machine.
 *   look      What is as asked for is the rule: at first only the tables are read in which something is named, and
 *             everything only when something differs.
 *   index     New devices get an index of our choice, by which they are known as ours from the moment they are made.
 */

import type { IpFamily } from '../base/index.ts';
import { type Change, changesInForce, Kernel, type KernelView, namespacesOf, undoChanges } from '../changes/index.ts';
import type { Config } from '../config/index.ts';
import { isHere, type JournalEntry, listJournals } from '../journal/index.ts';
import type { TableParts } from '../netlink/index.ts';
import { type Accounts, resolveAccounts } from './accounts.ts';
import { type DeviceDiff, diffDevices } from './diff-devices.ts';
import { diffRules } from './diff-rules.ts';
import { diffSysctls } from './diff-sysctls.ts';
import { journalPath } from './journal-path.ts';
import { Ownership } from './ownership.ts';
import { bareNames, missingNamespaces, namespaceNames, placesOf } from './places.ts';
import type { Conflict } from './planned.ts';
import { restoringChanges } from './restore.ts';

/** What would be done. */
export interface Plan {
  /** In the order in which they are made; empty when everything is as asked for. */
  readonly changes: readonly Change[];
  /** While there is one, nothing is applied. */
  readonly conflicts: readonly Conflict[];
  /** What vnic owns and the configuration no longer names, unless `prune` has it removed. */
  readonly unnamed: readonly Change[];
  /** What somebody else has changed since and therefore stays, though it should go. */
  readonly left: readonly { readonly change: Change; readonly reason: string }[];
}

/** How a plan is made. */
export interface PlanOptions {
  /** Path of the configuration file, by which its journal is known. Default that of the machine. */
  readonly path?: string;
  /** Remove what is owned and no longer named. Default false. */
  readonly prune?: boolean;
  readonly signal?: AbortSignal;
  /** Folder of the journals. */
  readonly folder?: string;
}

/** A plan with what is needed to carry it out. */
export interface WorkingPlan extends Plan {
  /** Journal entries that are to be forgotten once everything is done. */
  readonly obsolete: readonly number[];
  /** Those of the changes that take away. */
  readonly removals: ReadonlySet<Change>;
  /** What gives a deleted device back, should the rest fail. */
  readonly restoring: readonly Change[];
  readonly ownership: Ownership;
}

/**
 * Compares a configuration with the kernel. Changes nothing and needs no privilege.
 * @throws VNIC_NO_SUCH_USER, VNIC_NO_SUCH_GROUP, VNIC_ABORTED, VNIC_NETLINK
 */
export async function planChanges(config: Config, options: PlanOptions = {}): Promise<Plan> {
  const stored = storedEntries(options);
  await using kernel = new Kernel();
  const { changes, conflicts, unnamed, left } = await makePlan(config, kernel, stored, options);
  return { changes, conflicts, unnamed, left };
}

/** The plan of a configuration whose journal has these entries. */
export async function makePlan(
  config: Config,
  kernel: Kernel,
  entries: readonly JournalEntry[],
  options: PlanOptions,
): Promise<WorkingPlan> {
  const { signal, prune = false } = options;
  const concerns = (resource: Change['resource']): boolean =>
    entries.some(({ change }) => change.resource === resource);
  const parts = [config, ...Object.values(config.namespaces)];
  const names = new Set([...namespaceNames(config), ...namespacesOf(entries.map(({ change }) => change))]);
  const wanted = {
    neighbours: concerns('neighbour') || config.devices.some((device) => device.neighbours.length > 0),
    rules: concerns('rule') || parts.some((part) => part.rules.length > 0),
    masquerades: concerns('masquerade') || parts.some((part) => part.masquerade.length > 0),
    ...(signal !== undefined && { signal }),
  };
  const [ownership, accounts] = [new Ownership(entries), await resolveAccounts(config)];
  // Where nothing was made yet, something differs.
  if (entries.length > 0) {
    const view = await kernel.view(names, { ...wanted, only: namedParts(config, entries) });
    const look = planFor(config, view, ownership, accounts, prune);
    if (look.changes.length === 0 && look.conflicts.length === 0) return look;
  }
  return planFor(config, await kernel.view(names, wanted), ownership, accounts, prune);
}

/** The tables in which there is something that the configuration or the journal names. */
export function namedParts(config: Config, entries: readonly JournalEntry[]): TableParts {
  const changes = changesOf(entries);
  const cidrs = [
    ...config.devices.flatMap(({ addresses }) => addresses),
    ...changes.flatMap((change) => (change.resource === 'address' ? [change.cidr] : [])),
  ];
  const routes = [
    ...config.devices.flatMap((device) => device.routes),
    ...changes.flatMap((change) => (change.resource === 'route' ? [change.route] : [])),
  ];
  const tables = new Map<string, { family: IpFamily; table: number }>();
  for (const { to, table = 254 } of routes) {
    const family = familyOf(to);
    tables.set(`${family} ${table}`, { family, table });
  }
  return { addresses: [...new Set(cidrs.map(familyOf))], routes: [...tables.values()] };
}

function familyOf(cidr: string): IpFamily {
  return cidr.includes(':') ? 6 : 4;
}

/** What comes of a view of the kernel. */
export function planFor(
  config: Config,
  view: KernelView,
  ownership: Ownership,
  accounts: Accounts,
  prune: boolean,
): WorkingPlan {
  const places = placesOf(config, view);
  const devices = diffDevices(config.devices, places, ownership, accounts);
  const sysctls = diffSysctls(places, devices.planned);
  const rules = [...places.values()].map(diffRules);
  const wanted = new Set([...devices.wanted, ...sysctls.wanted, ...rules.flatMap((diff) => diff.wanted)]);
  const fate = fateOfOwned(config, ownership, wanted, devices, prune);
  const undo = undoChanges(changesOf(fate.going), view);
  // A namespace goes last, when nothing can fail any more: what was in it could not be given back.
  const isNamespace = ({ resource }: Change): boolean => resource === 'namespace';
  const removals = [
    ...undo.changes.filter((change) => !isNamespace(change)),
    ...devices.removals,
    ...bareNames(places, ownership),
  ];
  const last = undo.changes.filter(isNamespace);
  const replaced = new Set(devices.removals.map(linkIndexOf));
  const inForce = changesInForce(changesOf(ownership.entries), view);
  const obsolete = ownership.entries.filter(
    (entry) => fate.going.includes(entry) || replaced.has(linkIndexOf(entry.change)) || !inForce.has(entry.change),
  );
  return {
    changes: [
      ...removals,
      ...missingNamespaces(places),
      ...devices.first,
      ...sysctls.ofDevices,
      ...devices.onThem,
      ...rules.flatMap((diff) => diff.changes),
      ...sysctls.others,
      ...last,
    ],
    removals: new Set([...removals, ...last]),
    conflicts: [...devices.conflicts, ...sysctls.conflicts],
    unnamed: undoChanges(changesOf(fate.staying), view).changes,
    left: undo.left,
    obsolete: obsolete.map(({ id }) => id),
    restoring: restoringChanges(removals, view),
    ownership,
  };
}

/** What of the journal goes, and what stays although the configuration no longer names it. */
function fateOfOwned(
  config: Config,
  ownership: Ownership,
  wanted: ReadonlySet<string>,
  devices: DeviceDiff,
  prune: boolean,
): { readonly going: readonly JournalEntry[]; readonly staying: readonly JournalEntry[] } {
  const names = namespaceNames(config);
  const made = new Set(config.devices.filter(({ kind }) => kind !== undefined).map(placeAndName));
  const unnamed = ownership
    .entriesBeside(wanted)
    .filter(({ change }) =>
      change.resource === 'namespace' ? !names.has(change.netns.name) : !isNamedDevice(change, made),
    );
  if (prune) return { going: unnamed, staying: [] };
  const going = unnamed.filter(({ change }) => devices.takesPlaceOf(change));
  return { going, staying: unnamed.filter((entry) => !going.includes(entry)) };
}

function changesOf(entries: readonly JournalEntry[]): Change[] {
  return entries.map(({ change }) => change);
}

function linkIndexOf(change: Change): number {
  return ('link' in change ? change.link?.index : undefined) ?? -1;
}

/** The entry of a device that the configuration still makes goes only when the device does. */
function isNamedDevice(change: Change, made: ReadonlySet<string>): boolean {
  if (change.resource !== 'device') return false;
  return made.has(placeAndName({ name: change.link.name, namespace: change.netns?.name }));
}

function placeAndName({
  namespace = '',
  name,
}: {
  readonly namespace?: string | undefined;
  readonly name: string;
}): string {
  return `${namespace} ${name}`;
}

function storedEntries({ path, folder }: PlanOptions): readonly JournalEntry[] {
  const file = journalPath(path);
  const options = folder === undefined ? {} : { folder };
  return listJournals(options).find(({ header }) => header.config === file && isHere(header.namespace))?.entries ?? [];
}
