/** The two cores of a tunnel against each other, over a bad line, in virtual time. */

import { describe, expect, it } from 'vitest';

import { Cidr, type Random, seededRandom } from '../base/index.ts';
import { createVirtualClock, type VirtualClock } from '../testing/index.ts';
import { ClientCore, type EndReason } from './client-core.ts';
import type { ControlMessage, RefusalReason, Welcome } from './control-message.ts';
import { SessionCore } from './session-core.ts';

const KEEP_ALIVE_MS = 10_000;
const welcome: Welcome = {
  type: 'welcome',
  addresses: [Cidr.parse('10.9.0.2/24')],
  routes: [],
  gateways: [],
  mtu: 1400,
  keepAliveMs: KEEP_ALIVE_MS,
  superPackets: false,
};

interface Line {
  delayMs: number;
  loss: number;
}

/** Drives both cores until the end of either. */
class World {
  readonly clock: VirtualClock = createVirtualClock();
  readonly log: string[] = [];
  readonly line: Line;
  readonly client: ClientCore;
  readonly session: SessionCore;
  clientEnd: EndReason | undefined;
  sessionEnd: EndReason | undefined;
  readonly #random: Random;

  constructor(line: Line, admit: () => Welcome | RefusalReason = () => welcome, seed = 1) {
    this.line = line;
    this.#random = seededRandom(seed);
    this.client = new ClientCore({ medium: 'ip', name: 'a', superPackets: false }, 0);
    this.session = new SessionCore(admit, 0);
    this.#carryOut('client', this.client.poll(0));
  }

  run(ms: number): void {
    const untilMs = this.clock.nowMs() + ms;
    for (;;) {
      const due = Math.min(this.client.nextWakeupMs ?? Infinity, this.session.nextWakeupMs ?? Infinity, untilMs);
      this.clock.advance(Math.max(0, due - this.clock.nowMs()));
      const nowMs = this.clock.nowMs();
      this.#carryOut('client', this.client.poll(nowMs));
      this.#carryOut('session', this.session.poll(nowMs));
      if (nowMs >= untilMs) return;
      if (due > nowMs) throw new Error('time does not move');
      if (this.client.nextWakeupMs === due && this.session.nextWakeupMs === due) throw new Error('a core is stuck');
    }
  }

  #carryOut(
    from: 'client' | 'session',
    actions: ReturnType<ClientCore['poll']> | ReturnType<SessionCore['poll']>,
  ): void {
    for (const action of actions) {
      if (action.do === 'send') this.#send(from, action.message);
      else if (action.do === 'establish') this.log.push(`${from} established`);
      else if (from === 'client') this.clientEnd = action.reason;
      else this.sessionEnd = action.reason;
    }
  }

  #send(from: 'client' | 'session', message: ControlMessage): void {
    this.log.push(`${from} ${message.type}`);
    if (this.#random() < this.line.loss) return;
    this.clock.setTimer(this.line.delayMs, () => {
      const nowMs = this.clock.nowMs();
      if (from === 'client') this.#carryOut('session', this.session.receive(message, nowMs));
      else this.#carryOut('client', this.client.receive(message, nowMs));
    });
  }

  count(entry: string): number {
    return this.log.filter((one) => one === entry).length;
  }
}

describe('the cores of a tunnel', () => {
  it('establish it with one message each', () => {
    const world = new World({ delayMs: 20, loss: 0 });
    world.run(100);
    expect(world.log).toEqual(['client hello', 'session established', 'session welcome', 'client established']);
  });

  it.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'establish it over a line that loses a third, seed %i',
    (seed) => {
      const world = new World({ delayMs: 100, loss: 0.33 }, () => welcome, seed);
      world.run(9000);
      expect([world.count('client established'), world.count('session established')]).toEqual([1, 1]);
    },
  );

  it('are quiet for hours but for pings, and stay', () => {
    const world = new World({ delayMs: 50, loss: 0.1 });
    world.run(4 * 3_600_000);
    expect(world.clientEnd).toBeUndefined();
    expect(world.sessionEnd).toBeUndefined();
    // Each side asks when it has heard nothing for ten seconds; an answer is a sign of life for both.
    expect(world.count('client ping') + world.count('session ping')).toBeLessThan((4 * 3_600_000) / 4000);
    expect(world.count('client established')).toBe(1);
  });

  it('notice within half a minute that nothing comes any more', () => {
    const world = new World({ delayMs: 20, loss: 0 });
    world.run(60_000);
    world.line.loss = 1;
    world.run(25_000 + KEEP_ALIVE_MS);
    expect(world.clientEnd).toBe('silent');
    expect(world.sessionEnd).toBe('silent');
    expect(world.client.nextWakeupMs).toBeUndefined();
  });

  it('survive a pause that is shorter', () => {
    const world = new World({ delayMs: 20, loss: 0 });
    world.run(60_000);
    world.line.loss = 1;
    world.run(12_000);
    world.line.loss = 0;
    world.run(60_000);
    expect(world.clientEnd).toBeUndefined();
  });

  it('ask at once when the network has changed, and give up within seconds', () => {
    const world = new World({ delayMs: 20, loss: 0 });
    world.run(1000);
    world.line.loss = 1;
    const nowMs = world.clock.nowMs();
    expect(world.client.suspect(nowMs)).toMatchObject([{ do: 'send', message: { type: 'ping' } }]);
    world.run(3000);
    expect(world.clientEnd).toBe('silent');
    expect(world.sessionEnd).toBeUndefined();
  });

  it('stay when the network has changed and the other side answers', () => {
    const world = new World({ delayMs: 20, loss: 0 });
    world.run(1000);
    world.client.suspect(world.clock.nowMs());
    world.run(1000);
    world.client.heard(world.clock.nowMs());
    world.run(5000);
    expect(world.clientEnd).toBeUndefined();
  });

  it('give up a side that does not greet', () => {
    const world = new World({ delayMs: 20, loss: 1 });
    world.run(10_000);
    expect([world.clientEnd, world.sessionEnd]).toEqual(['silent', 'silent']);
    expect(world.count('client hello')).toBe(10);
  });

  it.each(['not-allowed', 'medium', 'no-address', 'busy'] as const)('tell that it is refused: %s', (reason) => {
    const world = new World({ delayMs: 20, loss: 0 }, () => reason);
    world.run(100);
    expect([world.clientEnd, world.sessionEnd]).toEqual([reason, reason]);
  });

  it('refuse another version', () => {
    const session = new SessionCore(() => welcome, 0);
    const hello: ControlMessage = { type: 'hello', version: 2, medium: 'ip', name: '', superPackets: false };
    expect(session.receive(hello, 0)).toEqual([
      { do: 'send', message: { type: 'refused', reason: 'version' } },
      { do: 'end', reason: 'version' },
    ]);
    expect(session.receive(hello, 1)).toEqual([]);
  });

  it('end when the other side says goodbye, or talks nonsense', () => {
    const client = new ClientCore({ medium: 'ip', name: '', superPackets: false }, 0);
    expect(client.receive({ type: 'bye' }, 0)).toEqual([{ do: 'end', reason: 'bye' }]);
    const session = new SessionCore(() => welcome, 0);
    session.receive({ type: 'hello', version: 1, medium: 'ip', name: '', superPackets: false }, 0);
    expect(session.receive(welcome, 0)).toEqual([{ do: 'end', reason: 'protocol' }]);
  });

  it('send away who believes in a tunnel of which nothing is known, so that it says hello again', () => {
    const session = new SessionCore(() => welcome, 0);
    expect(session.receive({ type: 'ping', id: 7 }, 0)).toEqual([
      { do: 'send', message: { type: 'bye' } },
      { do: 'end', reason: 'protocol' },
    ]);
  });
});
