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
 *   none -> set() -> in force for the queues that are attached -> set(undefined), or release() of the object that set it -> none
 *
 * The driver means to give the filter to queues that are attached later, too, and fails to (`native/filter.c`); a queue that
 * the same object attaches again gets it from here. A process that is killed leaves no filter in force: those
 * of its descriptors go with them.
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, nativeCore } from '../native/index.ts';
import { checkInstructions, INSTRUCTION_LEN } from './bpf-program.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice, type RefusalFields, refusal } from './device-ioctl.ts';

/** `BPF_MAXINSNS` of `linux/bpf_common.h`. */
const MAX_INSTRUCTIONS = 4096;

/** The filter that one device object has set. */
export class FrameFilter {
  readonly #device: OpenDevice;
  #instructions: Uint8Array | undefined;

  constructor(device: OpenDevice) {
    this.#device = device;
  }

  /** @throws VNIC_INVALID_ARGUMENT, VNIC_DEVICE_GONE, VNIC_SYSTEM_CALL */
  set(instructions: Uint8Array | undefined): void {
    const attempted = `filter the frames of ${this.#device.name}`;
    if (instructions === undefined) {
      deviceIoctl(this.#device, { attempted, ioctl: 'TUNDETACHFILTER', request: TunIoctl.detachFilter, arg: 0 });
      this.#instructions = undefined;
      return;
    }
    checkInstructions(instructions, attempted);
    const count = instructions.length / INSTRUCTION_LEN;
    if (count > MAX_INSTRUCTIONS) throw invalidArgument(attempted, `at most ${MAX_INSTRUCTIONS} instructions`, count);
    this.#attach(instructions, attempted);
    this.#instructions = instructions.slice();
  }

  /** For a queue that was detached meanwhile. @throws as `set` */
  renew(): void {
    if (this.#instructions === undefined) return;
    this.#attach(this.#instructions, `filter the frames of ${this.#device.name} again`);
  }

  /** Takes away what this object has set. Harmless on a device that is gone. */
  release(): void {
    if (this.#instructions !== undefined) nativeCore().ioctl(this.#device.fd, TunIoctl.detachFilter, 0);
    this.#instructions = undefined;
  }

  #attach(instructions: Uint8Array, attempted: string): void {
    const result = nativeCore().tunAttachFilter(this.#device.fd, instructions);
    if (result >= 0) return;
    throw refusal(this.#device.name, { attempted, syscall: 'ioctl(TUNATTACHFILTER)' }, -result, badProgram);
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
