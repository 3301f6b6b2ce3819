/** Authenticated encryption in batches, as `native/aead.c` offers it. */
export type NativeAead = object;
