import { describe, expect, it } from 'vitest';

import { Listeners } from './listeners.ts';

describe('Listeners', () => {
  it('calls handlers in the order they were added, until they are removed', () => {
    const listeners = new Listeners<{ mtu: number }>();
    const seen: string[] = [];
    const off = listeners.on('mtu', (mtu) => seen.push(`a${mtu}`));
    listeners.on('mtu', (mtu) => seen.push(`b${mtu}`));
    listeners.emit('mtu', 1);
    off();
    off();
    listeners.emit('mtu', 2);
    expect(seen).toEqual(['a1', 'b1', 'b2']);
  });

  it('runs every handler although one throws, and throws the first error then', () => {
    const listeners = new Listeners<{ gone: string }>();
    const seen: string[] = [];
    listeners.on('gone', () => {
      throw new RangeError('first');
    });
    listeners.on('gone', (what) => seen.push(what));
    expect(() => listeners.emit('gone', 'tun0')).toThrow(RangeError);
    expect(seen).toEqual(['tun0']);
  });

  it('lets a handler remove itself while it is called', () => {
    const listeners = new Listeners<{ tick: undefined }>();
    let calls = 0;
    const off = listeners.on('tick', () => {
      calls++;
      off();
    });
    listeners.emit('tick', undefined);
    listeners.emit('tick', undefined);
    expect([calls, listeners.count('tick')]).toEqual([1, 0]);
  });
});
