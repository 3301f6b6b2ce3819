/** Where figures come from. */

import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

import { capture } from '../../scripts/process.mjs';

/** The day, and a line about the machine and the versions of what is measured. */
export function machine() {
  const [first] = cpus();
  const parts = [
    `${first?.model.trim()}, ${cpus().length} processors, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Linux ${release().split('-')[0]}`,
    distribution(),
    `Node ${process.versions.node} with OpenSSL ${process.versions.openssl}`,
    capture(['cc', '--version']).output.split('\n', 1)[0],
    `vnic at ${capture(['git', 'describe', '--always', '--dirty']).output.trim()}`,
  ];
  return { date: new Date().toISOString().slice(0, 10), text: parts.join(', ') };
}

function distribution() {
  const release = readFileSync('/etc/os-release', 'utf8');
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? 'unknown distribution';
}
