/** Completion for zsh: a file `_vnic` of `$fpath`, or evaluated after `compinit`. */

import { type CommandModel, type Completion, type OptionModel, optionWords } from './model.ts';

export function zshCompletion(commands: readonly CommandModel[], topOptions: readonly OptionModel[]): string {
  return `#compdef vnic
# zsh completion for vnic; load it with: source <(vnic completion zsh)

_vnic_interfaces() {
  local -a names
  names=(/sys/class/net/*(N:t))
  _wanted interfaces expl interface compadd -a names
}

_vnic_devices() {
  local -a names
  names=(/sys/class/net/*/tun_flags(N:h:t))
  _wanted devices expl device compadd -a names
}

_vnic_nothing() {
  return 1
}

_vnic() {
  local curcontext=$curcontext state line expl
  local -a commands
  _arguments -C ${topOptions.map(optionSpec).join(' ')} '1: :->command' '*:: :->rest'
  case $state in
    command)
      commands=(
${commands.map(({ name, summary }) => `        ${quote(`${name}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
      )
      _describe -t commands command commands
      ;;
    rest)
      case $words[1] in
${commands.map(commandCase).join('\n')}
      esac
      ;;
  esac
}

if [[ $funcstack[1] == _vnic ]]; then
  _vnic "$@"
else
  compdef _vnic vnic
fi`;
}

function commandCase(command: CommandModel): string {
  const specs = command.options.map(optionSpec);
  // An argument that nothing is known of needs its place too, or no option is completed after it; with the
  // action ' ' none would be completed in its place either.
  const action = command.argument && (actionOf(command.argument) || '_vnic_nothing');
  if (action) specs.push(quote(`${command.variadic ? '*' : '1'}: :${action}`));
  return `        ${command.name}) _arguments -s ${specs.join(' \\\n          ')} ;;`;
}

/** `'(-h --help)'{-h,--help}'[print help]'`, `'*--address[…]:value: '`. */
function optionSpec(option: OptionModel): string {
  const { long, short, description, value, repeatable } = option;
  const text = description.replace(/[[\]:]/g, '\\$&');
  const rest = quote(`[${text}]${value === undefined ? '' : `:value:${actionOf(value) || ' '}`}`);
  if (repeatable) return `'*'${long}${rest}`;
  return short === undefined ? `${long}${rest}` : `'(${optionWords(option).join(' ')})'{${short},${long}}${rest}`;
}

function actionOf(completion: Completion): string {
  switch (completion.kind) {
    case 'none':
      return '';
    case 'words':
      return `(${completion.words.join(' ')})`;
    case 'users':
      return '_users';
    case 'groups':
      return '_groups';
    case 'devices':
      return '_vnic_devices';
    case 'interfaces':
      return '_vnic_interfaces';
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
