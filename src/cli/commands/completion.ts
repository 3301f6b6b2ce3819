/** `vnic completion`: the completion script of a shell, made from the options of this version. */

import { Argument, type Command } from 'commander';

import { print } from '../output.ts';

type Shell = 'bash' | 'zsh' | 'fish';

export function define(command: Command): void {
  command
    .description('Print the completion script of a shell: commands, options, their values, interfaces and accounts.')
    .addArgument(new Argument('<shell>', 'for which shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      `
Load it in this shell:
  source <(vnic completion bash)
  source <(vnic completion zsh)              after compinit
  vnic completion fish | source

Install it for good:
  vnic completion bash > ~/.local/share/bash-completion/completions/vnic
  vnic completion zsh > ~/.zfunc/_vnic       with ~/.zfunc in fpath
  vnic completion fish > ~/.config/fish/completions/vnic.fish`,
    )
    .action(printCompletion);
}

async function printCompletion(shell: Shell, _options: object, command: Command): Promise<void> {
  const { modelCommands, modelOptions } = await import('../completion/model.ts');
  const generate = {
    bash: async () => (await import('../completion/bash.ts')).bashCompletion,
    zsh: async () => (await import('../completion/zsh.ts')).zshCompletion,
    fish: async () => (await import('../completion/fish.ts')).fishCompletion,
  }[shell];
  const program = command.parent as Command;
  print((await generate())(modelCommands(program), modelOptions(program)));
}
