import { describe, expect, it } from 'vitest';

import { BaseLink, createLinkPair, type PacketBatch } from './index.ts';

const packet = Uint8Array.of(0x45, 1, 2, 3);

/** A carrier whose first batch holds only a packet that was dropped on the way. */
class DroppingLink extends BaseLink {
  override readonly mtu = 1500;
  #reads = 0;

  constructor() {
    super({ name: 'dropping', medium: 'ip' });
  }

  protected override readNow(batch: PacketBatch): number {
    batch.append(packet);
    if (this.#reads++ === 0) batch.drop(0);
    return batch.count;
  }

  protected override writeNow(): number {
    return 0;
  }

  protected override setInterest(): void {}

  protected override closeCarrier(): void {}
}

describe('toWeb', () => {
  it('goes on to the next batch when one holds dropped packets only', async () => {
    const reader = new DroppingLink().toWeb().readable.getReader();
    expect((await reader.read()).value).toEqual(packet);
  });

  it('reads the link only when its consumer asks', async () => {
    const [a, b] = createLinkPair({ medium: 'ip' });
    const reader = b.toWeb().readable.getReader();
    a.write(packet);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(b.counters.packetsRead).toBe(0);
    expect((await reader.read()).value).toEqual(packet);
  });

  it('ends a write only when the link has taken the packet', async () => {
    const [a, b] = createLinkPair({ medium: 'ip', capacityPackets: 1 });
    const writer = a.toWeb().writable.getWriter();
    await writer.write(packet);
    let taken = false;
    const second = writer.write(packet).then(() => {
      taken = true;
    });
    await new Promise((resolve) => void setImmediate(resolve));
    expect(taken).toBe(false);
    await b.read();
    await second;
    expect(b.counters.packetsRead).toBe(1);
  });

  it('can be aborted while a write waits for a link that takes no more', async () => {
    const [a] = createLinkPair({ medium: 'ip', capacityPackets: 1 });
    const writer = a.toWeb().writable.getWriter();
    await writer.write(packet);
    const stuck = writer.write(packet).catch(() => 'ended');
    await writer.abort();
    expect(await stuck).toBe('ended');
    expect(a.closed).toBe(false);
  });

  it('leaves the link open when its writable is closed', async () => {
    const [a] = createLinkPair({ medium: 'ip' });
    const { writable } = a.toWeb();
    await writable.close();
    expect(a.closed).toBe(false);
  });

  it('fails the writable when the link is closed', async () => {
    const [a] = createLinkPair({ medium: 'ip' });
    const writer = a.toWeb().writable.getWriter();
    await a.close();
    await expect(writer.write(packet)).rejects.toMatchObject({ code: 'VNIC_LINK_CLOSED' });
    await expect(writer.closed).rejects.toMatchObject({ code: 'VNIC_LINK_CLOSED' });
  });
});
