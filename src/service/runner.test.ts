import { describe, expect, it } from 'vitest';

import { VnicError, type VnicErrorCode } from '../base/index.ts';
import { createVirtualClock } from '../testing/index.ts';
import type { LogRecord } from './log.ts';
import type { Runnable, Running, RunningEvent } from './runnable.ts';
import { Runner } from './runner.ts';
import { RunnerSet } from './runner-set.ts';

/** Everything that waits for nothing has happened. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

function failure(code: VnicErrorCode = 'VNIC_PEER_UNREACHABLE', reason = 'nobody is there'): VnicError {
  return new VnicError(code, { attempted: 'start', reason, hint: 'Wait.' });
}

/** Something whose every start and end is in the hands of the test. */
class Scripted implements Runnable {
  readonly kind = 'link';
  readonly name: string;
  readonly identity: string;
  readonly about = { ends: ['a', 'b'] };
  readonly calls: string[] = [];
  /** What the next starts throw; then they succeed. */
  readonly failures: VnicError[] = [];
  isUp = true;
  tell: (event: RunningEvent) => void = () => undefined;
  end: (error?: unknown) => void = () => undefined;

  constructor(name = 'office', identity = '1') {
    this.name = name;
    this.identity = identity;
  }

  start(_signal: AbortSignal, tell: (event: RunningEvent) => void): Promise<Running> {
    this.calls.push('start');
    const error = this.failures.shift();
    if (error !== undefined) return Promise.reject(error);
    this.tell = tell;
    const done = new Promise<void>((resolve, reject) => {
      this.end = (reason) => (reason === undefined ? resolve() : reject(reason));
    });
    return Promise.resolve({
      label: 'a and b',
      done,
      status: () => ({ isUp: this.isUp, detail: { n: 1 }, ...(!this.isUp && { reason: 'no peer' }) }),
      close: () => {
        this.calls.push('close');
        this.end();
        return Promise.resolve();
      },
    });
  }
}

function setUp(thing: Runnable) {
  const clock = createVirtualClock();
  const lines: LogRecord[] = [];
  const options = {
    clock,
    random: () => 0.999_999,
    wallMs: () => clock.nowMs(),
    log: (line: LogRecord) => void lines.push(line),
  };
  const runner = new Runner(thing, options);
  return { clock, lines, runner, options, events: () => lines.map(({ event }) => event) };
}

/** Moves time to the next attempt and says how far that was. */
async function nextAttempt({ clock }: ReturnType<typeof setUp>): Promise<number> {
  const before = clock.nowMs();
  expect(clock.advanceToNextTimer()).toBe(true);
  await settle();
  return clock.nowMs() - before;
}

describe('a runner', () => {
  it('runs, says so, and closes what runs', async () => {
    const thing = new Scripted();
    const { runner, events } = setUp(thing);
    expect(runner.status).toMatchObject({ state: 'starting', starts: 0 });
    runner.start();
    await runner.settled;
    expect(runner.status).toMatchObject({ state: 'up', starts: 1, label: 'a and b', detail: { n: 1 } });
    await runner.close();
    await runner.close();
    expect(thing.calls).toEqual(['start', 'close', 'close']);
    expect(runner.status.state).toBe('closed');
    expect(events()).toEqual(['joined']);
  });

  it('waits half a second, then twice as long each time, up to half a minute', async () => {
    const thing = new Scripted();
    thing.failures.push(...Array.from({ length: 9 }, () => failure()));
    const set = setUp(thing);
    set.runner.start();
    await settle();
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) waits.push(await nextAttempt(set));
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(set.runner.status).toMatchObject({ state: 'up', starts: 1 });
    // Nine times the same reason are one line.
    expect(set.events()).toEqual(['retry', 'joined']);
    await set.runner.close();
  });

  it('says why it waits and until when, and a new reason once more', async () => {
    const thing = new Scripted();
    thing.failures.push(failure(), failure('VNIC_DEVICE_BUSY', 'somebody has it'));
    const set = setUp(thing);
    set.runner.start();
    await settle();
    expect(set.runner.status).toMatchObject({
      state: 'waiting',
      code: 'VNIC_PEER_UNREACHABLE',
      hint: 'Wait.',
      again: '1970-01-01T00:00:00.500Z',
    });
    expect(set.runner.status.reason).toContain('nobody is there');
    await nextAttempt(set);
    expect(set.events()).toEqual(['retry', 'retry']);
    await set.runner.close();
    expect(set.clock.pendingTimers).toBe(0);
  });

  it('starts again what has ended, at first soon when it has lasted', async () => {
    const thing = new Scripted();
    thing.failures.push(failure(), failure(), failure());
    const set = setUp(thing);
    set.runner.start();
    await settle();
    for (let i = 0; i < 3; i++) await nextAttempt(set);
    set.clock.advance(9999);
    thing.end(failure('VNIC_DEVICE_GONE', 'it was deleted'));
    await settle();
    expect(await nextAttempt(set)).toBe(4000);
    set.clock.advance(10_000);
    thing.end();
    await settle();
    expect(set.runner.status).toMatchObject({ state: 'waiting', code: 'VNIC_DEVICE_GONE' });
    expect(await nextAttempt(set)).toBe(500);
    expect(set.runner.status).toMatchObject({ state: 'up', starts: 3 });
    await set.runner.close();
  });

  it('does not try again what no waiting mends, until it is asked to', async () => {
    const thing = new Scripted();
    thing.failures.push(failure('VNIC_MEDIUM_MISMATCH'));
    const set = setUp(thing);
    set.runner.start();
    await settle();
    expect(set.runner.status).toMatchObject({ state: 'failed', code: 'VNIC_MEDIUM_MISMATCH' });
    expect(set.clock.pendingTimers).toBe(0);
    set.runner.retryNow();
    await settle();
    expect(set.runner.status.state).toBe('up');
    await set.runner.close();
  });

  it('takes anything that is thrown for a reason to try again', async () => {
    const thing = new Scripted();
    thing.failures.push(new TypeError('x is not a function') as unknown as VnicError);
    const set = setUp(thing);
    set.runner.start();
    await settle();
    expect(set.runner.status).toMatchObject({ state: 'waiting', hint: expect.stringContaining('fault of vnic') });
    await set.runner.close();
  });

  it('closes what comes after it was closed', async () => {
    const thing = new Scripted();
    let arrive: () => void = () => undefined;
    const start = thing.start.bind(thing);
    thing.start = async (signal, tell) => {
      await new Promise<void>((resolve) => {
        arrive = resolve;
      });
      return start(signal, tell);
    };
    const { runner, events } = setUp(thing);
    runner.start();
    await settle();
    const closed = runner.close();
    arrive();
    await closed;
    expect(thing.calls).toEqual(['start', 'close']);
    expect(events()).toEqual([]);
  });

  it('is told of connections that come and go, and writes of a flood a few lines', async () => {
    const thing = new Scripted();
    const set = setUp(thing);
    set.runner.start();
    await settle();
    for (let i = 0; i < 100; i++) {
      thing.isUp = false;
      thing.tell({ level: 'warn', event: 'down', message: 'no peer' });
      expect(set.runner.status).toMatchObject({ state: 'waiting', reason: 'no peer' });
      thing.isUp = true;
      thing.tell({ level: 'info', event: 'up', message: 'a peer' });
    }
    expect(set.lines).toHaveLength(10);
    set.clock.advance(10_000);
    thing.tell({ level: 'warn', event: 'down', message: 'no peer', isRepeated: true });
    expect(set.lines).toHaveLength(10);
    thing.tell({ level: 'warn', event: 'down', message: 'no peer' });
    expect(set.lines).toHaveLength(11);
    expect(set.lines[10]).toMatchObject({ message: 'link office: no peer', fields: { link: 'office', leftOut: 191 } });
    await set.runner.close();
  });
});

describe('a set of runners', () => {
  it('touches only what is asked for differently', async () => {
    const { options, lines } = setUp(new Scripted());
    const set = new RunnerSet(options);
    const [kept, changed, removed] = [new Scripted('a'), new Scripted('b'), new Scripted('c')];
    set.follow([kept, changed, removed]);
    await set.settled(60_000);
    const [keptAgain, anew, added] = [new Scripted('a'), new Scripted('b', '2'), new Scripted('d')];
    const wanted = [added, anew, keptAgain];
    await set.release(wanted);
    expect([kept, changed, removed].map(({ calls }) => calls.includes('close'))).toEqual([false, true, true]);
    set.follow(wanted);
    await set.settled(60_000);
    expect(set.summaries.map(({ name, state }) => [name, state])).toEqual([
      ['d', 'up'],
      ['b', 'up'],
      ['a', 'up'],
    ]);
    expect(keptAgain.calls).toEqual([]);
    expect(lines.filter(({ event }) => event === 'closed').map(({ message }) => message)).toEqual([
      'link b: closed',
      'link c: closed',
    ]);
    await set.close();
    expect(kept.calls).toContain('close');
    set.follow([new Scripted('e')]);
    expect(set.statuses.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
  });

  it('has those that wait for a device tried when devices have changed, and all that wait when it is asked anew', async () => {
    const { options } = setUp(new Scripted());
    const set = new RunnerSet(options);
    const [device, peer] = [new Scripted('device'), new Scripted('peer')];
    device.failures.push(failure('VNIC_NO_SUCH_INTERFACE'));
    peer.failures.push(failure());
    set.follow([device, peer]);
    await set.settled(60_000);
    await settle();
    expect(set.failing.map(({ runnable: { name } }) => name)).toEqual(['device', 'peer']);
    set.devicesChanged();
    await settle();
    expect(set.failing.map(({ runnable: { name } }) => name)).toEqual(['peer']);
    set.follow([device, peer]);
    await settle();
    expect(set.failing).toEqual([]);
    await set.close();
  });
});
