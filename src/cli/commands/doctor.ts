/** `vnic doctor`: what works on this machine, and the line that mends what does not. */

import { type Command, Option } from 'commander';

import { ExitStatus } from '../../base/index.ts';
import { type Check, type CheckStatus, examineMachine, probeOffloads } from '../../netdev/index.ts';
import { print, printable, printJson, type StyleFormat, style } from '../output.ts';
import { selfCommand } from '../self.ts';
import { symbols } from '../symbols.ts';

interface DoctorOptions {
  readonly json?: boolean;
  readonly probeOffloads?: boolean;
}

export function define(command: Command): void {
  command
    .description(
      'Check everything that vnic needs: Node.js, the kernel and its tun driver, permissions, namespaces. ' +
        'Nothing is changed; for each failure the line that mends it is printed.',
    )
    .option('--json', 'print the checks as JSON')
    // What the check of the offloads runs in a namespace of its own.
    .addOption(new Option('--probe-offloads').hideHelp())
    .addHelpText(
      'after',
      `
Examples:
  vnic doctor
  vnic doctor --json | jq '.checks[] | select(.status != "ok")'

Exit status: ${ExitStatus.ok} when nothing fails, ${ExitStatus.unavailable} when something that vnic needs does. A warning (!) is no failure.`,
    )
    .action(run);
}

async function run(options: DoctorOptions): Promise<void> {
  if (options.probeOffloads) {
    print(JSON.stringify(await probeOffloads()));
    return;
  }
  const checks = await examineMachine({ offloadProbe: selfCommand(['doctor', '--probe-offloads']) });
  const ok = checks.every(({ status }) => status !== 'fail');
  if (options.json) printJson({ ok, checks });
  else printChecks(checks);
  if (!ok) process.exitCode = ExitStatus.unavailable;
}

const colours: Readonly<Record<CheckStatus, StyleFormat>> = { ok: 'green', warn: 'yellow', fail: 'red' };

function printChecks(checks: readonly Check[]): void {
  const width = Math.max(...checks.map(({ title }) => title.length));
  for (const { title, status, detail, fix } of checks) {
    const mark = style(colours[status], symbols()[status]);
    print(`${mark} ${title.padEnd(width)}  ${printable(detail)}`);
    if (fix !== undefined) print(`  ${' '.repeat(width)}  ${style('cyan', `${symbols().fix} ${printable(fix)}`)}`);
  }
  print(`\n${summary(checks)}`);
}

function summary(checks: readonly Check[]): string {
  const count = (wanted: CheckStatus): number => checks.filter(({ status }) => status === wanted).length;
  const failed = count('fail');
  const warnings = count('warn');
  const noted = warnings === 0 ? '' : ` (${warnings} ${warnings === 1 ? 'warning' : 'warnings'})`;
  if (failed === 0) return `vnic works on this machine${noted}. Try: vnic demo`;
  return `${failed} of ${checks.length} checks failed${noted}: vnic cannot do its work before that is mended.`;
}
