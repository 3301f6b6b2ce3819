/**
 * Where a running service is asked: a Unix socket that only its user can reach, JSON a line.
 *
 *     → {"ask":"status"}
 *     ← {"answer":{…}}                       or {"error":{"code":…,"message":…,"hint":…}}
 *
 * Theory of operation
 *
 *   access    The folder is 0700 and the socket 0600 from the moment that it is there. Who may connect may ask everything.
 *   place     By the configuration file and the network namespace, as the run file. The lock of that file says who the service is, so
 *             a socket that is found is one that was left; it is taken over only when nobody answers there.
 *   limits    Some clients at a time, requests of some length, answered in their order. Who asks nothing for a while, or reads too
 *             slowly for what it asks, is cut off.
 */

import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';

import { isVnicError, VnicError } from '../base/index.ts';
import { runtimeDirectory } from '../journal/index.ts';
import { runKey } from './run-key.ts';

/** What can be asked, each with what answers: plain data, or a promise of it. */
export type ControlHandlers = Readonly<Record<string, (request: Readonly<Record<string, unknown>>) => unknown>>;

/** Limits of a socket. */
export interface ControlLimits {
  /** Clients at a time; default 16. */
  readonly clients?: number;
  /** Bytes of a request; default 4096. */
  readonly requestLen?: number;
  /** Bytes of answers that a client has not read; default 4 MiB. */
  readonly pendingLen?: number;
  /** How long a client may say nothing, in milliseconds; default 60,000. */
  readonly idleMs?: number;
}

/** An open socket. */
export interface ControlSocket extends AsyncDisposable {
  readonly path: string;
  /** Cuts off everybody and removes the socket. Idempotent. */
  close(): Promise<void>;
}

const FOLDER_MODE = 0o700;
const SOCKET_UMASK = 0o177;
const LF = 0x0a;

/** Where the service of a configuration file is asked. @param config its absolute path */
export function controlPath(config: string, folder: string = runtimeDirectory()): string {
  return join(folder, 'control', `${runKey(config)}.sock`);
}

/**
 * Opens the socket; its folder is made if it is missing.
 * @throws VNIC_SYSTEM_CALL
 */
export async function openControlSocket(
  path: string,
  handlers: ControlHandlers,
  limits: ControlLimits = {},
): Promise<ControlSocket> {
  const clients = new Set<Socket>();
  const { clients: maxClients = 16 } = limits;
  const server = createServer((socket) => {
    if (clients.size >= maxClients) {
      socket.on('error', () => undefined).destroy();
      return;
    }
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    serve(socket, handlers, limits);
  });
  try {
    privateFolder(dirname(path));
    await listen(server, path);
  } catch (error) {
    throw cannotListen(path, error);
  }
  // A failed accept is the loss of who was to be accepted.
  server.on('error', () => undefined);
  const close = async (): Promise<void> => {
    for (const client of clients) client.destroy();
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { path, close, [Symbol.asyncDispose]: close };
}

/** Answers the requests of one client. */
function serve(socket: Socket, handlers: ControlHandlers, limits: ControlLimits): void {
  const { requestLen = 4096, pendingLen = 4 * 1024 * 1024, idleMs = 60_000 } = limits;
  let pending = Buffer.alloc(0);
  let isBusy = false;
  const next = (): void => {
    const end = pending.indexOf(LF);
    if ((end < 0 ? pending.length : end) > requestLen) socket.destroy();
    if (end < 0 || isBusy || socket.destroyed) return;
    const line = pending.toString('utf8', 0, end);
    pending = pending.subarray(end + 1);
    isBusy = true;
    socket.pause();
    void answer(line, handlers).then((answered) => {
      isBusy = false;
      if (socket.destroyed) return;
      socket.resume().write(`${JSON.stringify(answered)}\n`);
      if (socket.writableLength > pendingLen) socket.destroy();
      next();
    });
  };
  socket.on('error', () => undefined).setTimeout(idleMs, () => isBusy || socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    next();
  });
}

async function answer(line: string, handlers: ControlHandlers): Promise<object> {
  try {
    const request: unknown = JSON.parse(line);
    const ask = typeof request === 'object' && request !== null && 'ask' in request ? request.ask : undefined;
    const handler = typeof ask === 'string' && Object.hasOwn(handlers, ask) ? handlers[ask] : undefined;
    if (handler !== undefined) return { answer: await handler(request as Readonly<Record<string, unknown>>) };
  } catch (error) {
    if (isVnicError(error)) return { error: { code: error.code, message: error.message, hint: error.hint } };
    if (!(error instanceof SyntaxError)) throw error;
  }
  const known = Object.keys(handlers).join(', ');
  return {
    error: {
      code: 'VNIC_INVALID_ARGUMENT',
      message: 'expected a line of JSON such as {"ask":"status"}',
      hint: `Known are: ${known}.`,
    },
  };
}

/** Ours, and nobody else's to look into. */
function privateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  const status = lstatSync(path);
  if (!status.isDirectory() || status.uid !== process.geteuid?.()) {
    throw Object.assign(new Error('it is no folder of this user'), { code: 'EPERM' });
  }
  if ((status.mode & 0o077) !== 0) chmodSync(path, FOLDER_MODE);
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    await listenOnce(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isAbandoned(path))) throw error;
    unlinkSync(path);
    await listenOnce(server, path);
  }
}

function listenOnce(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const before = process.umask(SOCKET_UMASK);
    try {
      // Bound within this call.
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

/** True when nobody listens there any more. */
function isAbandoned(path: string): Promise<boolean> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
  });
}

function cannotListen(path: string, cause: unknown): VnicError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `open the control socket ${path}`,
    reason: message,
    hint: 'Set VNIC_RUNTIME_DIRECTORY to a folder of this user with a short name, best one in memory.',
    ...(code !== undefined && { errno: code, syscall: 'bind' }),
    cause,
  });
}
