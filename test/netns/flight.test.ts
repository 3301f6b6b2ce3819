/** Requests that travel together: in order, each with its own answer, whatever becomes of the others. */

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { Cidr, isVnicError } from '../../src/base/index.ts';
import { type Netlink, openNetlink } from '../../src/netlink/index.ts';
import { ip, ipJson } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

let netlink: Netlink | undefined;
afterEach(async () => {
  await netlink?.close();
  for (const { ifname } of ipJson<{ ifname: string }>('link')) if (ifname !== 'lo') ip(`link delete ${ifname}`);
});

const cidr = (i: number): Cidr => Cidr.parse(`10.${i >> 8}.${i & 255}.1/24`);
const codesOf = (results: readonly PromiseSettledResult<unknown>[]): (string | undefined)[] =>
  results.map((result) =>
    result.status === 'rejected' && isVnicError(result.reason) ? result.reason.code : undefined,
  );

describe('requests that are not awaited one by one', () => {
  it('are all carried out, more of them than a flight takes', async () => {
    ip('link add br0 type bridge');
    netlink = await openNetlink();
    const { addresses, links } = netlink;
    const { index } = await links.get('br0');
    await Promise.all(Array.from({ length: 1000 }, (_, i) => addresses.add(index, cidr(i))));
    const [shown] = ipJson<{ addr_info: unknown[] }>('addr show br0');
    expect(shown?.addr_info).toHaveLength(1000);
  });

  it('keep their order, and the refusal of one is that one’s alone', async () => {
    ip('link add br0 type bridge');
    netlink = await openNetlink();
    const { addresses, links } = netlink;
    const { index } = await links.get('br0');
    const results = await Promise.allSettled([
      addresses.add(index, cidr(1)),
      addresses.add(index, cidr(1)),
      addresses.remove(index, cidr(1)),
      addresses.add(index, cidr(1)),
      addresses.remove(index, cidr(2)),
      links.get(index),
      links.get(index + 1000),
      links.set(index, { up: true }),
    ]);
    expect(codesOf(results)).toEqual([
      ...[undefined, 'VNIC_ADDRESS_EXISTS', undefined, undefined, 'VNIC_NO_SUCH_ADDRESS'],
      ...[undefined, 'VNIC_NO_SUCH_INTERFACE', undefined],
    ]);
  });

  it('have whole answers when many ask at once, also beside dumps', async () => {
    for (let i = 0; i < 20; i++) ip(`link add br${i} type bridge`);
    netlink = await openNetlink();
    const { links } = netlink;
    const names = Array.from({ length: 400 }, (_, i) => `br${i % 20}`);
    const [all, ...each] = await Promise.all([links.list(), ...names.map((name) => links.get(name)), links.list()]);
    expect(all).toHaveLength(21);
    expect(each.slice(0, -1).map((link) => (Array.isArray(link) ? '' : link.name))).toEqual(names);
    expect(each.at(-1)).toHaveLength(21);
  });

  it('are not begun once they are given up', async () => {
    ip('link add br0 type bridge');
    netlink = await openNetlink();
    const { addresses, links } = netlink;
    const { index } = await links.get('br0');
    const abort = new AbortController();
    const pending = Promise.allSettled([
      addresses.add(index, cidr(1)),
      addresses.add(index, cidr(2), { signal: abort.signal }),
      addresses.add(index, cidr(3)),
    ]);
    abort.abort();
    expect(codesOf(await pending)).toEqual([undefined, 'VNIC_ABORTED', undefined]);
    expect((await addresses.list({ link: index })).map((info) => info.cidr.toString())).toEqual([
      ...['10.0.1.1/24', '10.0.3.1/24'],
    ]);
  });

  it('end together when the socket is closed', async () => {
    netlink = await openNetlink();
    const { links } = netlink;
    const pending = Promise.allSettled([links.get('lo'), links.list(), links.get('lo')]);
    await netlink.close();
    expect(codesOf(await pending)).toEqual(['VNIC_LINK_CLOSED', 'VNIC_LINK_CLOSED', 'VNIC_LINK_CLOSED']);
  });
});
