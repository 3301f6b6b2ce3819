/**
 * What a link leaves to its driver, such as segmentation: what `ethtool -k` shows and `ethtool -K` sets.
 * Source: `include/uapi/linux/ethtool_netlink.h`, Linux 5.8 and later; the features have the names of
 * `net/ethtool/common.c`, since their numbers differ between kernels.
 */

import type { NetnsOptions } from '../netns/index.ts';
import { EthtoolBit, EthtoolBitset, EthtoolFeatures, EthtoolHeader, EthtoolMsg } from './constants.ts';
import { genericRequestSync } from './generic.ts';
import { checkLinkSelector, describeLink, type LinkSelector } from './interface-name.ts';
import { type Attributes, type MessageBuilder, parseAttributes } from './message.ts';

const FAMILY = 'ethtool';

/** Names of features, such as `tx-tcp-segmentation`. */
export interface LinkFeatures {
  /** In force. */
  readonly active: ReadonlySet<string>;
  /** Asked for by the driver's user or by `ethtool -K`; in force unless the driver or another feature forbids. */
  readonly wanted: ReadonlySet<string>;
}

/**
 * Reads the features of a link at once, on a socket of its own. Needs no privilege.
 * @throws VNIC_NO_SUCH_INTERFACE, VNIC_UNSUPPORTED before Linux 5.8, VNIC_NETLINK, VNIC_SYSTEM_CALL,
 *   and what is wrong with the selector
 */
export function readFeaturesSync(link: LinkSelector, options: NetnsOptions = {}): LinkFeatures {
  const attempted = `read the features of ${describeLink(link)}`;
  checkLinkSelector(link, attempted);
  let active: ReadonlySet<string> = new Set();
  let wanted: ReadonlySet<string> = new Set();
  genericRequestSync(
    {
      subject: 'link',
      attempted,
      call: 'ETHTOOL_MSG_FEATURES_GET',
      family: FAMILY,
      command: EthtoolMsg.FEATURES_GET,
      fill: (builder) => putHeader(builder, link),
      onAnswer: (attributes) => {
        active = parseBitset(attributes.nested(EthtoolFeatures.ACTIVE));
        wanted = parseBitset(attributes.nested(EthtoolFeatures.WANTED));
      },
    },
    options,
  );
  return { active, wanted };
}

/**
 * Changes which features are wanted, at once; those that are not named stay. What the driver does not give is
 * wanted all the same.
 * @throws VNIC_NO_PRIVILEGE, and what `readFeaturesSync` throws
 */
export function wantFeaturesSync(
  link: LinkSelector,
  wanted: ReadonlyMap<string, boolean>,
  options: NetnsOptions = {},
): void {
  const attempted = `set ${[...wanted].map(([name, on]) => `${name} ${on ? 'on' : 'off'}`).join(', ')} of ${describeLink(link)}`;
  checkLinkSelector(link, attempted);
  genericRequestSync(
    {
      subject: 'link',
      attempted,
      call: 'ETHTOOL_MSG_FEATURES_SET',
      family: FAMILY,
      command: EthtoolMsg.FEATURES_SET,
      fill: (builder) => {
        putHeader(builder, link);
        builder.nested(EthtoolFeatures.WANTED, (set) => putBitset(set, wanted));
      },
    },
    options,
  );
}

function putHeader(builder: MessageBuilder, link: LinkSelector): void {
  builder.nested(EthtoolFeatures.HEADER, (header) => {
    if (typeof link === 'number') header.u32(EthtoolHeader.DEV_INDEX, link);
    else header.text(EthtoolHeader.DEV_NAME, link);
  });
}

/** A mask and its values: a bit that is listed is set or, without `VALUE`, cleared. */
function putBitset(builder: MessageBuilder, bits: ReadonlyMap<string, boolean>): void {
  builder.nested(EthtoolBitset.BITS, (list) => {
    for (const [name, on] of bits) {
      list.nested(EthtoolBitset.BITS_BIT, (bit) => {
        bit.text(EthtoolBit.NAME, name);
        if (on) bit.bytes(EthtoolBit.VALUE, new Uint8Array(0));
      });
    }
  });
}

/** A list of the bits that are set, or of all in the mask with the values of those that are. */
export function parseBitset(set: Attributes | undefined): ReadonlySet<string> {
  const names = new Set<string>();
  const isList = set?.has(EthtoolBitset.NOMASK) ?? false;
  for (const value of set?.nested(EthtoolBitset.BITS)?.all(EthtoolBitset.BITS_BIT) ?? []) {
    const bit = parseAttributes(value);
    if (typeof bit === 'string') continue;
    const name = bit.text(EthtoolBit.NAME);
    if (name !== undefined && name !== '' && (isList || bit.has(EthtoolBit.VALUE))) names.add(name);
  }
  return names;
}
