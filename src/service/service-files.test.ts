import { describe, expect, it } from 'vitest';

import { parseConfig } from '../config/index.ts';
import { type ServiceNeeds, serviceNeeds } from './service-files.ts';
import { systemdUnit } from './systemd-unit.ts';

function needsOf(text: string): ServiceNeeds {
  const { config } = parseConfig(text);
  if (config === undefined) throw new Error(`wrong: ${text}`);
  return serviceNeeds(config);
}

const link = (end: string): string => `links: { l: { ends: [tun:t0, "${end}"] } }`;
const nothing = { sysctls: false, namespaces: false };

describe('what a file needs of a service', () => {
  it.each([
    ['devices: { tun0: { kind: tun } }', nothing],
    ['sysctls: { net.ipv4.ip_forward: 1 }', { ...nothing, sysctls: true }],
    ['namespaces: { lab: {} }', { ...nothing, namespaces: true }],
    [link('echo:10.0.0.2'), nothing],
    [link('tun:t1,netns=lab'), { ...nothing, namespaces: true }],
    [link('udp:192.0.2.1:7000'), { ...nothing, sockets: true }],
    [link('exec:ssh host'), { ...nothing, sockets: true }],
    [link('tcp-listen:443'), { ...nothing, sockets: true, lowPorts: true }],
    [link('ws-listen:8080/vnic'), { ...nothing, sockets: true }],
    [link('tls:192.0.2.1:7000'), { ...nothing, sockets: true, folders: ['/etc/vnic'] }],
    [link('unix:/run/a.sock'), { ...nothing, paths: ['/run/a.sock'] }],
    [link('unix-listen:/run/x/a.sock'), { ...nothing, paths: ['/run/x/a.sock'], folders: ['/run/x'] }],
    ['links: { l: { ends: [tap:t0, "qemu:/run/vm.sock"] } }', { ...nothing, paths: ['/run/vm.sock'] }],
    ['links: { l: { ends: [tap:t0, "if:eth1"] } }', { ...nothing, packets: true }],
    [link('serial:/dev/ttyS0@9600'), { ...nothing, paths: ['/dev/ttyS0@9600'], lines: ['/dev/ttyS0'] }],
    [link('pcap:/var/log/a.pcapng,record'), { ...nothing, paths: ['/var/log/a.pcapng'], folders: ['/var/log'] }],
    ['tunnels: { t: { connect: "a:7000" } }', { ...nothing, sockets: true, folders: ['/etc/vnic'] }],
    ['tunnels: { t: { connect: "udp:a:7000", insecure: true } }', { ...nothing, sockets: true }],
    [
      'tunnels: { t: { listen: "443", addresses: [10.9.0.1/24], masquerade: true } }',
      { sysctls: true, namespaces: false, sockets: true, lowPorts: true, folders: ['/etc/vnic'] },
    ],
  ])('of %s', (text, expected) => {
    expect(needsOf(text)).toEqual(expected);
  });
});

describe('the unit', () => {
  const unitOf = (text: string): string =>
    systemdUnit({ command: ['/usr/bin/vnic'], config: '/etc/vnic/vnic.yaml', keep: false, needs: needsOf(text) });

  it('has no sockets of IP without links that need them', () => {
    expect(unitOf('')).toContain('RestrictAddressFamilies=AF_NETLINK AF_UNIX\nIPAddressDeny=any\n');
    const unit = unitOf(link('udp:192.0.2.1:7000'));
    expect(unit).toContain('RestrictAddressFamilies=AF_NETLINK AF_UNIX AF_INET AF_INET6\n');
    expect(unit).not.toContain('IPAddressDeny');
    expect(unit).toContain('CapabilityBoundingSet=CAP_NET_ADMIN\n');
  });

  it('lets a link have an interface, and a serial line', () => {
    const unit = unitOf('links: { l: { ends: [tap:t0, "if:eth1"] }, s: { ends: [tun:t1, "serial:/dev/ttyS0"] } }');
    expect(unit).toContain('RestrictAddressFamilies=AF_NETLINK AF_UNIX AF_PACKET\n');
    expect(unit).toContain('CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW\n');
    expect(unit).toContain('DeviceAllow=/dev/ttyS0 rw\n');
  });

  it('lets a link make its socket, and reach one in /tmp or in a home', () => {
    expect(unitOf(link('unix-listen:/var/lib/a b/x.sock'))).toContain('ReadWritePaths=-"/var/lib/a b"\n');
    expect(unitOf(link('unix:/tmp/x.sock'))).toContain('PrivateTmp=no');
    expect(unitOf(link('unix:/home/me/x.sock'))).toContain('ProtectHome=read-only');
  });
});
