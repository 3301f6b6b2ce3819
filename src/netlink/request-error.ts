/** The kernel's refusals as errors of the catalogue: by errno and by what was asked, never by message text. */

import { getSystemErrorMap } from 'node:util';

import { VnicError, type VnicErrorCode } from '../base/index.ts';
import { errnoName } from '../native/index.ts';
import type { ExchangeEnd, KernelRefusal } from './exchange.ts';
import type { MessageFault } from './message.ts';

/** What was asked of the kernel; the same errno means different things in each. */
export type RequestSubject =
  | 'link'
  | 'address'
  | 'route'
  | 'neighbour'
  | 'fdb'
  | 'rule'
  | 'namespace'
  | 'firewall'
  | 'family';

/** A request as its error speaks of it. */
export interface RequestContext {
  readonly subject: RequestSubject;
  /** What was attempted, with the values used. */
  readonly attempted: string;
  /** The message type, such as `RTM_NEWADDR`. */
  readonly call: string;
}

interface Meaning {
  readonly code: VnicErrorCode;
  /** Said where the kernel gives no words of its own. */
  readonly reason?: string;
  readonly hint: string;
}

const PRIVILEGE_HINT =
  'Run it with CAP_NET_ADMIN (for example with `sudo`), or in a namespace of your own: ' +
  '`unshare --user --map-root-user --net`.';

const general: Readonly<Record<string, Meaning>> = {
  EPERM: { code: 'VNIC_NO_PRIVILEGE', hint: PRIVILEGE_HINT },
  ENODEV: { code: 'VNIC_NO_SUCH_INTERFACE', hint: 'List what there is with `vnic list`.' },
  EBUSY: { code: 'VNIC_DEVICE_BUSY', hint: 'Set the link down, or end what uses it, and try again.' },
  EINVAL: { code: 'VNIC_INVALID_ARGUMENT', hint: 'Change the value that the kernel names.' },
  ERANGE: { code: 'VNIC_INVALID_ARGUMENT', hint: 'Change the value that the kernel names.' },
  ELOOP: { code: 'VNIC_INVALID_ARGUMENT', hint: 'Choose another link: this one would contain itself.' },
  EOPNOTSUPP: { code: 'VNIC_UNSUPPORTED', hint: 'This kind of link does not offer it; see its kind with `vnic show`.' },
  EAFNOSUPPORT: { code: 'VNIC_UNSUPPORTED', hint: 'The address family is not in this kernel; see `vnic doctor`.' },
  ENETDOWN: { code: 'VNIC_LINK_DOWN', hint: 'Set the link up first, for example with `vnic up NAME`.' },
};

const bySubject: Readonly<Record<RequestSubject, Readonly<Record<string, Meaning>>>> = {
  link: {
    EEXIST: { code: 'VNIC_DEVICE_EXISTS', hint: 'Choose a name that is free.' },
    // Of an alternative name that the link does not have.
    ENOENT: { code: 'VNIC_NO_SUCH_INTERFACE', hint: 'See the names of the link with `vnic show NAME`.' },
    // What `is_valid_ether_addr` refuses.
    EADDRNOTAVAIL: {
      code: 'VNIC_INVALID_ARGUMENT',
      reason: 'the MAC address is multicast or zero',
      hint: 'Use a unicast MAC address that is not zero, such as 02:00:00:00:00:01.',
    },
  },
  address: {
    EEXIST: { code: 'VNIC_ADDRESS_EXISTS', hint: 'Nothing to do, or ask to replace it.' },
    EADDRNOTAVAIL: { code: 'VNIC_NO_SUCH_ADDRESS', hint: 'See the addresses of the link with `vnic show NAME`.' },
    EINVAL: {
      code: 'VNIC_INVALID_ARGUMENT',
      hint: 'Change the value that the kernel names; for IPv6 the link needs an MTU of 1280 bytes or more.',
    },
    // Not a matter of privilege: addrconf answers EACCES where `disable_ipv6` is set.
    EACCES: {
      code: 'VNIC_UNSUPPORTED',
      hint: 'IPv6 is switched off here: see `sysctl net.ipv6.conf.all.disable_ipv6` and that of the link.',
    },
  },
  route: {
    EEXIST: { code: 'VNIC_ROUTE_EXISTS', hint: 'Nothing to do, or ask to replace it.' },
    ESRCH: { code: 'VNIC_NO_SUCH_ROUTE', hint: 'See the routes with `vnic show`.' },
    ENOENT: { code: 'VNIC_NO_SUCH_ROUTE', hint: 'See the routes with `vnic show`.' },
    ENETUNREACH: {
      code: 'VNIC_INVALID_ARGUMENT',
      reason: 'the gateway is not reachable on any link',
      hint: 'The gateway must lie in a subnet of a link that is up; add that address first, or ask for onlink.',
    },
    EHOSTUNREACH: {
      code: 'VNIC_INVALID_ARGUMENT',
      reason: 'the gateway is not reachable on any link',
      hint: 'The gateway must lie in a subnet of a link that is up; add that address first, or ask for onlink.',
    },
    EACCES: {
      code: 'VNIC_UNSUPPORTED',
      hint: 'IPv6 is switched off here: see `sysctl net.ipv6.conf.all.disable_ipv6` and that of the link.',
    },
  },
  neighbour: {
    EEXIST: { code: 'VNIC_NEIGHBOUR_EXISTS', hint: 'Nothing to do, or ask to replace it.' },
    ENOENT: { code: 'VNIC_NO_SUCH_NEIGHBOUR', hint: 'See the neighbours with `vnic neigh list`.' },
  },
  fdb: {
    EPERM: {
      code: 'VNIC_NO_PRIVILEGE',
      hint: `${PRIVILEGE_HINT} For a dynamic entry the port has to be up, too.`,
    },
    EEXIST: { code: 'VNIC_NEIGHBOUR_EXISTS', hint: 'Nothing to do, or ask to replace it.' },
    ENOENT: { code: 'VNIC_NO_SUCH_NEIGHBOUR', hint: 'See the forwarding table with `vnic fdb list`.' },
    EOPNOTSUPP: {
      code: 'VNIC_UNSUPPORTED',
      reason: 'the link is neither a bridge nor a port of one',
      hint: 'Make it a port first, for example with `vnic set NAME --master BRIDGE`.',
    },
  },
  rule: {
    EEXIST: { code: 'VNIC_RULE_EXISTS', hint: 'Nothing to do: the same rule is there.' },
    ENOENT: { code: 'VNIC_NO_SUCH_RULE', hint: 'See the rules with `vnic rule list`.' },
  },
  namespace: {
    EEXIST: {
      code: 'VNIC_NAMESPACE_EXISTS',
      reason: 'the namespace has an id here already, or the id belongs to another',
      hint: 'Use the id that it has.',
    },
  },
  firewall: {
    // What a missing module looks like: a chain of that type, or an expression of that name, is not known.
    ENOENT: { code: 'VNIC_UNSUPPORTED', hint: 'The kernel needs NFT_NAT and NFT_MASQ, and Linux 5.2 or later.' },
    EOPNOTSUPP: { code: 'VNIC_UNSUPPORTED', hint: 'The kernel needs CONFIG_NF_TABLES, NFT_NAT and NFT_MASQ.' },
    EPROTONOSUPPORT: {
      code: 'VNIC_UNSUPPORTED',
      hint: 'The kernel needs CONFIG_NF_TABLES; load it with `modprobe nf_tables`.',
    },
    ECONNREFUSED: {
      code: 'VNIC_UNSUPPORTED',
      hint: 'The kernel needs CONFIG_NF_TABLES; load it with `modprobe nf_tables`.',
    },
  },
  family: {
    ENOENT: { code: 'VNIC_UNSUPPORTED', hint: 'This kernel was built without it; a newer or fuller one has it.' },
  },
};

/** The error for a refusal; `reason` is the kernel's extended ACK where it sent one. */
export function refusalError(refusal: KernelRefusal, context: RequestContext): VnicError {
  const name = errnoName(refusal.errno);
  const meaning = bySubject[context.subject][name] ?? general[name];
  const described = getSystemErrorMap().get(-refusal.errno)?.[1];
  return new VnicError(meaning?.code ?? 'VNIC_NETLINK', {
    attempted: context.attempted,
    ...reasonOf(refusal, meaning, described),
    hint: meaning?.hint ?? 'See what the machine allows with `vnic doctor`, and the kernel log with `dmesg`.',
    errno: name,
    syscall: context.call,
  });
}

/** The kernel's words; else ours; else, where the title of the code is vague, those of the C library. */
function reasonOf(
  refusal: KernelRefusal,
  meaning: Meaning | undefined,
  described: string | undefined,
): { reason?: string } {
  if (refusal.text !== undefined && refusal.text !== '') return { reason: refusal.text };
  if (meaning?.reason !== undefined) return { reason: meaning.reason };
  const isVague =
    meaning === undefined || meaning.code === 'VNIC_INVALID_ARGUMENT' || meaning.code === 'VNIC_DEVICE_BUSY';
  return isVague && described !== undefined ? { reason: described } : {};
}

/** The error of an exchange that ended badly; undefined for one that went well. */
export function exchangeError(end: ExchangeEnd, context: RequestContext): VnicError | undefined {
  switch (end.end) {
    case 'ok':
      return undefined;
    case 'refused':
      return refusalError(end.refusal, context);
    case 'inconsistent':
      return new VnicError('VNIC_NETLINK', {
        attempted: context.attempted,
        reason: 'the table changed each time while it was read',
        hint: 'Try again when the network configuration is at rest.',
        errno: 'EINTR',
        syscall: context.call,
      });
    case 'malformed':
      return malformedAnswer(end.fault, context);
  }
}

function malformedAnswer(fault: MessageFault, context: RequestContext): VnicError {
  return new VnicError('VNIC_NETLINK', {
    attempted: context.attempted,
    reason: `the kernel's answer is malformed (${fault})`,
    hint: 'This is a bug of vnic or of the kernel: please report it with the kernel version.',
    syscall: context.call,
  });
}

/** The error with which whatever waits on a closed socket ends. */
export function closedError(attempted: string): VnicError {
  return new VnicError('VNIC_LINK_CLOSED', {
    attempted,
    reason: 'the netlink socket is closed',
    hint: 'Open a new one with openNetlink(), and close it after the last request.',
  });
}
