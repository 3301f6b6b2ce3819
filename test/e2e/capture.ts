/**
 * Capturing with the tools of the field. dumpcap captures and tshark judges; tcpdump only reads files, and as
 * another user, because as root it changes its user, which a user namespace does not allow.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { startLive } from './live-vnic.ts';

/** What was captured, valid until the capture is over. */
export interface Capture {
  /** Output of `tshark -r` with these arguments; every checksum is verified. */
  tshark(...args: string[]): string;
  /** Lines of `tcpdump -n -r`. */
  tcpdump(): string[];
}

/** Captures an interface while `use` runs, then has `judge` look at what was captured. */
export async function capturing(
  device: string,
  use: () => Promise<void>,
  judge: (capture: Capture) => void,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-capture-'));
  const file = join(folder, 'packets.pcap');
  try {
    const capture = startLive(['dumpcap', '-q', '-P', '-B', '64', '-i', device, '-w', file]);
    await capture.until(/File: /);
    await use();
    await untilWritten(file);
    await capture.end('SIGINT');
    judge(captureOf(file));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** dumpcap has packets from the kernel block by block, and drops what it does not have yet when it ends. */
async function untilWritten(file: string): Promise<void> {
  let sizes: number[] = [];
  while (sizes.length < 8) {
    await delay(100);
    const { size } = statSync(file);
    sizes = sizes.at(-1) === size ? [...sizes, size] : [size];
  }
}

/** For tshark: packets with a bad checksum, and those that it cannot make sense of. */
export const BAD_PACKETS: string = ['ip', 'icmp', 'icmpv6']
  .map((name) => `${name}.checksum.status == "Bad"`)
  .concat('_ws.malformed')
  .join(' || ');

function captureOf(file: string): Capture {
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
  const options = { encoding: 'utf8', maxBuffer: 256 << 20 } as const;
  return {
    tshark: (...args) =>
      execFileSync('tshark', ['-r', file, '-n', '-o', 'ip.check_checksum:TRUE', ...args], { ...options, stdio }),
    tcpdump() {
      const reader = ['--user', '--map-user=1', '--', 'tcpdump', '-n', '-r', '-'];
      const text = execFileSync('unshare', reader, { ...options, input: readFileSync(file), stdio: 'pipe' });
      return text.split('\n').filter((line) => line !== '');
    },
  };
}
