/** What must agree across the keys of a configuration. */

import type { MasqueradeConfig, RuleConfig } from './config.ts';
import type { ConfigDocument, DeviceDocument } from './config-schema.ts';

/** Tells a mistake at a path. */
export type ReportPath = (path: string, message: string, hint?: string) => void;

/** IEEE 802.1D, 8.10.2. */
const MIN_STP_DELAY_SEC = 2;
/** RFC 8200 section 5. */
const MIN_IPV6_MTU = 1280;

type Device = Partial<DeviceDocument>;
type Check = (device: Device, path: string, report: ReportPath) => void;

/** Reports what is at odds. */
export function checkDocument(document: Partial<ConfigDocument>, report: ReportPath): void {
  const devices = document.devices ?? [];
  for (const [name, device] of devices) {
    for (const check of deviceChecks) check(device, `devices.${name}`, report);
  }
  checkNames(devices, report);
  checkBridges(devices, report);
  checkRules(document.rules ?? [], 'rules', report);
  checkMasquerade(document.masquerade ?? [], 'masquerade', report);
  for (const [name, { rules = [], masquerade = [] }] of document.namespaces ?? []) {
    checkRules(rules, `namespaces.${name}.rules`, report);
    checkMasquerade(masquerade, `namespaces.${name}.masquerade`, report);
  }
}

const onlyTunTap = ['owner', 'group', 'multiQueue', 'vnetHeader', 'packetInfo'] as const;

const deviceChecks: readonly Check[] = [
  ({ kind, ...device }, path, report) => {
    if (kind === 'tun' || kind === 'tap') return;
    for (const key of onlyTunTap) {
      if (device[key] === undefined) continue;
      const what = kind === undefined ? 'a device that vnic does not make' : `a device of kind ${kind}`;
      report(
        `${path}.${key}`,
        `${what} cannot have ${key}`,
        'Give the device the kind tun or tap, or leave the key out.',
      );
    }
  },
  ({ kind, mac, bridge }, path, report) => {
    if (kind !== 'tun') return;
    const hint = 'Leave the key out, or make it a tap.';
    if (mac !== undefined) report(`${path}.mac`, 'a TUN device carries IP packets and has no MAC address', hint);
    if (bridge !== undefined) report(`${path}.bridge`, 'a TUN device carries IP packets and cannot be a port', hint);
  },
  ({ kind, bridge, bridgeSettings, portSettings }, path, report) => {
    if (bridgeSettings !== undefined && kind !== undefined && kind !== 'bridge')
      report(`${path}.bridgeSettings`, `a device of kind ${kind} is no bridge`, 'Give it the kind bridge.');
    if (portSettings !== undefined && kind !== undefined && bridge === undefined)
      report(`${path}.portSettings`, 'it is a port of no bridge', 'Name the bridge in `bridge`.');
    const { stp, forwardDelaySec } = bridgeSettings ?? {};
    if (stp && forwardDelaySec !== undefined && forwardDelaySec < MIN_STP_DELAY_SEC)
      report(
        `${path}.bridgeSettings.forwardDelaySec`,
        `found ${forwardDelaySec}, expected at least ${MIN_STP_DELAY_SEC} with stp`,
      );
  },
  ({ kind, peer }, path, report) => {
    if (kind === 'veth' && peer === undefined) report(path, 'peer is missing', 'Name the other end of the veth pair.');
    if (kind !== 'veth' && peer !== undefined)
      report(`${path}.peer`, 'only a device of kind veth has a peer', 'Make it kind: veth.');
  },
  ({ mtu, addresses = [] }, path, report) => {
    const ipv6 = addresses.find((cidr) => cidr.includes(':'));
    if (mtu === undefined || mtu >= MIN_IPV6_MTU || ipv6 === undefined) return;
    report(`${path}.mtu`, `found ${mtu}, expected at least ${MIN_IPV6_MTU} for the IPv6 address ${ipv6}`);
  },
  ({ up, routes = [], neighbours = [] }, path, report) => {
    if (up !== false || routes.length + neighbours.length === 0) return;
    report(
      `${path}.up`,
      'the kernel keeps routes and neighbours only on a device that is up',
      'Set it to true, or leave it out.',
    );
  },
  ({ addresses = [] }, path, report) => reportTwice(addresses, `${path}.addresses`, report),
  ({ altNames = [] }, path, report) => reportTwice(altNames, `${path}.altNames`, report),
  ({ routes = [] }, path, report) => {
    reportTwice(
      routes.map(({ to, metric, table }) =>
        [
          to,
          ...(metric === undefined ? [] : [`metric ${metric}`]),
          ...(table === undefined ? [] : [`table ${table}`]),
        ].join(' '),
      ),
      `${path}.routes`,
      report,
    );
  },
  ({ routes = [] }, path, report) => {
    for (const { to, via, source } of routes) {
      const family = to.includes(':');
      if (source !== undefined && source.includes(':') !== family) {
        report(`${path}.routes`, `the source ${source} is of another family than ${to}`);
      }
      if (family && via !== undefined && !via.includes(':')) {
        report(`${path}.routes`, `the gateway ${via} is of another family than ${to}`);
      }
    }
  },
];

function reportTwice(values: readonly string[], path: string, report: ReportPath): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) report(path, `${value} is there twice`);
    seen.add(value);
  }
}

/** A name is a name once in a namespace, also as an alternative. */
function checkNames(devices: readonly (readonly [string, Device])[], report: ReportPath): void {
  const taken = new Map<string, string>();
  for (const [id, { name = id, namespace = '', altNames = [], peer, peerNamespace = namespace }] of devices) {
    const claim = (path: string, claimed: string): void => {
      const key = `${namespace} ${claimed}`;
      const other = taken.get(key);
      if (other !== undefined) report(path, `${claimed} is a name of ${other} already`);
      taken.set(key, id);
    };
    claim(name === id ? `devices.${id}` : `devices.${id}.name`, name);
    for (const altName of altNames) claim(`devices.${id}.altNames`, altName);
    if (peer === name && peerNamespace === namespace) {
      report(`devices.${id}.peer`, 'a device cannot be its own peer', 'Name the other end.');
    }
  }
}

function checkBridges(devices: readonly (readonly [string, Device])[], report: ReportPath): void {
  const kinds = new Map(devices.map(([id, { name = id, namespace = '', kind }]) => [`${namespace} ${name}`, kind]));
  for (const [id, { bridge, namespace = '' }] of devices) {
    const kind = kinds.get(`${namespace} ${bridge}`);
    if (bridge === undefined || kind === undefined || kind === 'bridge') continue;
    report(
      `devices.${id}.bridge`,
      `${bridge} is of kind ${kind}, expected a bridge`,
      `Give ${bridge} the kind bridge.`,
    );
  }
}

function checkMasquerade(rules: readonly MasqueradeConfig[], path: string, report: ReportPath): void {
  for (const { from, out, notOut } of rules) {
    if (out === undefined || notOut === undefined) continue;
    report(path, `${from} has both out and notOut`, 'Give one of them.');
  }
}

function checkRules(rules: readonly RuleConfig[], path: string, report: ReportPath): void {
  for (const [i, { from, to }] of rules.entries()) {
    if (from === undefined || to === undefined || from.includes(':') === to.includes(':')) continue;
    report(`${path}[${i}]`, `${from} and ${to} are of different families`, 'Write a rule for each family.');
  }
}
