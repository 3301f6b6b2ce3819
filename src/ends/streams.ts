/** Where the streams of ends come from: connections, those who connect, programs, standard input and output. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, unlinkSync } from 'node:fs';
import { connect as connectNet, createServer, type Server, type Socket } from 'node:net';
import { Duplex, Readable } from 'node:stream';

import { VnicError } from '../base/index.ts';
import type { Connected } from './carrier.ts';
import type { HostPort } from './end-spec.ts';

/** A dead peer is noticed after so long without a word, and ten more seconds. */
const KEEP_ALIVE_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Where a stream socket is: a host and port, or a path. */
export type StreamAddress = HostPort | { readonly path: string };

/** `192.0.2.1:7000`, `[2001:db8::1]:7000`, or the path. */
export function describeAddress(address: StreamAddress): string {
  if ('path' in address) return address.path;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host || '*';
  return `${host}:${address.port}`;
}

/** Connects. @throws VNIC_PEER_UNREACHABLE, VNIC_ABORTED */
export function connectStream(address: StreamAddress, signal: AbortSignal): Promise<Connected> {
  const peer = describeAddress(address);
  const socket = connectNet('path' in address ? { path: address.path } : { host: address.host, port: address.port });
  socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
  return new Promise((resolve, reject) => {
    const give = (error: Error): void => {
      socket.destroy();
      reject(unreachable(`connect to ${peer}`, error));
    };
    const onAbort = (): void => give(new Error('it was given up'));
    const timer = setTimeout(
      () => give(new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1000} s`)),
      CONNECT_TIMEOUT_MS,
    );
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', give).once('close', settle);
    socket.once('connect', () => {
      settle();
      socket.off('error', give);
      resolve({ stream: socket, peer });
    });
  });
}

/**
 * Listens. A Unix socket that nobody listens on any more is taken over.
 * @returns what stops it
 * @throws VNIC_SYSTEM_CALL
 */
export async function listenForStreams(
  address: StreamAddress,
  onStream: (connected: Connected) => void,
): Promise<{ readonly address: StreamAddress; stop(): void }> {
  const server = createServer((socket) => {
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    onStream({ stream: socket, peer: peerOf(socket) });
  });
  try {
    await listen(server, address);
  } catch (error) {
    if (
      !('path' in address) ||
      (error as NodeJS.ErrnoException).code !== 'EADDRINUSE' ||
      !(await isAbandoned(address.path))
    )
      throw cannotListen(address, error);
    unlinkSync(address.path);
    await listen(server, address).catch((again: unknown) => {
      throw cannotListen(address, again);
    });
  }
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return { address: 'path' in address ? address : { ...address, port }, stop: () => void server.close() };
}

/** Starts a program; its standard input and output are the stream. @throws VNIC_PROGRAM_MISSING */
export function startProgram(command: string): Promise<Connected> {
  // In a group of its own, so that it ends with all that it has started.
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(
        new VnicError('VNIC_PROGRAM_MISSING', {
          attempted: `run ${command}`,
          reason: cause.message,
          hint: 'Check the command behind `exec:`.',
          cause,
        }),
      );
    });
    child.once('spawn', () => {
      const readable = Readable.from(outputOf(child, command));
      const stream = Duplex.from({ readable, writable: child.stdin });
      stream.once('close', () => endGroup(child.pid));
      resolve({ stream, peer: `${command} (pid ${child.pid})` });
    });
  });
}

/** Standard input and output of this process. */
export function standardStreams(): Connected {
  return {
    stream: Duplex.from({ readable: process.stdin, writable: process.stdout }),
    peer: 'standard input and output',
  };
}

/** What it writes; ends with an error when the program ends with one. */
async function* outputOf(child: ChildProcess, command: string): AsyncGenerator<Buffer> {
  const ended = once(child, 'exit') as Promise<[status: number | null, signal: NodeJS.Signals | null]>;
  if (child.stdout !== null) yield* child.stdout;
  const [status, signal] = await ended;
  if (status !== 0) throw programFailed(command, status, signal);
}

function programFailed(command: string, status: number | null, signal: NodeJS.Signals | null): VnicError {
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `run ${command}`,
    reason: signal === null ? `it ended with status ${status}` : `it was ended by ${signal}`,
    hint: 'What it has written to its standard error tells why.',
    cause: { status, signal },
  });
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGTERM');
  } catch {
    // It has ended.
  }
}

function listen(server: Server, address: StreamAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const onListening = (): void => {
      server.off('error', reject);
      resolve();
    };
    if ('path' in address) server.listen(address.path, onListening);
    else if (address.host === '') server.listen(address.port, onListening);
    else server.listen(address.port, address.host, onListening);
  });
}

/** A socket file that refuses connections was left by somebody who has ended. */
function isAbandoned(path: string): Promise<boolean> {
  if (!statSync(path, { throwIfNoEntry: false })?.isSocket()) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connectNet({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
  });
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  if (remoteAddress === undefined) return 'a program of this machine';
  return describeAddress({ host: remoteAddress.replace(/^::ffff:/, ''), port: remotePort ?? 0 });
}

function cannotListen(address: StreamAddress, cause: unknown): VnicError {
  const { code = 'failed', message } = cause as NodeJS.ErrnoException;
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: 'Choose another, or end the program that has it: `ss -lp`.',
    EACCES: 'Ports below 1024 and the folder of the path may need `sudo`.',
    EADDRNOTAVAIL: 'Give an address of this machine, or none for all.',
  };
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `listen on ${describeAddress(address)}`,
    reason: message,
    hint: hints[code] ?? 'Check the address.',
    errno: code,
    syscall: 'listen',
    cause,
  });
}

function unreachable(attempted: string, cause: Error): VnicError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted,
    reason: message,
    hint: 'See that the other side listens, and that nothing on the way forbids it.',
    ...(code !== undefined && { errno: code, syscall: 'connect' }),
    cause,
  });
}
