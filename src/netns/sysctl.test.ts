import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { settingSysctls } from './interface-settings.ts';
import { openNetworkNamespace } from './namespace.ts';
import { interfaceSysctl, readSysctl } from './sysctl.ts';

describe('settings', () => {
  it('of an interface become keys and values, names with dots included', () => {
    const change = { ipv4: { proxyArp: true, rpFilter: 2 }, ipv6: { disableIpv6: false } } as const;
    expect(settingSysctls('eth0.7', change)).toEqual([
      ['net/ipv4/conf/eth0.7/proxy_arp', '1'],
      ['net/ipv4/conf/eth0.7/rp_filter', '2'],
      ['net/ipv6/conf/eth0.7/disable_ipv6', '0'],
    ]);
    expect(settingSysctls('eth0', {})).toEqual([]);
  });

  it('are read by dots and by slashes, without the final newline', () => {
    const value = readSysctl('kernel.ostype');
    expect([value, readSysctl('kernel/ostype')]).toEqual(['Linux', 'Linux']);
    expect(readSysctl(interfaceSysctl('ipv4', 'no-such-interface', 'forwarding'))).toBeUndefined();
  });

  it.each(['', 'net', '.net', 'net..ipv4', 'net/../../etc/passwd', 'net.ipv4/..', 'net/ipv4/\0'])(
    'refuse %j as a key',
    (key) => {
      expect(codeOf(() => readSysctl(key))).toBe('VNIC_INVALID_ARGUMENT');
    },
  );
});

describe('a handle of the own namespace', () => {
  it('needs no privilege, is closed once, and gives nothing afterwards', async () => {
    const own = openNetworkNamespace('/proc/thread-self/ns/net');
    expect([own.isCurrent, own.closed, own.label]).toEqual([true, false, 'namespace "/proc/thread-self/ns/net"']);
    const second = openNetworkNamespace(own);
    await own.close();
    await own.close();
    expect([own.closed, second.closed, second.inode]).toEqual([true, false, own.inode]);
    expect(codeOf(() => own.socket(16, 3, 0))).toBe('VNIC_LINK_CLOSED');
    second.closeSync();
  });
});

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (isVnicError(error)) return error.code;
    throw error;
  }
  return undefined;
}
