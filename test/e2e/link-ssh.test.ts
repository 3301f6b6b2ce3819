/** ssh as a carrier: the far side of a link is a command that ssh starts, its standard streams are the wire. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, startLive, startVnic } from './live-vnic.ts';
import { run, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

const folder = mkdtempSync(join(tmpdir(), 'vnic-ssh-'));
const sshFolder = join(homedir(), '.ssh');
const command = (...argv: string[]): string =>
  execFileSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8', stdio: 'pipe' });

beforeAll(() => {
  requirePrivateNetns();
  // The keys of whoever runs this stay out of sight: the stage has a mount namespace of its own.
  command('mkdir', '-p', sshFolder);
  command('mount', '-t', 'tmpfs', '-o', 'mode=0700', 'none', sshFolder);
  command('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key'));
  writeFileSync(join(sshFolder, 'authorized_keys'), readFileSync(join(folder, 'key.pub')), { mode: 0o600 });
  command('dropbearkey', '-t', 'ed25519', '-f', join(folder, 'host'));
});
beforeEach(() => {
  joinTwoHosts();
});
afterEach(async () => {
  await endLive();
  wipe();
});
afterAll(() => {
  command('umount', sshFolder);
  rmSync(folder, { recursive: true, force: true });
});

describe('vnic link over ssh', () => {
  it.each(['length', 'hdlc'])(
    'carries IPv4 and IPv6 both ways, framed as %s, and takes the far side with it',
    async (framing) => {
      const server = startLive([
        ...['ip', 'netns', 'exec', 'far', 'dropbear', '-F', '-E', '-s', '-j', '-k'],
        ...['-r', join(folder, 'host'), '-p', '198.51.100.2:2222', '-P', join(folder, 'pid')],
      ]);
      await server.until(/Not backgrounding/);
      const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes'];
      const far = `${process.execPath} ${VNIC} link stdio,framing=${framing} tun:t1,address=10.9.0.2/24,address=fd09::2/64`;
      const ssh = `ssh -F none -p 2222 -i ${join(folder, 'key')} ${options.map((one) => `-o ${one}`).join(' ')} ${userInfo().username}@198.51.100.2 ${far}`;
      const here = startVnic([
        'link',
        'tun:t0,address=10.9.0.1/24,address=fd09::1/64',
        `exec,framing=${framing}:${ssh}`,
      ]);
      await here.until(/joined[\s\S]*joined/);
      for (const address of ['10.9.0.2', 'fd09::2']) {
        expect((await run(['ping', '-c3', '-i0.2', '-W5', address])).status).toBe(0);
      }
      const iperf = startLive(['ip', 'netns', 'exec', 'far', 'iperf3', '-s', '-1', '--forceflush']);
      await iperf.until(/Server listening/);
      const { stdout } = await run(['iperf3', '-c', '10.9.0.2', '-t', '1', '-J']);
      const report = JSON.parse(stdout) as { end: { sum_received: { bytes: number } } };
      expect(report.end.sum_received.bytes).toBeGreaterThan(1_000_000);
      await here.end('SIGTERM');
      await vi.waitFor(() => expect(ip('-n far -br link')).not.toContain('t1'), { timeout: 15_000, interval: 100 });
    },
  );
});
