/**
 * Steering: an eBPF program that chooses the queue of each packet that the kernel sends out of a device.
 *
 * The kernel runs it on the packet as the reader will get it, without packet info and virtio-net header, and takes
 * its result modulo the number of attached queues as the kernel's number of the queue (`DeviceQueues.kernelIndex`).
 * While a program is set, the kernel learns no flows from what is written. (`tun_ebpf_select_queue` in
 * `drivers/net/tun.c`.)
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import { nativeCore } from '../native/index.ts';
import { loadBpfProgram } from '../tun/index.ts';
import { BpfAssembler } from './bpf-assembler.ts';

/** A program in the kernel, owned by this thread. */
export class SteeringProgram {
  readonly #fd: number;
  #closed = false;

  /** Use `loadSteeringProgram`. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Its descriptor. @throws VNIC_LINK_CLOSED after `close()` */
  get fd(): number {
    if (!this.#closed) return this.#fd;
    throw new VnicError('VNIC_LINK_CLOSED', {
      attempted: 'use a steering program',
      reason: 'it was closed',
      hint: 'Load it again.',
    });
  }

  /** Lets go of the program. A device that uses it keeps it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    nativeCore().close(this.#fd);
  }
}

/**
 * Loads an eBPF program of type socket filter: eight bytes an instruction in host order, as `steerToQueue` and
 * `steerByDestinationPort` give it, or a compiler.
 * @throws VNIC_NO_PRIVILEGE without CAP_BPF in the first user namespace (root in a user namespace will not do),
 *   VNIC_INVALID_ARGUMENT with what the kernel's verifier says, VNIC_UNSUPPORTED on a kernel without bpf(2)
 */
export function loadSteeringProgram(instructions: Uint8Array): SteeringProgram {
  return new SteeringProgram(loadBpfProgram(instructions, 'load a steering program'));
}

/**
 * A program that gives every packet to one queue.
 * @param queue the kernel's number of it, 0 to 255
 */
export function steerToQueue(queue: number): Uint8Array {
  if (!Number.isInteger(queue) || queue < 0 || queue > 255) {
    throw invalidArgument('assemble a steering program', 'a queue of 0 to 255', queue);
  }
  return new BpfAssembler().set(0, queue).exit().assemble();
}

/** What `steerByDestinationPort` looks at. */
export interface PortSteering {
  /** Of the device: `ip` for TUN, `ethernet` for TAP. */
  readonly medium: Medium;
  /** Bits of the destination port that choose the queue, 1 to 0xffff; default all. */
  readonly mask?: number;
}

/**
 * A program that chooses the queue by TCP or UDP destination port: `port & mask`, modulo the number of queues.
 * Fragments, other protocols and IPv6 packets with extension headers go to queue 0, as do packets with a VLAN tag.
 */
export function steerByDestinationPort(options: PortSteering): Uint8Array {
  const mask = options.mask ?? 0xffff;
  if (!Number.isInteger(mask) || mask < 1 || mask > 0xffff) {
    throw invalidArgument('assemble a steering program', 'a mask of 1 to 0xffff', mask);
  }
  const bpf = new BpfAssembler().copy(6, 1);
  const ip = options.medium === 'ethernet' ? ETHERNET_HEADER_LEN : 0;
  if (ip > 0) {
    bpf.load(2, ETHER_TYPE_OFFSET).jumpIfEqual(0, 0x0800, 'ip').jumpIfNotEqual(0, 0x86dd, 'other').label('ip');
  }
  bpf.load(1, ip).shiftRight(0, 4).jumpIfEqual(0, 6, 'ipv6').jumpIfNotEqual(0, 4, 'other');

  bpf
    .load(1, ip + 9)
    .jumpIfEqual(0, TCP, 'ipv4 ports')
    .jumpIfNotEqual(0, UDP, 'other')
    .label('ipv4 ports');
  // More fragments, or an offset: only the first fragment has ports, and the others must follow it.
  bpf
    .load(2, ip + 6)
    .and(0, 0x3fff)
    .jumpIfNotEqual(0, 0, 'other');
  bpf
    .load(1, ip)
    .and(0, 0x0f)
    .shiftLeft(0, 2)
    .copy(7, 0)
    .load(2, ip + 2, 7)
    .jump('port');

  bpf
    .label('ipv6')
    .load(1, ip + 6)
    .jumpIfEqual(0, TCP, 'ipv6 ports')
    .jumpIfNotEqual(0, UDP, 'other');
  bpf.label('ipv6 ports').load(2, ip + 42);

  bpf.label('port').and(0, mask).exit();
  return bpf.label('other').set(0, 0).exit().assemble();
}

const ETHERNET_HEADER_LEN = 14;
const ETHER_TYPE_OFFSET = 12;
const TCP = 6;
const UDP = 17;
