import { describe, expect, it } from 'vitest';

import { VnicError } from '../base/index.ts';
import { BaseLink, type PacketBatch } from './index.ts';

/** A carrier that the test moves by hand: packets wait in `incoming`, `room` says how many writes are taken. */
class ManualLink extends BaseLink {
  override readonly mtu = 1500;
  readonly incoming: Uint8Array[] = [];
  readonly written: Uint8Array[] = [];
  readonly interests: string[] = [];
  room = Number.POSITIVE_INFINITY;
  carrierClosed = 0;

  constructor() {
    super({ name: 'manual', medium: 'ip' });
  }

  wakeRead(): void {
    this.wakeReader();
  }

  wakeWrite(): void {
    this.wakeWriter();
  }

  vanish(): VnicError {
    const error = new VnicError('VNIC_DEVICE_GONE', { attempted: 'read manual', hint: 'Open it again.' });
    this.fail(error);
    return error;
  }

  drop(): void {
    this.countWriteDrop('refused', () => new VnicError('VNIC_PACKET_REFUSED', { attempted: 'write', hint: 'Look.' }));
  }

  protected override readNow(batch: PacketBatch): number {
    for (let packet = this.incoming[0]; packet !== undefined && batch.append(packet); packet = this.incoming[0]) {
      this.incoming.shift();
    }
    return batch.count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    let taken = 0;
    for (let i = from; i < to && this.room > 0; i++, taken++, this.room--) {
      const at = descriptors[i * 4] as number;
      this.written.push(bytes.slice(at, at + (descriptors[i * 4 + 1] as number)));
    }
    return taken;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.interests.push(`${readable ? 'r' : '-'}${writable ? 'w' : '-'}`);
  }

  protected override closeCarrier(): void {
    this.carrierClosed++;
  }
}

const packet = Uint8Array.of(0x45, 1, 2, 3);

describe('BaseLink', () => {
  it('asks for readability only while somebody waits, and switches it off on a wake-up that nobody wants', async () => {
    const link = new ManualLink();
    const reading = link.read();
    expect(link.interests).toEqual(['r-']);
    link.incoming.push(packet);
    link.wakeRead();
    await reading;
    expect(link.interests).toEqual(['r-']);
    link.wakeRead();
    expect(link.interests).toEqual(['r-', '--']);
  });

  it('waits on when a wake-up comes without a packet', async () => {
    const link = new ManualLink();
    let ended = false;
    const reading = link.read().then(() => {
      ended = true;
    });
    link.wakeRead();
    await new Promise((resolve) => void setImmediate(resolve));
    expect(ended).toBe(false);
    link.incoming.push(packet);
    link.wakeRead();
    await reading;
    expect(ended).toBe(true);
  });

  it('asks for writability while a writer waits and stops asking once it is woken', async () => {
    const link = new ManualLink();
    link.room = 0;
    expect(link.write(packet)).toBe(0);
    const waiting = link.writable();
    expect(link.interests).toEqual(['-w']);
    link.room = 1;
    link.wakeWrite();
    await waiting;
    expect(link.interests).toEqual(['-w', '--']);
    expect(link.write(packet)).toBe(1);
  });

  it('closes the carrier once, however often and from wherever it is closed', async () => {
    const link = new ManualLink();
    await Promise.all([link.close(), link.close()]);
    link.vanish();
    await link.close();
    expect(link.carrierClosed).toBe(1);
  });

  it('gives every later call the error with which the carrier vanished', async () => {
    const link = new ManualLink();
    const error = link.vanish();
    await expect(link.read()).rejects.toBe(error);
    await expect(link.read()).rejects.toBe(error);
    expect(() => link.write(packet)).toThrow(error);
    expect(() => link.onBatch(() => undefined)).toThrow(error);
    await link.close();
  });

  it('emits `gone` although a handler without onEnd makes the failure throw', () => {
    const link = new ManualLink();
    link.onBatch(() => undefined);
    expect(() => link.vanish()).toThrow(expect.objectContaining({ code: 'VNIC_DEVICE_GONE' }));
    const told: string[] = [];
    const other = new ManualLink();
    other.on('gone', ({ code }) => told.push(code));
    other.onBatch(() => undefined);
    other.vanish();
    expect(told).toEqual(['VNIC_DEVICE_GONE']);
  });

  it('throws what a handler throws when there is no onEnd', () => {
    const link = new ManualLink();
    link.onBatch(() => {
      throw new RangeError('handler');
    });
    link.incoming.push(packet);
    expect(() => link.wakeRead()).toThrow('handler');
    expect(link.closed).toBe(false);
  });

  it('throws what a handler throws after it has stopped itself', () => {
    const link = new ManualLink();
    const ends: unknown[] = [];
    const stop = link.onBatch(
      () => {
        stop();
        throw new RangeError('too late for onEnd');
      },
      (error) => ends.push(error),
    );
    link.incoming.push(packet);
    expect(() => link.wakeRead()).toThrow('too late for onEnd');
    expect(ends).toEqual([undefined]);
  });

  it('lets a handler hand over to another handler', () => {
    const link = new ManualLink();
    const seen: string[] = [];
    const stop = link.onBatch(() => {
      seen.push('first');
      stop();
      link.onBatch(() => seen.push('second'));
    });
    link.incoming.push(packet);
    link.wakeRead();
    link.incoming.push(packet);
    link.wakeRead();
    expect(seen).toEqual(['first', 'second']);
  });

  it('emits at most one writeDropped event a reason while packets are dropped in a row, and counts all', () => {
    const link = new ManualLink();
    const events: string[] = [];
    link.on('writeDropped', ({ reason }) => events.push(reason));
    for (let i = 0; i < 100; i++) link.drop();
    expect(events).toEqual(['refused']);
    expect(link.counters.writeDropped.refused).toBe(100);
  });

  it('lets go of the abort signal when a wait ends', async () => {
    const link = new ManualLink();
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    const reading = link.read({ signal });
    link.incoming.push(packet);
    link.wakeRead();
    await reading;
    expect(listeners).toBe(0);
  });
});
