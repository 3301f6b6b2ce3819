/**
 * A packet as plain data, layer by layer: what `--json` prints and what `describePacket` puts into words.
 *
 * Reads as far as the bytes allow, never throws, and says in `drop` what is wrong. Every value is a number, a
 * boolean, a text made by this library, or an array of those; nothing from the payload is passed on as text.
 */

import { formatIpv4, formatMac } from '../base/index.ts';
import { ArpView } from './arp.ts';
import type { DropReason } from './drop-reason.ts';
import { EthernetView } from './ethernet.ts';
import type { PacketSummary, SummaryDraft, SummaryMedium, SummaryOptions, VlanSummary } from './packet-summary.ts';
import { EtherType } from './protocol-numbers.ts';
import { type IpReading, readIp } from './summarize-ip.ts';
import { isVlanTpid, maxVlanTags, VlanView } from './vlan.ts';

/** Reads one packet (`ip`) or frame (`ethernet`). Never throws. */
export function summarizePacket(
  bytes: Uint8Array,
  medium: SummaryMedium,
  { checksumPending = false }: SummaryOptions = {},
): PacketSummary {
  const draft: SummaryDraft = { length: bytes.length };
  const reading: IpReading = { quoted: false, checksumPending, summarizeQuoted };
  const reason =
    medium === 'ethernet' ? readEthernet(draft, bytes, reading) : readIp(draft, bytes, 0, bytes.length, reading);
  if (reason !== undefined) draft.drop = reason;
  return draft;
}

/** The packet that an ICMP error quotes; errors quoted in it are not opened again. */
function summarizeQuoted(bytes: Uint8Array): PacketSummary {
  const draft: SummaryDraft = { length: bytes.length };
  const reason = readIp(draft, bytes, 0, bytes.length, { quoted: true, checksumPending: false });
  if (reason !== undefined) draft.drop = reason;
  return draft;
}

function readEthernet(draft: SummaryDraft, bytes: Uint8Array, reading: IpReading): DropReason | undefined {
  const view = new EthernetView();
  const reason = view.wrap(bytes, 0, bytes.length);
  if (reason !== undefined) return reason;
  const { etherType, hasLengthField } = view;
  draft.ethernet = {
    source: formatMac(bytes, view.sourceOffset),
    destination: formatMac(bytes, view.destinationOffset),
    ...(hasLengthField ? { length: etherType } : { etherType }),
  };
  draft.payloadLength = view.payloadLen;
  return hasLengthField ? undefined : readTags(draft, view, reading);
}

function readTags(draft: SummaryDraft, frame: EthernetView, reading: IpReading): DropReason | undefined {
  const { bytes, end } = frame;
  let tpid = frame.etherType;
  let at = frame.payloadOffset;
  const tags: VlanSummary[] = [];
  const view = new VlanView();
  while (isVlanTpid(tpid)) {
    if (tags.length === maxVlanTags) return 'too-many-headers';
    const reason = view.wrap(bytes, at, end - at);
    if (reason !== undefined) return reason;
    const { vlanId, priority, dropEligible } = view;
    tags.push({ tpid, vlanId, priority, dropEligible, etherType: view.etherType });
    draft.vlan = tags;
    tpid = view.etherType;
    at = view.payloadOffset;
    draft.payloadLength = end - at;
  }
  return readNetwork(draft, bytes, tpid, at, end - at, reading);
}

function readNetwork(
  draft: SummaryDraft,
  bytes: Uint8Array,
  etherType: number,
  offset: number,
  length: number,
  reading: IpReading,
): DropReason | undefined {
  if (etherType === EtherType.arp) return readArp(draft, bytes, offset, length);
  if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return undefined;
  if (length > 0 && (bytes[offset] as number) >> 4 !== (etherType === EtherType.ipv4 ? 4 : 6)) return 'bad-version';
  return readIp(draft, bytes, offset, length, reading);
}

function readArp(draft: SummaryDraft, bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
  const view = new ArpView();
  const reason = view.wrap(bytes, offset, length);
  if (reason !== undefined) return reason;
  draft.arp = {
    operation: view.operation,
    senderHardwareAddress: formatMac(bytes, view.senderHardwareOffset),
    senderProtocolAddress: formatIpv4(bytes, view.senderProtocolOffset),
    targetHardwareAddress: formatMac(bytes, view.targetHardwareOffset),
    targetProtocolAddress: formatIpv4(bytes, view.targetProtocolOffset),
    ...(view.isProbe ? { purpose: 'probe' } : view.isAnnouncement ? { purpose: 'announcement' } : {}),
  };
  draft.payloadLength = 0;
  return undefined;
}
