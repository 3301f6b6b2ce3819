import { afterEach, describe, expect, it } from 'vitest';

import { MacAddress } from '../base/index.ts';
import { type Clock, createLinkPair, PacketBatch, type PacketLink } from '../link/index.ts';
import { PacketSwitch, type PacketSwitchOptions } from './packet-switch.ts';
import type { SwitchPortSettings } from './switch-settings.ts';

const station = (number: number): Uint8Array => MacAddress.parse(`02:00:00:00:00:0${number}`).bytes;
const BROADCAST = new Uint8Array(6).fill(0xff);

/** A frame whose last byte is `mark`. */
function frame(from: Uint8Array, to: Uint8Array, mark: number, vlan?: number): Uint8Array {
  const tag = vlan === undefined ? [] : [0x81, 0x00, vlan >> 8, vlan & 0xff];
  return Uint8Array.of(...to, ...from, ...tag, 0x08, 0x00, ...new Uint8Array(45), mark);
}

/** A clock without timers. */
const clockOf = (time: { readonly nowMs: number }): Clock => ({
  nowMs: () => time.nowMs,
  setTimer: () => () => undefined,
});

interface Lab {
  readonly under: PacketSwitch;
  /** The far sides of the cables. */
  readonly cables: PacketLink[];
  clock: { nowMs: number };
  /** Writes at a cable, and says what came out of each of the others. */
  send(cable: number, ...frames: Uint8Array[]): Promise<number[][]>;
  /** The frames that came out last, whole. */
  readonly seen: Uint8Array[][];
}

const labs: Lab[] = [];
afterEach(async () => {
  for (const { under, cables } of labs.splice(0)) {
    await under.close();
    for (const cable of cables) await cable.close();
  }
});

function lab(ports: readonly SwitchPortSettings[], options: Partial<PacketSwitchOptions> = {}): Lab {
  const clock = { nowMs: 0 };
  const under = new PacketSwitch({ clock: clockOf(clock), ...options });
  const seen: Uint8Array[][] = ports.map(() => []);
  const cables = ports.map((settings, i) => {
    const [near, far] = createLinkPair({ medium: 'ethernet', names: [`port ${i}`, `cable ${i}`] });
    under.addPort(near, settings);
    far.onBatch(
      (batch) => {
        for (const packet of batch) seen[i]?.push(packet.slice());
      },
      () => undefined,
    );
    return far;
  });
  const made: Lab = {
    under,
    cables,
    clock,
    seen,
    send: async (cable, ...frames) => {
      for (const list of seen) list.length = 0;
      const batch = new PacketBatch();
      for (const one of frames) batch.append(one);
      cables[cable]?.write(batch);
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      return seen.map((list) => list.map((packet) => packet.at(-1) as number));
    },
  };
  labs.push(made);
  return made;
}

describe('PacketSwitch', () => {
  it('floods what it does not know, and learns', async () => {
    const { send } = lab([{}, {}, {}]);
    expect(await send(0, frame(station(1), station(2), 1))).toEqual([[], [1], [1]]);
    expect(await send(1, frame(station(2), station(1), 2))).toEqual([[2], [], []]);
    expect(await send(0, frame(station(1), station(2), 3), frame(station(1), station(2), 4))).toEqual([[], [3, 4], []]);
    expect(await send(0, frame(station(1), BROADCAST, 5), frame(station(1), station(2), 6))).toEqual([[], [5, 6], [5]]);
  });

  it('never sends a frame back, and lets neighbours have what is theirs', async () => {
    const { send, under } = lab([{}, {}]);
    await send(0, frame(station(1), station(9), 1));
    await send(0, frame(station(2), station(9), 1));
    expect(await send(0, frame(station(1), station(2), 2))).toEqual([[], []]);
    const pause = MacAddress.parse('01:80:c2:00:00:01').bytes;
    const bpdu = MacAddress.parse('01:80:c2:00:00:00').bytes;
    expect(await send(0, frame(station(1), pause, 3), frame(station(1), bpdu, 4))).toEqual([[], [4]]);
    expect(await send(0, frame(BROADCAST, station(2), 5), new Uint8Array(13))).toEqual([[], []]);
    const { dropped, framesIn } = under.ports[0]?.counters ?? { dropped: {}, framesIn: 0 };
    expect(dropped).toMatchObject({ 'same-port': 1, reserved: 1, 'bad-source': 1, runt: 1 });
    expect(framesIn).toBe(7);
  });

  it('is a hub when it is told so', async () => {
    const { send } = lab([{}, {}, {}], { isHub: true });
    await send(1, frame(station(2), station(1), 1));
    expect(await send(0, frame(station(1), station(2), 2))).toEqual([[], [2], [2]]);
  });

  it('keeps isolated ports apart', async () => {
    const { send } = lab([{ isIsolated: true }, { isIsolated: true }, {}]);
    expect(await send(0, frame(station(1), BROADCAST, 1))).toEqual([[], [], [1]]);
    expect(await send(1, frame(station(2), station(1), 2))).toEqual([[], [], []]);
    expect(await send(2, frame(station(3), BROADCAST, 3))).toEqual([[3], [3], []]);
  });

  it('passes tags as they are, unless it is to look at them', async () => {
    const { send } = lab([{}, {}]);
    expect(await send(0, frame(station(1), BROADCAST, 1, 42))).toEqual([[], [1]]);
  });

  it('keeps VLANs apart, takes tags off and puts them on', async () => {
    const { send, seen, under } = lab([{ pvid: 10 }, { pvid: 20 }, { pvid: 1, vlans: [10, 20] }, { pvid: 10 }], {
      vlanAware: true,
    });
    expect(await send(0, frame(station(1), BROADCAST, 1))).toEqual([[], [], [1], [1]]);
    expect(seen[2]?.[0]).toEqual(frame(station(1), BROADCAST, 1, 10));
    expect(seen[3]?.[0]).toEqual(frame(station(1), BROADCAST, 1));
    expect(await send(2, frame(station(2), station(1), 2, 10))).toEqual([[2], [], [], []]);
    expect(seen[0]?.[0]).toEqual(frame(station(2), station(1), 2));
    // The same station in another VLAN is another one.
    expect(await send(2, frame(station(2), station(1), 3, 20))).toEqual([[], [3], [], []]);
    expect(await send(0, frame(station(1), station(2), 4, 20))).toEqual([[], [], [], []]);
    expect(await send(2, frame(station(2), station(1), 5, 30))).toEqual([[], [], [], []]);
    expect(under.ports[0]?.counters.dropped.vlan).toBe(1);
    expect(under.ports[2]?.counters.dropped.vlan).toBe(1);
    // A priority tag is of no VLAN.
    expect(await send(3, frame(station(4), station(1), 6, 0))).toEqual([[6], [], [], []]);
    expect(seen[0]?.[0]).toEqual(frame(station(4), station(1), 6));
  });

  it('gives what has a priority tag alone the VLAN of its port, on a trunk too', async () => {
    const { send, seen } = lab([{ pvid: 10 }, { vlans: [10] }], { vlanAware: true });
    const priority = frame(station(1), BROADCAST, 1, 0);
    priority[14] = 0xa0;
    await send(0, priority);
    const tagged = frame(station(1), BROADCAST, 1, 10);
    tagged[14] = 0xa0;
    expect(seen[1]).toEqual([tagged]);
  });

  it('carries tags of customers through a tunnel of one VLAN, and through a network of a provider', async () => {
    const tunnel = lab([{ pvid: 100, isTunnel: true }, { vlans: [100] }, { pvid: 100, isTunnel: true }], {
      vlanAware: true,
    });
    const inner = frame(station(1), BROADCAST, 1, 7);
    await tunnel.send(0, inner);
    expect(tunnel.seen[2]).toEqual([inner]);
    const stacked = tunnel.seen[1]?.[0] as Uint8Array;
    expect([...stacked.subarray(12, 20)]).toEqual([0x81, 0x00, 0, 100, 0x81, 0x00, 0, 7]);
    await tunnel.send(1, stacked);
    expect(tunnel.seen[0]).toEqual([inner]);
    const provider = lab([{ pvid: 100 }, { vlans: [100] }], { vlanAware: true, vlanProtocol: '802.1ad' });
    await provider.send(0, inner);
    const carried = provider.seen[1]?.[0] as Uint8Array;
    expect([...carried.subarray(12, 20)]).toEqual([0x88, 0xa8, 0, 100, 0x81, 0x00, 0, 7]);
  });

  it('shows at one port what others carry', async () => {
    const { send, under } = lab([{}, {}, {}]);
    under.setMirror(2, [{ port: 0, direction: 'in' }]);
    await send(1, frame(station(2), BROADCAST, 1));
    expect(await send(0, frame(station(1), station(2), 2))).toEqual([[], [2], [2]]);
    expect(await send(1, frame(station(2), station(1), 3))).toEqual([[3], [], []]);
    under.setMirror(2, [{ port: 0, direction: 'both' }]);
    expect(await send(1, frame(station(2), station(1), 4))).toEqual([[4], [], [4]]);
    expect(await send(2, frame(station(3), BROADCAST, 5))).toEqual([[], [], []]);
    expect(under.ports[2]?.counters.dropped.mirror).toBe(1);
    expect(() => under.setMirror(1, [{ port: 2, direction: 'in' }])).toThrow(/other ports/);
    expect(() => under.setMirror(0, [{ port: 1, direction: 'in' }])).toThrow(/no other shows/);
    under.setMirror(2, []);
    expect(await send(2, frame(station(3), BROADCAST, 6))).toEqual([[6], [6], []]);
    expect(under.ports[0]?.counters.dropped.mirror).toBe(0);
  });

  it('changes the settings that are given', async () => {
    const { send, under } = lab([{ pvid: 10, isIsolated: true }, { pvid: 20 }, { pvid: 10 }], { vlanAware: true });
    expect(await send(0, frame(station(1), BROADCAST, 1))).toEqual([[], [], [1]]);
    expect(under.setPort(1, { pvid: 10, isIsolated: true })).toBe(true);
    expect(await send(0, frame(station(1), BROADCAST, 2))).toEqual([[], [], [2]]);
    expect(under.setPort(0, { isIsolated: false })).toBe(true);
    expect(await send(0, frame(station(1), BROADCAST, 3))).toEqual([[], [3], [3]]);
    expect(under.setPort(9, {})).toBe(false);
    expect(() => under.setPort(0, { pvid: 4095 })).toThrow(/a VLAN of 1 to 4094/);
    expect(under.ports[0]?.settings).toEqual({ pvid: 10, isIsolated: false });
  });

  it('tells of a station that is at two ports in turn', async () => {
    const { send, under, clock } = lab([{}, {}, {}]);
    const told: unknown[] = [];
    under.on('flapping', (event) => told.push(event));
    for (let turn = 0; turn < 4; turn++) {
      clock.nowMs += 100;
      await send(turn % 2, frame(station(1), BROADCAST, turn));
    }
    expect(told).toEqual([{ vlan: 0, mac: station(1), port: 0, from: 1 }]);
    expect(under.core.flaps).toBe(2);
  });

  it('calms a storm, and lets the rest pass', async () => {
    const { send, under, clock } = lab([{ stormPacketsPerSec: 10 }, {}]);
    await send(1, frame(station(2), station(1), 0));
    const storm = Array.from({ length: 30 }, (_, i) => frame(station(1), BROADCAST, i));
    expect((await send(0, ...storm))[1]?.length).toBe(10);
    expect((await send(0, frame(station(1), station(2), 1)))[1]).toEqual([1]);
    clock.nowMs += 500;
    expect((await send(0, ...storm))[1]?.length).toBe(5);
    expect(under.ports[0]?.counters.dropped.storm).toBe(45);
  });

  it('lets no stalled port hold up another', async () => {
    const { under, send, cables } = lab([{}, {}]);
    const [near, far] = createLinkPair({ medium: 'ethernet', capacityPackets: 4 });
    under.addPort(near);
    const frames = Array.from({ length: 50 }, (_, i) => frame(station(1), BROADCAST, i));
    expect((await send(0, ...frames))[1]?.length).toBe(50);
    expect(under.ports[2]?.counters.dropped['queue-full']).toBeGreaterThan(40);
    expect(cables.length).toBe(2);
    await far.close();
    await near.close();
  });

  it('forgets a port whose link has ended, and takes another in', async () => {
    const { under, send, cables } = lab([{}, {}, {}]);
    await send(1, frame(station(2), BROADCAST, 1));
    const gone = new Promise<number>((resolve) => under.on('portGone', ({ port }) => resolve(port.id)));
    await cables[1]?.close();
    expect(await gone).toBe(1);
    expect(await send(0, frame(station(1), station(2), 2))).toEqual([[], [], [2]]);
    expect(under.ports.map(({ id }) => id)).toEqual([0, 2]);
    const [near, far] = createLinkPair({ medium: 'ethernet' });
    expect(under.addPort(near).id).toBe(1);
    expect(under.removePort(1)).toBe(true);
    expect(under.removePort(1)).toBe(false);
    expect(near.closed).toBe(false);
    await Promise.all([near.close(), far.close()]);
  });

  it('refuses links that are none of Ethernet frames', () => {
    const under = new PacketSwitch({ maxPorts: 1 });
    const [ip] = createLinkPair({ medium: 'ip' });
    expect(() => under.addPort(ip)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
    const [first] = createLinkPair({ medium: 'ethernet' });
    const [second] = createLinkPair({ medium: 'ethernet' });
    under.addPort(first);
    expect(() => under.addPort(second)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });
});
