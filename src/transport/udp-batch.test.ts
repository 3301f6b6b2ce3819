import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { UdpBatch } from './udp-batch.ts';
import { UdpEndpointTable } from './udp-endpoints.ts';

describe('a batch of datagrams', () => {
  it('keeps endpoint, traffic class and emptiness apart', () => {
    const batch = new UdpBatch({ capacity: 4, bytesLen: 100 });
    expect(batch.append(Uint8Array.of(1, 2), 65_535, 0xff)).toBe(true);
    expect(batch.append(new Uint8Array(0), 3, 0xb9)).toBe(true);
    batch.setEndpoint(0, 7);
    batch.setTrafficClass(1, 0x2e);
    expect([0, 1].map((i) => [batch.endpoint(i), batch.trafficClass(i), batch.ecn(i), batch.isEmpty(i)])).toEqual([
      [7, 0xff, 3, false],
      [3, 0x2e, 2, true],
    ]);
  });

  it('tells an empty datagram from a dropped one', () => {
    const batch = new UdpBatch({ capacity: 4, bytesLen: 100 });
    for (const length of [0, 3, 0, 2]) batch.append(new Uint8Array(length));
    batch.drop(1);
    batch.drop(2);
    expect([...batch].map((datagram) => datagram.length)).toEqual([0, 2]);
    expect([0, 1, 2, 3].map((i) => batch.isEmpty(i))).toEqual([true, false, false, false]);
  });

  it('forgets its own endpoints with its datagrams, and keeps those of others', () => {
    const endpoints = new UdpEndpointTable(4);
    const own = new UdpBatch({ capacity: 4 });
    const shared = new UdpBatch({ capacity: 4, endpoints });
    for (const batch of [own, shared]) {
      expect(batch.endpoints.add({ address: '10.0.0.1', port: 1 })).toBe(1);
      batch.clear();
    }
    expect([own.endpoints.count, shared.endpoints.count]).toEqual([1, 2]);
  });
});

describe('a table of endpoints', () => {
  it.each([
    { address: '10.0.0.1', port: 53 },
    { address: '2001:db8::1', port: 65_535 },
    { address: 'fe80::1', port: 1, scopeId: 7 },
  ])('gives back what was added: $address', ({ address, ...rest }) => {
    const table = new UdpEndpointTable(3);
    const from = address.includes(':') ? 'fd00::9' : '10.0.0.9';
    const index = table.add({ address, ...rest }, { from, ifindex: 4 });
    const path = table.get(index);
    expect({ ...path?.remote, address: `${path?.remote.address}` }).toEqual({ address, ...rest });
    expect([`${path?.local}`, path?.ifindex, table.port(index)]).toEqual([from, 4, rest.port]);
  });

  it('is full at its capacity, of which the first record is the connected peer', () => {
    const table = new UdpEndpointTable(2);
    expect(table.get(0)).toBeUndefined();
    expect(table.add({ address: '10.0.0.1', port: 1 })).toBe(1);
    expect(table.add({ address: '10.0.0.2', port: 1 })).toBe(-1);
  });

  it('copies and compares records without their source', () => {
    const received = new UdpEndpointTable(3);
    const peers = new UdpEndpointTable(3);
    received.add({ address: '10.0.0.1', port: 1 }, { from: '10.0.0.9' });
    received.add({ address: '10.0.0.1', port: 2 });
    peers.add({ address: '10.0.0.1', port: 1 });
    expect(peers.sameRemote(1, received, 1)).toBe(true);
    expect(peers.sameRemote(1, received, 2)).toBe(false);
    peers.copy(2, received, 1);
    expect([peers.count, `${peers.get(2)?.local}`]).toEqual([3, '10.0.0.9']);
  });

  it.each<[string, (table: UdpEndpointTable) => unknown]>([
    ['a port out of range', (table) => table.add({ address: '10.0.0.1', port: -1 })],
    ['a source of the other family', (table) => table.add({ address: '10.0.0.1', port: 1 }, { from: '::1' })],
    ['the record of the peer', (table) => table.set(0, { address: '10.0.0.1', port: 1 })],
    ['a capacity of 0', () => new UdpEndpointTable(0)],
  ])('refuses %s', (_, run) => {
    try {
      run(new UdpEndpointTable(4));
      expect.unreachable();
    } catch (error) {
      expect(isVnicError(error, 'VNIC_INVALID_ARGUMENT')).toBe(true);
    }
  });
});
