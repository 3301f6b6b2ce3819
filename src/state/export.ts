/** The configuration of what exists now. Reading it back and planning it changes nothing. */

import { isVnicError } from '../base/index.ts';
import { Kernel, type KernelView, type NetnsRef, netnsRef } from '../changes/index.ts';
import type { Config, DeviceConfig, NamespaceConfig } from '../config/index.ts';
import type { LinkInfo, Netlink } from '../netlink/index.ts';
import { type ExportPlace, exportDevice, isOurKind } from './export-device.ts';
import { exportNamespace } from './export-rules.ts';

/** Something that exists and has no place in a configuration. */
export interface ExportNote {
  /** Name of the device; undefined for what is of no device. */
  readonly device: string | undefined;
  readonly message: string;
}

/** What exists, and what of it could not be said. */
export interface ExportResult {
  readonly config: Config;
  readonly notes: readonly ExportNote[];
}

/** What is described. */
export interface ExportOptions {
  /** Only these devices, which may be of any kind. Default persistent TUN/TAP devices, bridges and veth pairs. */
  readonly names?: readonly string[];
  /** The network namespace of the process; default true. */
  readonly here?: boolean;
  /** Further network namespaces, by name or path. */
  readonly namespaces?: readonly string[];
  readonly signal?: AbortSignal;
}

/**
 * Describes devices, policy rules, masquerading and forwarding. With `names`, only devices.
 * @throws VNIC_NETLINK, VNIC_ABORTED, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export async function exportConfig(options: ExportOptions = {}): Promise<ExportResult> {
  const { names, here = true, namespaces = [] } = options;
  await using kernel = new Kernel();
  // Asked for by name, a namespace that is not there is a mistake, not an empty one.
  for (const name of namespaces) await kernel.netlink(netnsRef(name));
  const notes: ExportNote[] = [];
  const view = await viewOf(kernel, options, notes);
  const isWanted = names === undefined ? isOurKind : ({ name }: LinkInfo): boolean => names.includes(name);
  const devices: DeviceConfig[] = [];
  const parts = new Map<string | undefined, NamespaceConfig>();
  for (const namespace of [...(here ? [undefined] : []), ...namespaces]) {
    const netns = namespace === undefined ? undefined : netnsRef(namespace);
    const place = await placeOf(namespace, netns, { here, namespaces, view, netlink: await kernel.netlink(netns) });
    if (place === undefined) continue;
    if (names === undefined) {
      const note = (message: string): void => void notes.push({ device: undefined, message });
      parts.set(namespace, exportNamespace(place.snapshot, note));
    }
    for (const link of place.snapshot.links.filter(isWanted)) {
      const note = (message: string): void => void notes.push({ device: link.name, message });
      if (isFleeting(link)) note('it goes with the process that holds it, and is left out');
      else devices.push(await exportDevice(link, idOf(link, devices), place, note));
    }
  }
  return { config: configOf(devices, parts), notes };
}

async function viewOf(
  kernel: Kernel,
  { names, namespaces = [], signal }: ExportOptions,
  notes: ExportNote[],
): Promise<KernelView> {
  const options = { neighbours: true, rules: names === undefined, ...(signal !== undefined && { signal }) };
  try {
    return await kernel.view(namespaces, { ...options, masquerades: names === undefined });
  } catch (error) {
    // A kernel without nf_tables masquerades nothing.
    if (!isVnicError(error, 'VNIC_NO_PRIVILEGE') && !isVnicError(error, 'VNIC_UNSUPPORTED')) throw error;
    if (error.code === 'VNIC_NO_PRIVILEGE')
      notes.push({ device: undefined, message: 'masquerading is left out: only root may read it' });
    return kernel.view(namespaces, options);
  }
}

interface Surroundings {
  readonly here: boolean;
  readonly namespaces: readonly string[];
  readonly view: KernelView;
  readonly netlink: Netlink;
}

async function placeOf(
  namespace: string | undefined,
  netns: NetnsRef | undefined,
  { here, namespaces, view, netlink }: Surroundings,
): Promise<ExportPlace | undefined> {
  const snapshot = view.of(netns);
  if (snapshot === undefined) return undefined;
  const namespaceById = new Map<number, string | undefined>();
  const tell = async (path: string, name: string | undefined): Promise<void> => {
    const id = await netlink.namespaceIds.get(path);
    if (id !== undefined) namespaceById.set(id, name);
  };
  if (here && namespace !== undefined) await tell(`/proc/${process.pid}/ns/net`, undefined);
  for (const other of namespaces) if (other !== namespace) await tell(other, other);
  return {
    namespace,
    snapshot,
    namespaceById,
    nameElsewhere: (other, index) =>
      view.of(other === undefined ? undefined : netnsRef(other))?.linkByIndex(index)?.name,
  };
}

function isFleeting({ tun }: LinkInfo): boolean {
  return tun !== undefined && !tun.persist;
}

/** The name, or one like it where a device of another namespace has it. */
function idOf({ name }: LinkInfo, devices: readonly DeviceConfig[]): string {
  const taken = new Set(devices.map(({ id }) => id));
  let id = name;
  for (let i = 2; taken.has(id); i++) id = `${name.slice(0, MAX_ID_LEN - 1 - String(i).length)}-${i}`;
  return id;
}

/** As long as the name of an interface. */
const MAX_ID_LEN = 15;

function configOf(devices: readonly DeviceConfig[], parts: ReadonlyMap<string | undefined, NamespaceConfig>): Config {
  const { sysctls = {}, rules = [], masquerade = [] } = parts.get(undefined) ?? {};
  const namespaces = Object.fromEntries(
    [...parts].flatMap(([name, part]) => (name === undefined ? [] : [[name, part] as const])),
  );
  return { devices, namespaces, sysctls, rules, masquerade, links: [], tunnels: [], switches: [] };
}
