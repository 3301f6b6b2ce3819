/** The command line itself: what comes in wrong, help, output, signals. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { commandList } from '../../src/cli/command-list.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { deleteTestDevices, ipJson, run, runShell, runVnic, start, terminalEnv, VNIC } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());
afterEach(() => deleteTestDevices());

const commands = commandList.map(({ name }) => name);
const twoLines = /^error: \S.*\nhint: \S.*\n$/;

describe('bad input', () => {
  const long16 = 'abcdefghijklmnop';
  it.each<[args: string[], status: number, says: string]>([
    [['frobnicate'], 2, "unknown command 'frobnicate'"],
    [['creat'], 2, 'Did you mean create?'],
    [['--frobnicate'], 2, "unknown option '--frobnicate'"],
    [['list', '--jsn'], 2, 'Did you mean --json?'],
    [['list', 'tun0'], 2, 'too many arguments'],
    [['show'], 2, "missing required argument 'interface'"],
    [['delete'], 2, "missing required argument 'device'"],
    [['create'], 2, "missing required argument 'name'"],
    [['create', 'x'], 2, 'none of --tun, --tap, --bridge and --veth'],
    [['create', 'x', 'y', '--tun'], 2, 'too many arguments'],
    [['create', 'x', '--tun', '--tap'], 2, "'--tun' cannot be used with option '--tap'"],
    [['create', 'x', '--tun', '--mac', '02:00:00:00:00:01'], 2, '--mac'],
    [['create', 'x', '--tun', '--mtu'], 2, 'argument missing'],
    [['create', 'x', '--tun', '--mtu', '1400', '--mtu', '1500'], 2, '--mtu is given twice'],
    [['create', 'x', '--tun', '--up', '--up'], 2, '--up is given twice'],
    [['create', 'x', '--tun', '--route', '10.0.0.0/8'], 2, '--up'],
    [['create', 'x', '--tun', '--up', '--route', '10.0.0.1/8'], 2, '10.0.0.0/8'],
    [['create', 'x', '--tun', '--up', '--route', '10.0.0.0/8,via'], 2, 'expected'],
    [['create', 'x', '--tun', '--up', '--route', '10.0.0.0/8,dev=lo'], 2, 'expected'],
    [['create', 'x', '--tun', '--up', '--route', '10.0.0.0/8,metric=-1'], 2, 'metric'],
    [['create', 'x', '--tun', '--up', '--route', 'default'], 2, '0.0.0.0/0'],
    [['create', 'x', '--tun', '--owner', ''], 2, 'not an empty one'],
    [['create', 'x', '--tun', '--owner', 'no such user'], 2, 'no such user'],
    [['create', 'x', '--tun', '--owner', '4294967296'], 2, 'uid'],
    [['create', 'x', '--tun', '--mtu', '1279', '--address', 'fd00::1/64'], 2, '1280'],
    [['delete', 'lo'], 2, 'not a TUN/TAP device'],
    [['show', 'nosuch0'], 66, 'nosuch0'],
    [['show', long16], 66, long16],
    [['up', ''], 2, 'empty'],
    [['help', 'frob'], 2, "'frob' is invalid"],
    [['completion', 'tcsh'], 2, 'bash, zsh, fish'],
  ])('%j is one clear error', async (args, status, says) => {
    const before = ipJson('-d', 'link', 'show');
    const result = await runVnic(args);
    expect(result.stderr).toMatch(twoLines);
    expect(result.stderr).toContain(says);
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status, stdout: '' });
    expect(ipJson('-d', 'link', 'show')).toEqual(before);
  });

  it.each([
    '',
    long16,
    'x'.repeat(300),
    '.',
    '..',
    'a/b',
    'a b',
    'a\tb',
    'a:b',
    'x%s',
    'x%',
    '%d%d',
    'a\nb',
    '\u00a0x',
    'ééééééééé',
  ])('refuses the name %j', async (name) => {
    for (const kind of ['--tun', '--tap']) {
      const { status, stdout, stderr } = await runVnic(['create', name, kind]);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toMatch(twoLines);
    }
    expect(ipJson('link', 'show')).toHaveLength(1);
  });

  it.each([
    '',
    '0',
    '67',
    '65536',
    '-1',
    '1e3',
    '1e9',
    '1.5',
    '0x5dc',
    ' 1500',
    '01500',
    '1500 ',
    'NaN',
    '99999999999999999999',
    '١٥٠٠',
  ])('refuses the MTU %j', async (mtu) => {
    const { status, stderr } = await runVnic(['create', 'x', '--tun', '--mtu', mtu]);
    expect(status).toBe(2);
    expect(stderr).toMatch(twoLines);
    expect(stderr).toContain(`cannot use ${JSON.stringify(mtu)} as --mtu: expected a whole number from 68 to 65535`);
    expect(ipJson('link', 'show')).toHaveLength(1);
  });

  it.each(['68', '1279', '65535'])('takes the MTU %s for a TUN device', async (mtu) => {
    expect((await runVnic(['create', 'x', '--tun', '--mtu', mtu])).status).toBe(0);
    expect(ipJson('link', 'show', 'dev', 'x')[0]).toMatchObject({ mtu: Number(mtu) });
  });

  it.each([
    '',
    '01:00:5e:00:00:01',
    'ff:ff:ff:ff:ff:ff',
    '00:00:00:00:00:00',
    '02:00:00:00:00',
    '02:00:00:00:00:00:01',
    '2:0:0:0:0:1',
    'x',
  ])('refuses the MAC %j', async (mac) => {
    const { status, stderr } = await runVnic(['create', 'x', '--tap', '--mac', mac]);
    expect(status).toBe(2);
    expect(stderr).toMatch(twoLines);
    expect(ipJson('link', 'show')).toHaveLength(1);
  });

  it.each([
    ...[
      '',
      '10.0.0.1/33',
      'fd00::1/129',
      '10.0.0.1/',
      '10.0.0.1/-1',
      '10.0.0.1/08',
      '1.2.3',
      '256.1.1.1',
      '010.1.1.1',
      '10.0.0.1/24/1',
    ],
    ...[
      'fe80::1%lo',
      'fe80::1%lo/64',
      '::ffff:1.2.3',
      'fd00:::1',
      '0.0.0.0/0',
      '::/0',
      'ff02::1/64',
      '10.0.0.1 /24',
      '０.0.0.1',
      'localhost',
    ],
  ])('refuses the address %j', async (address) => {
    const { status, stderr } = await runVnic(['create', 'x', '--tun', '--address', address]);
    expect(status).toBe(2);
    expect(stderr).toMatch(twoLines);
    expect(ipJson('link', 'show')).toHaveLength(1);
  });

  it('needs privilege for what changes something, and says so', async () => {
    execFileSync('ip', ['tuntap', 'add', 'tun0', 'mode', 'tun']);
    // Capabilities gone from the bounding set are gone after exec, also for root.
    const unprivileged = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', process.execPath, VNIC];
    for (const args of [
      ['create', 'x', '--tun'],
      ['delete', 'tun0'],
      ['up', 'tun0'],
      ['set', 'tun0', '--mtu', '1400'],
    ]) {
      const { status, stderr } = await run([...unprivileged, ...args]);
      expect(status).toBe(77);
      expect(stderr).toMatch(twoLines);
      expect(stderr).toMatch(/CAP_NET_ADMIN|\/dev\/net\/tun/);
    }
    expect((await run([...unprivileged, 'list', '--json'])).status).toBe(0);
    expect((await run([...unprivileged, 'show', 'tun0'])).status).toBe(0);
  });

  it('is reported as one line of JSON with --json', async () => {
    const { status, stdout, stderr } = await runVnic(['show', 'nosuch0', '--json']);
    expect({ status, stdout }).toEqual({ status: 66, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(stderr)).toEqual({
      error: expect.objectContaining({
        code: 'VNIC_NO_SUCH_INTERFACE',
        message: expect.stringContaining('nosuch0'),
        hint: expect.any(String),
        errno: 'ENODEV',
      }),
    });
    expect(JSON.parse((await runVnic(['list', '--json', '--frob'])).stderr)).toMatchObject({
      error: { code: 'VNIC_INVALID_ARGUMENT' },
    });
  });

  it('cannot write to the terminal through an error', async () => {
    const { stderr } = await runVnic(['show', '\u001b[2J\u202e']);
    expect(stderr).toMatch(twoLines);
    for (const character of ['\u001b', '\u202e']) expect(stderr).not.toContain(character);
  });
});

describe('help', () => {
  it('is there on every level, with examples, on stdout', async () => {
    const top = await runVnic(['--help']);
    expect(top).toMatchObject({ status: 0, stderr: '' });
    for (const text of [...commands, 'Examples:', 'Exit status:', 'wrong command line'])
      expect(top.stdout).toContain(text);
    expect((await runVnic(['help'])).stdout).toBe(top.stdout);
    for (const name of commands) {
      const help = await runVnic([name, '--help']);
      expect(help).toMatchObject({ status: 0, stderr: '' });
      expect(help.stdout).toMatch(new RegExp(`^Usage: vnic ${name} `));
      expect(help.stdout).toMatch(/^(Examples|Load it in this shell):$/m);
      expect((await runVnic([name, '-h'])).stdout).toBe(help.stdout);
      expect((await runVnic(['help', name])).stdout).toBe(help.stdout);
    }
  });

  it('comes on stderr with status 2 when nothing was asked for', async () => {
    const { status, stdout, stderr } = await runVnic([]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('Usage: vnic COMMAND');
  });

  it('tells the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    for (const flag of ['--version', '-V']) {
      expect(await runVnic([flag])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
    }
  });
});

describe('output', () => {
  it('ends quietly when its reader goes away', async () => {
    for (let i = 0; i < 40; i++) execFileSync('ip', ['tuntap', 'add', `tun${i}`, 'mode', 'tun']);
    for (const reader of ['head -1', 'true']) {
      const script = `set -o pipefail; vnic list --all --json | ${reader}; echo "status $?"`;
      const { stdout, stderr } = await runShell(script);
      expect(stderr).toBe('');
      expect(stdout).toMatch(/status 0\n$/);
    }
  });

  it('says when it cannot be written', async () => {
    const { stdout, stderr } = await runShell('vnic list --all > /dev/full; echo "status $?"');
    expect(stdout).toBe('status 71\n');
    expect(stderr).toMatch(twoLines);
    expect(stderr).toContain('ENOSPC');
  });

  it('is not needed: stdin, stdout and stderr may be closed', async () => {
    const { stdout } = await runShell(
      'vnic create x --tun <&- >&- 2>&-; echo "status $?"; vnic list --all <&- 2>&-; vnic show nosuch0 2>&-; echo "status $?"',
    );
    expect(stdout).toMatch(/^status 0\nNAME .*\n(.*\n)*status 66\n$/);
  });

  it('is coloured on a terminal only, or where FORCE_COLOR asks for it, and never with NO_COLOR', async () => {
    const csi = '\u001b[';
    const plain = terminalEnv();
    const onTerminal = ['script', '-qec', `${process.execPath} ${VNIC} list --all`, '/dev/null'];
    expect((await runVnic(['list', '--all'], { env: plain })).stdout).not.toContain(csi);
    expect((await runVnic(['show', 'nosuch0'], { env: plain })).stderr).not.toContain(csi);
    expect((await run(onTerminal, { env: plain })).stdout).toContain(csi);
    expect((await run(onTerminal, { env: { ...plain, NO_COLOR: '1' } })).stdout).not.toContain(csi);
    expect((await runVnic(['list', '--all'], { env: { ...plain, FORCE_COLOR: '1' } })).stdout).toContain(csi);
    expect((await runVnic(['list', '--all', '--json'], { env: { ...plain, FORCE_COLOR: '1' } })).stdout).not.toContain(
      escape,
    );
  });

  it('is the same without a locale', async () => {
    execFileSync('ip', ['tuntap', 'add', 'tun0', 'mode', 'tun']);
    const env = without(process.env, 'LANG', 'LC_ALL', 'LC_CTYPE');
    const usual = await runVnic(['list'], { env: { ...env, LANG: 'C.UTF-8' } });
    expect(await runVnic(['list'], { env: { ...env, LANG: 'C', LC_ALL: 'C' } })).toEqual(usual);
    expect(await runVnic(['list'], { env })).toEqual(usual);
  });

  it('shows names from the kernel without what would reach the terminal', async () => {
    execFileSync('ip', ['link', 'add', 'name', 'a\u202eb', 'type', 'bridge']);
    try {
      const { stdout } = await runVnic(['list', '--all']);
      expect(stdout).toContain('a\\u{202e}b');
      expect(stdout).not.toContain('\u202e');
    } finally {
      execFileSync('ip', ['link', 'delete', 'a\u202eb']);
    }
  });
});

describe('signals', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends it with %d and leaves nothing half-made', async (signal, status) => {
    for (let round = 0; round < 8; round++) {
      const child = start([process.execPath, VNIC, 'create', 'sig0', '--tun', '--address', '10.0.0.1/24', '--up']);
      const ended = new Promise<number>((resolve) => {
        child.on('close', (code, by) => resolve(by === null ? (code ?? 0) : by === 'SIGINT' ? 130 : 143));
      });
      for (let looks = 0; looks < round * 3; looks++) ipJson('link', 'show');
      child.kill(signal);
      expect([0, status]).toContain(await ended);
      for (const { flags } of ipJson('link', 'show').filter(({ ifname }) => ifname === 'sig0'))
        expect(flags).toContain('UP');
      deleteTestDevices();
    }
  });
});

function without(env: NodeJS.ProcessEnv, ...names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)));
}
