/**
 * Every way in which a device can be refused, with the true cause in the error.
 *
 * The library runs in a child: without a capability, under a node that is missing or another one, and with the
 * system call failing by strace where the cause itself cannot be made here (a device cgroup, a kernel without the driver).
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { requirePrivateNetns } from './private-netns.ts';

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly reason: string;
  readonly hint: string;
  readonly errno?: string;
}

const folder = mkdtempSync(join(tmpdir(), 'vnic-refusals-'));
const program = join(folder, 'open.mjs');

beforeAll(() => {
  requirePrivateNetns();
  writeFileSync(
    program,
    `import { TapDevice, TunDevice } from '${new URL('../../dist/tun/index.js', import.meta.url).href}';
    const [kind, name] = process.argv.slice(2);
    try {
      const device = await (kind === 'tap' ? TapDevice : TunDevice).open({ name });
      await device.close();
      console.log(JSON.stringify({ code: 'none' }));
    } catch (error) {
      console.log(JSON.stringify(error));
    }`,
  );
});

afterAll(() => rmSync(folder, { recursive: true }));

afterEach(() => {
  for (const name of ['ref0', 'ref1']) {
    try {
      execFileSync('ip', ['link', 'delete', name], { stdio: 'ignore' });
    } catch {
      // Not made by this test.
    }
  }
});

/** Opens a device in a child that is started by the words in `wrapper`. */
const refusal = (wrapper: readonly string[], kind = 'tun', name = 'ref0'): Refusal => {
  const [command, ...args] = [...wrapper, process.execPath, program, kind, name];
  return JSON.parse(
    execFileSync(command as string, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
  ) as Refusal;
};

const injecting = (fault: string): string[] => [
  'strace',
  '-f',
  '-qq',
  '-o',
  '/dev/null',
  '-P',
  '/dev/net/tun',
  '-e',
  `inject=${fault}`,
];
const sh = (script: string): string[] => ['unshare', '--mount', 'sh', '-c', `${script} && exec "$@"`, 'sh'];
const withoutNetAdmin = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];

describe('opening /dev/net/tun', () => {
  it('says that the node is missing, and how to make it', () => {
    const error = refusal(sh('mount -t tmpfs tmpfs /dev/net'));
    expect([error.code, error.errno]).toEqual(['VNIC_TUN_NODE_MISSING', 'ENOENT']);
    expect(error.hint).toMatch(/mknod|--device \/dev\/net\/tun/);
  });

  it('says that something else stands in place of the node', () => {
    const error = refusal(sh('mount -t tmpfs tmpfs /dev/net && : > /dev/net/tun'));
    expect(error.code).toBe('VNIC_TUN_DRIVER_MISSING');
  });

  it.each([
    ['EACCES', 'VNIC_TUN_NODE_FORBIDDEN', /chmod 0666/],
    ['EPERM', 'VNIC_TUN_NODE_DENIED', /DeviceAllow|--device/],
    ['ENODEV', 'VNIC_TUN_DRIVER_MISSING', /modprobe tun/],
    ['ENXIO', 'VNIC_TUN_DRIVER_MISSING', /modprobe tun/],
    ['EMFILE', 'VNIC_TOO_MANY_FILES', /ulimit/],
    ['EIO', 'VNIC_SYSTEM_CALL', /vnic doctor/],
  ])('tells what %s means', (name, code, hint) => {
    const error = refusal(injecting(`openat:error=${name}`));
    expect([error.code, error.errno]).toEqual([code, name]);
    expect(error.hint).toMatch(hint);
    expect(error.message).toContain('open TUN device "ref0"');
  });
});

describe('attaching to a device', () => {
  it('says that CAP_NET_ADMIN is missing when it would have to be created', () => {
    const error = refusal(withoutNetAdmin);
    expect([error.code, error.errno]).toEqual(['VNIC_NO_PRIVILEGE', 'EPERM']);
    expect(error.reason).toContain('lacks CAP_NET_ADMIN');
    expect(error.hint).toContain('unshare --user --map-root-user --net');
  });

  it('says that the network namespace belongs to somebody else', () => {
    const error = refusal(['unshare', '--user', '--map-root-user']);
    expect(error.code).toBe('VNIC_NO_PRIVILEGE');
    expect(error.reason).toContain('does not own the network namespace');
  });

  it('needs no capability for a device that is open to all, or to this user', () => {
    execFileSync('ip', ['tuntap', 'add', 'dev', 'ref0', 'mode', 'tun']);
    execFileSync('ip', ['tuntap', 'add', 'dev', 'ref1', 'mode', 'tap', 'user', '0']);
    expect([refusal(withoutNetAdmin).code, refusal(withoutNetAdmin, 'tap', 'ref1').code]).toEqual(['none', 'none']);
  });

  it('names owner and user when the device belongs to somebody else', () => {
    execFileSync('ip', ['tuntap', 'add', 'dev', 'ref0', 'mode', 'tun', 'user', '0']);
    const error = refusal(injecting('ioctl:error=EPERM'));
    expect([error.code, error.errno]).toEqual(['VNIC_DEVICE_OWNED', 'EPERM']);
    expect(error.reason).toContain('belongs to user 0');
    expect(error.hint).toContain('vnic set ref0 --owner');
  });

  it('names the process that holds the device', () => {
    const holder = `import { TunDevice } from '${new URL('../../dist/tun/index.js', import.meta.url).href}';
      import { spawnSync } from 'node:child_process';
      await TunDevice.open({ name: 'ref0' });
      const child = spawnSync(process.execPath, ['${program}', 'tun', 'ref0'], { encoding: 'utf8' });
      console.log(JSON.stringify({ ...JSON.parse(child.stdout), holder: process.pid }));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', holder], { encoding: 'utf8' });
    const error = JSON.parse(output) as Refusal & { holder: number };
    expect(error.code).toBe('VNIC_DEVICE_BUSY');
    expect(error.reason).toContain(`node (pid ${error.holder})`);
  });

  it.each([
    ['E2BIG', 'VNIC_TOO_MANY_QUEUES'],
    ['ENFILE', 'VNIC_DEVICE_EXISTS'],
    ['ENOMEM', 'VNIC_SYSTEM_CALL'],
  ])('tells what %s means', (name, code) => {
    const error = refusal(injecting(`ioctl:error=${name}`));
    expect([error.code, error.errno]).toEqual([code, name]);
  });
});
