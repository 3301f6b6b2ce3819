/** The kernel as changes meet it: a netlink socket for each network namespace, opened when it is needed. */

import { statSync } from 'node:fs';

import { type Netlink, openNetlink } from '../netlink/index.ts';
import { NETNS_FOLDER, type NetnsSelector, NetworkNamespace } from '../netns/index.ts';
import type { Change, NetnsRef } from './change.ts';
import { emptySnapshot, type KernelSnapshot, readSnapshot, type SnapshotOptions } from './snapshot.ts';

/** What was read of each namespace. */
export interface KernelView {
  /** Undefined when the namespace is gone, or another one has its name by now. */
  of(netns: NetnsRef | undefined): KernelSnapshot | undefined;
}

/** Sockets of the namespaces in use. */
export class Kernel implements AsyncDisposable {
  readonly #sockets = new Map<string, Netlink>();

  /** The socket of a namespace. @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN, VNIC_SYSTEM_CALL */
  async netlink(netns?: NetnsRef): Promise<Netlink> {
    const name = netns?.name ?? '';
    const open = this.#sockets.get(name);
    if (open !== undefined) return open;
    const opened = await openNetlink(netns === undefined ? {} : { netns: netns.name });
    this.#sockets.set(name, opened);
    return opened;
  }

  /** One that was opened before. */
  socketOf(netns?: NetnsRef): Netlink | undefined {
    return this.#sockets.get(netns?.name ?? '');
  }

  /** Forgets the socket of a namespace that is deleted: one of the same name is another. */
  async forget(netns: NetnsRef): Promise<void> {
    await this.#sockets.get(netns.name)?.close();
    this.#sockets.delete(netns.name);
  }

  /** Reads the tables of these namespaces, and always of that of the process. */
  async view(names: Iterable<string>, options: SnapshotOptions = {}): Promise<KernelView> {
    const found = new Map<string, { readonly inode: number; readonly snapshot: KernelSnapshot }>();
    found.set('', { inode: 0, snapshot: await readSnapshot(await this.netlink(), undefined, options) });
    for (const name of new Set(names)) {
      const inode = namespaceInode(name);
      const snapshot =
        inode === 0 ? emptySnapshot : await readSnapshot(await this.netlink({ name, inode }), name, options);
      found.set(name, { inode, snapshot });
    }
    return {
      of: (netns) => {
        const entry = found.get(netns?.name ?? '');
        const isOther = netns !== undefined && netns.inode !== 0 && netns.inode !== entry?.inode;
        return isOther ? undefined : entry?.snapshot;
      },
    };
  }

  /** Idempotent. */
  async close(): Promise<void> {
    for (const socket of this.#sockets.values()) await socket.close();
    this.#sockets.clear();
  }

  /** As `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The names of the namespaces that changes are made in. */
export function namespacesOf(changes: readonly Change[]): Set<string> {
  return new Set(changes.flatMap(({ netns }) => netns?.name ?? []));
}

/** The reference to a namespace that is there. A process may end: its number is a path, and the inode tells. */
export function netnsRef(selector: NetnsSelector): NetnsRef {
  if (selector instanceof NetworkNamespace)
    return { name: `/proc/${process.pid}/fd/${selector.fd}`, inode: selector.inode };
  const name = typeof selector === 'number' ? `/proc/${selector}/ns/net` : selector;
  return { name, inode: namespaceInode(name) };
}

/** Number of the namespace that has the name; 0 when none has. */
export function namespaceInode(name: string): number {
  if (isBareName(name)) return 0;
  const path = name.includes('/') ? name : `${NETNS_FOLDER}/${name}`;
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

/** True for a name without a namespace: what is left of one that was being made, or deleted, when that was killed. */
export function isBareName(name: string): boolean {
  if (name.includes('/')) return false;
  const found = statSync(`${NETNS_FOLDER}/${name}`, { throwIfNoEntry: false });
  // A mounted namespace lies on another file system than the folder.
  return found !== undefined && found.dev === statSync(NETNS_FOLDER).dev;
}
