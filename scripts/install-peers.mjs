/**
 * Installs the Debian programs that the tests and benches compare vnic with, where this is root on Debian.
 * Elsewhere it says which are missing.
 *
 *   node scripts/install-peers.mjs [--require]     --require: exit with 1 when one is missing in the end
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { aptLine, installPackages } from './debian.mjs';
import { findProgram, say } from './process.mjs';

/** What has to exist (a program, or a file by its path), and the Debian package that has it. */
const peers = [
  ['ping', 'iputils-ping'],
  ['arping', 'iputils-arping'],
  ['ndisc6', 'ndisc6'],
  ['tcpdump', 'tcpdump'],
  ['tshark', 'tshark'],
  ['iperf3', 'iperf3'],
  ['ip', 'iproute2'],
  ['tc', 'iproute2'],
  ['nft', 'nftables'],
  ['tunctl', 'uml-utilities'],
  ['socat', 'socat'],
  ['vde_switch', 'vde2'],
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['/usr/bin/python3', 'python3'],
  ['ethtool', 'ethtool'],
  ['unshare', 'util-linux'],
  ['setpriv', 'util-linux'],
  ['setarch', 'util-linux'],
  ['openssl', 'openssl'],
  ['socat', 'socat'],
  ['/usr/lib/python3/dist-packages/websockets', 'python3-websockets'],
  ['ssh', 'openssh-client'],
  ['dropbear', 'dropbear-bin'],
  ['strace', 'strace'],
  ['valgrind', 'valgrind'],
  ['/usr/lib/debug', 'libc6-dbg'],
  ['jq', 'jq'],
  ['ps', 'procps'],
  ['gcc', 'gcc'],
  ['readelf', 'binutils'],
  ['/usr/include/stdlib.h', 'libc6-dev'],
  ['/usr/include/openssl/evp.h', 'libssl-dev'],
  ['aarch64-linux-gnu-gcc', 'gcc-aarch64-linux-gnu'],
  ['/usr/aarch64-linux-gnu/include/stdlib.h', 'libc6-dev-arm64-cross'],
  ['/usr/aarch64-linux-gnu/lib/libstdc++.so.6', 'libstdc++6-arm64-cross'],
  ['qemu-aarch64-static', 'qemu-user-static'],
  ['/lib/systemd/systemd', 'systemd'],
  ['perl', 'perl-base'],
  ['bash', 'bash'],
  ['/usr/share/bash-completion/bash_completion', 'bash-completion'],
  ['zsh', 'zsh'],
  ['fish', 'fish'],
];

/** What `npm run bench` needs. */
export const benchPeers = [
  ...peers.filter(([, name]) => ['iputils-ping', 'iperf3', 'iproute2', 'util-linux', 'gcc'].includes(name)),
  ...peers.filter(([, name]) => ['libc6-dev', 'libssl-dev'].includes(name)),
  ['/usr/include/liburing.h', 'liburing-dev'],
  ['/usr/bin/python3', 'python3'],
  ['socat', 'socat'],
  ['openvpn', 'openvpn'],
  ['openssl', 'openssl'],
  ['perf', 'linux-perf'],
];

const missingPeers = (wanted) =>
  wanted.filter(([what]) => (what.startsWith('/') ? !existsSync(what) : !findProgram(what)));

/** @returns true when all peers are there in the end. */
export function installPeers(wanted = peers) {
  if (missingPeers(wanted).length === 0) return true;
  installPackages([...new Set(missingPeers(wanted).map(([, packageName]) => packageName))]);
  const missing = missingPeers(wanted);
  if (missing.length === 0) return true;
  say(`missing: ${missing.map(([what]) => what).join(', ')}`);
  say(`hint: ${aptLine([...new Set(missing.map(([, packageName]) => packageName))])}`);
  return false;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const complete = installPeers();
  if (!complete && process.argv.includes('--require')) process.exitCode = 1;
}
