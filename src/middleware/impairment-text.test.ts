import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { parseImpairment, parseImpairmentSchedule, parseShape, type SettingMistake } from './index.ts';

/** What the mistake points at, and what is said of it. */
function mistakeIn(read: () => unknown): [pointedAt: string, message: string] {
  try {
    read();
  } catch (error) {
    if (!isVnicError(error, 'VNIC_INVALID_ARGUMENT')) throw error;
    const { text, at, length } = error.cause as SettingMistake;
    return [text.slice(at, at + length), error.message];
  }
  return expect.fail('no mistake was found');
}

describe('an impairment as text', () => {
  it('has every setting', () => {
    const text =
      'delay=50ms,jitter=0.01s,distribution=normal,loss=1%,burst-loss=1%/25%,duplicate=0.1%,reorder=5%,corrupt=0.01%,rate=10mbit,queue=200';
    const settings = parseImpairment(text);
    expect(settings).toMatchObject({
      delayMs: 50,
      jitterMs: 10,
      distribution: 'normal',
      loss: 0.01,
      burstLoss: { p: 0.01, r: 0.25, h: 0, k: 1 },
      reorder: 0.05,
      rateBitsPerSecond: 10_000_000,
      queuePackets: 200,
    });
    expect(settings.duplicate).toBeCloseTo(0.001);
    expect(settings.corrupt).toBeCloseTo(0.0001);
  });

  it.each([
    ['delay=200us', { delayMs: 0.2 }],
    ['delay=1min', { delayMs: 60_000 }],
    ['delay=0,loss=0,rate=0', { delayMs: 0, loss: 0, rateBitsPerSecond: 0 }],
    ['loss=100%', { loss: 1 }],
    ['rate=64KBIT', { rateBitsPerSecond: 64_000 }],
    ['burst-loss=1%/10%/60%', { burstLoss: { p: 0.01, r: 0.1, h: 0.4, k: 1 } }],
    ['burst-loss=1%/10%/60%/1%', { burstLoss: { p: 0.01, r: 0.1, h: 0.4, k: 0.99 } }],
    ['burst-loss=off', { burstLoss: undefined }],
  ])('%s', (text, settings) => {
    expect(parseImpairment(text)).toEqual(settings);
  });

  it.each([
    ['', ' ', 'a setting is missing'],
    ['delay', 'delay', 'delay needs a value (column 1)'],
    ['delay=50', '50', 'expected a time up to an hour'],
    ['delay=2h', '2h', 'expected a time'],
    ['delay=-5ms', '-5ms', 'expected a time'],
    ['loss=1', '1', 'expected a share'],
    ['loss=101%', '101%', 'expected a share'],
    ['delay=5ms,los=1%', 'los', 'no setting is called "los" (column 11)'],
    ['delay=5ms,', ' ', 'a setting is missing'],
    ['delay=5ms,delay=6ms', 'delay', 'delay is given twice (column 11)'],
    ['distribution=gauss', 'gauss', 'expected uniform, normal, pareto'],
    ['burst-loss=1%', '1%', 'expected P/R'],
    ['burst-loss=1%/2%/3%/4%/5%', '1%/2%/3%/4%/5%', 'expected P/R'],
    ['rate=10', '10', 'expected bits a second'],
    ['rate=10mbps', '10mbps', 'expected bits a second'],
    ['queue=0', '0', 'expected a number of packets'],
    ['queue=1.5', '1.5', 'expected a number of packets'],
    ['reorder=5%', 'reorder', 'reorder needs a delay'],
    ['constructor=1', 'constructor', 'no setting is called'],
  ])('%j is pointed at: %j', (text, pointedAt, message) => {
    const [found, said] = mistakeIn(() => parseImpairment(text));
    expect(found === '' ? ' ' : found).toBe(pointedAt);
    expect(said).toContain(message);
  });
});

describe('a schedule', () => {
  it('is a line for each change', () => {
    const text =
      '# all of it\n0s both delay=20ms\r\n\n  10s\tout  loss=100% # an outage\n12s out loss=0\n1min in clear\n';
    const steps = parseImpairmentSchedule(text);
    expect(steps.map(({ atMs, direction }) => [atMs, direction])).toEqual([
      [0, 'both'],
      [10_000, 'out'],
      [12_000, 'out'],
      [60_000, 'in'],
    ]);
    expect(steps.slice(0, 3).map(({ settings }) => settings)).toEqual([{ delayMs: 20 }, { loss: 1 }, { loss: 0 }]);
    expect(steps[3]?.settings).toMatchObject({ delayMs: 0, loss: 0, burstLoss: undefined });
    expect(parseImpairmentSchedule('')).toEqual([]);
  });

  it.each([
    ['0s both delay=20ms\nsoon out loss=1%', 'soon', 'line 2'],
    ['5s both delay=1ms\n1s out loss=1%', '1s', '1s is before the line above'],
    ['5s sideways delay=1ms', 'sideways', 'expected out, in, both (column 4)'],
    ['5s', '', 'expected out, in, both (column 3)'],
    ['5s out', '', 'expected settings, or clear (column 7)'],
    ['5s out loss=1% delay=1ms', 'delay=1ms', 'expected nothing more'],
    ['# one\n\n5s out loss=1', '1', 'line 3: expected a share, such as 1% or 0.05%, found "1" (column 13)'],
  ])('%j is pointed at', (text, pointedAt, message) => {
    const [found, said] = mistakeIn(() => parseImpairmentSchedule(text, 'bad.txt'));
    expect(found).toBe(pointedAt);
    expect(said).toContain(message);
  });
});

describe('a rate of shaping', () => {
  it.each([
    ['10mbit', { rateBitsPerSecond: 1e7 }],
    ['64kbit,burst=3000,queue=50', { rateBitsPerSecond: 64_000, burstBytes: 3000, queuePackets: 50 }],
  ])('%s', (text, settings) => {
    expect(parseShape(text)).toEqual(settings);
  });

  it.each([
    ['', '', 'expected bits a second'],
    ['10', '10', 'expected bits a second'],
    ['0', '0', 'expected bits a second'],
    ['rate=10mbit', 'rate', 'expected bits a second'],
    ['10mbit,burst', 'burst', 'expected 0 to 1000000000 bytes'],
    ['10mbit,queue=x', 'x', 'expected 1 to 1000000 packets'],
    ['10mbit,latency=5ms', 'latency', 'no option is called'],
  ])('%j is pointed at', (text, pointedAt, message) => {
    const [found, said] = mistakeIn(() => parseShape(text));
    expect(found).toBe(pointedAt);
    expect(said).toContain(message);
  });
});
