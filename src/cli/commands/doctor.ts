/** `vnic doctor`: what works on this machine, and the line that mends what does not. */

import { type Command, Option } from 'commander';

import { ExitStatus, IpAddress } from '../../base/index.ts';
import type { PathCheck } from '../../diagnosis/index.ts';
import { type Check, type CheckStatus, examineMachine, probeOffloads } from '../../netdev/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { print, printable, printJson, type StyleFormat, style } from '../output.ts';
import { usageError } from '../report-error.ts';
import { selfCommand } from '../self.ts';
import { symbols } from '../symbols.ts';
import { option } from '../values.ts';

interface DoctorOptions extends NetnsOptions {
  readonly json?: boolean;
  readonly probeOffloads?: boolean;
  readonly to?: IpAddress;
  readonly tun?: boolean;
  readonly tap?: boolean;
}

export function define(command: Command): void {
  command
    .description(
      'Check everything that vnic needs: Node.js, the kernel and its tun driver, permissions, namespaces. ' +
        'Nothing is changed; for each failure the line that mends it is printed. With the name of a device: why nothing flows ' +
        'through it, in the order in which a packet meets the causes.',
    )
    .argument('[NAME]', 'a device; default the machine')
    .addOption(
      option('--to <address>', 'whom packets are for: follows its route and its neighbour', (text) =>
        IpAddress.parse(text),
      ),
    )
    .addOption(new Option('--tun', 'the device should be a TUN').conflicts('tap'))
    .addOption(new Option('--tap', 'the device should be a TAP'))
    .option('--json', 'print the checks as JSON')
    // What the check of the offloads runs in a namespace of its own.
    .addOption(new Option('--probe-offloads').hideHelp())
    .addHelpText(
      'after',
      `
Examples:
  vnic doctor
  vnic doctor tun0 --to 10.0.0.2
  vnic doctor tun0 --netns lab
  vnic doctor --json | jq '.checks[] | select(.status != "ok")'

Exit status: ${ExitStatus.ok} when nothing fails, ${ExitStatus.unavailable} when something that vnic needs does, ${ExitStatus.failure} when something of a device does.
A warning (!) is no failure.`,
    )
    .action(run);
}

async function run(name: string | undefined, options: DoctorOptions): Promise<void> {
  if (options.probeOffloads) {
    print(JSON.stringify(await probeOffloads()));
    return;
  }
  if (name !== undefined) return runDevice(name, options);
  if (options.to !== undefined || options.tun || options.tap || options.netns !== undefined) {
    throw usageError(
      'run `vnic doctor`',
      '--to, --tun, --tap and --netns are for a device',
      'Name it: `vnic doctor tun0 --to 10.0.0.2`.',
    );
  }
  const checks = await examineMachine({ offloadProbe: selfCommand(['doctor', '--probe-offloads']) });
  const ok = checks.every(({ status }) => status !== 'fail');
  if (options.json) printJson({ ok, checks });
  else {
    printChecks(checks);
    print(`\n${summary(checks)}`);
  }
  if (!ok) process.exitCode = ExitStatus.unavailable;
}

async function runDevice(name: string, { to, tun, tap, netns, json }: DoctorOptions): Promise<void> {
  const { examineDevice } = await import('../../diagnosis/index.ts');
  const kind = tun ? 'tun' : tap ? 'tap' : undefined;
  const checks = await examineDevice(name, {
    ...(to !== undefined && { to }),
    ...(kind !== undefined && { kind }),
    ...(netns !== undefined && { netns }),
  });
  const cause = checks.find(({ status }) => status === 'fail');
  if (json) printJson({ ok: cause === undefined, cause: cause?.id ?? null, checks });
  else {
    printChecks(checks);
    print(`\n${deviceSummary(name, cause, checks)}`);
  }
  if (cause !== undefined) process.exitCode = ExitStatus.failure;
}

function deviceSummary(name: string, cause: PathCheck | undefined, checks: readonly PathCheck[]): string {
  if (cause !== undefined) return `Mend first: ${printable(cause.detail)}.`;
  const warnings = checks.filter(({ status }) => status === 'warn').length;
  const noted = warnings === 0 ? '' : ` (${warnings} ${warnings === 1 ? 'warning' : 'warnings'})`;
  return `Nothing keeps packets from ${printable(name)}${noted}.`;
}

const colours: Readonly<Record<CheckStatus, StyleFormat>> = { ok: 'green', warn: 'yellow', fail: 'red' };

function printChecks(checks: readonly (Check | PathCheck)[]): void {
  const width = Math.max(...checks.map(({ title }) => title.length));
  for (const { title, status, detail, fix } of checks) {
    const mark = style(colours[status], symbols()[status]);
    print(`${mark} ${title.padEnd(width)}  ${printable(detail)}`);
    if (fix !== undefined) print(`  ${' '.repeat(width)}  ${style('cyan', `${symbols().fix} ${printable(fix)}`)}`);
  }
}

function summary(checks: readonly Check[]): string {
  const count = (wanted: CheckStatus): number => checks.filter(({ status }) => status === wanted).length;
  const failed = count('fail');
  const warnings = count('warn');
  const noted = warnings === 0 ? '' : ` (${warnings} ${warnings === 1 ? 'warning' : 'warnings'})`;
  if (failed === 0) return `vnic works on this machine${noted}. Try: vnic demo`;
  return `${failed} of ${checks.length} checks failed${noted}: vnic cannot do its work before that is mended.`;
}
