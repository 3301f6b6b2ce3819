/** Middleware of `vnic link`: its options, and what it has done, for the report. */

import { readFileSync } from 'node:fs';

import { type Command, Option } from 'commander';

import { isVnicError, VnicError } from '../base/index.ts';
import type { EachWay, EndMiddleware, JoinedEnds, MiddlewareCounters, MiddlewareOptions, Way } from '../ends/index.ts';
import {
  type ImpairmentSettings,
  type ImpairmentStep,
  impairmentSettingNames,
  parseImpairment,
  parseImpairmentSchedule,
  parseShape,
  type SettingMistake,
} from '../middleware/index.ts';
import { printable, printNote, style } from './output.ts';
import { usageError } from './report-error.ts';
import { option, parseText, parseValue, wholeNumber } from './values.ts';

/** What `addMiddlewareOptions` parses. */
export interface MiddlewareFlags {
  readonly impair?: string;
  readonly impairOut?: string;
  readonly impairIn?: string;
  readonly impairSchedule?: string;
  readonly seed?: number;
  readonly shape?: string;
  readonly shapeOut?: string;
  readonly shapeIn?: string;
  readonly compress?: true;
  readonly clampMss?: true | string;
}

/** Adds the options to the command. */
export function addMiddlewareOptions(command: Command): Command {
  return command
    .addOption(option('--impair <settings>', 'a bad link, both ways: NAME=VALUE,… of those below', parseText))
    .addOption(option('--impair-out <settings>', 'the same from A to B', parseText))
    .addOption(option('--impair-in <settings>', 'the same from B to A', parseText))
    .addOption(option('--impair-schedule <file>', 'changes in time: lines of TIME out|in|both SETTINGS', parseText))
    .addOption(option('--seed <number>', 'lose other packets than those of seed 1', wholeNumber(0, 0xffff_ffff)))
    .addOption(option('--shape <rate>', 'no more than RATE[,burst=BYTES][,queue=PACKETS], each way', parseText))
    .addOption(option('--shape-out <rate>', 'the same from A to B', parseText))
    .addOption(option('--shape-in <rate>', 'the same from B to A', parseText))
    .option('--compress', 'compress each packet on the carrier; the other side needs it too')
    .addOption(
      new Option(
        '--clamp-mss [bytes]',
        'lower the MSS of TCP, both ways, to what the MTU allows or to BYTES; stands behind the ends',
      ),
    );
}

/** For the help of the command. */
export const middlewareHelp: string = `
Settings of --impair:
  ${impairmentSettingNames.join(', ')}
  delay=50ms,jitter=10ms,distribution=normal     uniform (default), normal, pareto
  loss=1%,burst-loss=1%/25%                      P/R[/1-H[/1-K]] of the Gilbert-Elliott model
  duplicate=0.1%,reorder=5%,corrupt=0.01%        reorder needs a delay; corrupt flips a bit
  rate=10mbit,queue=1000                         packets beyond the queue are lost`;

/**
 * The options as `joinEnds` takes them. A mistake is pointed at on standard error before it is thrown.
 * @throws VNIC_INVALID_ARGUMENT, VNIC_SYSTEM_CALL when the schedule cannot be read
 */
export function middlewareOf(flags: MiddlewareFlags): MiddlewareOptions {
  const impair = eachWay(flags.impair, flags.impairOut, flags.impairIn, parseImpairment);
  const shape = eachWay(flags.shape, flags.shapeOut, flags.shapeIn, parseShape);
  const schedule = flags.impairSchedule === undefined ? undefined : readSchedule(flags.impairSchedule);
  if (flags.seed !== undefined && impair === undefined && schedule === undefined) {
    throw usageError('run `vnic link`', '--seed is of --impair', 'Add --impair, or leave --seed out.');
  }
  return {
    ...((impair !== undefined || schedule !== undefined) && { impair: impairment(impair, schedule, flags.seed) }),
    ...(shape !== undefined && { shape }),
    ...(flags.compress && { compress: true }),
    ...(flags.clampMss !== undefined && { clampMss: readMss(flags.clampMss) }),
  };
}

function impairment(
  settings: EachWay<ImpairmentSettings> | undefined,
  schedule: readonly ImpairmentStep[] | undefined,
  seed: number | undefined,
): NonNullable<MiddlewareOptions['impair']> {
  return { ...settings, ...(schedule !== undefined && { schedule }), ...(seed !== undefined && { seed }) };
}

/** What is given for one direction goes on top of what is given for both. */
function eachWay<T extends object>(
  both: string | undefined,
  out: string | undefined,
  back: string | undefined,
  parse: (text: string) => T,
): EachWay<T> | undefined {
  if (both === undefined && out === undefined && back === undefined) return undefined;
  const [all, aToB, bToA] = [both, out, back].map((text) => (text === undefined ? undefined : pointing(parse, text)));
  return {
    ...((all ?? aToB) && { aToB: { ...all, ...aToB } as T }),
    ...((all ?? bToA) && { bToA: { ...all, ...bToA } as T }),
  };
}

function readSchedule(path: string): ImpairmentStep[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const { code = 'failed', message } = cause as NodeJS.ErrnoException;
    throw new VnicError('VNIC_SYSTEM_CALL', {
      attempted: `read the schedule ${path}`,
      reason: message,
      hint: 'Check the path behind --impair-schedule.',
      errno: code,
      syscall: 'open',
      cause,
    });
  }
  return pointing((whole) => parseImpairmentSchedule(whole, path), text);
}

function readMss(value: true | string): true | number {
  return value === true ? true : parseValue('--clamp-mss', value, wholeNumber(88, 65_495, 'bytes'));
}

function pointing<T>(parse: (text: string) => T, text: string): T {
  try {
    return parse(text);
  } catch (error) {
    if (isVnicError(error, 'VNIC_INVALID_ARGUMENT') && error.cause !== undefined) {
      const { text: line, at, length } = error.cause as SettingMistake;
      printNote(`  ${printable(line)}\n  ${' '.repeat(at)}${style('red', '^'.repeat(length), process.stderr)}`);
    }
    throw error;
  }
}

/** What a way has carried once the losses of the middleware come off, in the shape of the report. */
export function withMiddleware<Report extends { packets: number; dropped: Record<string, number> }>(
  report: Report,
  { middleware }: JoinedEnds,
  way: Way,
): Report & { readonly middleware?: MiddlewareCounters } {
  if (middleware === undefined) return report;
  const lost = middleware.dropped(way);
  const dropped: Record<string, number> = { ...report.dropped };
  for (const [reason, count] of Object.entries(lost)) dropped[reason] = (dropped[reason] ?? 0) + count;
  const packets = report.packets - (middleware.isBehind(way) ? lostBy(middleware, way) : 0);
  return { ...report, packets, dropped, middleware: middleware.counters(way) };
}

/** Packets that the middleware has lost. */
export function lostBy(middleware: EndMiddleware | undefined, way: Way): number {
  return Object.values(middleware?.dropped(way) ?? {}).reduce((sum, count) => sum + count, 0);
}

/** What the middleware has done in one direction besides losing packets, each a few words. */
export function describeMiddleware({ impair, compress, clampedSyns = 0 }: MiddlewareCounters): string[] {
  const words: string[] = [];
  const add = (count: number, what: string): void => void (count > 0 && words.push(`${count} ${what}`));
  add(impair?.duplicated ?? 0, 'duplicated');
  add(impair?.reordered ?? 0, 'reordered');
  add(impair?.corrupted ?? 0, 'corrupted');
  if (compress !== undefined && 'deflated' in compress && compress.bytesIn > 0) {
    words.push(`${compress.bytesIn} bytes compressed to ${compress.bytesOut}`);
  }
  add(clampedSyns, 'SYNs clamped');
  return words;
}
