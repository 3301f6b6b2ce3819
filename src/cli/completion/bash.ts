/**
 * Completion for bash, with or without the package bash-completion.
 *
 * Names of interfaces never go through `compgen -W`, which would run a `$(…)` inside of them; they are quoted.
 */

import { type CommandModel, type Completion, type OptionModel, optionWords } from './model.ts';

export function bashCompletion(commands: readonly CommandModel[], topOptions: readonly OptionModel[]): string {
  const top = [...commands.map(({ name }) => name), ...topOptions.flatMap(optionWords)];
  return `# bash completion for vnic; load it with: source <(vnic completion bash)

# Offers the interfaces, or with a file name those that have that file in sysfs, that start with $cur.
_vnic_interfaces() {
  local path name
  for path in /sys/class/net/*/"$1"; do
    [[ -e $path ]] || continue
    name=\${path#/sys/class/net/}
    name=\${name%%/*}
    [[ $name == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
  done
}

_vnic_words() {
  local word
  for word in "$@"; do
    [[ $word == "$cur"* ]] && COMPREPLY+=("$word")
  done
}

_vnic() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} != -* ]]; then
      command=\${COMP_WORDS[i]}
      break
    fi
  done

  case $command:$prev in
${commands.flatMap(valueCases).join('\n')}
  esac

  case $command in
    '') _vnic_words ${top.join(' ')} ;;
${commands.map(commandCase).join('\n')}
  esac
}

complete -F _vnic vnic`;
}

/** One case a value that can be completed, and one for all that cannot. */
function valueCases(command: CommandModel): string[] {
  const withValue = command.options.filter(({ value }) => value !== undefined);
  return withValue.map((option) => {
    const patterns = optionWords(option).map((word) => `${command.name}:${word}`);
    return `    ${patterns.join(' | ')}) ${offer(option.value)}return ;;`;
  });
}

function commandCase(command: CommandModel): string {
  const options = command.options.flatMap(optionWords);
  const argument = offer(command.argument);
  const lines = [
    ...(argument === '' ? [] : [`      [[ $cur != -* ]] && ${argument.replace(/; $/, '')}`]),
    ...(options.length === 0 ? [] : [`      [[ $cur == -* ]] && _vnic_words ${options.join(' ')}`]),
    '      ;;',
  ];
  return `    ${command.name})\n${lines.join('\n')}`;
}

function offer(completion: Completion | undefined): string {
  switch (completion?.kind) {
    case undefined:
    case 'none':
      return '';
    case 'words':
      return `_vnic_words ${completion.words.join(' ')}; `;
    case 'users':
      return `COMPREPLY=($(compgen -u -- "$cur")); `;
    case 'groups':
      return `COMPREPLY=($(compgen -g -- "$cur")); `;
    case 'devices':
      return `_vnic_interfaces tun_flags; `;
    case 'interfaces':
      return `_vnic_interfaces ifindex; `;
  }
}
