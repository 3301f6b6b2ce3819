import { describe, expect, it } from 'vitest';

import { createQueueCounters, QUEUE_COUNTERS_LEN, queueCounters, writableQueueCounters } from './queue-counters.ts';

describe('queueCounters', () => {
  it('lays the fields out as documented, two cache lines a queue', () => {
    const memory = createQueueCounters(3);
    expect(memory.byteLength).toBe(3 * 128);
    const counters = writableQueueCounters(memory, 1);
    counters.packetsRead += 1;
    counters.bytesRead += 2;
    counters.packetsWritten += 3;
    counters.bytesWritten += 2 ** 53 - 1;
    counters.writeDropped['link-down'] += 5;
    counters.writeDropped.refused += 6;
    counters.writeDropped['too-long'] += 7;
    counters.writeDropped['queue-full'] += 8;
    expect([...new Float64Array(memory, QUEUE_COUNTERS_LEN, 16)]).toEqual([
      ...[1, 2, 3, 2 ** 53 - 1, 5, 6, 7, 8],
      ...[0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    expect([...new Float64Array(memory, 0, 16), ...new Float64Array(memory, 256, 16)]).toEqual(Array(32).fill(0));
  });

  it('shows what another view of the memory writes, and gives plain data', () => {
    const memory = createQueueCounters(1);
    const seen = queueCounters(memory, 0);
    writableQueueCounters(memory, 0).packetsRead = 9;
    writableQueueCounters(memory, 0).writeDropped.refused = 4;
    expect(seen.packetsRead).toBe(9);
    expect(JSON.parse(JSON.stringify(seen))).toEqual({
      packetsRead: 9,
      bytesRead: 0,
      packetsWritten: 0,
      bytesWritten: 0,
      writeDropped: { 'link-down': 0, refused: 4, 'too-long': 0, 'queue-full': 0 },
    });
  });

  it.each([-1, 2, 0.5, Number.NaN])('refuses queue %s of two', (index) => {
    expect(() => queueCounters(createQueueCounters(2), index)).toThrow(
      expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }),
    );
  });
});
