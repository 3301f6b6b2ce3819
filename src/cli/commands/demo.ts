/**
 * `vnic demo`: the kernel's own ping is answered by this program, on TUN and on TAP, shown packet by packet.
 *
 * The command runs itself a second time (`--inside`) in a network of its own, see `netdev/sandbox.ts`. The two are
 * joined by a pipe on which nothing is ever sent: when it closes, because the outer one wants the end or has died,
 * the inner one ends. What is left of it after a grace period is killed, with everything it has started.
 */

import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

import { type Command, Option } from 'commander';

import { ExitStatus } from '../../base/index.ts';
import { requireSandbox, requireTunNode, sandboxCommand } from '../../netdev/index.ts';
import { requirePing } from '../demo/ping.ts';
import { runDemo } from '../demo/run-demo.ts';
import { interrupt, interruption } from '../interruption.ts';
import { usageError } from '../report-error.ts';
import { selfCommand } from '../self.ts';

interface DemoOptions {
  readonly inside?: boolean;
}

/** The descriptor of the inner process that the pipe arrives on. */
const LIFELINE_FD = 3;
const GRACE_MS = 3000;
const SIGTERM_STATUS = 143;

export function define(command: Command): void {
  command
    .description(
      'Watch the kernel ping addresses that this program answers: on a TUN and on a TAP device, over IPv4 and IPv6, ' +
        'every packet decoded. Runs in a user and network namespace of its own: it needs no privilege, and nothing ' +
        'on this machine changes.',
    )
    .addOption(new Option('--inside').hideHelp())
    .addHelpText(
      'after',
      `
Examples:
  vnic demo
  sudo vnic demo        where users may not make namespaces

Exit status: ${ExitStatus.ok} when every ping was answered, ${ExitStatus.failure} when one was lost.`,
    )
    .action((options: DemoOptions) => (options.inside ? runInside() : runOutside()));
}

async function runOutside(): Promise<void> {
  const signal = interruption();
  // Here rather than inside, where the same user is called root and the hints would mislead.
  requirePing();
  await requireTunNode('run the demo');
  const form = requireSandbox(
    'run the demo in a network of its own',
    isNpmStart() ? 'sudo npm start' : 'sudo vnic demo',
  );
  if (signal.aborted) return;
  const { command, args } = sandboxCommand(selfCommand(['demo', '--inside']), { form });
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
  const lifeline = child.stdio[LIFELINE_FD];
  // The inner process may end first.
  lifeline?.on('error', () => undefined);
  const end = (): void => {
    lifeline?.destroy();
    setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref();
  };
  signal.addEventListener('abort', end, { once: true });
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? ExitStatus.failure));
  });
  if (!signal.aborted) process.exitCode = status;
}

async function runInside(): Promise<void> {
  const signal = interruption();
  const lifeline = openLifeline();
  lifeline.on('close', () => interrupt(SIGTERM_STATUS));
  lifeline.resume();
  try {
    const ok = await runDemo(signal, { command: isNpmStart() ? 'npx vnic' : 'vnic' });
    if (!signal.aborted && !ok) process.exitCode = ExitStatus.failure;
  } finally {
    lifeline.removeAllListeners('close');
    lifeline.destroy();
  }
}

function openLifeline(): Socket {
  try {
    return new Socket({ fd: LIFELINE_FD, readable: true, writable: false });
  } catch {
    throw usageError('run `vnic demo --inside`', 'it is for the demo itself', 'Run `vnic demo`.');
  }
}

/** How the user reached this command: `npm start` in a checkout, or `vnic`. */
function isNpmStart(): boolean {
  return process.env['npm_lifecycle_event'] === 'start';
}
