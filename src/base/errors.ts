/**
 * The one catalogue of errors that vnic throws.
 *
 * Thrown: what the caller or the machine got wrong. What the network sends is data and comes back as a
 * drop reason (`wire/drop-reason.ts`), never as an exception.
 *
 * Every code has a row in `docs/errors.md` and an exit status for the command line; a test ties the three.
 */

/** Exit statuses of the `vnic` command, after `sysexits.h` where it has a name for the case. */
export const ExitStatus = {
  ok: 0,
  failure: 1,
  usage: 2,
  different: 3,
  noInput: 66,
  unavailable: 69,
  software: 70,
  osError: 71,
  cannotCreate: 73,
  ioError: 74,
  tempFailure: 75,
  noPermission: 77,
} as const;

export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];

/**
 * Every code with its meaning in one short sentence and the exit status of the command.
 * Codes are stable: a released code is never renamed or reused.
 */
export const errorCatalogue = {
  VNIC_INVALID_ARGUMENT: { title: 'An argument has the wrong type or is out of range.', exit: 'usage' },
  VNIC_INVALID_NAME: { title: 'A name that the kernel would refuse for a network interface.', exit: 'usage' },
  VNIC_NAME_TOO_LONG: {
    title: 'An interface name longer than 15 bytes, which the kernel would truncate.',
    exit: 'usage',
  },
  VNIC_INVALID_ADDRESS: { title: 'Text that is not an IP address, CIDR or MAC address.', exit: 'usage' },
  VNIC_ABORTED: { title: 'The operation was ended by its AbortSignal.', exit: 'failure' },

  VNIC_NATIVE_MISSING: {
    title: 'The native core is not built for this platform, or cannot be loaded.',
    exit: 'unavailable',
  },
  VNIC_UNSUPPORTED: { title: 'The kernel does not offer what was asked for.', exit: 'unavailable' },
  VNIC_SYSTEM_CALL: { title: 'A system call failed in a way that has no code of its own.', exit: 'osError' },
  VNIC_TOO_MANY_FILES: { title: 'The process or the system has no file descriptor left.', exit: 'tempFailure' },

  VNIC_TUN_NODE_MISSING: { title: '/dev/net/tun does not exist.', exit: 'unavailable' },
  VNIC_TUN_DRIVER_MISSING: {
    title: '/dev/net/tun exists, but the kernel has no tun driver behind it.',
    exit: 'unavailable',
  },
  VNIC_TUN_NODE_FORBIDDEN: {
    title: 'The file mode of /dev/net/tun does not let this user open it.',
    exit: 'noPermission',
  },
  VNIC_TUN_NODE_DENIED: { title: 'A device cgroup or security module forbids /dev/net/tun.', exit: 'noPermission' },
  VNIC_NO_PRIVILEGE: {
    title: 'CAP_NET_ADMIN is needed in the user namespace that owns the network namespace.',
    exit: 'noPermission',
  },
  VNIC_DEVICE_OWNED: { title: 'The device belongs to another user or group.', exit: 'noPermission' },
  VNIC_DEVICE_BUSY: { title: 'Another process holds the device.', exit: 'tempFailure' },
  VNIC_DEVICE_EXISTS: { title: 'A device of that name exists already.', exit: 'cannotCreate' },
  VNIC_WRONG_KIND: {
    title: 'The device is of the other kind: TUN instead of TAP, or TAP instead of TUN.',
    exit: 'usage',
  },
  VNIC_NOT_TUNTAP: { title: 'The interface of that name is not a TUN/TAP device.', exit: 'usage' },
  VNIC_QUEUE_MODE: {
    title: 'The device is multi-queue and the request is not, or the other way round.',
    exit: 'usage',
  },
  VNIC_TOO_MANY_QUEUES: { title: 'The device has as many queues as the kernel allows.', exit: 'tempFailure' },
  VNIC_LINK_UP: { title: 'The device is up, and what was asked for needs it to be down.', exit: 'tempFailure' },
  VNIC_LINK_IN_USE: { title: 'Another interface that uses the device forbids the change.', exit: 'tempFailure' },
  VNIC_WORKER_FAILED: { title: 'A worker thread that runs a queue ended with an error.', exit: 'software' },
  VNIC_DEVICE_GONE: { title: 'The device was deleted while it was open.', exit: 'ioError' },
  VNIC_LINK_DOWN: { title: 'The device is down, so the kernel refuses packets.', exit: 'ioError' },
  VNIC_PACKET_REFUSED: { title: 'The kernel refused a packet as malformed for this device.', exit: 'ioError' },

  VNIC_INVALID_END: { title: 'Text that does not name an end of a link.', exit: 'usage' },
  VNIC_MEDIUM_MISMATCH: { title: 'One end carries IP packets and the other Ethernet frames.', exit: 'usage' },
  VNIC_TUNNEL_ENDED: { title: 'A tunnel was ended by the other side, or has lost it.', exit: 'tempFailure' },
  VNIC_TUNNEL_REFUSED: { title: 'The two sides of a tunnel do not agree.', exit: 'usage' },
  VNIC_PEER_UNREACHABLE: { title: 'The other side of a link cannot be reached.', exit: 'tempFailure' },

  VNIC_IDENTITY: { title: 'A file of keys or of trusted peers cannot be used.', exit: 'noInput' },
  VNIC_PEER_CHANGED: { title: 'The key of a peer is not the one that it had before.', exit: 'noPermission' },
  VNIC_PEER_UNTRUSTED: { title: 'A peer could not prove who it is.', exit: 'noPermission' },
  VNIC_FILE_EXISTS: { title: 'A file to be written exists already.', exit: 'cannotCreate' },
  VNIC_CAPTURE_DAMAGED: { title: 'A capture file is damaged, or is none.', exit: 'ioError' },

  VNIC_LINK_CLOSED: { title: 'The link was used after close().', exit: 'software' },
  VNIC_READER_BUSY: { title: 'The link has a reader already.', exit: 'software' },

  VNIC_KEY_CLOSED: { title: 'The key was used after close().', exit: 'software' },
  VNIC_KEY_BUSY: { title: 'The key is sealing or opening packets on another thread.', exit: 'software' },
  VNIC_KEY_EXHAUSTED: { title: 'The key has no counter left that was not used.', exit: 'failure' },
  VNIC_NONCE_REUSED: { title: 'A counter was used before with this key.', exit: 'software' },

  VNIC_NETLINK: { title: 'The kernel refused a netlink request.', exit: 'osError' },
  VNIC_NO_SUCH_INTERFACE: { title: 'No network interface of that name or index.', exit: 'noInput' },
  VNIC_NO_SUCH_ADDRESS: { title: 'The interface does not have that address.', exit: 'noInput' },
  VNIC_ADDRESS_EXISTS: { title: 'The interface has that address already.', exit: 'cannotCreate' },
  VNIC_NO_SUCH_ROUTE: { title: 'No such route.', exit: 'noInput' },
  VNIC_ROUTE_EXISTS: { title: 'The route exists already.', exit: 'cannotCreate' },
  VNIC_NO_SUCH_NEIGHBOUR: { title: 'No such neighbour or forwarding entry.', exit: 'noInput' },
  VNIC_NEIGHBOUR_EXISTS: { title: 'The neighbour or forwarding entry exists already.', exit: 'cannotCreate' },
  VNIC_NO_SUCH_RULE: { title: 'No such rule.', exit: 'noInput' },
  VNIC_RULE_EXISTS: { title: 'The rule exists already.', exit: 'cannotCreate' },
  VNIC_NO_SUCH_SYSCTL: { title: 'The kernel has no setting of that name.', exit: 'noInput' },
  VNIC_EVENTS_LOST: {
    title: 'The kernel dropped netlink events because they were not read in time.',
    exit: 'tempFailure',
  },

  VNIC_CONFIG_INVALID: { title: 'The configuration file has mistakes.', exit: 'usage' },
  VNIC_CONFIG_CONFLICT: {
    title: 'What the configuration asks for is at odds with what the machine has and vnic did not make.',
    exit: 'cannotCreate',
  },
  VNIC_JOURNAL: { title: 'The journal of what vnic has changed cannot be read or written.', exit: 'ioError' },
  VNIC_JOURNAL_BUSY: { title: 'Another vnic process works with the journal.', exit: 'tempFailure' },

  VNIC_SERVICE_RUNNING: { title: 'Another process keeps the state of the file.', exit: 'tempFailure' },
  VNIC_SERVICE_FILE: {
    title: 'A file of the service is there that vnic did not write, or that was changed since.',
    exit: 'cannotCreate',
  },
  VNIC_SERVICE_MANAGER: { title: 'The service manager of this machine refused.', exit: 'osError' },

  VNIC_NO_SUCH_USER: { title: 'No user of that name.', exit: 'usage' },
  VNIC_NO_SUCH_GROUP: { title: 'No group of that name.', exit: 'usage' },
  VNIC_NO_SUCH_NAMESPACE: { title: 'No such network namespace.', exit: 'noInput' },
  VNIC_NAMESPACE_EXISTS: { title: 'A network namespace of that name exists already.', exit: 'cannotCreate' },
  VNIC_NAMESPACE_FORBIDDEN: {
    title: 'This user may not make, enter or delete such a namespace.',
    exit: 'noPermission',
  },
  VNIC_PROGRAM_MISSING: { title: 'A program that the command needs is not installed.', exit: 'unavailable' },
} as const;

/** A stable error code; see `docs/errors.md`. */
export type VnicErrorCode = keyof typeof errorCatalogue;

/** What a `VnicError` is made of. */
export interface VnicErrorFields {
  /** What was attempted, with the values used, for example `open TAP device "tap0"`. */
  readonly attempted: string;
  /** What is true of the machine that made it fail, for example `held by qemu (pid 4711)`. */
  readonly reason?: string;
  /** What the user can do about it, as one sentence or command line. */
  readonly hint: string;
  /** Symbolic errno, for example `EBUSY`. */
  readonly errno?: string;
  /** The system call that failed, for example `ioctl(TUNSETIFF)`. */
  readonly syscall?: string;
  readonly cause?: unknown;
}

/**
 * The only error class of vnic.
 *
 * Tell errors apart by `code`; the message is for people and may change in any release.
 */
export class VnicError extends Error {
  override readonly name = 'VnicError';
  readonly code: VnicErrorCode;
  readonly attempted: string;
  readonly reason: string;
  readonly hint: string;
  readonly errno: string | undefined;
  readonly syscall: string | undefined;

  constructor(code: VnicErrorCode, fields: VnicErrorFields) {
    const reason = fields.reason ?? errorCatalogue[code].title;
    const call = fields.syscall === undefined ? '' : ` [${fields.syscall}: ${fields.errno ?? 'failed'}]`;
    super(`cannot ${fields.attempted}: ${reason.replace(/\.$/, '')}${call}`, { cause: fields.cause });
    this.code = code;
    this.attempted = fields.attempted;
    this.reason = reason;
    this.hint = fields.hint;
    this.errno = fields.errno;
    this.syscall = fields.syscall;
  }

  /** The exit status with which the `vnic` command reports this error. */
  get exitStatus(): ExitStatus {
    return ExitStatus[errorCatalogue[this.code].exit];
  }

  /** Plain data for `--json` and structured logs. */
  toJSON(): Record<string, string | undefined> {
    const { code, message, attempted, reason, hint, errno, syscall } = this;
    return { code, message, attempted, reason, hint, errno, syscall };
  }
}

/** True for a `VnicError`, with that code if one is given. */
export function isVnicError(error: unknown, code?: VnicErrorCode): error is VnicError {
  return error instanceof VnicError && (code === undefined || error.code === code);
}

/** A `VNIC_INVALID_ARGUMENT` that says what was expected and what came. */
export function invalidArgument(attempted: string, expected: string, got: unknown): VnicError {
  return new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted,
    reason: `expected ${expected}, got ${describe(got)}`,
    hint: `Pass ${expected}.`,
  });
}

/** Throws a `VNIC_ABORTED` if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, attempted: string): void {
  if (signal?.aborted) throw aborted(signal, attempted);
}

/** The error with which a wait ends when its signal fires; `cause` is the signal's reason. */
export function aborted(signal: AbortSignal, attempted: string): VnicError {
  return new VnicError('VNIC_ABORTED', {
    attempted,
    hint: 'Nothing to mend: the caller asked for it.',
    cause: signal.reason,
  });
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (typeof value === 'object' && value !== null) return value.constructor?.name ?? 'an object';
  return String(value);
}
