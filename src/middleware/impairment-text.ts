/**
 * Impairments as text, in the command and in schedules:
 *
 *     delay=50ms,jitter=10ms,distribution=normal,loss=1%,burst-loss=1%/25%,duplicate=0.1%,reorder=5%,corrupt=0.01%,rate=10mbit,queue=1000
 *
 * `burst-loss=P/R[/1-H[/1-K]]` has the parameters of `tc netem loss gemodel`; 0 or `off` switches it off.
 */

import type { BurstLoss } from './gilbert-elliott.ts';
import {
  checkImpairment,
  DELAY_MS_MAX,
  type ImpairmentSettings,
  QUEUE_PACKETS_MAX,
  RATE_MAX,
} from './impairment-settings.ts';
import { jitterDistributions } from './jitter.ts';
import {
  type Part,
  parseCount,
  parseDurationMs,
  parseRate,
  parseShare,
  type Setting,
  type SettingText,
  settingMistake,
  splitSettings,
} from './text.ts';

interface SettingKind {
  readonly expected: string;
  readonly example: string;
  read(text: string): ImpairmentSettings | undefined;
}

const delay = 'a time up to an hour, such as 50ms or 0.2s';
const chance = 'a share, such as 1% or 0.05%';

const kinds: Readonly<Record<string, SettingKind>> = {
  delay: { expected: delay, example: '50ms', read: (text) => toSetting(readDelay(text), (delayMs) => ({ delayMs })) },
  jitter: {
    expected: delay,
    example: '10ms',
    read: (text) => toSetting(readDelay(text), (jitterMs) => ({ jitterMs })),
  },
  distribution: {
    expected: jitterDistributions.join(', '),
    example: 'normal',
    read: (text) =>
      toSetting(
        jitterDistributions.find((name) => name === text),
        (distribution) => ({ distribution }),
      ),
  },
  loss: { expected: chance, example: '1%', read: (text) => toSetting(parseShare(text), (loss) => ({ loss })) },
  'burst-loss': { expected: 'P/R, P/R/1-H or P/R/1-H/1-K as shares', example: '1%/25%', read: readBurstLoss },
  duplicate: {
    expected: chance,
    example: '0.1%',
    read: (text) => toSetting(parseShare(text), (duplicate) => ({ duplicate })),
  },
  reorder: { expected: chance, example: '5%', read: (text) => toSetting(parseShare(text), (reorder) => ({ reorder })) },
  corrupt: {
    expected: chance,
    example: '0.01%',
    read: (text) => toSetting(parseShare(text), (corrupt) => ({ corrupt })),
  },
  rate: {
    expected: 'bits a second, such as 10mbit or 64kbit',
    example: '10mbit',
    read: (text) => toSetting(readRate(text), (rateBitsPerSecond) => ({ rateBitsPerSecond })),
  },
  queue: {
    expected: `a number of packets from 1 to ${QUEUE_PACKETS_MAX}`,
    example: '1000',
    read: (text) => toSetting(readQueue(text), (queuePackets) => ({ queuePackets })),
  },
};

/** The names of all settings. */
export const impairmentSettingNames: readonly string[] = Object.keys(kinds);

/**
 * Reads settings; see the head of this file.
 * @throws VNIC_INVALID_ARGUMENT with the place of the mistake as a `SettingMistake` in `cause`
 */
export function parseImpairment(text: string): ImpairmentSettings {
  const whole = { attempted: `read the impairment ${JSON.stringify(text)}`, text };
  const settings = readImpairment(whole, { text, at: 0 });
  const { delayMs = 0, jitterMs = 0, reorder = 0 } = settings;
  if (reorder > 0 && delayMs === 0 && jitterMs === 0) {
    const at = text.indexOf('reorder');
    throw settingMistake(whole, { text: 'reorder', at }, 'reorder needs a delay to overtake', 'Add delay=10ms.');
  }
  return settings;
}

/** As `parseImpairment`, of a part of a text. */
export function readImpairment(whole: SettingText, part: Part): ImpairmentSettings {
  const seen = new Set<string>();
  const settings: ImpairmentSettings[] = [];
  for (const setting of splitSettings(part)) {
    settings.push(readSetting(whole, setting));
    if (seen.has(setting.name.text)) {
      throw settingMistake(whole, setting.name, `${setting.name.text} is given twice`, 'Give it once.');
    }
    seen.add(setting.name.text);
  }
  return Object.assign({}, ...settings) as ImpairmentSettings;
}

function readSetting(whole: SettingText, { name, value }: Setting): ImpairmentSettings {
  const kind = Object.hasOwn(kinds, name.text) ? kinds[name.text] : undefined;
  if (kind === undefined) {
    const reason = name.text === '' ? 'a setting is missing' : `no setting is called ${JSON.stringify(name.text)}`;
    throw settingMistake(whole, name, reason, `The settings are ${impairmentSettingNames.join(', ')}.`);
  }
  const example = `Write ${name.text}=${kind.example}.`;
  if (value === undefined) throw settingMistake(whole, name, `${name.text} needs a value`, example);
  const settings = kind.read(value.text);
  if (settings === undefined) {
    const found = `expected ${kind.expected}, found ${JSON.stringify(value.text)}`;
    throw settingMistake(whole, value, found, example);
  }
  checkImpairment(settings);
  return settings;
}

function toSetting<T>(value: T | undefined, make: (value: T) => ImpairmentSettings): ImpairmentSettings | undefined {
  return value === undefined ? undefined : make(value);
}

function readDelay(text: string): number | undefined {
  return within(parseDurationMs(text), 0, DELAY_MS_MAX);
}

function readRate(text: string): number | undefined {
  const rate = parseRate(text);
  return rate === 0 ? 0 : within(rate, 1, RATE_MAX);
}

function readQueue(text: string): number | undefined {
  return within(parseCount(text), 1, QUEUE_PACKETS_MAX);
}

function readBurstLoss(text: string): ImpairmentSettings | undefined {
  if (text === '0' || text === 'off') return { burstLoss: undefined };
  const shares = text.split('/').map(parseShare);
  const [p, r, lossInBad = 1, lossInGood = 0] = shares;
  if (shares.length > 4 || shares.includes(undefined) || p === undefined || r === undefined) return undefined;
  const burstLoss: BurstLoss = { p, r, h: 1 - lossInBad, k: 1 - lossInGood };
  return { burstLoss };
}

function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}
