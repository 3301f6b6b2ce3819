/** The decisions of a switch beside a slow one that is written straight from the standard (IEEE 802.1Q clause 8). */

import { describe, expect, it } from 'vitest';

import { formatMac, seededRandom } from '../base/index.ts';
import { SwitchCore, type SwitchPortState, TagForm } from './switch-core.ts';
import type { SwitchPortSettings } from './switch-settings.ts';

const AGEING_MS = 10_000;
const EVENTS = 40_000;

/** A frame as it is made. */
interface Frame {
  readonly to: string;
  readonly from: string;
  /** Undefined without a tag. */
  readonly tag: { readonly type: number; readonly vlan: number } | undefined;
  readonly bytes: Uint8Array;
}

interface TwinPort {
  settings: SwitchPortSettings;
  state: SwitchPortState;
}

/** What leaves: the port, and the VLAN of the tag, 0 without one. */
type Leaving = readonly [port: number, tag: number];

class Twin {
  readonly ports = new Map<number, TwinPort>();
  readonly known = new Map<string, { readonly port: number; readonly seenMs: number }>();
  readonly vlanAware: boolean;
  readonly isHub: boolean;

  constructor(vlanAware: boolean, isHub: boolean) {
    this.vlanAware = vlanAware;
    this.isHub = isHub;
  }

  forget(port: number): void {
    for (const [key, entry] of this.known) if (entry.port === port) this.known.delete(key);
  }

  vlansOf({ pvid = 1, vlans = [] }: SwitchPortSettings): (vlan: number) => boolean {
    return (vlan) => vlan === pvid || vlans === 'all' || vlans.includes(vlan);
  }

  forward(port: number, { to, from, tag, bytes }: Frame, nowMs: number): readonly Leaving[] {
    const ingress = this.ports.get(port);
    if (ingress === undefined || bytes.length < 14 || isGroup(from)) return [];
    // Pauses are of the hardware below.
    if (ingress.state === 'discarding' || to === '01:80:c2:00:00:01') return [];
    const { pvid = 1, isTunnel } = ingress.settings;
    const own = this.vlanAware && tag?.type === 0x8100 && !isTunnel ? tag : undefined;
    const vlan = !this.vlanAware ? 0 : own === undefined || own.vlan === 0 ? pvid : own.vlan;
    if (this.vlanAware && (vlan > 4094 || !this.vlansOf(ingress.settings)(vlan))) return [];
    if (!this.isHub) this.known.set(`${vlan} ${from}`, { port, seenMs: nowMs });
    // Its sender is known then.
    if (ingress.state !== 'forwarding' || /^01:80:c2:00:00:0[1-9a-f]$/.test(to)) return [];
    const entry = this.isHub || isGroup(to) ? undefined : this.known.get(`${vlan} ${to}`);
    const isKnown = entry !== undefined && nowMs - entry.seenMs <= AGEING_MS;
    return [...this.ports]
      .filter(([id, { settings, state }]) => {
        if (id === port || state !== 'forwarding' || (isKnown && id !== entry.port)) return false;
        if (settings.isIsolated && ingress.settings.isIsolated) return false;
        return !this.vlanAware || this.vlansOf(settings)(vlan);
      })
      .map(([id, { settings }]): Leaving => [id, vlan === (settings.pvid ?? 1) ? 0 : vlan])
      .toSorted(([a], [b]) => a - b);
  }
}

const isGroup = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;

/** Anything that may come, of few stations and VLANs, so that they meet. */
function frameMaker(upTo: (count: number) => number): () => Frame {
  const station = (): string => `02:00:00:00:00:0${upTo(8)}`;
  const groups = [
    'ff:ff:ff:ff:ff:ff',
    '01:00:5e:00:00:01',
    '33:33:00:00:00:01',
    '01:80:c2:00:00:00',
    '01:80:c2:00:00:0e',
  ];
  return () => {
    const to = upTo(4) === 0 ? (groups[upTo(groups.length)] as string) : station();
    const from = upTo(50) === 0 ? 'ff:ff:ff:ff:ff:ff' : station();
    const type = upTo(6) === 0 ? 0x88a8 : 0x8100;
    const vlan = [0, 1, 2, 3, 4095][upTo(5)] as number;
    const tag = upTo(2) === 0 ? { type, vlan } : undefined;
    const head = [...to.split(':'), ...from.split(':')].map((byte) => Number.parseInt(byte, 16));
    const tagged = tag === undefined ? [] : [tag.type >> 8, tag.type & 0xff, tag.vlan >> 8, tag.vlan & 0xff];
    const whole = Uint8Array.of(...head, ...tagged, 0x08, 0x00, ...new Uint8Array(30));
    const isRunt = upTo(60) === 0;
    return { to, from, tag, bytes: isRunt ? whole.subarray(0, upTo(14)) : whole };
  };
}

function settingsMaker(upTo: (count: number) => number): () => SwitchPortSettings {
  return () => ({
    pvid: 1 + upTo(3),
    vlans: upTo(4) === 0 ? 'all' : [1, 2, 3].filter(() => upTo(2) === 0),
    isTunnel: upTo(6) === 0,
    isIsolated: upTo(3) === 0,
  });
}

interface Lab {
  readonly core: SwitchCore;
  readonly twin: Twin;
  readonly time: { nowMs: number };
  upTo(count: number): number;
}

/** What may happen to both: a port more, one less, other settings, another state, a long silence. */
function changes({ core, twin, upTo, time }: Lab): readonly (() => void)[] {
  const newSettings = settingsMaker(upTo);
  const states = ['discarding', 'learning', 'forwarding', 'forwarding', 'forwarding'] as const;
  return [
    () => {
      const settings = newSettings();
      const id = core.addPort(settings);
      expect(id < 0).toBe(twin.ports.size === 8);
      if (id >= 0) twin.ports.set(id, { settings, state: 'forwarding' });
    },
    () => {
      const id = upTo(8);
      if (twin.ports.size < 4) return;
      core.removePort(id);
      twin.ports.delete(id);
      twin.forget(id);
    },
    () => {
      const id = upTo(8);
      const port = twin.ports.get(id);
      const settings = newSettings();
      core.setPort(id, settings);
      if (port === undefined) return;
      const before = twin.vlansOf(port.settings);
      const after = twin.vlansOf(settings);
      const isSame = port.settings.pvid === settings.pvid && [1, 2, 3, 9].every((vlan) => before(vlan) === after(vlan));
      if (!isSame) twin.forget(id);
      port.settings = settings;
    },
    () => {
      const id = upTo(8);
      const state = states[upTo(states.length)] as SwitchPortState;
      core.setPortState(id, state);
      const port = twin.ports.get(id);
      if (port !== undefined) port.state = state;
    },
    () => {
      time.nowMs += upTo(2 * AGEING_MS);
    },
  ];
}

/** How the tag of a frame is to be taken. */
function formOf({ tag }: Frame, looksAtTags: boolean): number {
  if (tag?.type !== 0x8100 || !looksAtTags) return TagForm.none;
  return tag.vlan === 0 ? TagForm.priority : TagForm.tagged;
}

function leaving(core: SwitchCore): Leaving[] {
  return Array.from(core.targets.subarray(0, core.targetCount), (port): Leaving => {
    return [port, core.leavesTagged(port, core.vlan) ? core.vlan : 0];
  }).toSorted(([a], [b]) => a - b);
}

describe('the decisions of a switch', () => {
  it.each(
    [1, 2, 3].flatMap((seed) => [
      [seed, true, false],
      [seed, false, false],
      [seed, true, true],
    ]) as [number, boolean, boolean][],
  )('are those of the standard, seed %i, VLANs %s, hub %s', (seed, vlanAware, isHub) => {
    const random = seededRandom(seed);
    const upTo = (count: number): number => Math.floor(random() * count);
    const core = new SwitchCore({ vlanAware, isHub, ageingMs: AGEING_MS, maxPorts: 8 });
    const twin = new Twin(vlanAware, isHub);
    const newFrame = frameMaker(upTo);
    const time = { nowMs: 0 };
    let passed = 0;
    const change = changes({ core, twin, upTo, time });
    for (let i = 0; i < 6; i++) change[0]?.();
    for (let event = 0; event < EVENTS; event++) {
      time.nowMs += upTo(20);
      if (upTo(40) === 0) change[upTo(change.length)]?.();
      const frame = newFrame();
      const port = upTo(8);
      const verdict = core.forward(port, frame.bytes, 0, frame.bytes.length, time.nowMs);
      const expected = twin.forward(port, frame, time.nowMs);
      const got = verdict === undefined ? leaving(core) : [];
      const told = `seed ${seed}, event ${event}, port ${port}, ${frame.from} to ${frame.to}, ${JSON.stringify(frame.tag)}`;
      expect(got, told).toEqual(vlanAware ? expected : expected.map(([id]) => [id, 0]));
      if (got.length === 0) continue;
      passed++;
      expect(core.tagForm, told).toBe(formOf(frame, vlanAware && !twin.ports.get(port)?.settings.isTunnel));
    }
    expect(passed).toBeGreaterThan(EVENTS / 10);
    const entries = [...core.fdb.entries(time.nowMs)].map(({ vlan, mac, port }) => `${vlan} ${formatMac(mac)} ${port}`);
    const known = [...twin.known].filter(([, { seenMs }]) => time.nowMs - seenMs <= AGEING_MS);
    expect(entries.toSorted()).toEqual(known.map(([key, { port }]) => `${key} ${port}`).toSorted());
  });
});
