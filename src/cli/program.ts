/** The commander program: strict options, help on every level, one loaded sub-command. */

import { Command } from 'commander';

import { ExitStatus } from '../base/index.ts';
import { commandList } from './command-list.ts';
import { netnsOption } from './netns-option.ts';
import { usageError } from './report-error.ts';
import { packageVersion } from './self.ts';
import { RepeatableOption } from './values.ts';

/**
 * Name of the sub-command that `argv` runs; undefined when it names none; `'*'` for one that tells of all others.
 */
export function selectCommand(argv: readonly string[]): string | undefined {
  const name = argv.find((word) => !word.startsWith('-'));
  return name === 'completion' || name === 'help' ? '*' : name;
}

/**
 * The program with every sub-command by name and summary, and the selected one complete.
 * @param selected a name; `'*'` for all
 */
export async function buildProgram(selected: string | undefined): Promise<Command> {
  const program = new Command('vnic')
    .description('Virtual network interfaces (TUN/TAP) for Linux: make, configure, answer, inspect.')
    .usage('COMMAND [OPTION]…')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    // The same whether the command is loaded or not.
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({ outputError: () => undefined })
    .addHelpText('after', TOP_HELP);
  reportUsage(program);
  for (const entry of commandList) {
    const command = program.command(entry.name).summary(entry.summary).helpGroup(entry.group);
    reportUsage(command);
    if (selected !== entry.name && selected !== '*') continue;
    (await entry.load()).define(command);
    if (entry.netns) command.addOption(netnsOption());
    refuseTwice(command);
  }
  return program;
}

const TOP_HELP = `
Examples:
  vnic echo --address 10.0.0.1/24       a device whose other addresses answer ping
  sudo vnic create tap0 --tap --owner $USER --address 10.0.0.1/24 --up
  vnic list
  sudo vnic create br0 --bridge --up    and ports: vnic set tap0 --master br0
  vnic doctor                           what is missing on this machine

Exit status:
  ${String(ExitStatus.ok).padEnd(4)} done
  ${String(ExitStatus.failure).padEnd(4)} a check failed
  ${String(ExitStatus.usage).padEnd(4)} wrong command line
  ${String(ExitStatus.different).padEnd(4)} the machine is not as the file asks for (plan --exit-code)
  ${String(ExitStatus.noInput).padEnd(4)} no such interface, address or route
  ${String(ExitStatus.unavailable).padEnd(4)} the kernel, or a program, does not offer it
  ${String(ExitStatus.software).padEnd(4)} a fault of vnic
  ${String(ExitStatus.osError).padEnd(4)} the kernel refused it
  ${String(ExitStatus.cannotCreate).padEnd(4)} it exists already
  ${String(ExitStatus.ioError).padEnd(4)} the device failed or was deleted
  ${String(ExitStatus.tempFailure).padEnd(4)} busy: try again
  ${String(ExitStatus.noPermission).padEnd(4)} not permitted
  130  ended by Ctrl-C (128 + the number of the signal)

Colour: only on a terminal; NO_COLOR=1 turns it off, FORCE_COLOR=1 on.`;

/** Turns what commander finds wrong with a command line into a `VnicError`. */
function reportUsage(command: Command): void {
  command.exitOverride((error) => {
    // Help and version have been written and are not errors; help for want of a command is its own message.
    if (error.exitCode === 0 || error.code === 'commander.help') throw error;
    const path = command.parent === null ? command.name() : `${command.parent.name()} ${command.name()}`;
    const [first = '', suggestion] = error.message.split('\n');
    const didYouMean = suggestion === undefined ? '' : `${suggestion.replace(/^\((.*)\)$/, '$1')} `;
    throw usageError(`run \`${path}\``, first.replace(/^error: /, ''), `${didYouMean}See \`${path} --help\`.`);
  });
}

/** Commander lets the last of several win; which one was meant is for the user to say. */
function refuseTwice(command: Command): void {
  for (const option of command.options) {
    if (option instanceof RepeatableOption) continue;
    let given = false;
    command.on(`option:${option.name()}`, () => {
      if (given) throw usageError(`run \`vnic ${command.name()}\``, `${option.long} is given twice`, 'Give it once.');
      given = true;
    });
  }
}
