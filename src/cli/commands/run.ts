/**
 * `vnic run`: keeps the state of a file until it is told to stop.
 *
 * Its signals are its own: SIGHUP reads the file again, SIGTERM and SIGINT stop and undo, SIGUSR1 stops and leaves
 * everything as it is. A second one to stop ends it at once.
 */

import { type Command, Option } from 'commander';

import { isVnicError } from '../../base/index.ts';
import type { LogLevel } from '../../service/index.ts';
import { addFileOption, type FileOptions } from '../config-file.ts';
import { exitStatusOf } from '../report-error.ts';
import { type LogChoice, logChoices } from '../service-log.ts';
import { decimalNumber, option, parseText } from '../values.ts';

interface RunOptions extends FileOptions {
  readonly keep?: true;
  readonly logFormat: LogChoice;
  readonly logLevel: LogLevel;
  readonly pidFile?: string;
  readonly resync: number;
}

export function define(command: Command): void {
  addFileOption(command)
    .description(
      'Make this machine as a file asks for, and keep it so: what somebody deletes or changes is made again, what waits ' +
        'for a link of others comes when the link does. Carries the links of the file, as `vnic link` does. ' +
        'Ends with SIGTERM or Ctrl-C, which undo everything; --keep leaves it.',
    )
    .option('--keep', 'leave devices and all else as they are at the end')
    .addOption(new Option('--log-format <format>', 'how stderr is written').choices(logChoices).default('auto'))
    .addOption(
      new Option('--log-level <level>', 'the least that is written')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addOption(option('--pid-file <path>', 'write the process id there once everything is in force', parseText))
    .addOption(
      option(
        '--resync <seconds>',
        'how often to look at what has no events',
        decimalNumber(0.1, 86_400, 'seconds'),
      ).default(30),
    )
    .addHelpText(
      'after',
      `
Signals:
  SIGHUP          read the file again; also done when it changes. Mistakes are logged and the state is kept
  SIGTERM SIGINT  undo everything and end; under systemd, a restart of the unit undoes nothing
  SIGUSR1         end and leave everything as it is, for the next start to take over

Tells a service manager about itself as sd_notify(3) has it. See \`vnic service --help\`.

Examples:
  sudo vnic run -f lab.yaml
  sudo vnic run --log-format json 2>> /var/log/vnic.log`,
    )
    .action(run);
}

async function run(options: RunOptions): Promise<void> {
  const { serviceLog } = await import('../service-log.ts');
  const { runService } = await import('../run-service.ts');
  const { log, isHuman } = serviceLog(options.logFormat, options.logLevel);
  const { file, keep = false, pidFile } = options;
  try {
    await runService({
      file,
      keep,
      log,
      resyncMs: options.resync * 1000,
      ...(pidFile !== undefined && { pidFile }),
    });
  } catch (error) {
    if (isHuman) throw error;
    // Where programs read, the last words have the form of all others.
    process.exitCode = exitStatusOf(error);
    const { code, message, hint } = isVnicError(error)
      ? error
      : { code: 'VNIC_INTERNAL', message: String(error), hint: '' };
    log({ level: 'error', event: 'ended', message, fields: { code, hint, status: process.exitCode } });
  }
}
