/** The commands for desired state and ownership, as a user types them. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { dump, wipe } from '../netns/desired-state.ts';
import { ip, ipNames } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startVnic } from './live-vnic.ts';
import { type RunResult, runShell, runVnic, VNIC } from './run-vnic.ts';

const folder = mkdtempSync(join(tmpdir(), 'vnic-cli-'));
const file = join(folder, 'vnic.yaml');
const journals = join(folder, 'journals');
const env = { ...process.env, VNIC_RUNTIME_DIRECTORY: journals };

const vnic = (...args: string[]): Promise<RunResult> => runVnic(args, { env });
const write = (text: string): void => writeFileSync(file, text);

beforeAll(() => requirePrivateNetns());
beforeEach(() => wipe());
afterEach(async () => {
  await endLive();
  rmSync(journals, { recursive: true, force: true });
  wipe();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('vnic plan', () => {
  it('says what comes, in its order, and tells by its status that something differs', async () => {
    write('devices: { tun0: { kind: tun, addresses: [10.0.0.1/24], routes: [10.1.0.0/16] } }');
    const { status, stdout } = await vnic('plan', '-f', file, '--exit-code');
    expect(status).toBe(3);
    expect(stdout.split('\n')).toEqual([
      '+ make tun device tun0',
      '+ add address 10.0.0.1/24 to tun0',
      '~ bring tun0 up',
      '+ add route 10.1.0.0/16 to tun0',
      '',
    ]);
    expect(ipNames()).toEqual(['lo']);
  });

  it('needs no privilege, and leaves no trace', async () => {
    write('devices: { tun0: { kind: tun } }');
    const script = `setpriv --bounding-set=-all --inh-caps=-all -- "${process.execPath}" "${VNIC}" plan -f "${file}"`;
    expect(await runShell(script, { env })).toMatchObject({ status: 0, stdout: expect.stringContaining('make tun') });
    expect(existsSync(journals)).toBe(false);
  });

  it('shows conflicts, which have no changes of their own', async () => {
    ip('link add x0 type bridge');
    write('devices: { x0: { kind: tap } }');
    const { status, stdout } = await vnic('plan', '-f', file, '--json', '--exit-code');
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ changes: [], conflicts: [{ path: 'devices.x0.kind' }] });
  });
});

describe('vnic apply', () => {
  it('tells every mistake with its place, and changes nothing', async () => {
    write('devices:\n  tun0:\n    kind: tnu\n    mtu: 20\n    adresses: [10.0.0.1/24]\n');
    const { status, stdout, stderr } = await vnic('apply', '-f', file);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr.split('\n')).toEqual([
      `${file}:3:11: devices.tun0.kind: found "tnu", expected tun, tap, bridge or veth`,
      '        kind: tnu',
      '              ^^^',
      '    hint: Did you mean tun?',
      `${file}:4:10: devices.tun0.mtu: found 20, expected a whole number from 68 to 65535`,
      '        mtu: 20',
      '             ^^',
      `${file}:5:5: devices.tun0.adresses: is not known`,
      '        adresses: [10.0.0.1/24]',
      '        ^^^^^^^^',
      '    hint: Did you mean addresses?',
      expect.stringMatching(/^error: cannot use .*3 mistakes/),
      expect.stringMatching(/^hint: /),
      '',
    ]);
    expect(ipNames()).toEqual(['lo']);
  });

  it('has the mistakes as data with --json', async () => {
    write('devices: { tun0: { kind: tun, mtu: 20 } }');
    const { stderr } = await vnic('apply', '-f', file, '--json');
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'VNIC_CONFIG_INVALID', details: [{ line: 1, column: 36, path: 'devices.tun0.mtu' }] },
    });
  });

  it('makes it so, says so, and `vnic down` undoes it, also without the file', async () => {
    write('devices: { tun0: { kind: tun, addresses: [10.0.0.1/24] } }');
    const before = dump();
    expect(await vnic('apply', '-f', file)).toMatchObject({ status: 0, stderr: '' });
    expect(ipNames()).toEqual(['lo', 'tun0']);
    expect((await vnic('apply', '-f', file)).stdout).toBe('everything is as the file asks for\n');
    rmSync(file);
    expect((await vnic('down', '-f', file)).stdout).toBe('- delete tun device tun0\n');
    expect(dump()).toBe(before);
    expect((await vnic('down', '-f', file)).stdout).toBe('nothing of the file is in force\n');
  });

  it('names the change that failed, and takes everything back', async () => {
    write('devices: { tun0: { kind: tun, addresses: [10.0.0.1/24], routes: [{ to: 10.9.0.0/16, via: 192.0.2.1 }] } }');
    const before = dump();
    const { status, stderr } = await vnic('apply', '-f', file);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^taking 3 changes back\nerror: cannot add route 10\.9\.0\.0\/16 via 192\.0\.2\.1 to tun0: /,
    );
    expect(dump()).toBe(before);
  });

  it('tells a missing file and one that is no text apart from mistakes', async () => {
    expect(await vnic('plan', '-f', join(folder, 'none.yaml'))).toMatchObject({
      status: 71,
      stderr: expect.stringContaining('there is no such file'),
    });
    writeFileSync(file, Buffer.from([0xff, 0xfe, 0x00]));
    expect(await vnic('plan', '-f', file)).toMatchObject({ status: 2, stderr: expect.stringContaining('UTF-8') });
  });
});

describe('the journal', () => {
  const startEcho = async (): Promise<LiveVnic> => {
    const live = startVnic(['echo', 'tap5', '--address', '10.5.0.1/24'], { env });
    await live.until(/Ctrl-C ends this/);
    return live;
  };

  it('of a killed `vnic echo` is undone by `vnic cleanup`', async () => {
    ip('tuntap add tap5 mode tap');
    const before = dump('', ['qdisc']);
    const echo = await startEcho();
    expect((await vnic('owned')).stdout).toMatch(/vnic echo \(pid \d+\)\n {2}\+ add address 10\.5\.0\.1\/24 to tap5\n/);
    await echo.end('SIGKILL');
    expect((await vnic('owned')).stdout).toContain('which has ended');
    const wouldDo = await vnic('cleanup', '--dry-run');
    expect(wouldDo.stdout).toBe('~ take tap5 down\n- remove address 10.5.0.1/24 from tap5\n');
    expect(dump('', ['qdisc'])).not.toBe(before);
    expect(await vnic('cleanup')).toMatchObject({ status: 0, stdout: wouldDo.stdout });
    expect(dump('', ['qdisc'])).toBe(before);
    expect(readdirSync(journals)).toEqual([]);
    expect((await vnic('cleanup')).stdout).toBe('nothing to undo\n');
  });

  it('of a killed process is undone by the next one that changes something', async () => {
    ip('tuntap add tap5 mode tap');
    await (await startEcho()).end('SIGKILL');
    write('devices: { tun0: { kind: tun } }');
    await vnic('apply', '-f', file);
    expect(ip('addr show tap5')).not.toContain('10.5.0.1');
  });

  it('of a running process is left alone, and is undone when the process ends', async () => {
    ip('tuntap add tap5 mode tap');
    const before = dump('', ['qdisc']);
    const echo = await startEcho();
    expect((await vnic('cleanup')).stdout).toBe('nothing to undo\n');
    expect(ip('addr show tap5')).toContain('10.5.0.1');
    await echo.end('SIGINT');
    expect(dump('', ['qdisc'])).toBe(before);
    expect(readdirSync(journals)).toEqual([]);
  });

  it('is readable by its owner alone, in a folder that others cannot write to', async () => {
    write('devices: { tun0: { kind: tun } }');
    await vnic('apply', '-f', file);
    const [name = ''] = readdirSync(journals);
    expect(statSync(join(journals, name)).mode & 0o777).toBe(0o600);
    expect(statSync(journals).mode & 0o777).toBe(0o755);
  });

  it('is listed as data with --json', async () => {
    write('devices: { tun0: { kind: tun, addresses: [10.0.0.1/24] } }');
    await vnic('apply', '-f', file);
    const { stdout } = await vnic('owned', '--json');
    expect(JSON.parse(stdout)).toMatchObject([
      {
        owner: 'config',
        config: file,
        held: false,
        finished: true,
        entries: [
          { resource: 'device', link: { name: 'tun0' } },
          { resource: 'address', cidr: '10.0.0.1/24' },
        ],
      },
    ]);
  });
});

describe('vnic export and import', () => {
  it('write a file of what exists, of which a plan is empty', async () => {
    ip('tuntap add tap5 mode tap user 0');
    ip('addr add 10.5.0.1/24 dev tap5');
    ip('link set tap5 up');
    const { stdout } = await vnic('export');
    write(stdout);
    expect((await vnic('plan', '-f', file, '--exit-code')).status).toBe(0);
  });

  it('write that of another namespace, which a plan there finds in place', async () => {
    ip('netns add lab');
    ip('-n lab tuntap add tap5 mode tap');
    ip('-n lab addr add 10.5.0.1/24 dev tap5');
    ip('tuntap add tap5 mode tap');
    const { stdout } = await vnic('export', '--netns', 'lab');
    expect(stdout).toContain('namespace: lab');
    write(stdout);
    expect((await vnic('plan', '-f', file, '--exit-code')).status).toBe(0);
    expect((await vnic('export', '--all')).stdout).toMatch(/tap5:.*tap5-2:.*namespace: lab/s);
    write('devices: { tap5: { kind: tap, addresses: [10.5.0.1/24] }, tap6: { kind: tap } }');
    expect((await vnic('plan', '-f', file, '--netns', 'lab')).stdout).toBe(
      '+ make tap device tap6 in lab\n~ bring tap5 up in lab\n~ bring tap6 up in lab\n',
    );
    await vnic('apply', '-f', file, '--netns', 'lab');
    expect(ip('-n lab -br link')).toMatch(/^tap6 /m);
    expect(ipNames()).toEqual(['lo', 'tap5']);
    expect((await vnic('apply', '-f', file, '--netns', 'nowhere')).status).not.toBe(0);
    expect((await vnic('down', '-f', file)).status).toBe(0);
    expect(ip('-n lab -br link')).not.toContain('tap6');
  });

  it('carry over what others describe, and tell what they cannot', async () => {
    const interfaces = join(folder, 'interfaces');
    writeFileSync(
      interfaces,
      'auto tap9\niface tap9 inet static\n  address 10.9.0.1/24\n  tunctl_user root\n  up iptables -F\n',
    );
    const { stdout, stderr } = await vnic('import', interfaces);
    expect(stderr).toBe(`note: ${interfaces}:5: "up iptables -F" is not carried over\n`);
    write(stdout);
    await vnic('apply', '-f', file);
    expect(ip('addr show tap9')).toContain('10.9.0.1/24');
    const owner = execFileSync('ip', ['-d', 'link', 'show', 'tap9'], { encoding: 'utf8' });
    expect(owner).toContain('user root');
  });
});

describe('vnic schema', () => {
  it('prints the schema of the file', async () => {
    const { stdout } = await vnic('schema');
    expect(JSON.parse(stdout)).toMatchObject({
      $schema: expect.stringContaining('2020-12'),
      properties: { devices: {} },
    });
  });
});
