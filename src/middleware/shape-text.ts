/** Rates of shaping as text: `RATE[,burst=BYTES][,queue=PACKETS]`, for example `10mbit,burst=15000`. */

import { QUEUE_PACKETS_MAX, RATE_MAX } from './impairment-settings.ts';
import { BURST_LEN_MAX, type ShapeSettings } from './shaper.ts';
import { parseCount, parseRate, type Setting, type SettingText, settingMistake, splitSettings } from './text.ts';

const EXAMPLE = 'For example 10mbit, or 64kbit,burst=3000,queue=50.';

/**
 * Reads a rate; see the head of this file.
 * @throws VNIC_INVALID_ARGUMENT with the place of the mistake as a `SettingMistake` in `cause`
 */
export function parseShape(text: string): ShapeSettings {
  const whole = { attempted: `read the rate ${JSON.stringify(text)}`, text };
  const [first, ...rest] = splitSettings({ text, at: 0 });
  const rate = first?.value === undefined ? parseRate(first?.name.text ?? '') : undefined;
  if (rate === undefined || rate < 1 || rate > RATE_MAX) {
    const part = first?.name ?? { text, at: 0 };
    throw settingMistake(whole, part, `expected bits a second, found ${JSON.stringify(part.text)}`, EXAMPLE);
  }
  const options = rest.map((setting) => readOption(whole, setting));
  return Object.assign({ rateBitsPerSecond: rate }, ...options) as ShapeSettings;
}

function readOption(whole: SettingText, { name, value }: Setting): Partial<ShapeSettings> {
  if (name.text !== 'burst' && name.text !== 'queue') {
    throw settingMistake(
      whole,
      name,
      `no option is called ${JSON.stringify(name.text)}`,
      'There are burst= and queue=.',
    );
  }
  const isBurst = name.text === 'burst';
  const [min, max] = isBurst ? [0, BURST_LEN_MAX] : [1, QUEUE_PACKETS_MAX];
  const count = parseCount(value?.text ?? '');
  if (count === undefined || count < min || count > max) {
    const unit = isBurst ? 'bytes' : 'packets';
    throw settingMistake(whole, value ?? name, `expected ${min} to ${max} ${unit}`, EXAMPLE);
  }
  return isBurst ? { burstBytes: count } : { queuePackets: count };
}
