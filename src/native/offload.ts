/** Splitting and coalescing of super-packets, as `native/offload.c` offers it. */
export type NativeOffload = object;
