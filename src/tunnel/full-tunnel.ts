/** Brings about what `default-route.ts` says, for as long as a tunnel is there. */

import type { IpAddress, IpFamily } from '../base/index.ts';
import { Kernel, type LinkRef } from '../changes/index.ts';
import { type Loan, openLoan } from '../journal/index.ts';
import type { TunTapDevice } from '../tun/index.ts';
import type { Welcome } from './control-message.ts';
import {
  type DefaultRoutePlace,
  defaultRouteRules,
  defaultRoutes,
  freePlace,
  type TunnelEndpoint,
} from './default-route.ts';

/** Everything goes through the tunnel. */
export interface FullTunnelOptions {
  /** What is connected to. */
  readonly endpoints: readonly TunnelEndpoint[];
  /** Nothing goes past the tunnel, also while it is down, and after this process was killed. Default false. */
  readonly killSwitch?: boolean;
}

const noGateways: readonly IpAddress[] = [];
/** Beside one for each endpoint. */
const RULES = 3;

/** Rules and routes of one tunnel; what was changed is undone by `giveBack`. */
export class FullTunnel {
  readonly #options: FullTunnelOptions;
  readonly #loan: Loan;
  #place: DefaultRoutePlace | undefined;
  #hasRules = false;
  #routed: number | undefined;

  constructor(options: FullTunnelOptions) {
    this.#options = options;
    // With the kill switch, what a killed process has left stands until this one's rules do.
    this.#loan = openLoan({ abandoned: options.killSwitch ? 'after' : 'before' });
  }

  /** Before there is a tunnel: with the kill switch nothing goes past from the beginning. */
  async guard(): Promise<void> {
    const { endpoints, killSwitch = false } = this.#options;
    await using kernel = new Kernel();
    const netlink = await kernel.netlink();
    const [rules, routes] = [await netlink.rules.list(), await netlink.routes.list()];
    this.#place = freePlace(rules, routes, endpoints.length + RULES);
    if (killSwitch) await this.#addRules(this.#place, [4, 6]);
  }

  /** The device is there, or another one. */
  async route(device: TunTapDevice, { addresses, gateways }: Welcome): Promise<void> {
    const place = this.#place;
    if (place === undefined || this.#routed === device.ifindex) return;
    const families = [...new Set(addresses.map(({ family }): IpFamily => family))];
    const link: LinkRef = { name: device.name, index: device.ifindex };
    await this.#loan.change(defaultRoutes(place, link, families, device.medium === 'ip' ? noGateways : gateways));
    this.#routed = device.ifindex;
    await this.#addRules(place, families);
  }

  /** Undoes it. Idempotent. */
  giveBack(): Promise<void> {
    return this.#loan.giveBack();
  }

  async #addRules(place: DefaultRoutePlace, families: readonly IpFamily[]): Promise<void> {
    if (this.#hasRules) return;
    const { endpoints, killSwitch = false } = this.#options;
    await this.#loan.change(defaultRouteRules(place, endpoints, { families, killSwitch }));
    this.#hasRules = true;
  }
}
