/**
 * Network namespaces with names, as `ip netns add|delete|list` makes and reads them: a name is a file of
 * `/run/netns` on which the namespace is mounted, which keeps it in being without a process.
 *
 * The folder is made a shared mount, so that mount namespaces made before see what is mounted later, and a name
 * that is deleted is gone in all of them (`netns_add` in iproute2's `ip/ipnetns.c`).
 */

import { closeSync, mkdirSync, openSync, readdirSync, statSync, unlinkSync } from 'node:fs';

import { VnicError } from '../base/index.ts';
import { errno, errnoName, nativeCore, systemError } from '../native/index.ts';
import { checkNamespaceName, forbidden, NETNS_FOLDER, NetworkNamespace, noSuchNamespace } from './namespace.ts';

/** A namespace with a name. */
export interface NamedNamespace {
  readonly name: string;
  readonly path: string;
  /** Number of the namespace, as `NetworkNamespace.inode`; undefined for a file on which none is mounted. */
  readonly inode: number | undefined;
}

/** `linux/mount.h` */
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SHARED = 0x10_0000;
const MNT_DETACH = 2;

/** How a namespace is made. */
export interface CreateNamespaceOptions {
  /**
   * Called when it is made and before it has its name: until then it goes with the process. What it throws ends it, and
   * nothing is left.
   */
  onMade?(namespace: NetworkNamespace): void;
}

/**
 * Makes a namespace and gives it a name. It has a loopback interface, which is down.
 * @returns a handle; the namespace stays when it is closed.
 * @throws VNIC_NAMESPACE_EXISTS, VNIC_NAMESPACE_FORBIDDEN, VNIC_INVALID_NAME, VNIC_TOO_MANY_FILES, VNIC_SYSTEM_CALL
 */
export async function createNamespace(name: string, options: CreateNamespaceOptions = {}): Promise<NetworkNamespace> {
  const attempted = `make the network namespace ${JSON.stringify(name)}`;
  checkNamespaceName(name, attempted);
  const path = `${NETNS_FOLDER}/${name}`;
  shareFolder(attempted);
  reserve(path, attempted);
  let namespace: NetworkNamespace | undefined;
  try {
    const fd = await nativeCore().newNetns();
    if (fd < 0) throw refused(attempted, 'unshare', -fd);
    namespace = new NetworkNamespace(fd, `namespace ${JSON.stringify(name)}`);
    options.onMade?.(namespace);
    const mounted = nativeCore().mount(`/proc/self/fd/${fd}`, path, MS_BIND);
    if (mounted < 0) throw refused(attempted, 'mount', -mounted);
    return namespace;
  } catch (error) {
    namespace?.closeSync();
    unlinkSync(path);
    throw error;
  }
}

/**
 * Takes the name away. The namespace ends, with every virtual interface in it, once no process and no handle is left.
 * @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN, VNIC_INVALID_NAME
 */
export function deleteNamespace(name: string): void {
  const attempted = `delete the network namespace ${JSON.stringify(name)}`;
  checkNamespaceName(name, attempted);
  const path = `${NETNS_FOLDER}/${name}`;
  const unmounted = nativeCore().unmount(path, MNT_DETACH);
  if (unmounted === -errno.ENOENT) throw noSuchNamespace(attempted, `there is no ${path}`);
  // EINVAL: nothing is mounted there, the name alone was left.
  if (unmounted < 0 && unmounted !== -errno.EINVAL) throw refused(attempted, 'umount2', -unmounted);
  withPath(attempted, `unlink("${path}")`, () => unlinkSync(path));
}

/** The namespaces with names, in alphabetical order. @throws VNIC_SYSTEM_CALL */
export function listNamespaces(): NamedNamespace[] {
  return namesIn(NETNS_FOLDER).map((name) => {
    const path = `${NETNS_FOLDER}/${name}`;
    return { name, path, inode: namespaceInode(path) };
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw systemFault('list the network namespaces', `readdir("${folder}")`, error);
  }
}

/** A mounted namespace lies on another file system than the folder. */
function namespaceInode(path: string): number | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined || found.dev === statSync(NETNS_FOLDER).dev ? undefined : found.ino;
}

/** `mount --make-rshared`, after binding the folder to itself where it is not a mount. */
function shareFolder(attempted: string): void {
  withPath(attempted, `mkdir("${NETNS_FOLDER}")`, () => mkdirSync(NETNS_FOLDER, { recursive: true, mode: 0o755 }));
  const core = nativeCore();
  const share = (): number => core.mount('', NETNS_FOLDER, MS_SHARED | MS_REC);
  let result = share();
  if (result === -errno.EINVAL) {
    result = core.mount(NETNS_FOLDER, NETNS_FOLDER, MS_BIND | MS_REC);
    if (result === 0) result = share();
  }
  if (result < 0) throw refused(attempted, 'mount', -result);
}

/** The file comes first: of two that want the name, one gets it. */
function reserve(path: string, attempted: string): void {
  try {
    // Not by the core's open(2), which passes no mode: what a seccomp filter then sees may have any bit set.
    closeSync(openSync(path, 'wx', 0));
    return;
  } catch (error) {
    const number = -((error as NodeJS.ErrnoException).errno ?? -errno.EIO);
    if (number !== errno.EEXIST) throw refused(attempted, `open("${path}")`, number);
  }
  throw new VnicError('VNIC_NAMESPACE_EXISTS', {
    attempted,
    reason: `${path} exists already`,
    hint: 'Choose another name, use the one that is there, or delete it first.',
    errno: 'EEXIST',
    syscall: `open("${path}")`,
  });
}

function refused(attempted: string, syscall: string, number: number): VnicError {
  if (number !== errno.EPERM && number !== errno.EACCES) return systemError(attempted, syscall, number);
  return forbidden(attempted, syscall, `this user may not (${errnoName(number)}): CAP_SYS_ADMIN is needed`);
}

function withPath(attempted: string, syscall: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    throw systemFault(attempted, syscall, error);
  }
}

function systemFault(attempted: string, syscall: string, error: unknown): VnicError {
  const { errno: number = 0 } = error as NodeJS.ErrnoException;
  return refused(attempted, syscall, -number);
}
