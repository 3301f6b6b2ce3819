/** What can be said of the values of an end before anything is opened, so that a file is found wrong when it is read. */

import { Cidr, isVnicError, MacAddress } from '../base/index.ts';
import { framings } from '../framing/index.ts';
import { parseDeviceRoute } from '../netdev/index.ts';
import { checkInterfaceName } from '../netlink/index.ts';
import { endKinds } from './end-kinds.ts';
import { type EndSpec, mistake, readEach, readOption } from './end-spec.ts';
import { MAX_MTU, MIN_MTU, readMtu, wholeNumber } from './option-values.ts';

/** By the name of an option; one that is not here is looked at when the end is opened. */
const optionChecks: Readonly<Record<string, (spec: EndSpec) => void>> = {
  address: (spec) => void readEach(spec, 'address', 'an address with its prefix length', hostCidr),
  route: (spec) => void readEach(spec, 'route', 'a prefix', (text) => parseDeviceRoute(text)),
  also: (spec) => void readEach(spec, 'also', 'an address or a subnet', (text) => Cidr.parse(text)),
  mac: (spec) => void readOption(spec, 'mac', 'a MAC address', (text) => MacAddress.parse(text)),
  mtu: (spec) => void readMtu(spec),
  port: (spec) => void readOption(spec, 'port', 'a port', (text) => wholeNumber(text, 1, 0xffff)),
  offload: (spec) => void readOption(spec, 'offload', 'on or off', (text) => oneOf(text, ['on', 'off'])),
  medium: (spec) => void readOption(spec, 'medium', 'ip or ethernet', (text) => oneOf(text, ['ip', 'ethernet'])),
  framing: (spec) => {
    const names = Object.keys(framings);
    readOption(spec, 'framing', `one of ${names.join(', ')}`, (text) => oneOf(text, names));
  },
  bridge: (spec) => void readOption(spec, 'bridge', 'the name of a bridge', interfaceName),
};

/**
 * Looks at the name and the options of an end.
 * @throws VNIC_INVALID_END with the place of the mistake
 */
export function checkEnd(spec: EndSpec): void {
  const { kind, where, text } = spec;
  const isDevice = kind === 'tun' || kind === 'tap';
  if (isDevice && where !== '') checkWhere(spec, () => checkInterfaceName(where.replace(/%d$/, '0'), 'read the name'));
  if (kind === 'echo') checkWhere(spec, () => Cidr.parse(where));
  for (const name of spec.options.keys()) optionChecks[name]?.(spec);
  const mtu = readMtu(spec);
  const ipv6 = spec.options.get('address')?.find((address) => address.includes(':'));
  if (isDevice && mtu !== undefined && mtu < MIN_IPV6_MTU && ipv6 !== undefined) {
    throw mistake(text, text.indexOf('mtu='), `mtu=${mtu}`.length, `the IPv6 address ${ipv6} needs at least 1280`, {
      hint: `Give mtu= ${MIN_IPV6_MTU} to ${MAX_MTU}; ${MIN_MTU} will do for IPv4 alone.`,
    });
  }
}

/** RFC 8200 section 5. */
const MIN_IPV6_MTU = 1280;

function checkWhere(spec: EndSpec, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!isVnicError(error)) throw error;
    throw mistake(spec.text, spec.kind.length + 1, spec.where.length, error.reason, {
      hint: `For example ${endKinds[spec.kind].example}.`,
    });
  }
}

function hostCidr(text: string): Cidr | undefined {
  return text.includes('/') ? Cidr.parse(text) : undefined;
}

function interfaceName(text: string): string {
  checkInterfaceName(text, 'read the name');
  return text;
}

function oneOf(text: string, words: readonly string[]): string | undefined {
  return words.find((word) => word === text);
}
