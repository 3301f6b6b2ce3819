/** Asks a running service. The lines are those of `control-socket.ts`. */

import { createConnection, type Socket } from 'node:net';

import { errorCatalogue, VnicError, type VnicErrorCode } from '../base/index.ts';

const TIMEOUT_MS = 5000;
/** Bytes of an answer. */
const MAX_ANSWER_LEN = 16 * 1024 * 1024;
const LF = 0x0a;

/** A connection to a service. One question at a time. */
export class ControlClient implements Disposable {
  readonly #socket: Socket;
  readonly #path: string;
  #chunks: Buffer[] = [];
  #length = 0;
  #failure: NodeJS.ErrnoException | undefined;
  #onChange: () => void = () => undefined;

  /** Use `connectControl`. */
  constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      if (this.#length > MAX_ANSWER_LEN) socket.destroy(new Error('the answer is too long'));
      if (chunk.includes(LF)) this.#onChange();
    });
    socket.on('error', (error) => {
      this.#failure = error;
    });
    socket.on('close', () => {
      this.#failure ??= new Error('the service has closed the connection');
      this.#onChange();
    });
  }

  /**
   * Asks and waits for the answer, up to five seconds.
   * @throws VNIC_SYSTEM_CALL when the connection fails; what the service throws
   */
  async ask(question: string, more: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#failure === undefined) this.#socket.write(`${JSON.stringify({ ask: question, ...more })}\n`);
    const timer = setTimeout(() => this.#socket.destroy(new Error('no answer in time')), TIMEOUT_MS);
    try {
      return this.#read(question, await this.#line());
    } finally {
      clearTimeout(timer);
    }
  }

  /** Idempotent. */
  close(): void {
    this.#socket.destroy();
  }

  /** As `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #line(): Promise<string> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const all = Buffer.concat(this.#chunks);
        const end = all.indexOf(LF);
        if (end < 0 && this.#failure === undefined) return;
        this.#onChange = () => undefined;
        if (end < 0) {
          reject(cannotAsk(this.#path, this.#failure as NodeJS.ErrnoException));
          return;
        }
        const rest = all.subarray(end + 1);
        this.#chunks = [rest];
        this.#length = rest.length;
        resolve(all.toString('utf8', 0, end));
      };
      this.#onChange = check;
      check();
    });
  }

  #read(question: string, line: string): unknown {
    const { answer, error } = JSON.parse(line) as {
      answer?: unknown;
      error?: { code: string; message: string; hint: string };
    };
    if (error === undefined) return answer;
    throw new VnicError(
      Object.hasOwn(errorCatalogue, error.code) ? (error.code as VnicErrorCode) : 'VNIC_SYSTEM_CALL',
      {
        attempted: `ask the service for ${question}`,
        reason: error.message,
        hint: error.hint,
      },
    );
  }
}

/**
 * Connects to the service at a path (`controlPath`).
 * @throws VNIC_SYSTEM_CALL, with `errno` ENOENT or ECONNREFUSED where none runs, EACCES where this user may not ask
 */
export function connectControl(path: string): Promise<ControlClient> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    socket.once('error', (error) => reject(cannotAsk(path, error)));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(new ControlClient(socket, path));
    });
  });
}

function cannotAsk(path: string, cause: NodeJS.ErrnoException): VnicError {
  const hints: Readonly<Record<string, string>> = {
    EACCES: 'Ask as the user that runs it: `sudo vnic service status`.',
    ENOENT: 'No service runs for that file in this network namespace.',
    ECONNREFUSED: 'No service runs for that file in this network namespace.',
  };
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `ask the service at ${path}`,
    reason: cause.message,
    hint: hints[cause.code ?? ''] ?? 'See `vnic service logs`.',
    ...(cause.code !== undefined && { errno: cause.code, syscall: cause.syscall ?? 'connect' }),
    cause,
  });
}
