/** Ports with super-packets beside ports without: what one host sent is what the other gets. */

import { afterEach, describe, expect, it } from 'vitest';

import { buildPacket, type Flow, located, payloadOf } from '../../test/offload/packets.ts';
import { checksumsRight, coalescePackets, splitFrame } from '../../test/offload/twin.ts';
import { createLinkPair, PacketBatch, type PacketLink, WrappedLink } from '../link/index.ts';
import { parseVirtioNetHeader, virtioNetHeaderLen } from '../wire/index.ts';
import { PacketSwitch, type PacketSwitchOptions } from './packet-switch.ts';
import type { SwitchPortSettings } from './switch-settings.ts';

/** A link whose packets stand behind a virtio-net header, as those of a device opened with `superPackets`. */
class SuperPacketLink extends WrappedLink {
  override get offload(): boolean {
    return true;
  }

  protected onRead(): boolean {
    return true;
  }

  write(source: Uint8Array | PacketBatch, from?: number, to?: number): number {
    return source instanceof Uint8Array ? this.inner.write(source) : this.inner.write(source, from, to);
  }
}

const flow: Flow = {
  medium: 'ethernet',
  vlanTags: 0,
  version: 4,
  protocol: 'tcp',
  number: 1,
  trafficClass: 0,
  hopLimit: 64,
  dontFragment: true,
  extensions: [],
  optionWords: 3,
};

/** Segments that follow each other. */
function segments(of: Flow, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) =>
    buildPacket(of, {
      id: i,
      sequence: 1000 + i * 1000,
      acknowledgment: 1,
      window: 500,
      flags: 0x10,
      payload: payloadOf(1000, i),
    }),
  );
}

interface Lab {
  readonly under: PacketSwitch;
  /** Writes at a port, and gives what came out of the others. */
  send(port: number, ...frames: readonly Uint8Array[]): Promise<Uint8Array[][]>;
}

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

function lab(
  ports: readonly (SwitchPortSettings & { readonly offload: boolean })[],
  options: PacketSwitchOptions = {},
): Lab {
  const under = new PacketSwitch(options);
  opened.push(under);
  const seen: Uint8Array[][] = ports.map(() => []);
  const cables = ports.map(({ offload, ...settings }, i): PacketLink => {
    const [near, far] = createLinkPair({ medium: 'ethernet', mtu: 65_535 });
    under.addPort(offload ? new SuperPacketLink(near) : near, settings);
    far.onBatch(
      (batch) => {
        for (const packet of batch) seen[i]?.push(packet.slice());
      },
      () => undefined,
    );
    opened.push(near, far);
    return far;
  });
  const send = async (port: number, ...frames: readonly Uint8Array[]): Promise<Uint8Array[][]> => {
    for (const list of seen) list.length = 0;
    const batch = new PacketBatch({ bytesLen: 1 << 20 });
    for (const one of frames) batch.append(one);
    cables[port]?.write(batch);
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    return seen.map((list) => [...list]);
  };
  return { under, send };
}

const superPacketOf = (packets: readonly Uint8Array[]): Uint8Array => {
  const frames = coalescePackets(packets, 'ethernet');
  expect(frames).toHaveLength(1);
  return frames[0] as Uint8Array;
};
const plain = (packet: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([new Uint8Array(virtioNetHeaderLen), packet]));

describe('super-packets in a switch', () => {
  it.each([4, 6] as const)('pass whole where they can, and are cut up where not, IPv%i', async (version) => {
    const { send, under } = lab([{ offload: true }, { offload: true }, { offload: false }]);
    const packets = segments({ ...flow, version }, 40);
    const frame = superPacketOf(packets);
    expect(await send(0, frame)).toEqual([[], [frame], packets]);
    expect(under.ports[0]?.counters).toMatchObject({ framesIn: 1, bytesIn: frame.length - virtioNetHeaderLen });
    expect(under.ports[2]?.counters.framesOut).toBe(40);
  });

  it('are made of what comes from a port without', async () => {
    const { send } = lab([{ offload: false }, { offload: true }]);
    const packets = segments(flow, 12);
    expect(await send(0, ...packets)).toEqual([[], [superPacketOf(packets)]]);
    const lone = segments({ ...flow, protocol: 'udp' }, 1);
    expect(await send(0, ...lone)).toEqual([[], lone.map(plain)]);
  });

  it('are left as they are in the batch, which every port gets', async () => {
    const { send } = lab([{ offload: false }, { offload: true }, { offload: true }, { offload: false }], {
      isHub: true,
    });
    const packets = segments(flow, 50);
    const [, second, third, fourth] = await send(0, ...packets);
    const back = (frames: readonly Uint8Array[] | undefined): Uint8Array[] =>
      (frames ?? []).flatMap((frame) => splitFrame(frame, 'ethernet') ?? []);
    expect(back(second)).toEqual(packets);
    expect(back(third)).toEqual(packets);
    expect(fourth).toEqual(packets);
  });

  it('take a tag, and what their header says moves with it', async () => {
    const { send } = lab(
      [
        { offload: true, pvid: 5 },
        { offload: true, vlans: [5] },
        { offload: false, vlans: [5] },
      ],
      {
        vlanAware: true,
      },
    );
    const packets = segments(flow, 3);
    const tagged = (packet: Uint8Array): Uint8Array =>
      new Uint8Array(Buffer.concat([packet.subarray(0, 12), Uint8Array.of(0x81, 0, 0, 5), packet.subarray(12)]));
    const frame = superPacketOf(packets);
    const [, whole, cut] = await send(0, frame);
    expect(cut).toEqual(packets.map(tagged));
    expect(cut?.every((packet) => checksumsRight(packet, located(packet, 'ethernet')))).toBe(true);
    expect(splitFrame(whole?.[0] as Uint8Array, 'ethernet')).toEqual(packets.map(tagged));
    const before = parseVirtioNetHeader(frame);
    const after = parseVirtioNetHeader(whole?.[0] as Uint8Array);
    if (typeof before !== 'object' || typeof after !== 'object') throw new TypeError('no header');
    expect(after).toEqual({
      ...before,
      headerLen: before.headerLen + 4,
      checksumStart: before.checksumStart + 4,
    });
    expect(await send(1, whole?.[0] as Uint8Array)).toEqual([[frame], [], packets.map(tagged)]);
  });

  it('that contradict themselves are counted, and hurt nothing else', async () => {
    const { send, under } = lab([{ offload: true }, { offload: false }]);
    const packets = segments(flow, 4);
    const frame = superPacketOf(packets);
    const lying = frame.slice();
    lying[6] = 0xff;
    expect(await send(0, lying, frame)).toEqual([[], packets]);
    expect(await send(0, frame.subarray(0, 5), plain(new Uint8Array(0)))).toEqual([[], []]);
    expect(under.ports[1]?.counters.dropped.malformed).toBe(1);
    expect(under.ports[0]?.counters.dropped.runt).toBe(2);
  });
});
