/** Classic filters of TAP devices, as `native/filter.c` offers them. */
export interface NativeFilter {
  /** `TUNATTACHFILTER` with a program of 1 to 4096 instructions of eight bytes (`struct sock_filter`), which is copied. */
  tunAttachFilter(fd: number, instructions: Uint8Array): number;
}
