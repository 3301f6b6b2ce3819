/**
 * Where a running switch is asked and changed: a control socket by its name (`control-socket.ts`).
 *
 *     show                                              SwitchStatus
 *     stations                                          SwitchStation[]
 *     groups                                            SwitchGroup[], or null where groups are not looked at
 *     bindings                                          SwitchBinding[], or null where addresses are not looked at
 *     add      end, name?, settings?, impair?, shape?   the number of the port
 *     remove   port                                     null
 *     set      port, settings                           null
 *     mirror   port, from                               null
 *     flush    port?                                    null
 *     events   since                                    what happened after that number, each with its own
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { invalidArgument, isVnicError, VnicError } from '../base/index.ts';
import { parseEnd } from '../ends/index.ts';
import { runtimeDirectory } from '../journal/index.ts';
import { parseImpairment, parseShape } from '../middleware/index.ts';
import type { MirrorSource, SwitchPortSettings } from '../switch/index.ts';
import { type ControlClient, connectControl } from './control-client.ts';
import { type ControlHandlers, type ControlSocket, openControlSocket } from './control-socket.ts';
import type { SwitchNote, SwitchOfEnds } from './switch-of-ends.ts';

/** What happened, numbered from 1. */
export type NumberedNote = SwitchNote & { readonly number: number; readonly at: string };

const MAX_NOTES = 256;
const SUFFIX = '.sock';
/** An end, its options and the settings. */
const REQUEST_LEN = 16_384;

/** Where a switch of a name is asked. */
export function switchControlPath(name: string, folder: string = runtimeDirectory()): string {
  return join(folder, 'switch', `${name}${SUFFIX}`);
}

/** Names of the switches that have a socket here, running or left behind. */
export function switchNames(folder: string = runtimeDirectory()): readonly string[] {
  try {
    return readdirSync(join(folder, 'switch'))
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => file.slice(0, -SUFFIX.length))
      .toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw notReadable(join(folder, 'switch'), error);
  }
}

/**
 * Connects to a switch.
 * @throws VNIC_SYSTEM_CALL with `errno` ENOENT or ECONNREFUSED where none of that name runs, EACCES where this user may not ask
 */
export async function connectSwitch(name: string, folder?: string): Promise<ControlClient> {
  const path = switchControlPath(name, folder);
  try {
    return await connectControl(path);
  } catch (error) {
    if (!isVnicError(error, 'VNIC_SYSTEM_CALL')) throw error;
    const isGone = error.errno === 'ENOENT' || error.errno === 'ECONNREFUSED';
    throw new VnicError('VNIC_SYSTEM_CALL', {
      attempted: `ask the switch ${name} at ${path}`,
      reason: isGone ? 'none of that name runs' : error.reason,
      hint: isGone
        ? '`vnic switch list` shows those that run.'
        : 'Ask as the user that runs it, for example with sudo.',
      ...(error.errno !== undefined && { errno: error.errno, syscall: 'connect' }),
      cause: error,
    });
  }
}

/** A switch's socket, and the events that it keeps. */
export interface SwitchControl extends AsyncDisposable {
  readonly name: string;
  /** Keeps an event for who asks. */
  note(note: SwitchNote): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the socket of a switch.
 * @param name letters, digits, dots, dashes, underscores; left out, the first of `switch0`, `switch1`, … that is free
 * @throws VNIC_INVALID_ARGUMENT for a name that runs already, VNIC_SYSTEM_CALL
 */
export async function openSwitchControl(
  running: SwitchOfEnds,
  name?: string,
  folder: string = runtimeDirectory(),
): Promise<SwitchControl> {
  const notes: NumberedNote[] = [];
  let number = 0;
  const handlers = handlersOf(running, (since) => notes.filter((one) => one.number > since));
  const { socket, name: taken } = await firstFree(handlers, name, folder);
  const close = (): Promise<void> => socket.close();
  const note = (one: SwitchNote): void => {
    number++;
    if (notes.length === MAX_NOTES) notes.shift();
    notes.push({ ...one, number, at: new Date().toISOString() });
  };
  return { name: taken, note, close, [Symbol.asyncDispose]: close };
}

async function firstFree(
  handlers: ControlHandlers,
  name: string | undefined,
  folder: string,
): Promise<{ readonly socket: ControlSocket; readonly name: string }> {
  for (let i = 0; ; i++) {
    const candidate = name ?? `switch${i}`;
    const path = switchControlPath(candidate, folder);
    try {
      return { socket: await openControlSocket(path, handlers, { requestLen: REQUEST_LEN }), name: candidate };
    } catch (error) {
      if (!isVnicError(error) || error.errno !== 'EADDRINUSE') throw error;
      if (name === undefined && i < MAX_NOTES) continue;
      throw invalidArgument('name a switch', 'a name that no running switch has', candidate);
    }
  }
}

function handlersOf(running: SwitchOfEnds, notesSince: (number: number) => readonly NumberedNote[]): ControlHandlers {
  return {
    show: () => running.status(),
    stations: () => running.stations(),
    groups: () => running.groups() ?? null,
    bindings: () => running.bindings() ?? null,
    add: async ({ end, name, settings = {}, impair, shape }) =>
      await running.add({
        end: parseEnd(textOf(end, 'an end')),
        settings: settingsOf(settings),
        ...(name !== undefined && { name: textOf(name, 'a name') }),
        ...(impair !== undefined && { impair: parseImpairment(textOf(impair, 'settings')) }),
        ...(shape !== undefined && { shape: parseShape(textOf(shape, 'a rate')) }),
      }),
    remove: async ({ port }) => {
      await running.remove(numberOf(port));
      return null;
    },
    set: ({ port, settings }) => {
      running.set(numberOf(port), settingsOf(settings));
      return null;
    },
    mirror: ({ port, from }) => {
      running.setMirror(numberOf(port), sourcesOf(from));
      return null;
    },
    flush: ({ port }) => {
      running.flush(port === undefined ? undefined : numberOf(port));
      return null;
    },
    events: ({ since = 0 }) => notesSince(numberOf(since)),
  };
}

const attempted = 'read the request';

function textOf(value: unknown, expected: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalidArgument(attempted, expected, value);
}

function numberOf(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  throw invalidArgument(attempted, 'a whole number', value);
}

const kinds: Readonly<Record<keyof SwitchPortSettings, 'number' | 'boolean' | 'vlans'>> = {
  pvid: 'number',
  vlans: 'vlans',
  isTunnel: 'boolean',
  isIsolated: 'boolean',
  stormPacketsPerSec: 'number',
  pathCost: 'number',
  stpPriority: 'number',
  isEdge: 'boolean',
  bpduGuard: 'boolean',
  isTrusted: 'boolean',
  isMulticastRouter: 'boolean',
  fastLeave: 'boolean',
};

/** Of the right types; ranges are checked by the switch. */
function settingsOf(value: unknown): SwitchPortSettings {
  if (typeof value !== 'object' || value === null) throw invalidArgument(attempted, 'an object of settings', value);
  for (const [key, one] of Object.entries(value)) {
    const kind = Object.hasOwn(kinds, key) ? kinds[key as keyof SwitchPortSettings] : undefined;
    if (kind === undefined) throw invalidArgument(attempted, `a setting of ${Object.keys(kinds).join(', ')}`, key);
    const isRight = kind === 'vlans' ? one === 'all' || Array.isArray(one) : typeof one === kind;
    if (!isRight)
      throw invalidArgument(attempted, `${key}: ${kind === 'vlans' ? "numbers or 'all'" : `a ${kind}`}`, one);
  }
  return value;
}

function sourcesOf(value: unknown): readonly MirrorSource[] {
  const isSource = (one: unknown): one is MirrorSource => {
    const { port, direction } = (one ?? {}) as Partial<MirrorSource>;
    return typeof port === 'number' && (direction === 'in' || direction === 'out' || direction === 'both');
  };
  if (Array.isArray(value) && value.every(isSource)) return value;
  throw invalidArgument(attempted, 'ports with a direction of in, out or both', value);
}

function notReadable(path: string, cause: unknown): VnicError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `list the switches in ${path}`,
    reason: message,
    hint: 'Ask as the user that runs them, for example with sudo.',
    ...(code !== undefined && { errno: code, syscall: 'readdir' }),
    cause,
  });
}
