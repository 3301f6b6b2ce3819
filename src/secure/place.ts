/** Hosts with ports, and the errors of those that cannot be reached or listened on. */

import type { Socket } from 'node:net';

import { IpAddress, VnicError } from '../base/index.ts';
import type { Identity } from '../identity/index.ts';

/** A host and a port. */
export interface SecureAddress {
  /** A name or an address, without brackets; empty for any address of this machine. */
  readonly host: string;
  readonly port: number;
}

/** `192.0.2.1:7000`, `[2001:db8::1]:7000`, `*:7000`. */
export function formatPlace({ host, port }: SecureAddress): string {
  return `${host.includes(':') ? `[${host}]` : host || '*'}:${port}`;
}

/** Who is at the other side of a socket, for people. */
export function peerOf(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  const { remoteAddress = 'unknown', remotePort = 0 } = socket;
  return formatPlace({ host: unmapped(remoteAddress), port: remotePort });
}

/** What one machine is taken for: an IPv4 address, or the 64 bits of an IPv6 network, which one machine can have whole. */
export function sourceOf(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return '';
  const text = unmapped(remoteAddress).replace(/%.*$/, '');
  if (!text.includes(':')) return text;
  return Buffer.from(IpAddress.parse(text).bytes.subarray(0, 8)).toString('hex');
}

function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}

/** The error of a connection that is not made. */
export function unreachable(place: string, cause: Error): VnicError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const isSystem = code !== undefined && /^E[A-Z0-9]+$/.test(code);
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted: `connect to ${place}`,
    reason: code?.startsWith('ERR_SSL_') ? `it does not speak TLS 1.3 as this side does (${code})` : message,
    hint: 'See that the other side listens there, and that nothing on the way forbids it.',
    ...(isSystem && { errno: code, syscall: 'connect' }),
    cause,
  });
}

/** The error of a server that has proved who it is, and then ended the connection without a word. */
export function notAdmitted(place: string, identity: Pick<Identity, 'fingerprint'> | undefined): VnicError {
  const fingerprint = identity?.fingerprint;
  const key = fingerprint === undefined ? 'a client without a certificate' : `the key of this side, ${fingerprint}`;
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted: `connect to ${place}`,
    reason: `it has ended the connection before it said anything: it may have another peer, or not allow ${key}`,
    hint: fingerprint === undefined ? 'Show one.' : `If so, allow it there: \`vnic identity allow ${fingerprint}\`.`,
  });
}

/** The error of a port that cannot be listened on. */
export function cannotListen(address: SecureAddress, cause: unknown): VnicError {
  const { code = 'failed', message } = cause as NodeJS.ErrnoException;
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: 'Choose another, or end the program that has it: `ss -lp`.',
    EACCES: 'Ports below 1024 may need `sudo`.',
    EADDRNOTAVAIL: 'Give an address of this machine, or none for all.',
  };
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `listen on ${formatPlace(address)}`,
    reason: message,
    hint: hints[code] ?? 'Check the address.',
    errno: code,
    syscall: 'listen',
    cause,
  });
}
