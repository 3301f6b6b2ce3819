import { describe, expect, it } from 'vitest';

import { Iff, TunIoctl } from './constants.ts';
import { emitInt, emitInterfaceRequest, parseInt32, parseInterfaceRequest } from './interface-request.ts';

describe('emitInterfaceRequest', () => {
  it('lays out 16 bytes of name and then the flags in host order', () => {
    const request = emitInterfaceRequest('tun0', Iff.tun | Iff.noPi);
    expect(request.length).toBe(40);
    expect(Buffer.from(request.subarray(0, 16)).toString('latin1')).toBe(`tun0${'\0'.repeat(12)}`);
    expect(new Uint16Array(request.slice(16, 18).buffer)[0]).toBe(0x1001);
  });

  it('keeps the last byte of the name zero, as the kernel does', () => {
    expect(emitInterfaceRequest('a'.repeat(40), 0)[15]).toBe(0);
  });

  it('is read back by parseInterfaceRequest', () => {
    for (const name of ['', 'a', 'a23456789012345', 'größe']) {
      expect(parseInterfaceRequest(emitInterfaceRequest(name, Iff.tap | Iff.vnetHdr))).toEqual({ name, flags: 0x4002 });
    }
  });
});

describe('emitInt', () => {
  it('is read back with its sign', () => {
    expect([parseInt32(emitInt(-1)), parseInt32(emitInt(12))]).toEqual([-1, 12]);
  });
});

describe('TunIoctl', () => {
  it('has the numbers that a C program gets from linux/if_tun.h', () => {
    expect(TunIoctl).toEqual({
      setDebug: 0x400454c9,
      setIff: 0x400454ca,
      setPersist: 0x400454cb,
      setOwner: 0x400454cc,
      setLink: 0x400454cd,
      setGroup: 0x400454ce,
      getFeatures: 0x800454cf,
      setOffload: 0x400454d0,
      setTxFilter: 0x400454d1,
      getIff: 0x800454d2,
      getSndBuf: 0x800454d3,
      setSndBuf: 0x400454d4,
      detachFilter: 0x401054d6,
      getVnetHdrSz: 0x800454d7,
      setVnetHdrSz: 0x400454d8,
      setQueue: 0x400454d9,
      setIfIndex: 0x400454da,
      setVnetLe: 0x400454dc,
      getVnetLe: 0x800454dd,
      setVnetBe: 0x400454de,
      getVnetBe: 0x800454df,
      setSteeringBpf: 0x800454e0,
      setFilterBpf: 0x800454e1,
      setCarrier: 0x400454e2,
      getDevNetns: 0x54e3,
    });
  });
});
