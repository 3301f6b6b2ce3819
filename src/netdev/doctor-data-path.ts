/** Checks of what makes packets fast; everything works without it. */

import { type AeadAlgorithm, aeadBackends } from '../crypto/index.ts';
import { errnoName, nativeCore } from '../native/index.ts';
import type { Check } from './check.ts';
import { described } from './doctor-system.ts';
import { readSysctl } from './sandbox.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
/** `linux/udp.h`. */
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;

/** Many packets a system call under load; everything works without it. */
export function checkIoUring(): Check {
  const base = { id: 'io-uring', title: 'io_uring' } as const;
  const result = nativeCore().ioUringProbe();
  if (result >= 0) return { ...base, status: 'ok', detail: 'used under load: many packets a system call' };
  const disabled = readSysctl('kernel.io_uring_disabled');
  return {
    ...base,
    status: 'warn',
    detail: `not allowed (${errnoName(-result)}); a system call a packet instead, some 8 % slower under load`,
    fix:
      disabled !== undefined && disabled !== '0'
        ? 'sudo sysctl kernel.io_uring_disabled=0'
        : 'allow io_uring_setup in the seccomp filter of the container or service, or use Linux 5.7 or newer',
  };
}

/** Runs of datagrams in one call, Linux 4.18 (sending) and 5.0 (receiving). */
export function checkUdpOffload(): Check {
  const base = { id: 'udp-offload', title: 'UDP in batches' } as const;
  const core = nativeCore();
  const fd = core.socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return { ...base, status: 'warn', detail: `no socket (${errnoName(-fd)})`, fix: 'ulimit -n 1024' };
  const value = new Uint8Array(Int32Array.of(1).buffer);
  const takes = (option: number): boolean => core.setsockopt(fd, SOL_UDP, option, value) >= 0;
  const offers = { UDP_SEGMENT: takes(UDP_SEGMENT), UDP_GRO: takes(UDP_GRO) };
  core.close(fd);
  const missing = Object.entries(offers).flatMap(([name, offered]) => (offered ? [] : [name]));
  if (missing.length === 0) return { ...base, status: 'ok', detail: 'UDP_SEGMENT and UDP_GRO' };
  return { ...base, status: 'warn', detail: `without ${missing.join(' and ')}`, fix: 'use Linux 5.0 or newer' };
}

/** Which implementation of each algorithm `createAead` takes. */
export function checkEncryption(): Check {
  const base = { id: 'encryption', title: 'Encryption' } as const;
  try {
    const best = Object.entries(aeadBackends()).map(([algorithm, backends]) => ({
      algorithm: algorithm as AeadAlgorithm,
      backend: backends[0],
    }));
    const detail = best.map(({ algorithm, backend }) => `${algorithm}: ${backend ?? 'none'}`).join(', ');
    const slow = best.some(({ backend }) => backend === undefined || backend === 'node');
    if (!slow) return { ...base, status: 'ok', detail: `OpenSSL ${process.versions['openssl']}; ${detail}` };
    return {
      ...base,
      status: 'warn',
      detail,
      fix: 'run a build of Node.js that exports its OpenSSL, as nodejs.org has',
    };
  } catch (error) {
    return { ...base, status: 'warn', ...described(error) };
  }
}
