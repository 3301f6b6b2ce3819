/**
 * Commands named after what they work on (`vnic route`, `vnic neigh`, …): the first argument says what to do, the first of
 * its actions when there is none. Which options go with which action is checked here, so that none is silently without effect.
 */

import { Argument, type Command } from 'commander';

import { print, printJson, printNote, style } from './output.ts';
import { usageError } from './report-error.ts';
import { formatTable } from './table.ts';

/** One thing that can be done. */
export interface NounAction<Options> {
  /** Names of the options that go with it; those of every action (`json`, `netns`) are named too where they do. */
  readonly options: readonly (keyof Options & string)[];
  /** Whether it takes the subject, such as the destination of a route. */
  readonly subject: 'none' | 'optional' | 'required';
  run(subject: string | undefined, options: Options): Promise<void>;
}

/**
 * Gives the command its two arguments and its action.
 * @param subject placeholder of the second argument, such as `destination`
 * @param actions the first is the one that is done when none is named
 */
export function defineNoun<Options extends object>(
  command: Command,
  subject: string,
  actions: Readonly<Record<string, NounAction<Options>>>,
): Command {
  const verbs = Object.keys(actions);
  return command
    .addArgument(new Argument('[action]', `${verbs.join(', ')}; default ${verbs[0]}`).choices(verbs).default(verbs[0]))
    .argument(`[${subject}]`, 'what to do it with')
    .action(async (verb: string, name: string | undefined, options: Options) => {
      const action = actions[verb] as NounAction<Options>;
      const line = `vnic ${command.name()} ${verb}`;
      checkSubject(line, subject, action.subject, name);
      const stray = Object.keys(options).find(
        (key) => key !== 'netns' && !action.options.some((known) => known === key),
      );
      if (stray !== undefined) {
        const flag = command.options.find((one) => one.attributeName() === stray)?.long ?? stray;
        throw usageError(
          `run \`${line}\``,
          `${flag} has no meaning there`,
          `Leave it out; see \`vnic ${command.name()} --help\`.`,
        );
      }
      await action.run(name, options);
    });
}

/** Throws unless an option that the action cannot do without was given. */
export function requireOption<T>(value: T | undefined, line: string, flag: string): T {
  if (value !== undefined) return value;
  throw usageError(
    `run \`${line}\``,
    `${flag} is missing`,
    `Give ${flag}; see \`${line.split(' ').slice(0, 2).join(' ')} --help\`.`,
  );
}

/** Prints rows under a header, or JSON, or a note when there is nothing. */
export function printList(
  rows: readonly { readonly json: object; readonly cells: readonly string[] }[],
  header: readonly string[],
  options: { readonly json?: true; readonly empty: string },
): void {
  if (options.json) printJson(rows.map(({ json }) => json));
  else if (rows.length === 0) printNote(options.empty);
  else print(formatTable([header.map((title) => style('bold', title)), ...rows.map(({ cells }) => cells)]));
}

function checkSubject(
  line: string,
  subject: string,
  takes: NounAction<never>['subject'],
  name: string | undefined,
): void {
  if (takes === 'required' && name === undefined) {
    throw usageError(
      `run \`${line}\``,
      `the ${subject} is missing`,
      `Give it: \`${line} ${subject.toUpperCase()} …\`.`,
    );
  }
  if (takes === 'none' && name !== undefined) {
    throw usageError(`run \`${line}\``, `"${name}" has no meaning there`, 'Leave it out.');
  }
}
