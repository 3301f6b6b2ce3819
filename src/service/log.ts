/** What a service writes down: one record, one line, in the form that its reader wants. */

/** By rising importance. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Something that happened. */
export interface LogRecord {
  readonly level: LogLevel;
  /** Stable, for scripts: `ready`, `mended`, `failed`, … */
  readonly event: string;
  /** For people; one sentence without its full stop. */
  readonly message: string;
  /** More about it; undefined values are left out. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** Where records go. */
export type Log = (record: LogRecord) => void;

/**
 * `logfmt`: `time=… level=… event=… msg="…" key=value`; `json`: the same as an object; `journal`: as logfmt, without the
 * time, which the journal knows, and after the priority of sd-daemon(3), `<6>`.
 */
export type LogFormat = 'logfmt' | 'json' | 'journal';

/** Levels by rising importance. */
export const logLevels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** syslog(3). */
const priorities: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

/** One line without its end. Text from outside cannot forge another one, nor move a terminal. */
export function formatLog(record: LogRecord, format: LogFormat, time: Date): string {
  const { level, event, message, fields = {} } = record;
  const named = { level, event, msg: message, ...fields };
  if (format === 'json') return escaped(JSON.stringify({ time: time.toISOString(), ...named }));
  if (format === 'logfmt') return logfmt({ time: time.toISOString(), ...named });
  const { level: _level, msg: _msg, ...rest } = named;
  return `<${priorities[level]}>${escaped(message.replace(/\s+/g, ' '))} ${logfmt(rest)}`;
}

/** True where stderr is the journal of systemd, by `JOURNAL_STREAM` (device and inode of the socket). */
export function isJournalStream(
  stream: { readonly dev: number; readonly ino: number },
  env: NodeJS.ProcessEnv,
): boolean {
  return env['JOURNAL_STREAM'] === `${stream.dev}:${stream.ino}`;
}

function logfmt(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .flatMap(([key, value]) => (value === undefined ? [] : `${key}=${logfmtValue(value)}`))
    .join(' ');
}

/** Quoted where a reader would take it apart. */
function logfmtValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w.:/@%+,-]+$/.test(text) ? text : escaped(JSON.stringify(text));
}

/** What JSON leaves as it is and a terminal does not: C1 controls, separators, marks of direction. */
function escaped(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    [...Array(character.length).keys()]
      .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
