/** Interfaces by index, for output that names them. */

import type { LinkInfo, Netlink } from '../netlink/index.ts';
import { printable, style } from './output.ts';

/** Names of the interfaces of one namespace. */
export class LinkNames {
  readonly #names: ReadonlyMap<number, string>;

  constructor(links: readonly LinkInfo[]) {
    this.#names = new Map(links.map(({ index, name }) => [index, name]));
  }

  /** The name, `if7` for one that is gone, null for none. */
  name(index: number | undefined): string | null {
    return index === undefined ? null : (this.#names.get(index) ?? `if${index}`);
  }

  /** The same for people: coloured, `-` for none. */
  text(index: number | undefined): string {
    const name = this.name(index);
    return name === null ? '-' : style('cyan', printable(name));
  }
}

export async function readLinkNames(netlink: Netlink): Promise<LinkNames> {
  return new LinkNames(await netlink.links.list());
}
