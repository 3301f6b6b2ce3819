/**
 * The few eBPF instructions that steering programs need, as bytes: `struct bpf_insn` of `linux/bpf.h`,
 * `Documentation/bpf/standardization/instruction-set.rst`.
 *
 *     0  opcode (8)   1  source register (4) | destination register (4)   2  offset (16)   4  immediate (32)
 *
 * Host order is little endian on every platform that vnic has a core for.
 */

import { invalidArgument } from '../base/index.ts';
import { INSTRUCTION_LEN } from '../tun/index.ts';

/** r0: result; r6: the packet, where loads look for it; r7: ours, kept over loads. */
export type Register = 0 | 1 | 6 | 7;

/** Width of a load in bytes. */
type LoadWidth = 1 | 2;

interface Instruction {
  readonly opcode: number;
  readonly to: Register;
  readonly from: Register;
  readonly immediate: number;
  /** Where a jump goes. */
  readonly label: string | undefined;
}

/** Collects instructions and resolves jumps. Each method appends and returns the assembler. */
export class BpfAssembler {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();

  /** `to = value`, 32 bits. */
  set(to: Register, value: number): this {
    return this.#add(0xb4, to, 0, value);
  }
  /** `to = from`. */
  copy(to: Register, from: Register): this {
    return this.#add(0xbf, to, from, 0);
  }
  /** `to &= value`, 32 bits. */
  and(to: Register, value: number): this {
    return this.#add(0x54, to, 0, value);
  }
  /** `to >>= bits`. */
  shiftRight(to: Register, bits: number): this {
    return this.#add(0x74, to, 0, bits);
  }
  /** `to <<= bits`. */
  shiftLeft(to: Register, bits: number): this {
    return this.#add(0x64, to, 0, bits);
  }

  /**
   * `r0 =` one or two bytes of the packet, in network order, at `offset` and at the value of `index` behind it. Ends
   * the program with 0 when the packet is shorter. r1 to r5 are lost.
   */
  load(width: LoadWidth, offset: number, index?: Register): this {
    const size = width === 1 ? 0x10 : 0x08;
    return index === undefined ? this.#add(0x20 | size, 0, 0, offset) : this.#add(0x40 | size, 0, index, offset);
  }

  /** Goes to the label when `register == value`. */
  jumpIfEqual(register: Register, value: number, label: string): this {
    return this.#add(0x15, register, 0, value, label);
  }
  /** Goes to the label when `register != value`. */
  jumpIfNotEqual(register: Register, value: number, label: string): this {
    return this.#add(0x55, register, 0, value, label);
  }
  /** Goes to the label. */
  jump(label: string): this {
    return this.#add(0x05, 0, 0, 0, label);
  }
  /** Names the next instruction. */
  label(name: string): this {
    this.#labels.set(name, this.#instructions.length);
    return this;
  }
  /** Ends the program with the value of r0. */
  exit(): this {
    return this.#add(0x95, 0, 0, 0);
  }

  /** The program. */
  assemble(): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.#instructions.length * INSTRUCTION_LEN));
    for (const [index, { opcode, to, from, immediate, label }] of this.#instructions.entries()) {
      const at = index * INSTRUCTION_LEN;
      view.setUint8(at, opcode);
      view.setUint8(at + 1, (from << 4) | to);
      view.setInt16(at + 2, label === undefined ? 0 : this.#target(label) - index - 1, true);
      view.setInt32(at + 4, immediate, true);
    }
    return new Uint8Array(view.buffer);
  }

  #add(opcode: number, to: Register, from: Register, immediate: number, label?: string): this {
    this.#instructions.push({ opcode, to, from, immediate, label });
    return this;
  }

  #target(label: string): number {
    const target = this.#labels.get(label);
    if (target === undefined) throw invalidArgument('assemble a BPF program', 'a label that is placed', label);
    return target;
  }
}
