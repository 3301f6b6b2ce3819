/** Ends that are devices: made, or used as they are. */

import { Cidr, MacAddress, VnicError } from '../../base/index.ts';
import { IPV6_MIN_MTU } from '../../mtu/index.ts';
import { type OpenDeviceOptions, openDevice, parseDeviceRoute, withNetlink } from '../../netdev/index.ts';
import { getLinkSync, type LinkInfo } from '../../netlink/index.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, mistake, readEach, readOption } from '../end-spec.ts';
import { readMtu } from '../option-values.ts';

/** True for an end whose device takes its MTU from the other end. */
export function takesMtu({ kind, options }: EndSpec): boolean {
  return (kind === 'tun' || kind === 'tap') && !options.has('mtu');
}

/** True for a device that can hand super-packets through as they are. */
export function carriesSuperPackets(spec: EndSpec): boolean {
  if ((spec.kind !== 'tun' && spec.kind !== 'tap') || offloadOf(spec) === 'off') return false;
  const tun = existing(spec)?.tun;
  return tun === undefined || (tun.vnetHeader && !tun.packetInfo);
}

function existing(spec: EndSpec): LinkInfo | undefined {
  const netns = spec.options.get('netns')?.at(-1);
  return spec.where === '' ? undefined : getLinkSync(spec.where, netns === undefined ? {} : { netns });
}

function offloadOf(spec: EndSpec): 'auto' | 'off' {
  const words = { on: 'auto', off: 'off' } as const;
  return readOption(spec, 'offload', 'on or off', (text) => words[text as 'on' | 'off']) ?? 'auto';
}

/** Opens `tun` or `tap`. @throws VNIC_INVALID_END, VNIC_NO_SUCH_INTERFACE; what `openDevice` throws */
export async function openDeviceEnd(
  spec: EndSpec,
  kind: 'tun' | 'tap',
  { mtu, headroom, superPackets = false }: OpenEndOptions,
): Promise<OpenEnd> {
  const netns = spec.options.get('netns')?.at(-1);
  const found = existing(spec);
  if (found === undefined && spec.mustExist) throw notThere(spec.where);
  const offload = superPackets ? ({ superPackets } as const) : ({ offload: offloadOf(spec) } as const);
  const device = await openDevice({
    ...(netns !== undefined && { netns }),
    ...(spec.where !== '' && { name: spec.where }),
    ...(headroom !== undefined && { batch: { headroom } }),
    ...(found === undefined ? newDevice(spec, kind, offload, mtu) : existingDevice(spec, kind, offload, found)),
  });
  return {
    link: device,
    label: `${kind.toUpperCase()} device ${device.name}${netns === undefined ? '' : ` in ${netns}`}`,
    takesLonger: true,
    ...(found === undefined && takesMtu(spec) && { setMtu: (mtu) => setDeviceMtu(device, netns, mtu) }),
    close: () => device.close(),
  };
}

function notThere(name: string): VnicError {
  return new VnicError('VNIC_NO_SUCH_INTERFACE', {
    attempted: `attach to ${name}`,
    reason: 'it is not there',
    hint: 'Give it a kind in the configuration file, or have whoever makes it do so; `vnic list` shows what there is.',
  });
}

/** Below 1280 the kernel would take the IPv6 addresses off the device, for good. */
async function setDeviceMtu({ ifindex }: Device, netns: string | undefined, mtu: number): Promise<void> {
  const options = netns === undefined ? {} : { netns };
  await withNetlink(options, ({ links }) => links.set(ifindex, { mtu: Math.max(mtu, IPV6_MIN_MTU) }));
}

type Device = Awaited<ReturnType<typeof openDevice>>;
type DeviceOffload = Pick<OpenDeviceOptions, 'offload' | 'superPackets'>;

function newDevice(
  spec: EndSpec,
  kind: 'tun' | 'tap',
  offload: DeviceOffload,
  mtu: number | undefined,
): OpenDeviceOptions {
  // That of a TUN end is of the proxy which puts it on a segment.
  const mac = kind === 'tap' ? readOption(spec, 'mac', 'a MAC address', (text) => MacAddress.parse(text)) : undefined;
  const master = spec.options.get('bridge')?.at(-1);
  const wanted = readMtu(spec) ?? mtu;
  return {
    kind,
    up: true,
    vnetHeader: offload.offload !== 'off',
    ...offload,
    addresses: readEach(spec, 'address', 'an address with its prefix length', (text) => Cidr.parse(text)),
    routes: readEach(spec, 'route', 'a prefix', (text) => parseDeviceRoute(text)),
    ...(wanted !== undefined && { mtu: wanted }),
    ...(mac !== undefined && { mac }),
    ...(master !== undefined && { master }),
  };
}

/** Used as it is: attaching with other flags, or an address more, would change a device of somebody else. */
function existingDevice(
  spec: EndSpec,
  kind: 'tun' | 'tap',
  offload: DeviceOffload,
  found: LinkInfo,
): OpenDeviceOptions {
  const changes = ['address', 'route', 'mtu', 'mac', 'bridge'].find(
    (option) => spec.options.has(option) && (option !== 'mac' || kind === 'tap'),
  );
  if (changes !== undefined) {
    throw mistake(
      spec.text,
      spec.text.indexOf(`${changes}=`),
      changes.length,
      `${found.name} exists, and is used as it is`,
      {
        hint: `Leave ${changes} out, and set it beforehand: \`vnic set ${found.name} …\`.`,
      },
    );
  }
  const { packetInfo = false, vnetHeader = false, multiQueue = false } = found.tun ?? {};
  return { kind, packetInfo, vnetHeader, multiQueue, ...(vnetHeader && !packetInfo && offload) };
}
