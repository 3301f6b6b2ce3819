/** Network namespaces in the native core (`native/netns.c`). */

/** What `status[0]` of a visit says: the step that failed. */
export const NetnsStep = { none: 0, thread: 1, enter: 2, call: 3 } as const;

/**
 * `setns(2)` and `unshare(2)` run on a thread that is made for the one call and ends with it. `openIn` and `socketIn`
 * wait for it, some 50 µs; what they open keeps its namespace and is owned as that of `open` and `socket`.
 */
export interface NativeNetns {
  /**
   * `open(2)` with `O_CLOEXEC` in the namespace of the descriptor `netns`: for files whose meaning depends on it, such
   * as `/dev/net/tun` and `/proc/sys/net`. `status` = [`NetnsStep` that failed].
   */
  openIn(netns: number, path: string, flags: number, status: Uint32Array): number;
  /** `socket(2)` in the namespace, as `socket`. */
  socketIn(netns: number, domain: number, type: number, protocol: number, status: Uint32Array): number;
  /** A new namespace: a descriptor that keeps it. On a thread of the pool, since the kernel takes milliseconds. */
  newNetns(): Promise<number>;
  /** `mount(2)` without file system type: bind mounts and propagation. */
  mount(source: string, target: string, flags: number): number;
  /** `umount2(2)` */
  unmount(target: string, flags: number): number;
}
