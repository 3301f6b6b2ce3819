/** `vnic doctor`: a healthy machine, and each thing that can be missing, made missing in a namespace. */

import { beforeAll, describe, expect, it } from 'vitest';

import { requirePrivateNetns } from '../netns/private-netns.ts';
import { interfaceNames, type RunResult, run, runVnic, terminalEnv, VNIC } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());

interface Check {
  readonly id: string;
  readonly title: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  readonly fix?: string;
}

const IDS = [
  'node',
  'native-core',
  'kernel',
  'tun-driver',
  'tun-node',
  'capabilities',
  'user-namespaces',
  'network-namespace',
  'container',
  'netlink',
  'tun-features',
  'tun-offloads',
  'io-uring',
  'udp-offload',
  'encryption',
  'ipv6',
  'file-limit',
  'programs',
];

/** Runs `doctor --json` after a line of shell in a mount namespace of its own. */
async function doctorAfter(
  prepare: string,
  ...wrapper: string[]
): Promise<{ status: number; checks: Map<string, Check> }> {
  const argv = ['unshare', '--mount', ...wrapper, 'sh', '-c', `${prepare}; exec "$@"`, 'sh', process.execPath, VNIC];
  const result: RunResult = await run([...argv, 'doctor', '--json']);
  const { checks } = JSON.parse(result.stdout) as { checks: Check[] };
  return { status: result.status, checks: new Map(checks.map((check) => [check.id, check])) };
}

describe('vnic doctor', () => {
  it('finds nothing wrong where the tests of this project run', async () => {
    const { status, stdout, stderr } = await runVnic(['doctor', '--json']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Check[] };
    expect(ok).toBe(true);
    expect(checks.map(({ id }) => id)).toEqual(IDS);
    for (const check of checks) {
      expect(['ok', 'warn']).toContain(check.status);
      expect(check.title).not.toBe('');
      expect(check.detail).not.toBe('');
      // Whatever is not well has its remedy, and nothing else has one.
      expect(check.fix === undefined).toBe(check.status === 'ok');
    }
    const detailOf = (id: string): string => checks.find((check) => check.id === id)?.detail ?? '';
    expect(detailOf('node')).toContain(process.versions.node);
    expect(detailOf('tun-features')).toMatch(/^TUN TAP .*MULTI_QUEUE .*VNET_HDR$/);
    expect(detailOf('tun-offloads')).toMatch(/^CSUM TSO4 TSO6/);
  });

  it('leaves no device behind', async () => {
    const before = interfaceNames();
    await runVnic(['doctor']);
    expect(interfaceNames()).toEqual(before);
  });

  it('prints a line for each check, with a mark', async () => {
    const { stdout } = await runVnic(['doctor']);
    const lines = stdout.split('\n');
    expect(lines.filter((line) => /^[✓!] \S/.test(line))).toHaveLength(IDS.length);
    expect(stdout).toMatch(/\nvnic works on this machine/);
    expect(stdout).not.toContain('\x1b');
  });

  it('prints ASCII where the locale is not UTF-8, and colour on a terminal', async () => {
    const plain = await runVnic(['doctor'], { env: { ...process.env, LC_ALL: 'C' } });
    expect(plain.stdout).toMatch(/^[\x20-\x7e\n]*$/);
    expect(plain.stdout).toMatch(/^ok Node\.js/m);
    const onTerminal = ['script', '-qec', `${process.execPath} ${VNIC} doctor`, '/dev/null'];
    const coloured = await run(onTerminal, { env: terminalEnv() });
    expect(coloured.stdout).toContain('\x1b[32m✓\x1b[39m Node.js');
  });
});

describe('what is missing', () => {
  it('is /dev/net/tun', async () => {
    const { status, checks } = await doctorAfter('mount -t tmpfs tmpfs /dev/net');
    expect(status).toBe(69);
    expect(checks.get('tun-node')).toMatchObject({ status: 'fail', fix: expect.stringMatching(/\/dev\/net\/tun/) });
    expect(checks.get('tun-offloads')?.status).toBe('warn');
  });

  it('are user namespaces', async () => {
    const { checks } = await doctorAfter(
      'echo 0 > /proc/sys/user/max_user_namespaces',
      ...['unshare', '--user', '--map-root-user'],
    );
    expect(checks.get('user-namespaces')).toMatchObject({
      status: 'warn',
      fix: 'sudo sysctl user.max_user_namespaces=15000',
    });
  });

  it('are capabilities, and user namespaces to get them in', async () => {
    const drop = 'setpriv --bounding-set=-all --inh-caps=-all';
    const { status, checks } = await doctorAfter(
      `echo 0 > /proc/sys/user/max_user_namespaces; exec ${drop} "$@"`,
      ...['unshare', '--user', '--map-root-user'],
    );
    expect(status).toBe(69);
    expect(checks.get('capabilities')).toMatchObject({
      status: 'fail',
      detail: expect.stringMatching(/^no CAP_NET_ADMIN, no CAP_NET_RAW/),
      fix: expect.stringMatching(/^sudo /),
    });
  });

  it('is a capability that a namespace of its own would give', async () => {
    const { status, checks } = await doctorAfter('exec setpriv --bounding-set=-net_raw --inh-caps=-all "$@"');
    expect(status).toBe(0);
    expect(checks.get('capabilities')).toMatchObject({
      status: 'warn',
      detail: expect.stringMatching(/^CAP_NET_ADMIN, no CAP_NET_RAW/),
    });
  });

  it('is IPv6 for new devices', async () => {
    const { status, checks } = await doctorAfter(
      'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6',
      ...['unshare', '--net'],
    );
    expect(status).toBe(0);
    expect(checks.get('ipv6')).toMatchObject({
      status: 'warn',
      fix: 'sudo sysctl net.ipv6.conf.default.disable_ipv6=0',
    });
  });

  it('are file descriptors', async () => {
    const { checks } = await doctorAfter('ulimit -n 100');
    expect(checks.get('file-limit')).toMatchObject({ status: 'warn', detail: expect.stringContaining('limit 100') });
  });

  it('is the native core', async () => {
    const { status, checks } = await doctorAfter('export VNIC_NATIVE=/nonexistent.node');
    expect(status).toBe(69);
    expect(checks.get('native-core')).toMatchObject({ status: 'fail', fix: expect.stringMatching(/npm run build/) });
  });

  it('is the program ping', async () => {
    const hide = 'for p in $(which -a ping); do mount --bind /dev/null $p; done';
    const { status, checks } = await doctorAfter(hide);
    expect(status).toBe(0);
    expect(checks.get('programs')).toMatchObject({ status: 'warn', fix: 'sudo apt-get install iputils-ping' });
  });
});
