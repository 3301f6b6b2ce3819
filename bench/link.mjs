/** Tunnels in the clear: two hosts, a TUN device and a program at each, a network between them. */

import { inRoot } from '../scripts/process.mjs';
import { inner, measureTunnels, outer, PORT } from './lib/hosts.mjs';
import { unlessSocat } from './lib/wires.mjs';

export const title = 'Link: two hosts, a device and a program at each, TCP through the tunnel between them';
export const about =
  'One TCP stream of iperf3 through TUN devices at two namespaces that a veth pair joins. Each program has a processor to itself but ' +
  'for the load, which shares them. Processor time is that of both programs. Ratios are to socat over UDP; over TCP ' +
  'socat joins packets, and ends at the first that the device refuses.';

/** A program at each side, and the device that it makes. */
function kinds() {
  const missing = unlessSocat();
  const socat = (carrier, near, far) => {
    const device = (address) => `TUN:${address}/24,tun-name=bench,iff-no-pi,iff-up`;
    return {
      name: `socat, ${carrier}`,
      missing,
      near: ['socat', '-b', '65536', near, device(inner.near)],
      far: ['socat', '-b', '65536', far, device(inner.far)],
    };
  };
  const vnic = (carrier, near, far, options = '') => {
    const main = [process.execPath, inRoot('dist/cli/main.js'), 'link', '--quiet'];
    const device = (address) => `tun:bench,address=${address}/24${options}`;
    return {
      name: `vnic link, ${carrier}${options === '' ? '' : ', offload off'}`,
      near: [...main, device(inner.near), near],
      far: [...main, device(inner.far), far],
    };
  };
  const udp = socat('UDP', `UDP:${outer.far}:${PORT}`, `UDP-LISTEN:${PORT},reuseaddr`);
  return [
    udp,
    { ...vnic('UDP', `udp:${outer.far}:${PORT}`, `udp-listen:${PORT}`), baseline: udp },
    { ...vnic('UDP', `udp:${outer.far}:${PORT}`, `udp-listen:${PORT}`, ',offload=off'), baseline: udp },
    { ...vnic('TCP', `tcp:${outer.far}:${PORT}`, `tcp-listen:${PORT}`), baseline: udp },
  ];
}

export const run = (options) => measureTunnels(kinds(), options);
