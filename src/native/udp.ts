/** UDP in batches, as `native/udp.c` offers it. */
export type NativeUdp = object;
