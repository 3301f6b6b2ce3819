/** Programs for the kernel's BPF machine, as `native/bpf.c` offers it. */
export interface NativeBpf {
  /**
   * `BPF_PROG_LOAD` of a socket filter, eight bytes an instruction. The descriptor belongs to this thread's
   * environment. What the kernel's verifier says goes into `log`, as text that ends with a zero byte.
   */
  bpfLoad(instructions: Uint8Array, log: Uint8Array | undefined): number;
}
