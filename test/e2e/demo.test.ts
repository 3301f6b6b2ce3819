/** `vnic demo`, which `npm start` runs: what it shows, and that it leaves nothing behind however it ends. */

import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, type RunResult, run, runVnic, terminalEnv, VNIC } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());
afterEach(() => endLive());

/** In the environment of every process that a demo starts. */
const MARK = 'VNIC_DEMO_TEST';

function startDemo(mark: string): LiveVnic {
  return startVnic(['demo'], { env: { ...process.env, [MARK]: mark } });
}

/** Processes that a demo with this mark has started and that have not ended. */
function processesOf(mark: string): string[] {
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return readFileSync(`/proc/${entry}/environ`, 'latin1').split('\0').includes(`${MARK}=${mark}`);
    } catch {
      // Gone, or somebody else's.
      return false;
    }
  });
}

/** Network namespaces that these processes are in. */
function networkNamespaces(pids: readonly string[]): Set<string> {
  const all = pids.flatMap((pid) => {
    try {
      return [readlinkSync(`/proc/${pid}/ns/net`)];
    } catch {
      return [];
    }
  });
  return new Set(all);
}

/** The kernel ends the processes of a namespace after its first one has ended. */
async function untilGone(mark: string): Promise<string[]> {
  for (let i = 0; i < 500 && processesOf(mark).length > 0; i++) await delay(10);
  return processesOf(mark);
}

describe('vnic demo', () => {
  it('shows ping answered on TUN and TAP over IPv4 and IPv6, decoded, and sums it up', async () => {
    const { status, stdout, stderr } = await runVnic(['demo']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const phases = [
      /TUN: .*IP packets/,
      /tun0 is up with 10\.0\.0\.1\/24 and fd00::1\/64/,
      /\$ ping -c 3 .*10\.0\.0\.2/,
      /→ 10\.0\.0\.1 > 10\.0\.0\.2: ICMP echo request, .* seq 1,/,
      /← 10\.0\.0\.2 > 10\.0\.0\.1: ICMP echo reply, .* seq 1,/,
      /64 bytes from 10\.0\.0\.2: icmp_seq=3 ttl=64/,
      /3 packets transmitted, 3 received, 0% packet loss/,
      /\$ ping -6 -c 3 .*fd00::2/,
      /→ fd00::1 > fd00::2: ICMP6, echo request/,
      /← fd00::2 > fd00::1: ICMP6, echo reply/,
      /TAP: .*Ethernet frames/,
      /→ ARP, Request who-has 10\.0\.0\.2 tell 10\.0\.0\.1/,
      /← ARP, Reply 10\.0\.0\.2 is-at 02:76:6e:69:63:01/,
      /← 10\.0\.0\.2 > 10\.0\.0\.1: ICMP echo reply/,
      /→ .* > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has fd00::2/,
      /← fd00::2 > fd00::1: ICMP6, neighbor advertisement, tgt is fd00::2/,
      /← fd00::2 > fd00::1: ICMP6, echo reply/,
      /✓ 12 of 12 pings answered/,
      /TUN +\d+ packets in +\d+ out: +6 echo replies/,
      /TAP +\d+ packets in +\d+ out: +6 echo replies, \d ARP, \d neighbor discovery/,
      /What to type next/,
      /vnic echo/,
      /examples\/answer-ping\.ts/,
    ];
    let rest = stdout;
    for (const phase of phases) {
      const found = phase.exec(rest);
      expect(found, `${phase} in\n${rest}`).not.toBeNull();
      rest = rest.slice((found?.index ?? 0) + (found?.[0].length ?? 0));
    }
    expect(stdout).not.toContain('\x1b');
    expect(stdout).not.toMatch(/malformed|bad-checksum/);
  });

  it('has ASCII arrows where the locale is not UTF-8', async () => {
    const { status, stdout } = await runVnic(['demo'], { env: { ...process.env, LC_ALL: 'C' } });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ {2}-> 10\.0\.0\.1 > 10\.0\.0\.2: ICMP echo request/m);
    expect(stdout).toMatch(/^[\x20-\x7e\n]*$/);
  });

  it('changes nothing around it', async () => {
    const before = interfaceNames();
    await runVnic(['demo']);
    expect(interfaceNames()).toEqual(before);
  });
});

describe('the end of a demo', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)(
    'by %s at any moment leaves no process and no namespace',
    async (signal) => {
      const own = readlinkSync('/proc/self/ns/net');
      const seen = new Set<string>();
      for (let i = 0; i < 8; i++) {
        const mark = `${signal}-${i}-${process.pid}`;
        const demo = startDemo(mark);
        // From the start of Node to the second phase.
        await delay(30 + i * i * 30);
        for (const namespace of networkNamespaces(processesOf(mark))) seen.add(namespace);
        const { status, stderr } = await demo.end(signal);
        expect(status).not.toBe(0);
        expect(stderr).toBe('');
        expect(await untilGone(mark)).toEqual([]);
      }
      seen.delete(own);
      expect(seen.size).toBeGreaterThan(0);
      const left = networkNamespaces(readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)));
      expect([...seen].filter((namespace) => left.has(namespace))).toEqual([]);
    },
  );

  it('by Ctrl-C on a terminal is clean too', async () => {
    const mark = `terminal-${process.pid}`;
    const demo = startLive(['script', '-qfec', `${process.execPath} ${VNIC} demo`, '/dev/null'], {
      env: { ...terminalEnv(), [MARK]: mark },
    });
    await demo.until(/echo reply/);
    demo.child.stdin?.write('\x03');
    const { status, stdout } = await demo.end();
    expect(status).toBe(130);
    expect(stdout).not.toMatch(/error:|What to type next/);
    expect(stdout).toContain('\x1b[');
    expect(await untilGone(mark)).toEqual([]);
  });

  it('comes quietly when nobody reads on', async () => {
    const mark = `pipe-${process.pid}`;
    const script = `${process.execPath} ${VNIC} demo | head -3; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await run(['bash', '-c', script], { env: { ...process.env, [MARK]: mark } });
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toHaveLength(4);
    expect(await untilGone(mark)).toEqual([]);
  });
});

describe('where it cannot run', () => {
  const inMountNamespace = (argv: readonly string[], prepare = ':'): Promise<RunResult> =>
    run(['unshare', '--mount', 'sh', '-c', `${prepare}; exec "$@"`, 'sh', ...argv]);

  it('says that user namespaces are forbidden, which switch does it, and the sudo form', async () => {
    const script =
      'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"';
    const inner = ['sh', '-c', script, 'sh', process.execPath, VNIC, 'demo'];
    // The limit belongs to the new user namespace; root of it without capabilities has nothing left to try.
    const { status, stdout, stderr } = await run(['unshare', '--user', '--map-root-user', ...inner]);
    expect({ status, stdout }).toEqual({ status: 77, stdout: '' });
    expect(stderr).toMatch(/^error: .*may not make a user and network namespace/);
    expect(stderr).toMatch(/\nhint: .*sysctl user\.max_user_namespaces=15000.*sudo vnic demo/);
  });

  it('works as root without user namespaces', async () => {
    const script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
    const inner = ['sh', '-c', script, 'sh', process.execPath, VNIC, 'demo'];
    const { status, stdout } = await run(['unshare', '--user', '--map-root-user', ...inner]);
    expect(stdout).toMatch(/12 of 12 pings answered/);
    expect(status).toBe(0);
  });

  it('says that /dev/net/tun is missing', async () => {
    const { status, stderr } = await inMountNamespace(
      [process.execPath, VNIC, 'demo'],
      'mount -t tmpfs tmpfs /dev/net',
    );
    expect(status).toBe(69);
    expect(stderr).toMatch(/^error: cannot run the demo: \/dev\/net\/tun does not exist.*\nhint: .+\n$/);
  });

  it('says that /dev/net/tun is something else', async () => {
    const prepare =
      'mount -t tmpfs -o mode=755 tmpfs /dev/net && touch /dev/net/tun && mount --bind /dev/full /dev/net/tun';
    const { status, stdout, stderr } = await inMountNamespace([process.execPath, VNIC, 'demo'], prepare);
    expect({ status, stdout }).toEqual({ status: 69, stdout: '' });
    expect(stderr).toMatch(/^error: cannot run the demo: \/dev\/net\/tun is not the tun driver's node/);
  });

  it('says that ping is missing', async () => {
    const hide = 'for p in $(which -a ping); do mount --bind /dev/null $p; done';
    const { status, stderr } = await inMountNamespace([process.execPath, VNIC, 'demo'], hide);
    expect(status).toBe(69);
    expect(stderr).toMatch(/^error: .*ping is not installed\nhint: .*apt-get install iputils-ping/);
  });

  it('says that unshare is missing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vnic-path-'));
    symlinkSync('/usr/bin/ping', join(folder, 'ping'));
    const { status, stderr } = await run([process.execPath, VNIC, 'demo'], { env: { PATH: folder } });
    rmSync(folder, { recursive: true });
    expect(status).toBe(69);
    expect(stderr).toMatch(/^error: .*unshare is not installed\nhint: .*apt-get install util-linux/);
  });
});
