/** Tells when a device goes up or down, changes its MTU or vanishes, from the kernel's link events. */

import type { LinkEvents, LinkInfo, NetlinkEvent } from '../netlink/index.ts';
import { findLink, openDeviceEvents } from './device-namespace.ts';

/** What a watcher tells; `vanished` also when the device has moved to another namespace. */
export interface WatcherHandlers {
  up(): void;
  down(): void;
  mtu(mtu: number): void;
  vanished(): void;
}

/** Watches one interface. Keeps no process alive. */
export class DeviceWatcher {
  readonly #fd: number;
  readonly #ifindex: number;
  readonly #handlers: WatcherHandlers;
  readonly #events: LinkEvents;
  #up = false;
  #mtu: number;

  /** The state is read after the socket was opened, so that no change is missed. */
  constructor(fd: number, ifindex: number, mtu: number, handlers: WatcherHandlers) {
    this.#fd = fd;
    this.#ifindex = ifindex;
    this.#events = openDeviceEvents(fd);
    this.#mtu = mtu;
    this.#handlers = handlers;
    const link = findLink(fd, ifindex);
    if (link !== undefined) this.#up = carriesPackets(link);
    this.#events.onEvent((event) => this.#onEvent(event));
    this.#events.unref();
    if (link !== undefined) this.#compare(link);
  }

  close(): void {
    this.#events.closeSync();
  }

  #onEvent(event: NetlinkEvent): void {
    if (event.type === 'lost') {
      const link = findLink(this.#fd, this.#ifindex);
      if (link === undefined) this.#handlers.vanished();
      else this.#compare(link);
      return;
    }
    if (event.type !== 'link' || event.link.index !== this.#ifindex) return;
    if (event.action === 'delete') this.#handlers.vanished();
    else this.#compare(event.link);
  }

  #compare(link: LinkInfo): void {
    if (link.mtu !== this.#mtu) {
      this.#mtu = link.mtu;
      this.#handlers.mtu(link.mtu);
    }
    const up = carriesPackets(link);
    if (up === this.#up) return;
    this.#up = up;
    if (up) this.#handlers.up();
    else this.#handlers.down();
  }
}

/** Administratively up, and with carrier. */
function carriesPackets(link: LinkInfo): boolean {
  return link.flags.includes('UP') && link.flags.includes('LOWER_UP');
}
