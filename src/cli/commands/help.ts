/** `vnic help`: what `--help` of a command prints. */

import { Argument, type Command } from 'commander';

/** @param command the last one of its program, which has all others by then */
export function define(command: Command): void {
  const names = (command.parent?.commands ?? []).map((sibling) => sibling.name());
  command
    .description('Print the help of a command, or the list of commands.')
    .addArgument(new Argument('[command]', 'which one').choices(names))
    .addHelpText('after', '\nExamples:\n  vnic help\n  vnic help create')
    .action(showHelp);
}

function showHelp(name: string | undefined, _options: object, command: Command): void {
  const program = command.parent as Command;
  const found = program.commands.find((sibling) => sibling.name() === name);
  (found ?? program).outputHelp();
}
