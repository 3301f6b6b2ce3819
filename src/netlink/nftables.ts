/**
 * nftables on the wire, as far as masquerading needs it: `include/uapi/linux/netfilter/nfnetlink.h`, `nf_tables.h`.
 * Integers in attributes are in network order, unlike those of rtnetlink.
 *
 *   struct nfgenmsg   0 family u8 | 1 version u8, 0 | 2 resource u16, network order
 *
 * A rule is a list of expressions that work on registers: load, mask, compare; the first comparison that fails ends it.
 */

import type { IpFamily } from '../base/index.ts';
import { Attributes, MessageBuilder, type MessageFault, parseAttributes, parseBody } from './message.ts';

const NFGENMSG_LEN = 4;
/** `enum nft_registers`: 16 bytes. */
const NFT_REG_1 = 1;
/** `enum nft_payload_bases` */
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const IFNAMSIZ = 16;

export const NFNL_SUBSYS_NFTABLES: number = 10;
/** Types of `nfnetlink.h` and, with `NFNL_SUBSYS_NFTABLES` in their upper byte, of `enum nf_tables_msg_types`. */
export const NftMsg = {
  BATCH_BEGIN: 0x010,
  BATCH_END: 0x011,
  NEWTABLE: 0xa00,
  DELTABLE: 0xa02,
  NEWCHAIN: 0xa03,
  NEWRULE: 0xa06,
  GETRULE: 0xa07,
  DELRULE: 0xa08,
  GETGEN: 0xa10,
} as const;

/** `linux/netfilter.h`: the family of tables that see IPv4 and IPv6. Linux 5.2 for NAT. */
export const NFPROTO_INET: number = 1;
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;

export const NftaTable = { NAME: 1 } as const;
export const NftaChain = { TABLE: 1, NAME: 3, HOOK: 4, TYPE: 7 } as const;
export const NftaHook = { HOOKNUM: 1, PRIORITY: 2 } as const;
export const NftaRule = { TABLE: 1, CHAIN: 2, HANDLE: 3, EXPRESSIONS: 4 } as const;
export const NFTA_GEN_ID: number = 1;
export const NFNL_BATCH_GENID: number = 1;

const NFTA_LIST_ELEM = 1;
const NftaExpr = { NAME: 1, DATA: 2 } as const;
const NftaMeta = { DREG: 1, KEY: 2 } as const;
const NftMeta = { OIFNAME: 7, NFPROTO: 15 } as const;
const NftaCmp = { SREG: 1, OP: 2, DATA: 3 } as const;
const NftCmp = { EQ: 0, NEQ: 1 } as const;
const NftaPayload = { DREG: 1, BASE: 2, OFFSET: 3, LEN: 4 } as const;
const NftaBitwise = { SREG: 1, DREG: 2, LEN: 3, MASK: 4, XOR: 5 } as const;
const NftaCounter = { BYTES: 1, PACKETS: 2 } as const;
const NFTA_DATA_VALUE = 1;

/** What the expressions of a masquerading rule say. */
export interface MasqueradeMatch {
  readonly family: IpFamily;
  /** The prefix of the source; bits behind it are 0. */
  readonly source: { readonly bytes: Uint8Array; readonly prefixLen: number };
  readonly oifname: { readonly name: string; readonly equal: boolean } | undefined;
}

/** A rule as it was read. */
export interface MasqueradeRule extends MasqueradeMatch {
  readonly handle: bigint;
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** A message with its header of the subsystem. */
export function nftMessage(type: number, flags: number, family: number, resource = 0): MessageBuilder {
  return new MessageBuilder(type, flags).fixed(NFGENMSG_LEN, (view) => {
    view.setUint8(0, family);
    view.setUint16(2, resource);
  });
}

/** Attributes of an answer. */
export function parseNft(body: Uint8Array): Attributes | MessageFault {
  const parsed = parseBody(body, NFGENMSG_LEN);
  return typeof parsed === 'string' ? parsed : parsed.attributes;
}

/** 32 bits in network order. */
export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value);
  return bytes;
}

/** 64 bits in network order. */
export function be64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** Reads 32 bits in network order. */
export function readBe32(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.length < 4 ? undefined : viewOf(bytes).getUint32(0);
}

/** Appends the expressions: family, source, interface, counter, masquerade. */
export function putMasquerade(builder: MessageBuilder, match: MasqueradeMatch): MessageBuilder {
  return builder.nested(NftaRule.EXPRESSIONS, (list) => {
    putExpression(list, 'meta', (data) => putMeta(data, NftMeta.NFPROTO));
    putCompare(list, NftCmp.EQ, Uint8Array.of(match.family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6));
    putSource(list, match);
    if (match.oifname !== undefined) {
      const name = new Uint8Array(IFNAMSIZ);
      name.set(new TextEncoder().encode(match.oifname.name));
      putExpression(list, 'meta', (data) => putMeta(data, NftMeta.OIFNAME));
      putCompare(list, match.oifname.equal ? NftCmp.EQ : NftCmp.NEQ, name);
    }
    putExpression(list, 'counter', (data) =>
      data.bytes(NftaCounter.BYTES, be64(0n)).bytes(NftaCounter.PACKETS, be64(0n)),
    );
    putExpression(list, 'masq', () => undefined);
  });
}

/** Reads a rule; undefined for one that is not made as `putMasquerade` does it. */
export function parseMasquerade(body: Uint8Array): MasqueradeRule | undefined | MessageFault {
  const attributes = parseNft(body);
  if (typeof attributes === 'string') return attributes;
  const handle = attributes.bytes(NftaRule.HANDLE);
  const reader = new ExpressionReader();
  for (const expression of attributes.nested(NftaRule.EXPRESSIONS)?.all(NFTA_LIST_ELEM) ?? []) {
    const parts = parseAttributes(expression);
    if (typeof parts === 'string') return parts;
    if (!reader.take(parts.text(NftaExpr.NAME) ?? '', parts.nested(NftaExpr.DATA) ?? new Attributes()))
      return undefined;
  }
  const match = reader.result();
  return match === undefined || handle?.length !== 8 ? undefined : { ...match, handle: viewOf(handle).getBigUint64(0) };
}

/** Bytes 12 to 15 of an IPv4 header (RFC 791), 8 to 23 of an IPv6 header (RFC 8200). */
function putSource(list: MessageBuilder, { family, source }: MasqueradeMatch): void {
  const { bytes, prefixLen } = source;
  if (prefixLen === 0) return;
  const len = bytes.length;
  putExpression(list, 'payload', (data) => {
    data
      .bytes(NftaPayload.DREG, be32(NFT_REG_1))
      .bytes(NftaPayload.BASE, be32(NFT_PAYLOAD_NETWORK_HEADER))
      .bytes(NftaPayload.OFFSET, be32(family === 4 ? 12 : 8))
      .bytes(NftaPayload.LEN, be32(len));
  });
  if (prefixLen < len * 8) {
    putExpression(list, 'bitwise', (data) => {
      data
        .bytes(NftaBitwise.SREG, be32(NFT_REG_1))
        .bytes(NftaBitwise.DREG, be32(NFT_REG_1))
        .bytes(NftaBitwise.LEN, be32(len))
        .nested(NftaBitwise.MASK, (mask) => mask.bytes(NFTA_DATA_VALUE, maskOf(prefixLen, len)))
        .nested(NftaBitwise.XOR, (xor) => xor.bytes(NFTA_DATA_VALUE, new Uint8Array(len)));
    });
  }
  putCompare(list, NftCmp.EQ, bytes);
}

function putExpression(list: MessageBuilder, name: string, fill: (data: MessageBuilder) => void): void {
  list.nested(NFTA_LIST_ELEM, (element) => element.text(NftaExpr.NAME, name).nested(NftaExpr.DATA, fill));
}

function putMeta(data: MessageBuilder, key: number): void {
  data.bytes(NftaMeta.DREG, be32(NFT_REG_1)).bytes(NftaMeta.KEY, be32(key));
}

function putCompare(list: MessageBuilder, op: number, value: Uint8Array): void {
  putExpression(list, 'cmp', (data) => {
    data
      .bytes(NftaCmp.SREG, be32(NFT_REG_1))
      .bytes(NftaCmp.OP, be32(op))
      .nested(NftaCmp.DATA, (nested) => nested.bytes(NFTA_DATA_VALUE, value));
  });
}

/** Follows what is in the register from expression to expression. */
class ExpressionReader {
  #register: 'nothing' | 'family' | 'source' | 'oifname' = 'nothing';
  #family: IpFamily | undefined;
  #source: Uint8Array | undefined;
  #prefixLen: number | undefined;
  #oifname: MasqueradeMatch['oifname'];
  #packets = 0n;
  #bytes = 0n;
  #masquerades = false;

  /** False for an expression that a masquerading rule of ours has not. */
  take(name: string, data: Attributes): boolean {
    switch (name) {
      case 'meta':
        return this.#load(readBe32(data.bytes(NftaMeta.KEY)));
      case 'payload':
        this.#register = 'source';
        return readBe32(data.bytes(NftaPayload.OFFSET)) === (this.#family === 4 ? 12 : 8);
      case 'bitwise':
        this.#prefixLen = prefixLenOf(data.nested(NftaBitwise.MASK)?.bytes(NFTA_DATA_VALUE));
        return this.#prefixLen !== undefined;
      case 'cmp':
        return this.#compare(readBe32(data.bytes(NftaCmp.OP)), data.nested(NftaCmp.DATA)?.bytes(NFTA_DATA_VALUE));
      case 'counter':
        this.#packets = readBe64(data.bytes(NftaCounter.PACKETS));
        this.#bytes = readBe64(data.bytes(NftaCounter.BYTES));
        return true;
      case 'masq':
        this.#masquerades = true;
        return data.size === 0;
      default:
        return false;
    }
  }

  result(): Omit<MasqueradeRule, 'handle'> | undefined {
    const family = this.#family;
    if (family === undefined || !this.#masquerades) return undefined;
    const bytes = this.#source ?? new Uint8Array(family === 4 ? 4 : 16);
    const prefixLen = this.#source === undefined ? 0 : (this.#prefixLen ?? bytes.length * 8);
    const counters = { packets: this.#packets, bytes: this.#bytes };
    return { family, source: { bytes, prefixLen }, oifname: this.#oifname, ...counters };
  }

  #load(key: number | undefined): boolean {
    this.#register = key === NftMeta.NFPROTO ? 'family' : key === NftMeta.OIFNAME ? 'oifname' : 'nothing';
    return this.#register !== 'nothing';
  }

  #compare(op: number | undefined, value: Uint8Array | undefined): boolean {
    if (value === undefined) return false;
    if (this.#register === 'oifname') {
      const end = value.indexOf(0);
      const name = new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
      this.#oifname = { name, equal: op === NftCmp.EQ };
      return true;
    }
    if (op !== NftCmp.EQ) return false;
    if (this.#register === 'source') {
      this.#source = value.slice();
      return value.length === (this.#family === 4 ? 4 : 16);
    }
    this.#family = value[0] === NFPROTO_IPV4 ? 4 : value[0] === NFPROTO_IPV6 ? 6 : undefined;
    return this.#family !== undefined;
  }
}

function maskOf(prefixLen: number, len: number): Uint8Array {
  return Uint8Array.from({ length: len }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, prefixLen - i * 8))) & 0xff);
}

/** Undefined for a mask that is not a run of ones from the left. */
function prefixLenOf(mask: Uint8Array | undefined): number | undefined {
  if (mask === undefined) return undefined;
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const prefixLen = bits.lastIndexOf('1') + 1;
  return bits.slice(0, prefixLen).includes('0') ? undefined : prefixLen;
}

function readBe64(bytes: Uint8Array | undefined): bigint {
  return bytes === undefined || bytes.length < 8 ? 0n : viewOf(bytes).getBigUint64(0);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
