import { describe, expect, it } from 'vitest';

import { type CarrierShape, innerMtu, layersOf, outerMtu, overheadLen, tcpMss } from './index.ts';

const lens = (shape: CarrierShape): number[] => layersOf(shape).map(({ bytes }) => bytes);

describe('the bytes around a packet', () => {
  it.each<[CarrierShape, number[]]>([
    [{ kind: 'datagram', family: 6, medium: 'ip' }, [40, 8]],
    [{ kind: 'datagram', family: 4, medium: 'ip' }, [20, 20, 8]],
    [{ kind: 'datagram', family: 6, medium: 'ethernet' }, [40, 8, 14, 4]],
    [{ kind: 'vxlan', family: 6, medium: 'ethernet' }, [40, 8, 8, 14]],
    [{ kind: 'wireguard', family: 6, medium: 'ip' }, [40, 8, 32]],
    [{ kind: 'stream', family: 4, medium: 'ip' }, []],
  ])('%o are %o', (shape, expected) => {
    expect(lens(shape)).toEqual(expected);
    for (const { name, source } of layersOf(shape)) expect(name + source).not.toBe('');
  });

  it.each(['datagram', 'wireguard'] as const)('of %s are as many by IPv4 as by IPv6', (kind) => {
    const [four, six] = ([4, 6] as const).map((family) => overheadLen(layersOf({ kind, family, medium: 'ip' })));
    expect(four).toBe(six);
  });

  it('leave what WireGuard and VXLAN are known for', () => {
    expect(innerMtu(outerMtu(1500), layersOf({ kind: 'wireguard', family: 6, medium: 'ip' }))).toBe(1420);
    // `ip link add type vxlan` has 1450 over IPv4 and 1430 over IPv6, without room for a tag.
    expect(innerMtu(outerMtu(1500), layersOf({ kind: 'vxlan', family: 4, medium: 'ethernet' }))).toBe(1450);
    expect(innerMtu(outerMtu(1500), layersOf({ kind: 'vxlan', family: 6, medium: 'ethernet' }))).toBe(1430);
  });

  it('that leave nothing for IPv4 are refused', () => {
    const layers = layersOf({ kind: 'datagram', family: 6, medium: 'ip' });
    expect(innerMtu(outerMtu(116), layers)).toBe(68);
    expect(() => innerMtu(outerMtu(115), layers)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });

  it.each([67, 65_537, 1400.5, Number.NaN])('an MTU of %f is refused', (mtu) => {
    expect(() => outerMtu(mtu)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });

  it('of TCP leave these segments', () => {
    expect([tcpMss(1500, 4), tcpMss(1500, 6), tcpMss(30, 4)]).toEqual([1460, 1440, 0]);
  });
});
