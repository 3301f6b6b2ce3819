/** What completion knows of the command line, read from the commander program; the shells write it down. */

import type { Command, Option } from 'commander';

import { RepeatableOption } from '../values.ts';

/** What can follow an option or be an argument. */
export type Completion =
  | { readonly kind: 'none' }
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'users' }
  | { readonly kind: 'groups' }
  /** TUN/TAP devices. */
  | { readonly kind: 'devices' }
  | { readonly kind: 'interfaces' };

export interface OptionModel {
  /** `-h`; undefined when there is only a long form. */
  readonly short: string | undefined;
  /** `--help` */
  readonly long: string;
  readonly description: string;
  /** Undefined for an option without a value. */
  readonly value: Completion | undefined;
  readonly repeatable: boolean;
}

export interface CommandModel {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionModel[];
  /** Undefined for a command without arguments. */
  readonly argument: Completion | undefined;
  /** May be followed by more than one argument. */
  readonly variadic: boolean;
}

/** @param program with all sub-commands complete */
export function modelCommands(program: Command): CommandModel[] {
  return program.commands.map(modelCommand);
}

/** The options before any sub-command. */
export function modelOptions(command: Command): OptionModel[] {
  return command.createHelp().visibleOptions(command).map(modelOption);
}

function modelCommand(command: Command): CommandModel {
  const [argument] = command.registeredArguments;
  return {
    name: command.name(),
    summary: command.summary(),
    options: modelOptions(command),
    argument: argument && placeholderCompletion(argument.name(), argument.argChoices),
    variadic: argument?.variadic ?? false,
  };
}

function modelOption(option: Option): OptionModel {
  const takesValue = option.required || option.optional;
  const placeholder = /[<[](.+?)[\]>]/.exec(option.flags)?.[1] ?? '';
  return {
    short: option.short,
    long: option.long ?? option.flags,
    description: option.description,
    value: takesValue ? placeholderCompletion(placeholder, option.argChoices) : undefined,
    repeatable: option instanceof RepeatableOption,
  };
}

/** The placeholder says it: `<on|off>`, `<user>`, `<group>`, `<device>`, `<interface>`. */
function placeholderCompletion(placeholder: string, choices: readonly string[] | undefined): Completion {
  if (choices) return { kind: 'words', words: choices };
  if (placeholder.includes('|')) return { kind: 'words', words: placeholder.split('|') };
  return { kind: placeholders[placeholder] ?? 'none' };
}

const placeholders: Readonly<Record<string, 'users' | 'groups' | 'devices' | 'interfaces'>> = {
  user: 'users',
  group: 'groups',
  device: 'devices',
  interface: 'interfaces',
};

/** Both forms of an option, `-h` and `--help`. */
export function optionWords({ short, long }: OptionModel): string[] {
  return short === undefined ? [long] : [short, long];
}
