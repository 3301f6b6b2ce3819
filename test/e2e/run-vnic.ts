/** Runs the built command and the programs that it is compared with. */

import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const VNIC: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface RunResult {
  /** Exit status; 128 + the number of the signal that ended it, as a shell says it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions extends Pick<SpawnOptions, 'env' | 'cwd'> {
  /** Written to stdin, which is closed then. */
  readonly input?: string;
}

/** Runs `vnic` to its end, without a terminal. */
export function runVnic(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run([process.execPath, VNIC, ...args], options);
}

/** Runs a line of shell in which `vnic` is the command under test. */
export function runShell(script: string, options: RunOptions = {}): Promise<RunResult> {
  const define = `vnic() { ${quoted(process.execPath)} ${quoted(VNIC)} "$@"; }`;
  return run(['bash', '-c', `${define}\n${script}`], options);
}

/** The environment of somebody at a terminal: Node takes `CI` for a terminal without colours. */
export function terminalEnv(): NodeJS.ProcessEnv {
  const { CI: _ci, NO_COLOR: _noColor, FORCE_COLOR: _forceColor, ...env } = process.env;
  return { ...env, TERM: 'xterm-256color' };
}

/** Runs a program to its end. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { input = '', ...spawnOptions } = options;
  const child = start(argv, spawnOptions);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin?.on('error', () => undefined).end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      resolve({ status: status ?? 128 + signalNumber(signal), stdout: stdout(), stderr: stderr() });
    });
  });
}

/** Starts a program with pipes. */
export function start(argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const [program = '', ...args] = argv;
  return spawn(program, args, { stdio: 'pipe', ...options });
}

/** What `ip -j …` prints, which is nothing at all for some empty lists. `ip tuntap` complains about /proc on stderr. */
export function ipJson(...args: readonly string[]): Record<string, unknown>[] {
  const text = execFileSync('ip', ['-j', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return text.trim() === '' ? [] : (JSON.parse(text) as Record<string, unknown>[]);
}

/** Names of the interfaces, as the kernel lists them. */
export function interfaceNames(): string[] {
  return ipJson('link', 'show').map(({ ifname }) => String(ifname));
}

/** Deletes every TUN/TAP device of the (private) namespace. */
export function deleteTestDevices(): void {
  for (const { ifname } of ipJson('-d', 'link', 'show').filter(isTunTap)) {
    execFileSync('ip', ['link', 'delete', 'dev', String(ifname)]);
  }
}

function isTunTap(link: Record<string, unknown>): boolean {
  return (link['linkinfo'] as { info_kind?: string } | undefined)?.info_kind === 'tun';
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGPIPE: 13, SIGTERM: 15 }[signal as string] ?? 0;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
