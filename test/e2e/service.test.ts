/**
 * The service installed and run for real: by systemd as process 1 of a root of its own, and by the init script in one without
 * systemd. What the files have is seen in what the kernel then allows.
 */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { requirePrivateNetns } from '../netns/private-netns.ts';
import { type Container, startContainer } from './container.ts';
import { endLive } from './live-vnic.ts';
import { type RunResult, runVnic } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());

const CONFIG = 'devices: {tap0: {kind: tap, addresses: [10.9.0.1/24, "fd09::1/64"], routes: [10.99.0.0/16]}}';
/** Waits, in the container, until a line of shell succeeds. */
const UNTIL =
  'until_() { for i in $(seq 300); do eval "$1" && return 0; sleep 0.1; done; echo "never: $1" >&2; return 1; }';

let container: Container;

function inside(script: string): Promise<RunResult> {
  return container.shell(`${UNTIL}\n${script}`);
}

/** What the script prints, which must succeed. */
async function output(script: string): Promise<string> {
  const { status, stdout, stderr } = await inside(`set -e\n${script}`);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.trim();
}

async function setUp(program: readonly string[]): Promise<void> {
  container = await startContainer(program);
  await output(`ip link set lo up; mkdir -p /etc/vnic; echo '${CONFIG}' > /etc/vnic/vnic.yaml`);
}

async function tearDown(): Promise<void> {
  await container.stop();
  await endLive();
}

const ifindex = 'cat /sys/class/net/tap0/ifindex';

describe('under systemd', () => {
  beforeAll(async () => {
    await setUp(['/lib/systemd/systemd', '--log-target=null', '--show-status=no', '--unit=multi-user.target']);
    await output('until_ "test -S /run/systemd/private"');
    // Degraded would do: units of others are not ours to judge.
    await inside('systemctl is-system-running --wait');
    await output('vnic service install');
  }, 60_000);

  afterAll(tearDown);

  beforeEach(async () => {
    await output(`echo '${CONFIG}' > /etc/vnic/vnic.yaml; vnic service start`);
  });

  afterEach(async () => {
    await output('vnic service stop; test ! -e /sys/class/net/tap0');
  });

  it('is a unit that systemd finds nothing wrong with, and little exposed', async () => {
    expect(await output('systemd-analyze verify /etc/systemd/system/vnic.service 2>&1')).toBe('');
    const text = await output('systemd-analyze security --no-pager vnic.service');
    expect(Number(/Overall exposure level for vnic\.service: ([\d.]+)/.exec(text)?.[1])).toBeLessThan(2);
  });

  it('is ready when everything is in force', async () => {
    const text = await output('ip -br address show tap0; ip route show dev tap0; systemctl show -P StatusText vnic');
    expect(text).toContain('10.9.0.1/24');
    expect(text).toContain('fd09::1/64');
    expect(text).toContain('10.99.0.0/16');
    expect(text).toContain('1 device as /etc/vnic/vnic.yaml asks for');
  });

  it('has CAP_NET_ADMIN and nothing else', async () => {
    const text = await output('cat /proc/$(systemctl show -P MainPID vnic)/status');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(text).toMatch(new RegExp(`^${set}:\\t0000000000001000$`, 'm'));
    }
    expect(text).toMatch(/^NoNewPrivs:\t1$/m);
    expect(text).toMatch(/^Seccomp:\t2$/m);
  });

  it('keeps devices over a restart, so that connections stay', async () => {
    const [before, after, pids] = (
      await output(
        `${ifindex}; p=$(systemctl show -P MainPID vnic); vnic service restart; ${ifindex}; echo $p $(systemctl show -P MainPID vnic)`,
      )
    ).split('\n') as [string, string, string];
    expect(after, await output('vnic service logs')).toBe(before);
    const [first, second] = pids.split(' ');
    expect(second).not.toBe(first);
  });

  it('takes a new file on reload, and keeps the state when it is wrong', async () => {
    await output(`sed -i s/10.9.0.1/10.9.0.7/ /etc/vnic/vnic.yaml; vnic service reload
      until_ 'ip address show tap0 | grep -q 10.9.0.7/24'`);
    await output(`sed -i s/kind/kin/ /etc/vnic/vnic.yaml; vnic service reload
      until_ 'systemctl show -P StatusText vnic | grep -q "cannot use"'
      systemctl is-active -q vnic; ip address show tap0 | grep -q 10.9.0.7/24`);
    const { stdout } = await inside('vnic service status --json');
    expect(JSON.parse(stdout)).toMatchObject({ state: 'degraded', run: { error: { code: 'VNIC_CONFIG_INVALID' } } });
  });

  it('is started again after kill -9 and finds its devices', async () => {
    const before = await output(ifindex);
    const text = await output(`kill -9 $(systemctl show -P MainPID vnic)
      until_ 'test "$(systemctl show -P NRestarts vnic)" = 1 && systemctl is-active -q vnic'
      ${ifindex}; systemctl show -P NRestarts vnic`);
    expect(text).toBe(`${before}\n1`);
  });

  it('makes again what somebody deleted, and says so in the journal', async () => {
    await output(`ip link delete tap0; until_ 'ip route show dev tap0 2> /dev/null | grep -q 10.99.0.0/16'
      until_ 'vnic service logs | grep -q event=mended'`);
    const entries = await output('journalctl -u vnic -o json --no-pager | grep mended');
    expect(entries.split('\n').map((line) => (JSON.parse(line) as { PRIORITY: string }).PRIORITY)).toContain('6');
  });

  it('tells devices and counters, with the exit status of LSB', async () => {
    const { status, stdout } = await inside('vnic service status --json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      state: 'running',
      manager: 'systemd',
      config: '/etc/vnic/vnic.yaml',
      installed: { path: '/etc/systemd/system/vnic.service', edited: false },
      devices: [{ name: 'tap0', kind: 'tap', exists: true, up: true, rxPackets: 0 }],
    });
    const stopped = await inside('vnic service stop && vnic service status');
    expect(stopped.status).toBe(3);
    expect(stopped.stdout).toMatch(/^state +not running$/m);
  });

  it('is started at boot once enabled', async () => {
    expect(await output('vnic service enable; systemctl is-enabled vnic; vnic service disable')).toBe('enabled');
    expect((await inside('systemctl is-enabled vnic')).stdout.trim()).toBe('disabled');
  });

  it('may set kernel settings and make namespaces once it is installed for a file with them', async () => {
    const more = `sysctls: {net.ipv4.ip_forward: 1}
namespaces: {lab: {}}
devices: {tap0: {kind: tap}, tap1: {kind: tap, namespace: lab, addresses: [10.8.0.1/24]}}`;
    await output(`vnic service stop; cp /etc/systemd/system/vnic.service /tmp/before
      echo '${more}' > /etc/vnic/vnic.yaml; vnic service install; vnic service start`);
    const text = await output('cat /proc/sys/net/ipv4/ip_forward; ip -n lab -br address show tap1');
    expect(text).toMatch(/^1\ntap1 .*10\.8\.0\.1\/24/);
    const status = await output('cat /proc/$(systemctl show -P MainPID vnic)/status');
    // CAP_NET_ADMIN and CAP_SYS_ADMIN.
    expect(status).toMatch(/^CapBnd:\t0000000000201000$/m);
    await output(`vnic service stop; echo '${CONFIG}' > /etc/vnic/vnic.yaml; vnic service install
      cmp /tmp/before /etc/systemd/system/vnic.service; test ! -e /run/netns/lab; cat /proc/sys/net/ipv4/ip_forward`);
  });

  it('may carry links once it is installed for a file with them', async () => {
    const links = `links:
  socket: {ends: ["tun:t0,address=10.7.0.1/24", "udp-listen:700"]}
  path: {ends: ["tun:t1", "unix-listen:/var/lib/lab/a.sock"]}
  program: {ends: ["tun:t2,address=10.5.0.1/24", "exec:${process.execPath} /opt/vnic/dist/cli/main.js link --quiet stdio echo:10.5.0.2"]}`;
    await output(`vnic service stop; cp /etc/systemd/system/vnic.service /tmp/before; mkdir -p /var/lib/lab
      echo '${links}' > /etc/vnic/vnic.yaml; vnic service install; vnic service start
      until_ 'ping -c1 -W1 10.5.0.2 > /dev/null'; test -S /var/lib/lab/a.sock`);
    const { stdout } = await inside('vnic service status --json');
    const { state, links: found } = JSON.parse(stdout) as { state: string; links: { name: string; state: string }[] };
    expect([state, ...found.map((link) => `${link.name} ${link.state}`)], stdout).toEqual([
      'running',
      'socket up',
      'path waiting',
      'program up',
    ]);
    // Of who may not ask, the service is known, and that it has links.
    const other = await inside(
      'setpriv --reuid 65534 --clear-groups node /opt/vnic/dist/cli/main.js service status --json',
    );
    expect(JSON.parse(other.stdout), other.stderr).toMatchObject({
      state: 'running',
      run: { running: [{ name: 'socket', state: 'up' }, { state: 'waiting' }, { state: 'up' }] },
      links: [{ name: 'socket', state: 'unknown' }, { state: 'unknown' }, { state: 'unknown' }],
    });
    const status = await output('cat /proc/$(systemctl show -P MainPID vnic)/status');
    // CAP_NET_ADMIN and CAP_NET_BIND_SERVICE.
    expect(status).toMatch(/^CapBnd:\t0000000000001400$/m);
    expect(await output('systemd-analyze verify /etc/systemd/system/vnic.service 2>&1')).toBe('');
    await output(`vnic service stop; test ! -e /sys/class/net/t0; test ! -e /var/lib/lab/a.sock
      echo '${CONFIG}' > /etc/vnic/vnic.yaml; vnic service install; cmp /tmp/before /etc/systemd/system/vnic.service`);
  });

  it('is not removed while it runs', async () => {
    const { status, stderr } = await inside('vnic service uninstall');
    expect(status).toBe(2);
    expect(stderr).toContain('the service is running');
  });
});

describe('by the init script', () => {
  beforeAll(async () => {
    // Reaps what is left to it, as every process 1.
    await setUp(['perl', '-e', '$SIG{CHLD} = "IGNORE"; sleep 60 while 1']);
    await output('vnic service install');
  }, 60_000);

  afterAll(tearDown);

  beforeEach(async () => {
    await output(`echo '${CONFIG}' > /etc/vnic/vnic.yaml; /etc/init.d/vnic start`);
  });

  afterEach(async () => {
    await output(
      '/etc/init.d/vnic stop; test ! -e /sys/class/net/tap0; test ! -e /run/vnic.pid; test ! -e /run/lock/vnic',
    );
  });

  it('is started once everything is in force, and once only', async () => {
    const text = await output('cat /run/vnic.pid; /etc/init.d/vnic start; cat /run/vnic.pid; ip -br address show tap0');
    const [first, said, second, address] = text.split('\n');
    expect(said).toBe('vnic is running');
    expect(second).toBe(first);
    expect(address).toContain('10.9.0.1/24');
  });

  it('says by its exit status how it is', async () => {
    const status = '/etc/init.d/vnic status > /dev/null && echo 0 || echo $?';
    expect(await output(status)).toBe('0');
    expect(await output(`kill -9 $(cat /run/vnic.pid); until_ 'test ! -e /proc/$(cat /run/vnic.pid)'; ${status}`)).toBe(
      '1',
    );
    expect(await output(`rm /run/vnic/run-*; ${status}`)).toBe('2');
    expect(await output(`/etc/init.d/vnic stop > /dev/null; ${status}`)).toBe('3');
    // What was killed has left its device to the next one.
    expect(await output(`/etc/init.d/vnic start; ip -br link show tap0`)).toContain('tap0');
  });

  it('keeps devices over a restart', async () => {
    const lines = (
      await output(`${ifindex}; cat /run/vnic.pid; vnic service restart; ${ifindex}; cat /run/vnic.pid`)
    ).split('\n');
    expect(lines[2]).toBe(lines[0]);
    expect(lines[3]).not.toBe(lines[1]);
  });

  it('takes a new file on reload', async () => {
    await output(`sed -i s/10.9.0.1/10.9.0.7/ /etc/vnic/vnic.yaml; vnic service reload
      until_ 'ip address show tap0 | grep -q 10.9.0.7/24'`);
    await output('/etc/init.d/vnic force-reload');
  });

  it('fails to start with what is wrong', async () => {
    const broken = await inside(
      '/etc/init.d/vnic stop > /dev/null; echo "devices: 5" > /etc/vnic/vnic.yaml; /etc/init.d/vnic start',
    );
    expect(broken.status).toBe(1);
    expect(broken.stderr).toContain('vnic.yaml:1:10');
    const missing = await inside('rm /etc/vnic/vnic.yaml; /etc/init.d/vnic start');
    expect(missing.status).toBe(6);
    const none = await inside('/etc/init.d/vnic reload');
    expect(none.status).toBe(7);
    const unknown = await inside('/etc/init.d/vnic dance');
    expect(unknown.status).toBe(2);
    expect(unknown.stderr).toContain('usage:');
  });

  it('is started at boot once enabled', async () => {
    const links = 'find /etc/rc?.d -name "S*vnic" | wc -l';
    expect(Number(await output(`vnic service enable; ${links}`))).toBe(4);
    expect(await output(`vnic service disable; ${links}`)).toBe('0');
  });

  it('writes a log', async () => {
    expect(await output('vnic service logs -n 1000')).toContain('event=ready');
  });
});

describe('in an image', () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'vnic-image-'));
    mkdirSync(join(root, 'etc/vnic'), { recursive: true });
    writeFileSync(join(root, 'etc/vnic/vnic.yaml'), CONFIG);
  });

  afterEach(() => rmSync(root, { recursive: true }));

  const image = (verb: string, ...more: readonly string[]): Promise<RunResult> =>
    runVnic(['service', verb, '--root', root, ...more]);
  const files = (): string[] =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => join(parentPath, name).slice(root.length))
      .toSorted();

  it.each([
    ['systemd', '/etc/systemd/system/vnic.service', 1],
    ['init', '/etc/init.d/vnic', 7],
  ])('for %s it is one file, which goes again', async (manager, path, links) => {
    const before = files();
    const options = ['--manager', manager];
    const installed = await image('install', ...options, '--exec', '/usr/bin/vnic', '--keep');
    expect(installed).toEqual({ status: 0, stdout: `${root}${path} written\n`, stderr: '' });
    expect(files()).toEqual([...before, path].toSorted());
    expect(readFileSync(join(root, path), 'utf8')).toContain('/usr/bin/vnic run --file /etc/vnic/vnic.yaml --keep');
    expect((await image('install', ...options, '--exec', '/usr/bin/vnic', '--keep')).stdout).toContain(
      'was there already',
    );
    expect((await image('enable', ...options)).status).toBe(0);
    expect(files()).toHaveLength(before.length + 1 + links);
    expect((await image('disable', ...options)).status).toBe(0);
    expect((await image('uninstall', ...options)).status).toBe(0);
    expect(files()).toEqual(before);
  });

  it('leaves a file alone that was edited, until it is told', async () => {
    const options = ['--manager', 'systemd'];
    const install = (...more: readonly string[]): Promise<RunResult> =>
      image('install', ...options, '--exec', '/usr/bin/vnic', ...more);
    await install();
    const path = join(root, 'etc/systemd/system/vnic.service');
    const edited = `${readFileSync(path, 'utf8')}# mine\n`;
    writeFileSync(path, edited);
    for (const attempt of [() => install('--keep'), () => image('uninstall', ...options)]) {
      const { status, stderr } = await attempt();
      expect(status).toBe(73);
      expect(stderr).toMatch(/vnic did not write, or that was changed since\nhint: /);
      expect(readFileSync(path, 'utf8')).toBe(edited);
    }
    expect((await install('--force')).status).toBe(0);
    expect(readFileSync(path, 'utf8')).not.toContain('# mine');
  });

  it('is not installed for a file with mistakes', async () => {
    writeFileSync(join(root, 'etc/vnic/vnic.yaml'), 'devices: 5');
    const before = files();
    const { status } = await image('install', '--manager', 'init', '--exec', '/usr/bin/vnic');
    expect(status).toBe(2);
    expect(files()).toEqual(before);
  });

  it('wants to know where vnic is in it', async () => {
    const { status, stderr } = await image('install', '--manager', 'init');
    expect(status).toBe(2);
    expect(stderr).toContain('--root needs --exec');
  });
});
