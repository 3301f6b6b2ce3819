/** Classic filters of TAP devices, as `native/filter.c` offers them. */
export interface NativeFilter {
  /**
   * `TUNATTACHFILTER` with a program of 1 to 4096 instructions of eight bytes (`struct sock_filter`). It is copied into
   * memory that lasts until the device has another filter or none: the kernel reads it again for each new queue.
   * @returns a number for `tunDetachFilter`
   */
  tunAttachFilter(fd: number, instructions: Uint8Array): number;
  /** `TUNDETACHFILTER`, whoever set the filter. `id` is what `tunAttachFilter` returned, or 0. */
  tunDetachFilter(fd: number, id: number): number;
}
