import { describe, expect, it } from 'vitest';

import { formatConfig, parseConfig } from '../config/index.ts';
import { importInterfaces } from './import-interfaces.ts';
import { importNetworkd } from './import-networkd.ts';
import type { ImportedConfig } from './imported.ts';

const notesOf = ({ notes }: ImportedConfig): string[] =>
  notes.map(({ path, line, message }) => `${path}:${line}: ${message}`);
const devicesOf = ({ config }: ImportedConfig): object[] => [...config.devices];

/** What is imported is a configuration that can be applied. */
const isWhole = ({ config }: ImportedConfig): boolean => parseConfig(formatConfig(config)).mistakes.length === 0;

describe('importInterfaces', () => {
  it('carries over what tunctl, ip and openvpn make, with what stands in the stanza', () => {
    const imported = importInterfaces({
      path: 'interfaces',
      text: `
auto lo tap0
iface lo inet loopback

# uml-utilities
iface tap0 inet static
    address 10.0.0.1
    netmask 255.255.255.0
    gateway 10.0.0.254
    tunctl_user alice
    mtu 1400

iface tap0 inet6 static
    address fd00::1/64

auto tun1
iface tun1 inet manual
    pre-up ip tuntap add dev tun1 mode tun user bob group staff multi_queue
    up ip addr add 10.1.0.1/24 dev $IFACE
    up ip link set $IFACE up mtu 1300 txqueuelen 50
    up ip route add 10.2.0.0/16 via 10.1.0.2 \\
        dev tun1 metric 5
    post-up ip -6 route add default via fd01::1 dev tun1
    down ip tuntap del dev tun1 mode tun

iface tap2 inet manual
    pre-up /usr/sbin/tunctl -t tap2 -u 1000
iface tap3 inet manual
    pre-up openvpn --mktun --dev tap3 --user carol

iface br0 inet static
    address 10.3.0.1/24
    bridge_ports tap0 eth1
    bridge_stp on
    bridge_fd 4
    bridge-ageing 60
`,
    });
    expect(notesOf(imported)).toEqual([]);
    expect(devicesOf(imported)).toMatchObject([
      {
        name: 'tap0',
        kind: 'tap',
        owner: 'alice',
        mtu: 1400,
        bridge: 'br0',
        addresses: ['10.0.0.1/24', 'fd00::1/64'],
        routes: [{ to: '0.0.0.0/0', via: '10.0.0.254' }],
      },
      {
        name: 'tun1',
        kind: 'tun',
        owner: 'bob',
        group: 'staff',
        multiQueue: true,
        mtu: 1300,
        txQueueLen: 50,
        addresses: ['10.1.0.1/24'],
        routes: [
          { to: '10.2.0.0/16', via: '10.1.0.2', metric: 5 },
          { to: '::/0', via: 'fd01::1' },
        ],
      },
      { name: 'tap2', kind: 'tap', owner: '1000' },
      { name: 'tap3', kind: 'tap', owner: 'carol' },
      {
        name: 'br0',
        kind: 'bridge',
        addresses: ['10.3.0.1/24'],
        bridgeSettings: { stp: true, forwardDelaySec: 4, ageingTimeSec: 60 },
      },
      { name: 'eth1', bridge: 'br0' },
    ]);
    expect(isWhole(imported)).toBe(true);
  });

  it('tells what it leaves out, and why', () => {
    const imported = importInterfaces({
      path: 'i',
      text: `source /etc/network/interfaces.d/*
mtu 5
iface eth0 inet dhcp
iface tap0 inet dhcp
  tunctl_user root
  address 300.0.0.1/24
  dns-nameservers 10.0.0.1
  up iptables -A FORWARD -j ACCEPT
  up ip route add 10.0.0.0/8 dev other0
  mtu big
  bridge_ports regex tap.*
`,
    });
    expect(notesOf(imported)).toEqual([
      'i:1: "source /etc/network/interfaces.d/*" is not followed',
      'i:2: "mtu 5" stands outside of a stanza',
      'i:3: eth0 is not described as a TUN/TAP device or a bridge, and is left out',
      'i:4: the method dhcp is not carried over: addresses here are written down',
      expect.stringMatching(/^i:6: "address 300\.0\.0\.1\/24" is not carried over: /),
      'i:7: "dns-nameservers 10.0.0.1" is not carried over',
      'i:8: "up iptables -A FORWARD -j ACCEPT" is not carried over',
      'i:9: "up ip route add 10.0.0.0/8 dev other0" is not carried over',
      expect.stringMatching(/^i:10: "mtu big" is not carried over: /),
      'i:11: "bridge_ports regex tap.*" is not carried over',
    ]);
    expect(devicesOf(imported)).toMatchObject([{ name: 'tap0', kind: 'tap', owner: 'root', addresses: [] }]);
  });
});

describe('importNetworkd', () => {
  it('puts .netdev and .network files together', () => {
    const imported = importNetworkd([
      {
        path: '/etc/systemd/network/50-vpn.network',
        text: `[Match]
Name=vpn*
[Network]
Address=10.0.0.1/24
Address=fd00::1/64
Gateway=10.0.0.254
IPv4Forwarding=yes
[Route]
Destination=10.1.0.0/16
Gateway=10.0.0.2
Metric=5
Table=main
[Route]
Gateway=fd00::9
GatewayOnLink=yes
[Link]
MTUBytes=1400
`,
      },
      {
        path: '/etc/systemd/network/10-vpn.netdev',
        text: '[NetDev]\nName=vpn0\nKind=tun\n\n[Tun]\nUser=alice\nGroup=vpn\nMultiQueue=true\nPacketInfo=no\n',
      },
      {
        path: '20-br.netdev',
        text: '[NetDev]\nName=br0\nKind=bridge\nMACAddress=02:00:00:00:00:01\n[Bridge]\nSTP=yes\nAgeingTimeSec=5min\n',
      },
      { path: '21-tap.netdev', text: '[NetDev]\nName=tap0\nKind=tap\nMTUBytes=9K\n[Tap]\nVNetHeader=on\n' },
      {
        path: '21-tap.network',
        text: '[Match]\nName=tap0\n[Network]\nBridge=br0\n[Bridge]\nIsolated=yes\nUseBPDU=no\n',
      },
      { path: '30-v.netdev', text: '[NetDev]\nName=v0\nKind=veth\n[Peer]\nName=v1\n' },
    ]);
    expect(notesOf(imported)).toEqual([]);
    expect(devicesOf(imported)).toMatchObject([
      {
        name: 'vpn0',
        kind: 'tun',
        owner: 'alice',
        group: 'vpn',
        multiQueue: true,
        packetInfo: false,
        mtu: 1400,
        addresses: ['10.0.0.1/24', 'fd00::1/64'],
        routes: [
          { to: '0.0.0.0/0', via: '10.0.0.254' },
          { to: '10.1.0.0/16', via: '10.0.0.2', metric: 5, table: 254 },
          { to: '::/0', via: 'fd00::9', onlink: true },
        ],
        sysctls: { 'ipv4.forwarding': '1' },
      },
      { name: 'br0', kind: 'bridge', mac: '02:00:00:00:00:01', bridgeSettings: { stp: true, ageingTimeSec: 300 } },
      {
        name: 'tap0',
        kind: 'tap',
        mtu: 9216,
        vnetHeader: true,
        bridge: 'br0',
        portSettings: { isolated: true, guard: true },
      },
      { name: 'v0', kind: 'veth', peer: 'v1' },
    ]);
    expect(isWhole(imported)).toBe(true);
  });

  it('tells what it leaves out, and why', () => {
    const imported = importNetworkd([
      { path: 'a.netdev', text: '[NetDev]\nName=wg0\nKind=wireguard\n' },
      {
        path: 'b.netdev',
        text: '[NetDev]\nName=tun0\nKind=tun\nnonsense\n[Tun]\nKeepCarrier=yes\nMultiQueue=perhaps\n',
      },
      { path: 'c.network', text: '[Match]\nName=eth*\n' },
      { path: 'd.network', text: '[Match]\nName=tun0\n[Network]\nDHCP=yes\nAddress=0.0.0.0/24\n[Route]\nMetric=5\n' },
      { path: 'e.link', text: '' },
    ]);
    expect(notesOf(imported)).toEqual([
      'a.netdev:1: wg0 is of wireguard, which vnic does not make, and is left out',
      'b.netdev:4: "nonsense" is not understood',
      'b.netdev:6: Tun.KeepCarrier=yes is not carried over',
      'b.netdev:7: Tun.MultiQueue=perhaps is not carried over: expected yes or no, got "perhaps"',
      'c.network:1: it matches eth*, none of which is made by these files, and is left out',
      'd.network:4: Network.DHCP=yes is not carried over',
      expect.stringMatching(/^d\.network:5: Network\.Address=0\.0\.0\.0\/24 is not carried over: /),
      'd.network:6: a route without destination and gateway is left out',
      'e.link:1: is neither a .netdev nor a .network file',
    ]);
  });
});
