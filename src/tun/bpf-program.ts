/** eBPF programs of type socket filter: loaded from bytes, and given to a device to steer or to filter by. */

import { invalidArgument, VnicError } from '../base/index.ts';
import {
  Capability,
  errno,
  errnoName,
  hasCapability,
  inUserNamespace,
  nativeCore,
  systemError,
} from '../native/index.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice, unsupported } from './device-ioctl.ts';
import { emitInt } from './interface-request.ts';

/**
 * An eBPF program of type socket filter (`BPF_PROG_TYPE_SOCKET_FILTER`): the descriptor of a loaded one, which stays the
 * caller's and may be closed afterwards, or its instructions, eight bytes each in host order.
 */
export type BpfProgram = number | Uint8Array;

/** What a program decides. */
export type BpfRole = 'steering' | 'filter';

/** Bytes of `struct bpf_insn`, and of the classic `struct sock_filter`. */
export const INSTRUCTION_LEN = 8;

/** Where the kernel's verifier explains itself. */
const LOG_LEN = 1 << 16;

const roles: Readonly<Record<BpfRole, { ioctl: string; request: number; verb: string; since: string }>> = {
  steering: {
    ioctl: 'TUNSETSTEERINGEBPF',
    request: TunIoctl.setSteeringBpf,
    verb: 'steer',
    since: 'Linux 4.16',
  },
  filter: { ioctl: 'TUNSETFILTEREBPF', request: TunIoctl.setFilterBpf, verb: 'filter', since: 'Linux 4.16' },
};

/**
 * Gives the device a program for the role, or, with undefined, takes its program away.
 * @throws VNIC_INVALID_ARGUMENT, VNIC_DEVICE_GONE; for instructions what `loadBpfProgram` throws
 */
export function setBpfProgram(device: OpenDevice, role: BpfRole, program: BpfProgram | undefined): void {
  const { ioctl, request, verb, since } = roles[role];
  const attempted = `${verb} ${device.name} by a program`;
  const fd = program instanceof Uint8Array ? loadBpfProgram(program, attempted) : (program ?? -1);
  try {
    deviceIoctl(
      device,
      { attempted, ioctl, request, arg: emitInt(checkProgramFd(attempted, fd, program)) },
      (error, fields) => {
        // A kernel without the call says so in the same words as one that takes no such program.
        if (error === errno.EINVAL && program === undefined) return unsupported(fields, since);
        if (error !== errno.EBADF && error !== errno.EINVAL) return undefined;
        return invalidArgument(attempted, 'the descriptor of a socket filter program', program);
      },
    );
  } finally {
    // The device holds it now.
    if (program instanceof Uint8Array) nativeCore().close(fd);
  }
}

/**
 * Loads a program of type socket filter.
 * @returns its descriptor, owned by this thread's environment
 * @throws VNIC_NO_PRIVILEGE without CAP_BPF in the first user namespace (root in a user namespace will not do),
 *   VNIC_INVALID_ARGUMENT with what the kernel's verifier says, VNIC_UNSUPPORTED on a kernel without bpf(2)
 */
export function loadBpfProgram(instructions: Uint8Array, attempted: string): number {
  checkInstructions(instructions, attempted);
  const result = nativeCore().bpfLoad(instructions, undefined);
  if (result >= 0) return result;
  throw diagnoseLoad(instructions, attempted, -result);
}

/** @throws VNIC_INVALID_ARGUMENT unless there are whole instructions */
export function checkInstructions(instructions: Uint8Array, attempted: string): void {
  if (instructions.length > 0 && instructions.length % INSTRUCTION_LEN === 0) return;
  throw invalidArgument(attempted, 'whole instructions of 8 bytes', `${instructions.length} bytes`);
}

/** -1 takes a program away, so no caller may pass it for one. */
function checkProgramFd(attempted: string, fd: number, program: BpfProgram | undefined): number {
  if (program === undefined || (Number.isInteger(fd) && fd >= 0)) return fd;
  throw invalidArgument(attempted, 'the descriptor of a socket filter program', program);
}

function diagnoseLoad(instructions: Uint8Array, attempted: string, number: number): VnicError {
  const fields = { attempted, errno: errnoName(number), syscall: 'bpf(BPF_PROG_LOAD)' };
  switch (number) {
    case errno.EPERM:
      return new VnicError('VNIC_NO_PRIVILEGE', { ...fields, ...whyForbidden() });
    case errno.EACCES:
    case errno.EINVAL:
    case errno.E2BIG:
      return new VnicError('VNIC_INVALID_ARGUMENT', {
        ...fields,
        reason: `the kernel's verifier refused it: ${verifierSays(instructions)}`,
        hint: 'Correct the program; it must be an eBPF socket filter.',
      });
    case errno.ENOSYS:
      return new VnicError('VNIC_UNSUPPORTED', {
        ...fields,
        reason: 'the kernel has no bpf(2)',
        hint: 'Use a kernel with CONFIG_BPF_SYSCALL, or do without a program.',
      });
    default:
      return systemError(attempted, fields.syscall, number);
  }
}

function whyForbidden(): { reason: string; hint: string } {
  const alone = 'or do without a program';
  if (inUserNamespace()) {
    return {
      reason: 'BPF programs need CAP_BPF in the first user namespace, and this process is in another one',
      hint: `Run it as root without a user namespace, for example \`sudo unshare --net COMMAND\`, ${alone}.`,
    };
  }
  if (hasCapability(Capability.bpf) || hasCapability(Capability.sysAdmin)) {
    return {
      reason: 'a security module or a container forbids bpf(2), although this process has the capability',
      hint: `Allow bpf(2) in the seccomp profile or security policy, ${alone}.`,
    };
  }
  return {
    reason: 'this process lacks CAP_BPF, and sysctl kernel.unprivileged_bpf_disabled forbids programs without it',
    hint: `Run it with sudo, or give the program CAP_BPF (\`setcap cap_bpf,cap_net_admin=ep\`), ${alone}.`,
  };
}

/** The last thing that the verifier says before its statistics. */
function verifierSays(instructions: Uint8Array): string {
  const log = new Uint8Array(LOG_LEN);
  const result = nativeCore().bpfLoad(instructions, log);
  if (result >= 0) nativeCore().close(result);
  const lines = new TextDecoder()
    .decode(log.subarray(0, log.indexOf(0)))
    .trim()
    .split('\n');
  return lines.filter((line) => !line.startsWith('processed ')).at(-1) ?? 'nothing more';
}
