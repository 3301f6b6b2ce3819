/**
 * What a device has of offload before vnic attaches and after: told by ethtool, byte for byte.
 *
 * The mask of a persistent device is set by another holder, here a bare descriptor and its ioctls.
 */

import { execFileSync } from 'node:child_process';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { nativeCore } from '../../src/native/index.ts';
import { openQueues, runInWorkers } from '../../src/queues/index.ts';
import { type DeviceOptions, Iff, TapDevice, TUN_NODE, TunDevice, TunIoctl, TunOffload } from '../../src/tun/index.ts';
import { emitInt, emitInterfaceRequest, parseInt32 } from '../../src/tun/interface-request.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const core = nativeCore();
const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' });
const { csum, tso4, tso6, tsoEcn, uso4, uso6, udpTunnelGso, udpTunnelGsoCsum } = TunOffload;
const everything = csum | tso4 | tso6 | tsoEcn | uso4 | uso6 | udpTunnelGso | udpTunnelGsoCsum;
const NAME = 'mask0';
const O_RDWR_NONBLOCK = 0o4002;

const cleanUp: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

interface Made {
  readonly kind: 'tun' | 'tap';
  readonly multiQueue: boolean;
}

/** A device that persists, as `ip` makes it. */
function makeDevice({ kind, multiQueue }: Made): void {
  run('ip', 'tuntap', 'add', 'dev', NAME, 'mode', kind, 'vnet_hdr', ...(multiQueue ? ['multi_queue'] : []));
  cleanUp.push(() => void run('ip', 'link', 'del', NAME));
}

/** Another program's descriptor of it. */
function attachBare({ kind, multiQueue }: Made): number {
  const fd = core.open(TUN_NODE, O_RDWR_NONBLOCK);
  const flags = (kind === 'tun' ? Iff.tun : Iff.tap) | Iff.noPi | Iff.vnetHdr | (multiQueue ? Iff.multiQueue : 0);
  expect(core.ioctl(fd, TunIoctl.setIff, emitInterfaceRequest(NAME, flags))).toBe(0);
  return fd;
}

function setByAnother(made: Made, set: { mask?: number; headerLen?: number }): void {
  const fd = attachBare(made);
  try {
    if (set.mask !== undefined) expect(core.ioctl(fd, TunIoctl.setOffload, set.mask)).toBe(0);
    if (set.headerLen !== undefined) {
      expect(core.ioctl(fd, TunIoctl.setVnetHdrSz, emitInt(set.headerLen))).toBe(0);
    }
  } finally {
    core.close(fd);
  }
}

function headerLen(made: Made): number {
  const fd = attachBare(made);
  const length = emitInt(0);
  core.ioctl(fd, TunIoctl.getVnetHdrSz, length);
  core.close(fd);
  return parseInt32(length);
}

const built = (entry: string): string => new URL(`../../dist/${entry}/index.js`, import.meta.url).href;
const program = (code: string): URL => new URL(`data:text/javascript,${encodeURIComponent(code)}`);

const features = (): string => run('ethtool', '-k', NAME);
const isOn = (feature: string): boolean => new RegExp(`^\\s*${feature}: on$`, 'm').test(features());

const open = ({ kind, multiQueue }: Made, options: DeviceOptions): Promise<TunDevice | TapDevice> =>
  (kind === 'tun' ? TunDevice : TapDevice).open({ name: NAME, mustExist: true, multiQueue, ...options });

const devices: Made[] = [
  { kind: 'tun', multiQueue: false },
  { kind: 'tap', multiQueue: false },
  { kind: 'tun', multiQueue: true },
  { kind: 'tap', multiQueue: true },
];

const uses: [string, DeviceOptions][] = [
  ['without offload', {}],
  ['with offload', { offload: 'auto' }],
  ['with offload of TCP only', { offload: { uso: false } }],
  ['with super-packets', { offload: 'auto', superPackets: true }],
];

const masks = [
  0,
  csum,
  csum | tso4,
  csum | tso6,
  csum | tso4 | tso6 | tsoEcn,
  csum | uso4 | uso6,
  csum | tso4 | tso6 | uso4 | uso6,
  csum | tso4 | udpTunnelGso,
  everything,
];

describe.each(devices)('a persistent device ($kind, multi-queue: $multiQueue)', (made) => {
  it.each(uses)('is as it was made after it was used %s', async (_, options) => {
    makeDevice(made);
    const before = features();
    const device = await open(made, options);
    await device.close();
    expect(features()).toBe(before);
  });

  it.each(uses)('has the mask and the header of its former holder after it was used %s', async (_, options) => {
    makeDevice(made);
    for (const [i, mask] of masks.entries()) {
      setByAnother(made, { mask, headerLen: i % 2 === 0 ? 12 : 24 });
      const before = features();
      const device = await open(made, options);
      const during = features();
      await device.close();
      expect(features(), `mask ${mask.toString(16)}`).toBe(before);
      expect(headerLen(made)).toBe(i % 2 === 0 ? 12 : 24);
      // Read after the close, so that a failure leaves nothing open.
      expect(during.includes('tx-checksum-ip-generic: on')).toBe(options.offload !== undefined);
    }
  });

  it('is as it was when opening fails half-way', async () => {
    makeDevice(made);
    setByAnother(made, { mask: everything, headerLen: 12 });
    const before = features();
    await expect(open(made, { batch: { capacity: 0 } })).rejects.toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
    await expect(open(made, { offload: 'auto', batch: { capacity: 0 } })).rejects.toThrow();
    await expect(open(made, { offload: 'auto', packetInfo: true })).rejects.toMatchObject({
      code: 'VNIC_INVALID_ARGUMENT',
    });
    expect(features()).toBe(before);
    expect(headerLen(made)).toBe(12);
  });

  it('keeps what ethtool has switched while it was open', async () => {
    makeDevice(made);
    setByAnother(made, { mask: csum | tso4 | tso6 });
    const device = await open(made, { offload: 'auto' });
    run('ethtool', '-K', NAME, 'tx-tcp6-segmentation', 'off');
    await device.close();
    expect(isOn('tx-tcp-segmentation')).toBe(true);
    expect(isOn('tx-tcp6-segmentation')).toBe(false);
    run('ethtool', '-K', NAME, 'tx-tcp6-segmentation', 'on');
    expect(isOn('tx-tcp6-segmentation')).toBe(true);
  });

  it('is as it was when ethtool had switched a part of the mask off, tunnels without TCP included', async () => {
    makeDevice(made);
    setByAnother(made, { mask: everything });
    run('ethtool', '-K', NAME, 'tx-tcp-segmentation', 'off', 'tx-tcp6-segmentation', 'off');
    const before = features();
    expect(before).toMatch(/tx-udp_tnl-segmentation: on/);
    const device = await open(made, { offload: 'auto' });
    await device.close();
    expect(features()).toBe(before);
  });

  it('is as it was after a descriptor was adopted', async () => {
    makeDevice(made);
    setByAnother(made, { mask: csum | tso4 });
    const before = features();
    const device = await (made.kind === 'tun' ? TunDevice : TapDevice).adopt(attachBare(made), { offload: 'auto' });
    const { read } = device.offloadInfo;
    await device.close();
    expect(read).toEqual({ checksum: true, tso: true, uso: true });
    expect(features()).toBe(before);
  });
});

describe.each(['tun', 'tap'] as const)('a device of an owner without privilege (%s)', (kind) => {
  it('has its mask and its header back, and no more that is requested than is in force', () => {
    run('ip', 'tuntap', 'add', 'dev', NAME, 'mode', kind, 'vnet_hdr', 'user', '0');
    cleanUp.push(() => void run('ip', 'link', 'del', NAME));
    const made: Made = { kind, multiQueue: false };
    const use = `import { TunDevice, TapDevice } from '${built('tun')}';
      const device = await (${kind === 'tun' ? 'TunDevice' : 'TapDevice'}).open({ name: '${NAME}', offload: 'auto' });
      const { read } = device.offloadInfo;
      await device.close();
      console.log(read.tso);`;
    const unprivileged = (): string =>
      run(
        'setpriv',
        '--inh-caps=-all',
        '--bounding-set=-all',
        '--',
        process.execPath,
        '--input-type=module',
        '-e',
        use,
      );
    setByAnother(made, { mask: csum | tso4, headerLen: 12 });
    const before = features();
    expect(unprivileged()).toBe('true\n');
    expect(features()).toBe(before);
    expect(headerLen(made)).toBe(12);
    // It fails to tell that the driver does not give it.
    run('sh', '-c', `ethtool -K ${NAME} tx-udp-segmentation on || true`);
    const requested = features();
    expect(unprivileged()).toBe('true\n');
    expect(requested).toContain('off [requested on]');
    expect(features()).toBe(requested.replaceAll(' [requested on]', ''));
  });
});

describe.each(['tun', 'tap'] as const)('a device whose holder was killed (%s)', (kind) => {
  const made: Made = { kind, multiQueue: false };

  it('has the mask of the killed, and gives no reader who came later what it has not asked for', async () => {
    makeDevice(made);
    const code = `import { TunDevice, TapDevice } from '${built('tun')}';
      await (${kind === 'tun' ? 'TunDevice' : 'TapDevice'}).open({ name: '${NAME}', offload: 'auto' });
      process.kill(process.pid, 'SIGKILL');`;
    expect(() => run(process.execPath, '--input-type=module', '-e', code)).toThrow();
    expect(isOn('tx-checksum-ip-generic')).toBe(true);
    const before = features();
    const device = await open(made, {});
    const during = features();
    await device.close();
    expect(during).toMatch(/tx-checksum-ip-generic: off/);
    expect(features()).toBe(before);
  });
});

describe.each(['tun', 'tap'] as const)('a multi-queue device that several hold (%s)', (kind) => {
  const made: Made = { kind, multiQueue: true };

  it('keeps the mask of a live holder, who may read what it has asked for', async () => {
    makeDevice(made);
    const other = attachBare(made);
    cleanUp.push(() => void core.close(other));
    core.ioctl(other, TunIoctl.setOffload, csum | tso4);
    const before = features();
    const device = await open(made, { offload: 'auto' });
    const { read } = device.offloadInfo;
    const during = features();
    await device.close();
    expect(read).toEqual({ checksum: true, tso: true, uso: false });
    expect(during).toBe(before);
    expect(features()).toBe(before);
  });

  it('keeps the mask for a holder who came later and stays', async () => {
    makeDevice(made);
    const device = await open(made, { offload: 'auto' });
    const during = features();
    const other = attachBare(made);
    cleanUp.push(() => void core.close(other));
    await device.close();
    expect(features()).toBe(during);
  });

  it('is as it was after the last of several queues, in whichever order they close', async () => {
    makeDevice(made);
    setByAnother(made, { mask: csum | tso6, headerLen: 12 });
    const before = features();
    for (const order of [[0, 1, 2], [2, 1, 0], [1, 0, 2], 'together'] as const) {
      const queues = await openQueues({ name: NAME, kind, queues: 3, offload: 'auto' });
      const during = features();
      if (order === 'together') await queues.close();
      else for (const index of order) await queues.remove(index);
      expect(features(), String(order)).toBe(before);
      expect(headerLen(made)).toBe(12);
      expect(during).not.toBe(before);
    }
  });

  it('is as it was after a queue was opened while the others were being closed', async () => {
    makeDevice(made);
    setByAnother(made, { mask: csum });
    const before = features();
    const first = await openQueues({ name: NAME, kind, queues: 2, offload: 'auto' });
    const closing = first.close();
    const second = await openQueues({ name: NAME, kind, queues: 2, offload: 'auto' });
    await Promise.all([closing, second.close()]);
    expect(features()).toBe(before);
  });

  it('is as it was when there are too many queues', async () => {
    makeDevice(made);
    setByAnother(made, { mask: csum | tso4, headerLen: 12 });
    const before = features();
    await expect(openQueues({ name: NAME, kind, queues: 257, offload: 'auto' })).rejects.toMatchObject({
      code: 'VNIC_TOO_MANY_QUEUES',
    });
    expect(features()).toBe(before);
    expect(headerLen(made)).toBe(12);
  });

  it('is as it was after workers had its queues, also those that were terminated', async () => {
    makeDevice(made);
    setByAnother(made, { mask: csum | tso4 | tso6, headerLen: 12 });
    const before = features();
    const workers = await runInWorkers({
      worker: program(`import { openQueueInWorker } from '${built('queues')}';
        (await openQueueInWorker()).link.onBatch(() => {});`),
      queues: 2,
      device: { name: NAME, kind, offload: 'auto' },
      onFailure: 'continue',
    });
    const during = features();
    await workers.workers[0]?.terminate();
    await workers.close();
    expect(during).not.toBe(before);
    expect(features()).toBe(before);
    expect(headerLen(made)).toBe(12);
  });
});
