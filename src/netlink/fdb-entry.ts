/**
 * Forwarding entries on the wire: `RTM_*NEIGH` of the family `AF_BRIDGE`, in the layout of neighbours
 * (`neighbour.ts`). `NTF_SELF` is an entry of the device itself, `NTF_MASTER` one of the bridge that it is a port of.
 *
 * Not read: VXLAN destinations, next-hop objects, ages.
 */

import { MacAddress } from '../base/index.ts';
import { AF_BRIDGE, Nda, Nud } from './constants.ts';
import { littleEndian, type MessageFault, parseBody } from './message.ts';
import { flagNames } from './names.ts';
import { NDMSG_LEN, type NeighbourFlag, neighbourFlags } from './neighbour.ts';

/**
 * How an entry came and goes: `local`, the address of a port; `static`, set and kept; `dynamic`, learned and forgotten after
 * the ageing time; `stale`, learned and not seen for a while.
 */
export type FdbEntryType = 'local' | 'static' | 'dynamic' | 'stale';

/** Where a bridge sends frames for a MAC address. */
export interface FdbEntry {
  readonly mac: MacAddress;
  /** The port; the bridge itself for an address of its own. */
  readonly linkIndex: number;
  /** Index of the bridge; absent for an entry of the device itself (`self`). */
  readonly master: number | undefined;
  /** Undefined without VLAN filtering. */
  readonly vlan: number | undefined;
  readonly type: FdbEntryType;
  readonly flags: readonly NeighbourFlag[];
}

/** `NUD_*` of each type. */
export const fdbStates: Readonly<Record<FdbEntryType, number>> = {
  local: Nud.PERMANENT,
  static: Nud.NOARP,
  dynamic: Nud.REACHABLE,
  stale: Nud.STALE,
};

/** Reads the body of `RTM_NEWNEIGH` or `RTM_DELNEIGH`; undefined for another family or an entry without a MAC address. */
export function parseFdbEntry(body: Uint8Array): FdbEntry | undefined | MessageFault {
  const parsed = parseBody(body, NDMSG_LEN);
  if (typeof parsed === 'string') return parsed;
  const { fixed, attributes } = parsed;
  const mac = attributes.bytes(Nda.LLADDR);
  if (fixed.getUint8(0) !== AF_BRIDGE || mac?.length !== 6) return undefined;
  return {
    mac: MacAddress.fromBytes(mac),
    linkIndex: fixed.getInt32(4, littleEndian),
    master: attributes.u32(Nda.MASTER),
    vlan: attributes.u16(Nda.VLAN),
    type: flagNames(fixed.getUint16(8, littleEndian), fdbStates)[0] ?? 'dynamic',
    flags: flagNames(fixed.getUint8(10), neighbourFlags),
  };
}
