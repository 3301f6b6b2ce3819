/** Tunnels that are encrypted, and whose sides have proved who they are, beside OpenVPN over TCP. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { capture, findProgram, inRoot } from '../scripts/process.mjs';
import { inner, measureTunnels, outer, PORT } from './lib/hosts.mjs';

export const title = 'Tunnel: two hosts, TLS 1.3 between them, TCP through the tunnel';
export const about =
  'One TCP stream of iperf3 through TUN devices at two namespaces that a veth pair joins, AES-256-GCM, with keys that both sides check. ' +
  'Each program has a processor to itself but for the load, which shares them. Processor time is that of both programs. ' +
  'Ratios are to OpenVPN 2.6 over TCP, in user space.';

function openVpn(folder) {
  const missing = findProgram('openvpn') ? undefined : 'openvpn is not installed';
  if (missing !== undefined) return { name: 'OpenVPN, TCP', missing };
  const fingerprints = {};
  for (const side of ['near', 'far']) {
    const files = ['-keyout', join(folder, `${side}.key`), '-out', join(folder, `${side}.crt`)];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'];
    capture(['openssl', 'req', '-x509', ...curve, '-subj', `/CN=${side}`, ...files]);
    const shown = capture(['openssl', 'x509', '-in', join(folder, `${side}.crt`), '-noout', '-fingerprint', '-sha256']);
    fingerprints[side] = shown.output.trim().replace(/.*=/, '');
  }
  const side = (own, other, ...options) => [
    ...['openvpn', '--dev', 'bench', '--dev-type', 'tun', '--port', String(PORT), '--disable-dco', '--verb', '1'],
    ...['--cert', join(folder, `${own}.crt`), '--key', join(folder, `${own}.key`), '--reneg-sec', '0'],
    ...['--peer-fingerprint', fingerprints[other], '--data-ciphers', 'AES-256-GCM'],
    ...['--ifconfig', inner[own], inner[other], ...options],
  ];
  return {
    name: 'OpenVPN, TCP',
    far: side('far', 'near', '--proto', 'tcp4-server', '--local', outer.far, '--tls-server', '--dh', 'none'),
    near: side('near', 'far', '--proto', 'tcp4-client', '--remote', outer.far, '--tls-client'),
  };
}

function vnic(name, baseline, folder, place, ...options) {
  const main = (side, ...args) => [
    ...['env', `VNIC_IDENTITY_DIRECTORY=${join(folder, side)}`, process.execPath, inRoot('dist/cli/main.js')],
    ...['tunnel', ...args, '--quiet', '--name', 'bench'],
  ];
  return {
    name,
    baseline,
    // A server has the first address by custom; here the load goes to the far side.
    far: main('far', 'listen', place(''), '--anyone', '--address', `${inner.far}/30`, ...options),
    near: main('near', 'connect', place(`${outer.far}:`)),
  };
}

export async function run(options) {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-bench-'));
  try {
    const peer = openVpn(folder);
    const tls = (host) => `${host}${PORT}`;
    return await measureTunnels(
      [
        peer,
        vnic('vnic tunnel, TLS', peer, folder, tls),
        vnic('vnic tunnel, TLS, offload off', peer, folder, tls, '--offload', 'off'),
        vnic('vnic tunnel, WebSocket over TLS', peer, folder, (host) => `wss:${tls(host)}`),
      ],
      options,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
