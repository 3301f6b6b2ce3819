/** Completion for fish. */

import type { CommandModel, Completion, OptionModel } from './model.ts';

export function fishCompletion(commands: readonly CommandModel[], topOptions: readonly OptionModel[]): string {
  const lines = [
    ...topOptions.map((option) => optionLine('__vnic_command', option)),
    ...commands.map(({ name, summary }) => `complete -c vnic -n __vnic_command -a ${name} -d ${quote(summary)}`),
    ...commands.flatMap(commandLines),
  ];
  return `# fish completion for vnic; load it with: vnic completion fish | source

function __vnic_interfaces
    for path in /sys/class/net/*/ifindex
        string split / $path | tail -n 2 | head -n 1
    end
end

function __vnic_devices
    for path in /sys/class/net/*/tun_flags
        string split / $path | tail -n 2 | head -n 1
    end
end

# True when the sub-command so far is the argument; without one, when there is none yet.
function __vnic_command
    set -l words (commandline -opc)
    set -e words[1]
    set -l found
    for word in $words
        if not string match -q -- '-*' $word
            set found $word
            break
        end
    end
    test "$found" = "$argv"
end

complete -c vnic -f
${lines.join('\n')}`;
}

function commandLines(command: CommandModel): string[] {
  const condition = quote(`__vnic_command ${command.name}`);
  const lines = command.options.map((option) => optionLine(condition, option));
  const words = wordsOf(command.argument);
  if (words !== '') lines.push(`complete -c vnic -n ${condition} -a ${quote(words)}`);
  return lines;
}

function optionLine(condition: string, { short, long, description, value }: OptionModel): string {
  const names = `${short === undefined ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}`;
  const words = wordsOf(value);
  const takes = value === undefined ? '' : ` -x${words === '' ? '' : ` -a ${quote(words)}`}`;
  return `complete -c vnic -n ${condition} ${names}${takes} -d ${quote(description)}`;
}

function wordsOf(completion: Completion | undefined): string {
  switch (completion?.kind) {
    case undefined:
    case 'none':
      return '';
    case 'words':
      return completion.words.join(' ');
    case 'users':
      return '(__fish_complete_users)';
    case 'groups':
      return '(__fish_complete_groups)';
    case 'devices':
      return '(__vnic_devices)';
    case 'interfaces':
      return '(__vnic_interfaces)';
  }
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
