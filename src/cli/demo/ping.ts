/** The system's `ping`, run for the demo. */

import { spawn } from 'node:child_process';

import { VnicError } from '../../base/index.ts';
import { findProgram } from '../../netdev/index.ts';

/** What came of a ping. */
export interface PingResult {
  readonly transmitted: number;
  readonly received: number;
}

export interface PingOptions {
  /** What `ping` says, line by line, as it comes. */
  onLine(line: string): void;
  readonly signal: AbortSignal;
}

/** Far more than three pings take; a ping that hangs must not hang the demo. */
const TIMEOUT_MS = 20_000;

/**
 * Runs `ping` with these arguments to its end, or to that of the signal.
 * @throws VNIC_PROGRAM_MISSING, VNIC_SYSTEM_CALL
 */
export async function runPing(args: readonly string[], { onLine, signal }: PingOptions): Promise<PingResult> {
  const program = requirePing();
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    // Its summary is read here.
    env: { ...process.env, LC_ALL: 'C' },
  });
  const lines: string[] = [];
  const take = (line: string): void => {
    lines.push(line);
    onLine(line);
  };
  splitLines(child.stdout, take);
  splitLines(child.stderr, take);
  const onAbort = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (cause) => reject(cannotRun(program, cause)));
      child.once('close', () => resolve());
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
  return parseResult(lines);
}

/** Full path of `ping`. @throws VNIC_PROGRAM_MISSING */
export function requirePing(): string {
  const program = findProgram('ping');
  if (program !== undefined) return program;
  throw new VnicError('VNIC_PROGRAM_MISSING', {
    attempted: 'run the demo',
    reason: 'the program ping is not installed',
    hint: 'Install it: `sudo apt-get install iputils-ping`.',
  });
}

/** iputils says `3 packets transmitted, 3 received`, BusyBox `3 packets received`. */
function parseResult(lines: readonly string[]): PingResult {
  for (const line of lines) {
    const [, transmitted, received] = /(\d+) packets transmitted, (\d+) (?:packets )?received/.exec(line) ?? [];
    if (received !== undefined) return { transmitted: Number(transmitted), received: Number(received) };
  }
  return { transmitted: 0, received: 0 };
}

function splitLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

function cannotRun(program: string, cause: NodeJS.ErrnoException): VnicError {
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `run ${program}`,
    reason: cause.message,
    hint: 'Run it by hand to see what is wrong.',
    ...(cause.code !== undefined && { errno: cause.code, syscall: 'spawn' }),
    cause,
  });
}
