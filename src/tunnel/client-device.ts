/** The device of a connecting side: made as the first welcome says, and changed where a later one differs. */

import { type Cidr, isVnicError } from '../base/index.ts';
import { IPV6_MIN_MTU } from '../mtu/index.ts';
import { openDevice, withNetlink } from '../netdev/index.ts';
import type { TunTapDevice } from '../tun/index.ts';
import type { Welcome } from './control-message.ts';
import type { TunnelDeviceOptions } from './server.ts';

/** What is handed out, with what this side adds to it. */
export interface DeviceWish {
  readonly welcome: Welcome;
  readonly routes: readonly Cidr[];
  /** Bytes. */
  readonly mtu: number;
}

/** Stays while connections come and go. */
export class ClientDevice {
  readonly #options: TunnelDeviceOptions;
  #device: TunTapDevice | undefined;
  #addresses: readonly Cidr[] = [];
  #routes: readonly Cidr[] = [];
  #mtu: number | undefined;

  constructor(options: TunnelDeviceOptions) {
    this.#options = options;
  }

  /** Undefined before the first welcome. */
  get device(): TunTapDevice | undefined {
    return this.#device;
  }

  get addresses(): readonly Cidr[] {
    return this.#addresses;
  }

  get mtu(): number | undefined {
    return this.#mtu;
  }

  /**
   * Makes the device as it is to be, or changes it; an interface that is made anew has another index.
   * @throws what `openDevice` throws; what the kernel refuses
   */
  async settle(wish: DeviceWish): Promise<TunTapDevice> {
    const { welcome, routes, mtu } = wish;
    // How packets are read is settled when a device is opened.
    if (this.#device !== undefined && this.#device.offload !== welcome.superPackets && !this.#device.closed) {
      await this.#device.close();
      this.#device = undefined;
    }
    if (this.#device === undefined) this.#device = await this.#make(wish);
    else await this.#change(this.#device, wish);
    this.#addresses = welcome.addresses;
    this.#routes = routes;
    this.#mtu = mtu;
    return this.#device;
  }

  /** The path takes less than before, or more again. */
  async followMtu(wanted: number): Promise<void> {
    const device = this.#device;
    // With less, the kernel takes the IPv6 addresses away (RFC 8200 section 5); this machine fragments outside then.
    const least = this.#addresses.some(({ family }) => family === 6) ? IPV6_MIN_MTU : 0;
    const mtu = Math.max(least, wanted);
    if (device === undefined || device.closed || mtu === this.#mtu) return;
    try {
      await withNetlink(this.#place, (netlink) => netlink.links.set(device.ifindex, { mtu }));
      this.#mtu = mtu;
    } catch (error) {
      // It has gone meanwhile, which its reader tells.
      if (!isVnicError(error)) throw error;
    }
  }

  /** Removes it. Idempotent. */
  async close(): Promise<void> {
    await this.#device?.close();
  }

  get #place(): { readonly netns?: string } {
    const { netns } = this.#options;
    return netns === undefined ? {} : { netns };
  }

  #make({ welcome, routes, mtu }: DeviceWish): Promise<TunTapDevice> {
    const { kind, name, bridge } = this.#options;
    const { addresses, superPackets } = welcome;
    return openDevice({
      kind,
      ...this.#place,
      ...(name !== undefined && { name }),
      ...(bridge !== undefined && { master: bridge }),
      exclusive: true,
      vnetHeader: true,
      ...(superPackets ? { superPackets } : { offload: 'auto' }),
      // A port of a bridge has none; the bridge may.
      addresses: kind === 'tap' && bridge !== undefined ? [] : addresses,
      mtu,
      up: true,
      routes: routes.map((destination) => this.#route(destination, welcome)),
    });
  }

  async #change(device: TunTapDevice, { welcome, routes, mtu }: DeviceWish): Promise<void> {
    const gone = without(this.#addresses, welcome.addresses);
    const added = without(welcome.addresses, this.#addresses);
    const oldRoutes = without(this.#routes, routes);
    const newRoutes = without(routes, this.#routes);
    if (gone.length + added.length + newRoutes.length + oldRoutes.length === 0 && this.#mtu === mtu) return;
    await withNetlink(this.#place, async (netlink) => {
      const link = device.ifindex;
      for (const cidr of gone) await netlink.addresses.remove(link, cidr).catch(unlessGone);
      for (const cidr of added) await netlink.addresses.add(link, cidr, { noDad: cidr.family === 6 });
      for (const destination of oldRoutes) await netlink.routes.remove({ destination, link }).catch(unlessGone);
      // The kernel removes routes with an address.
      for (const destination of gone.length > 0 ? routes : newRoutes)
        await netlink.routes.replace({ ...this.#route(destination, welcome), link });
      if (this.#mtu !== mtu) await netlink.links.set(link, { mtu });
    });
  }

  /** Over Ethernet, by the address of the other side. */
  #route(
    destination: Cidr,
    { gateways }: Welcome,
  ): { readonly destination: Cidr; readonly via?: Welcome['gateways'][0] } {
    const isEthernet = this.#options.kind === 'tap';
    const via = isEthernet ? gateways.find(({ family }) => family === destination.family) : undefined;
    return { destination, ...(via !== undefined && { via }) };
  }
}

function without(all: readonly Cidr[], these: readonly Cidr[]): readonly Cidr[] {
  return all.filter((one) => !these.some((other) => other.equals(one)));
}

function unlessGone(error: unknown): void {
  if (!isVnicError(error) || !error.code.startsWith('VNIC_NO_SUCH_')) throw error;
}
