/**
 * Carries changes out.
 *
 * Theory of operation
 *
 *   batches   Changes are taken in their order, some hundred at a time. The caller is told of a batch before anything
 *             of it is done, so that it can be written down; requests of a batch travel together.
 *   races     What is there already, or gone already, by somebody else's hand is as wanted: such a change ends
 *             as `settled` and is not ours.
 *   failure   The first failure ends it after its batch. What was done until then is told, for the caller to undo.
 */

import { randomInt } from 'node:crypto';

import { Cidr, IpAddress, isVnicError, MacAddress, throwIfAborted, VnicError } from '../base/index.ts';
import {
  addMasquerade,
  type LinkChange as KernelLinkChange,
  type MasqueradeSpec,
  type Netlink,
  type RouteSpec,
  type RuleSpec,
  removeMasquerade,
} from '../netlink/index.ts';
import { createNamespace, deleteNamespace, writeSysctl } from '../netns/index.ts';
import { makePersistentDevices, type PersistentDevice, TapDevice, TunDevice } from '../tun/index.ts';
import {
  type Change,
  type DeviceChange,
  type LinkSettings,
  type MasqueradeChange,
  type NamespaceChange,
  type NetnsRef,
  type OwnerChange,
  type RouteChange,
  type RuleChange,
  VNIC_PROTOCOL,
} from './change.ts';
import { describeChange } from './describe.ts';
import type { Kernel } from './kernel.ts';

const BATCH_LEN = 256;
/** Devices that are deleted together from this many on. */
const MIN_TOGETHER = 4;

/** `done` by us; `settled` when it was as wanted already. */
export type ChangeOutcome = 'done' | 'settled';

/** How changes are carried out. */
export interface ExecuteOptions {
  /** Called before a batch is begun; what it throws ends everything with nothing of the batch done. */
  onBatch?(changes: readonly Change[]): void;
  /** Called when a namespace is made and has no name yet, with its number filled in. */
  onNamespace?(planned: Change, made: NamespaceChange): void;
  /** Called after each batch. */
  onDone?(changes: readonly { readonly change: Change; readonly outcome: ChangeOutcome }[]): void;
  /** Looked at between batches: VNIC_ABORTED. */
  readonly signal?: AbortSignal;
}

/** What came of it. */
export interface Execution {
  /** In the order of the changes. */
  readonly done: readonly Change[];
  /** Undefined when everything was done. */
  readonly failure: { readonly change: Change; readonly error: unknown } | undefined;
}

/** Never throws for a change that fails; the failure is in the result. */
export async function executeChanges(
  changes: readonly Change[],
  kernel: Kernel,
  options: ExecuteOptions = {},
): Promise<Execution> {
  const done: Change[] = [];
  for (let rest = changes; rest.length > 0; ) {
    const batch = nextBatch(rest);
    rest = rest.slice(batch.length);
    const [first] = batch as [Change];
    try {
      throwIfAborted(options.signal, describeChange(first));
      options.onBatch?.(batch);
    } catch (error) {
      return { done, failure: { change: first, error } };
    }
    const { outcomes, failure } = await executeBatch(batch, kernel, options);
    for (const { change, outcome } of outcomes) if (outcome === 'done') done.push(change);
    options.onDone?.(outcomes);
    if (failure !== undefined) return { done, failure };
  }
  return { done, failure: undefined };
}

/** A namespace ends its batch: what follows is written down with its number. */
function nextBatch(changes: readonly Change[]): readonly Change[] {
  const batch = changes.slice(0, BATCH_LEN);
  const namespace = batch.findIndex(({ resource }) => resource === 'namespace');
  return namespace < 0 ? batch : batch.slice(0, namespace + 1);
}

interface BatchResult {
  readonly outcomes: readonly { readonly change: Change; readonly outcome: ChangeOutcome }[];
  readonly failure: Execution['failure'];
}

async function executeBatch(batch: readonly Change[], kernel: Kernel, options: ExecuteOptions): Promise<BatchResult> {
  const pending: Promise<ChangeOutcome>[] = [];
  let onTheWay = 0;
  for (let at = 0; at < batch.length; at = pending.length) {
    const { alone, begin } = nextStep(batch, at, kernel, options);
    // What was asked of the socket before must be there first.
    if (alone && onTheWay > 0 && (await anyFailed(pending))) break;
    const started = begin();
    pending.push(...started);
    onTheWay = alone ? 0 : onTheWay + 1;
    // Failures are taken below; until then they must not count as unhandled.
    for (const each of started) each.catch(() => undefined);
    if (alone && (await anyFailed(started))) break;
  }
  const outcomes: { change: Change; outcome: ChangeOutcome }[] = [];
  let failure: Execution['failure'];
  for (const [i, result] of (await Promise.allSettled(pending)).entries()) {
    const change = batch[i] as Change;
    if (result.status === 'fulfilled') outcomes.push({ change, outcome: result.value });
    else failure ??= { change, error: named(result.reason, change) };
  }
  return { outcomes, failure };
}

/** What is done next: one change, or several devices together; `alone` when nothing else may be on its way. */
function nextStep(
  batch: readonly Change[],
  at: number,
  kernel: Kernel,
  options: ExecuteOptions,
): { readonly alone: boolean; begin(): Promise<ChangeOutcome>[] } {
  const created = creationsFrom(batch, at);
  if (created.length > 0) return { alone: true, begin: () => makeTogether(created) };
  const deleted = deletionsFrom(batch, at);
  if (deleted.length > 0) return { alone: true, begin: () => deleteTogether(deleted, kernel) };
  const change = batch[at] as Change;
  return { alone: !travels(change), begin: () => [start(change, kernel, options)] };
}

/** The TUN/TAP devices that are made from here on; none when the first change is another. */
function creationsFrom(batch: readonly Change[], start: number): DeviceChange[] {
  const run: DeviceChange[] = [];
  for (const change of batch.slice(start)) {
    if (change.resource !== 'device' || change.action !== 'add' || !isTunTap(change)) break;
    run.push(change);
  }
  return run;
}

/** One for each that was tried. */
function makeTogether(run: readonly DeviceChange[]): Promise<ChangeOutcome>[] {
  const { made, failure } = makePersistentDevices(run.flatMap(persistentDevice));
  const outcomes = run.slice(0, made).map((): Promise<ChangeOutcome> => Promise.resolve('done'));
  return failure === undefined ? outcomes : [...outcomes, Promise.reject(failure.error)];
}

function persistentDevice({ link, make, netns }: DeviceChange): PersistentDevice[] {
  if (make.kind === 'bridge' || make.kind === 'veth') return [];
  return [{ ...make, ...link, ...netnsOptions({ netns }) }];
}

/** The deletions from here on that can be done as one; none when they are too few to be worth it. */
function deletionsFrom(batch: readonly Change[], start: number): DeviceChange[] {
  const run: DeviceChange[] = [];
  for (const change of batch.slice(start)) {
    if (change.resource !== 'device' || change.action !== 'remove') break;
    if (run[0] !== undefined && run[0].netns?.name !== change.netns?.name) break;
    run.push(change);
  }
  return run.length >= MIN_TOGETHER ? run : [];
}

/**
 * Puts the devices into a group of their own and deletes the group. The number is drawn from a thousand million, so that
 * nobody else's device is in it.
 */
function deleteTogether(run: readonly DeviceChange[], kernel: Kernel): Promise<ChangeOutcome>[] {
  const group = randomInt(2 ** 30, 2 ** 31);
  const [first] = run;
  const netlink = kernel.netlink(first?.netns);
  const marked = run.map(async (change) => (await netlink).links.set(change.link.index, { group }));
  const deleted = Promise.allSettled(marked).then(async (results) => {
    if (results.some(({ status }) => status === 'fulfilled')) await (await netlink).links.deleteGroup(group);
  });
  return run.map(async (change, i) => {
    try {
      await marked[i];
    } catch (error) {
      if (isSettled(change, error)) return 'settled';
      throw error;
    }
    await deleted;
    return 'done';
  });
}

async function anyFailed(pending: readonly Promise<unknown>[]): Promise<boolean> {
  return (await Promise.allSettled(pending)).some(({ status }) => status === 'rejected');
}

/** True for what is one request of the socket, which keeps the order. */
function travels(change: Change): boolean {
  return !alone.includes(change.resource);
}

const alone: readonly Change['resource'][] = ['sysctl', 'owner', 'namespace', 'masquerade'];

async function start(change: Change, kernel: Kernel, options: ExecuteOptions): Promise<ChangeOutcome> {
  try {
    if (change.resource === 'namespace') await changeNamespace(change, kernel, options);
    // A socket that is open is used in this turn, so that requests of one turn travel together.
    else await carryOut(change, kernel.socketOf(change.netns) ?? (await kernel.netlink(change.netns)));
    return 'done';
  } catch (error) {
    if (isSettled(change, error)) return 'settled';
    throw error;
  }
}

/** Makes or deletes a namespace. Its number is told before it has its name: by then it must be written down. */
async function changeNamespace(change: NamespaceChange, kernel: Kernel, options: ExecuteOptions): Promise<void> {
  const { name } = change.netns;
  if (change.action === 'remove') {
    await kernel.forget(change.netns);
    deleteNamespace(name);
    return;
  }
  const made = await createNamespace(name, {
    onMade: ({ inode }) => options.onNamespace?.(change, { ...change, netns: { name, inode } }),
  });
  made.closeSync();
}

function carryOut(change: Exclude<Change, NamespaceChange>, netlink: Netlink): Promise<void> | void {
  switch (change.resource) {
    case 'device':
      return change.action === 'add' ? makeDevice(change, netlink) : netlink.links.delete(change.link.index);
    case 'link':
      return netlink.links.set(change.link.index, kernelChange(change.after));
    case 'owner':
      return setOwner(change, netlink);
    case 'address': {
      const cidr = Cidr.parse(change.cidr);
      if (change.action === 'remove') return netlink.addresses.remove(change.link.index, cidr);
      return netlink.addresses.add(change.link.index, cidr, { noDad: cidr.family === 6, protocol: VNIC_PROTOCOL });
    }
    case 'route':
      return netlink.routes[change.action](routeSpec(change));
    case 'neighbour': {
      const [address, mac] = [IpAddress.parse(change.address), MacAddress.parse(change.mac)];
      if (change.action === 'remove') return netlink.neighbours.remove(change.link.index, { address });
      // A learned entry of that address gives way.
      return netlink.neighbours.replace(change.link.index, { address, mac });
    }
    case 'altName': {
      const verb = change.action === 'add' ? 'addAltNames' : 'removeAltNames';
      return netlink.links[verb](change.link.index, [change.altName]);
    }
    case 'rule':
      return netlink.rules[change.action](ruleSpec(change));
    case 'masquerade':
      return change.action === 'add'
        ? addMasquerade(masqueradeSpec(change), netnsOptions(change))
        : removeMasquerade(masqueradeSpec(change), netnsOptions(change));
    case 'sysctl':
      return writeSysctl(change.name, change.after, netnsOptions(change));
  }
}

function isTunTap(change: DeviceChange): boolean {
  return change.make.kind === 'tun' || change.make.kind === 'tap';
}

function makeDevice({ link, make }: DeviceChange, netlink: Netlink): Promise<void> {
  // TUN/TAP devices are made together.
  if (make.kind !== 'veth') return netlink.links.create({ kind: 'bridge', ...link });
  return netlink.links.create({
    kind: 'veth',
    ...link,
    peer: { ...make.peer, ...netnsOptions({ netns: make.peerNetns }) },
  });
}

function netnsOptions({ netns }: { readonly netns?: NetnsRef | undefined }): { readonly netns?: string } {
  return netns === undefined ? {} : { netns: netns.name };
}

function masqueradeSpec({ from, out, notOut }: MasqueradeChange): MasqueradeSpec {
  const source = Cidr.parse(from);
  return { source, ...(out !== undefined && { out }), ...(notOut !== undefined && { notOut }) };
}

function ruleSpec(change: RuleChange): RuleSpec {
  const { family, priority, table, verdict, from, to, in: iif, mark } = change;
  const { ipProtocol, destinationPort, suppressPrefixLength } = change;
  return {
    family,
    priority,
    ...(verdict === undefined ? { table } : { action: verdict }),
    ...(ipProtocol !== undefined && { ipProtocol }),
    ...(destinationPort !== undefined && { destinationPorts: { from: destinationPort, to: destinationPort } }),
    ...(suppressPrefixLength !== undefined && { suppressPrefixLength }),
    protocol: VNIC_PROTOCOL,
    ...(from !== undefined && { from: Cidr.parse(from) }),
    ...(to !== undefined && { to: Cidr.parse(to) }),
    ...(iif !== undefined && { iif }),
    ...(mark !== undefined && { fwmark: mark }),
  };
}

function kernelChange(settings: LinkSettings): KernelLinkChange {
  const { up, mtu, txQueueLen, promisc, master, mac } = settings;
  const bridge = withPrefix('bridge.', settings);
  const bridgePort = withPrefix('port.', settings);
  return {
    ...(up !== undefined && { up }),
    ...(mtu !== undefined && { mtu }),
    ...(txQueueLen !== undefined && { txQueueLen }),
    ...(promisc !== undefined && { promisc }),
    ...(master !== undefined && { master }),
    ...(mac !== undefined && { mac: MacAddress.parse(mac) }),
    ...(bridge !== undefined && { bridge }),
    ...(bridgePort !== undefined && { bridgePort }),
  };
}

function withPrefix(prefix: string, settings: LinkSettings): object | undefined {
  const found = Object.entries(settings).flatMap(([key, value]) =>
    key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [],
  );
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** Attached as it is: attaching with other flags would change the device. */
async function setOwner(change: OwnerChange, netlink: Netlink): Promise<void> {
  const link = await netlink.links.get(change.link.index);
  const { kind = 'tun', packetInfo = false, vnetHeader = false, multiQueue = false } = link.tun ?? {};
  const options = { name: link.name, mustExist: true, packetInfo, vnetHeader, multiQueue, ...change.after };
  const device = kind === 'tun' ? await TunDevice.open(options) : await TapDevice.open(options);
  await device.close();
}

function routeSpec({ link, route }: RouteChange): RouteSpec {
  const { to, via, source, ...rest } = route;
  return {
    ...rest,
    destination: Cidr.parse(to),
    link: link.index,
    protocol: VNIC_PROTOCOL,
    ...(via !== undefined && { via: IpAddress.parse(via) }),
    ...(source !== undefined && { source: IpAddress.parse(source) }),
  };
}

/** As wanted already. A device is never: one of that name that is there is somebody else's. */
function isSettled(change: Change, error: unknown): boolean {
  if (!isVnicError(error) || !('action' in change)) return false;
  if (change.action === 'add') {
    return change.resource === 'address' && error.code === 'VNIC_ADDRESS_EXISTS';
  }
  return error.code.startsWith('VNIC_NO_SUCH_');
}

/** The same error in the words of the change: requests know an interface by its number only. */
function named(error: unknown, change: Change): unknown {
  if (!isVnicError(error)) return error;
  const { code, reason, hint, errno, syscall } = error;
  return new VnicError(code, {
    attempted: describeChange(change),
    reason,
    hint,
    ...(errno !== undefined && { errno }),
    ...(syscall !== undefined && { syscall }),
    cause: error,
  });
}
