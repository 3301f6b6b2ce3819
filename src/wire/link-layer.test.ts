/** Ethernet, VLAN and ARP: known bytes, cuts, lying lengths. Round trips: `round-trip.test.ts`. */

import { expect, test } from 'vitest';
import { IpAddress, isVnicError, MacAddress } from '../base/index.ts';
import { ArpView, arpReply, arpRequest, emitArp, parseArp } from './arp.ts';
import { EthernetView, emitEthernet, padEthernet, parseEthernet } from './ethernet.ts';
import { EtherType } from './protocol-numbers.ts';
import { maxVlanTags, parseVlan, VlanStack } from './vlan.ts';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

/** An ARP request and its reply as Linux 6.18 sent them over a veth pair. */
const request = bytesOf(
  'ffffffffffff 425e02af6064 0806 0001 0800 06 04 0001 425e02af6064 0a000001 000000000000 0a000002',
);
const reply = bytesOf(
  '425e02af6064 f2cb64b917b0 0806 0001 0800 06 04 0002 f2cb64b917b0 0a000002 425e02af6064 0a000001',
);

const requester = { mac: MacAddress.parse('42:5e:02:af:60:64'), address: IpAddress.parse('10.0.0.1') };
const answerer = MacAddress.parse('f2:cb:64:b9:17:b0');

test("the kernel's ARP request reads as its fields", () => {
  expect(parseEthernet(request)).toEqual({
    destination: MacAddress.parse('ff:ff:ff:ff:ff:ff'),
    source: requester.mac,
    etherType: EtherType.arp,
  });
  expect(parseArp(request.subarray(14))).toEqual(arpRequest(requester, IpAddress.parse('10.0.0.2')));
});

test("our reply to the kernel's request is the kernel's own, octet by octet", () => {
  const fields = parseArp(request.subarray(14));
  if (typeof fields === 'string') throw new TypeError(fields);
  const out = new Uint8Array(42);
  emitEthernet({ destination: requester.mac, source: answerer, etherType: EtherType.arp }, out, 0);
  expect(emitArp(arpReply(fields, answerer), out, 14)).toBe(28);
  expect(out).toEqual(reply);
});

test('a probe has no sender address, an announcement has its own as target (RFC 5227)', () => {
  const out = new Uint8Array(28);
  emitArp(arpRequest({ ...requester, address: IpAddress.parse('0.0.0.0') }, requester.address), out, 0);
  const view = ArpView.from(out);
  if (typeof view === 'string') throw new TypeError(view);
  expect([view.isProbe, view.isAnnouncement]).toEqual([true, false]);
  emitArp(arpRequest(requester, requester.address), out, 0);
  expect([view.isProbe, view.isAnnouncement]).toEqual([false, true]);
});

test('every cut of an ARP frame is truncated', () => {
  for (let length = 0; length < 14; length++) expect(parseEthernet(request.subarray(0, length))).toBe('truncated');
  for (let length = 14; length < 42; length++) expect(parseArp(request.subarray(14, length))).toBe('truncated');
});

test.each([
  [0, 'bad-hardware-type'],
  [2, 'bad-protocol-type'],
  [4, 'bad-address-length'],
  [5, 'bad-address-length'],
])('an ARP packet with octet %i changed is %s', (offset, reason) => {
  const bytes = request.slice(14);
  bytes[offset] = 7;
  expect(parseArp(bytes)).toBe(reason);
});

test('padding stays outside an ARP packet and inside an Ethernet II payload', () => {
  const padded = new Uint8Array(64).fill(0xee);
  padded.set(request);
  expect(padEthernet(padded, 0, 42)).toBe(60);
  expect([...padded.subarray(42, 60)]).toEqual(new Array(18).fill(0));
  const frame = EthernetView.from(padded.subarray(0, 60));
  const arp = ArpView.from(padded.subarray(14, 60));
  expect(typeof frame === 'string' ? frame : frame.payloadLen).toBe(46);
  expect(typeof arp === 'string' ? arp : arp.end).toBe(28);
});

test('an 802.3 length cuts the padding, and a length that lies is a reason', () => {
  const out = new Uint8Array(60);
  const header = { destination: answerer, source: requester.mac };
  emitEthernet({ ...header, etherType: 38 }, out, 0);
  const view = EthernetView.from(out);
  expect(typeof view === 'string' ? view : [view.hasLengthField, view.payloadLen]).toEqual([true, 38]);
  emitEthernet({ ...header, etherType: 47 }, out, 0);
  expect(parseEthernet(out)).toBe('truncated');
  emitEthernet({ ...header, etherType: 1501 }, out, 0);
  expect(parseEthernet(out)).toBe('bad-length');
});

test('swapping addresses in place turns a frame round', () => {
  const bytes = reply.slice();
  const view = EthernetView.from(bytes);
  if (typeof view === 'string') throw new TypeError(view);
  view.swapAddresses();
  expect([view.source, view.destination]).toEqual([requester.mac, answerer]);
  view.setSource(answerer.bytes);
  view.setDestination(requester.mac.bytes);
  expect(bytes).toEqual(reply);
  view.swapAddresses();
  expect([view.isFor(answerer.bytes), view.isFor(requester.mac.bytes), view.isBroadcast]).toEqual([true, false, false]);
});

test('a tag reads as priority 5, drop eligible, VLAN 100 (IEEE 802.1Q clause 9.6)', () => {
  expect(parseVlan(bytesOf('b064 0800'))).toEqual({ priority: 5, dropEligible: true, vlanId: 100, etherType: 0x0800 });
  for (let length = 0; length < 4; length++)
    expect(parseVlan(bytesOf('b0640800').subarray(0, length))).toBe('truncated');
});

test('stacked tags are walked up to the limit', () => {
  const stack = new VlanStack();
  const tags = (count: number): Uint8Array => bytesOf(`${'00058100'.repeat(count - 1)}00070800`);
  expect(stack.walk(tags(maxVlanTags), EtherType.serviceVlan, 0, maxVlanTags * 4)).toBeUndefined();
  expect([stack.tagCount, stack.etherType, stack.payloadOffset, stack.vlanId]).toEqual([8, 0x0800, 32, 5]);
  expect(stack.walk(tags(maxVlanTags + 1), EtherType.vlan, 0, 36)).toBe('too-many-headers');
  expect(stack.walk(tags(2), EtherType.vlan, 0, 7)).toBe('truncated');
  expect(stack.walk(tags(2), EtherType.ipv4, 0, 8)).toBeUndefined();
  expect(stack.tagCount).toBe(0);
});

test('what the caller got wrong is thrown', () => {
  const fields = { destination: answerer, source: requester.mac, etherType: 0x1_0000 };
  expect(() => emitEthernet(fields, new Uint8Array(14), 0)).toThrow(/etherType/);
  try {
    emitEthernet({ ...fields, etherType: 0x0800 }, new Uint8Array(13), 0);
    expect.unreachable();
  } catch (error) {
    expect(isVnicError(error, 'VNIC_INVALID_ARGUMENT')).toBe(true);
  }
});
