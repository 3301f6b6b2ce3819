/** The network layer of a packet summary. */

import { formatIpv4, formatIpv6 } from '../base/index.ts';
import { u8 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { Ipv4View } from './ipv4.ts';
import { parseIpv4Options } from './ipv4-option.ts';
import { Ipv6View } from './ipv6.ts';
import { Ipv6ExtensionWalker, ipv6ExtensionLen } from './ipv6-extension-walker.ts';
import type { Ipv6Summary, PacketSummary, SummaryDraft } from './packet-summary.ts';
import { readUpper } from './summarize-upper.ts';

/** How to read a packet that may be quoted in an ICMP error. */
export interface IpReading {
  /** Cut-off payload is normal, and checksums cannot be judged. */
  readonly quoted: boolean;
  /** The checksum above IP is not computed yet. */
  readonly checksumPending: boolean;
  /** Reads the packet that an ICMP error quotes; absent where quotes are not opened. */
  readonly summarizeQuoted?: (bytes: Uint8Array) => PacketSummary;
}

/** Fills in the IPv4 or IPv6 layer, by the version, and those above it. */
export function readIp(
  draft: SummaryDraft,
  bytes: Uint8Array,
  offset: number,
  length: number,
  reading: IpReading,
): DropReason | undefined {
  if (length === 0) return 'truncated';
  const version = u8(bytes, offset) >> 4;
  if (version === 4) return readIpv4(draft, bytes, offset, length, reading);
  return version === 6 ? readIpv6(draft, bytes, offset, length, reading) : 'bad-version';
}

function readIpv4(
  draft: SummaryDraft,
  bytes: Uint8Array,
  offset: number,
  length: number,
  reading: IpReading,
): DropReason | undefined {
  const view = new Ipv4View();
  // The lenient wrap also for whole packets, so that a cut-off one is still read as far as it goes.
  const reason = view.wrapQuoted(bytes, offset, length);
  if (reason !== undefined) return reason;
  const options = parseIpv4Options(bytes.subarray(view.optionsOffset, view.payloadOffset));
  draft.ipv4 = {
    source: formatIpv4(bytes, view.sourceOffset),
    destination: formatIpv4(bytes, view.destinationOffset),
    protocol: view.protocol,
    ttl: view.ttl,
    dscp: view.dscp,
    ecn: view.ecn,
    identification: view.identification,
    dontFragment: view.dontFragment,
    moreFragments: view.moreFragments,
    fragmentOffset: view.fragmentOffset,
    headerLength: view.headerLen,
    totalLength: view.totalLength,
    ...(view.optionsLen > 0 && typeof options !== 'string' ? { options: options.map(({ type }) => type) } : {}),
    checksumOk: view.checksumOk,
  };
  draft.payloadLength = view.payloadLen;
  const truncated = !reading.quoted && view.totalLength > length;
  const own = checkIpv4(view, truncated, typeof options === 'string', reading);
  if (view.fragmentOffset > 0) return own;
  const upper = readUpper(draft, view, {
    protocol: view.protocol,
    offset: view.payloadOffset,
    partial: reading.quoted || truncated || view.isFragment,
    checksumPending: reading.checksumPending,
    ...quoteReader(reading),
  });
  return own ?? upper;
}

function checkIpv4(
  view: Ipv4View,
  truncated: boolean,
  badOptions: boolean,
  reading: IpReading,
): DropReason | undefined {
  // A quoted header has been changed on its way (TTL, source route), so its checksum says nothing.
  if (!reading.quoted && !view.checksumOk) return 'bad-checksum';
  if (badOptions) return 'bad-option';
  if (truncated) return 'truncated';
  if (!view.isFragment || reading.quoted) return undefined;
  const badLen = view.moreFragments && (view.payloadLen === 0 || view.payloadLen % 8 !== 0);
  return badLen || view.fragmentOffset + view.totalLength > 0xffff ? 'bad-fragment' : undefined;
}

function readIpv6(
  draft: SummaryDraft,
  bytes: Uint8Array,
  offset: number,
  length: number,
  reading: IpReading,
): DropReason | undefined {
  const view = new Ipv6View();
  const reason = view.wrapQuoted(bytes, offset, length);
  if (reason !== undefined) return reason;
  const walker = new Ipv6ExtensionWalker();
  const walked = walker.walk(view);
  draft.ipv6 = ipv6Summary(view, walker);
  draft.payloadLength = view.end - walker.payloadOffset;
  const truncated = !reading.quoted && view.payloadLength > view.payloadLen;
  const own = truncated ? 'truncated' : reading.quoted && walked === 'truncated' ? undefined : walked;
  if (walked !== undefined || walker.fragmentOffset > 0) return own;
  const upper = readUpper(draft, view, {
    protocol: walker.protocol,
    offset: walker.payloadOffset,
    // With segments left the pseudo header has another destination than the IPv6 header.
    partial: reading.quoted || truncated || walker.moreFragments || walker.segmentsLeft > 0,
    checksumPending: reading.checksumPending,
    ...quoteReader(reading),
  });
  return own ?? upper;
}

function ipv6Summary(view: Ipv6View, walker: Ipv6ExtensionWalker): Ipv6Summary {
  const { identification, fragmentOffset, moreFragments } = walker;
  const extensions = extensionProtocols(view, walker.headerCount);
  return {
    source: formatIpv6(view.bytes, view.sourceOffset),
    destination: formatIpv6(view.bytes, view.destinationOffset),
    nextHeader: view.nextHeader,
    hopLimit: view.hopLimit,
    trafficClass: view.trafficClass,
    flowLabel: view.flowLabel,
    payloadLength: view.payloadLength,
    ...(extensions.length > 0 ? { extensions } : {}),
    protocol: walker.protocol,
    ...(walker.fragmentHeaderOffset >= 0 ? { fragment: { identification, fragmentOffset, moreFragments } } : {}),
  };
}

/** The kinds of the first `count` extension headers, which a walk has checked. */
function extensionProtocols(view: Ipv6View, count: number): number[] {
  const protocols: number[] = [];
  let protocol = view.nextHeader;
  let at = view.payloadOffset;
  for (let i = 0; i < count; i++) {
    protocols.push(protocol);
    const length = ipv6ExtensionLen(protocol, view.bytes, at);
    protocol = u8(view.bytes, at);
    at += length;
  }
  return protocols;
}

function quoteReader(reading: IpReading): Pick<IpReading, 'summarizeQuoted'> {
  return reading.summarizeQuoted === undefined ? {} : { summarizeQuoted: reading.summarizeQuoted };
}
