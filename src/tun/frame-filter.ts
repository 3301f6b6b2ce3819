/**
 * Classic BPF filters of TAP devices (`TUNATTACHFILTER`, `TUNDETACHFILTER`): which frames the kernel hands to the reader, and how
 * much of each.
 *
 * Theory of operation
 *
 * The kernel runs the program for each frame that it sends out of the device, on the frame as it is, Ethernet header first, without
 * packet info and virtio-net header. The result is how many bytes the reader gets; 0 drops the frame, which the interface counts
 * in `txDropped`.
 *
 *   none -> setFilter -> in force for every queue -> setFilter(undefined), or close() of the device object that set it -> none
 *
 * The driver notes the address of the program in the memory of the process that set it, and reads it there again for each
 * queue that is attached later. The native core keeps that memory, and so a filter ends with the object that set it. A
 * process that is killed cannot take its filter away: if the device persists, a later attach is refused with EFAULT,
 * unless it is one without packet info (`IFF_NO_PI`), which skips the filter.
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, nativeCore } from '../native/index.ts';
import { checkInstructions, INSTRUCTION_LEN } from './bpf-program.ts';
import { type OpenDevice, type RefusalFields, refusal } from './device-ioctl.ts';

/** `BPF_MAXINSNS` of `linux/bpf_common.h`. */
const MAX_INSTRUCTIONS = 4096;

/** The filter that one device object has set. */
export class FrameFilter {
  readonly #device: OpenDevice;
  #id = 0;

  constructor(device: OpenDevice) {
    this.#device = device;
  }

  /** @throws VNIC_INVALID_ARGUMENT, VNIC_DEVICE_GONE, VNIC_SYSTEM_CALL */
  set(instructions: Uint8Array | undefined): void {
    const attempted = `filter the frames of ${this.#device.name}`;
    if (instructions === undefined) {
      this.#detached(attempted, nativeCore().tunDetachFilter(this.#device.fd, this.#id));
      return;
    }
    checkInstructions(instructions, attempted);
    const count = instructions.length / INSTRUCTION_LEN;
    if (count > MAX_INSTRUCTIONS) throw invalidArgument(attempted, `at most ${MAX_INSTRUCTIONS} instructions`, count);
    const result = nativeCore().tunAttachFilter(this.#device.fd, instructions);
    if (result < 0) throw this.#refusal(attempted, 'TUNATTACHFILTER', -result, badProgram);
    this.#id = result;
  }

  /** Takes away what this object has set. Harmless on a device that is gone. */
  release(): void {
    if (this.#id !== 0) nativeCore().tunDetachFilter(this.#device.fd, this.#id);
    this.#id = 0;
  }

  #detached(attempted: string, result: number): void {
    if (result < 0) throw this.#refusal(attempted, 'TUNDETACHFILTER', -result);
    this.#id = 0;
  }

  #refusal(attempted: string, ioctl: string, number: number, explain?: Parameters<typeof refusal>[3]): VnicError {
    return refusal(this.#device.name, { attempted, syscall: `ioctl(${ioctl})` }, number, explain);
  }
}

function badProgram(error: number, fields: RefusalFields): VnicError | undefined {
  if (error !== errno.EINVAL) return undefined;
  return new VnicError('VNIC_INVALID_ARGUMENT', {
    ...fields,
    reason:
      'the kernel takes it for no classic BPF program: an unknown instruction, a jump out of it, or no return at its end',
    hint: 'Compile it anew, for example with `tcpdump -ddd EXPRESSION`.',
  });
}
