/** What must agree between links, and between links and devices: what cannot be open at once, or is described twice. */

import { isVnicError } from '../base/index.ts';
import {
  claimsCollide,
  claimsOf,
  type DeviceClaim,
  deviceOf,
  type EndSpec,
  type ListenerClaim,
  mediumOf,
  parseEnd,
} from '../ends/index.ts';
import type { ConfigDocument, DeviceDocument } from './config-schema.ts';
import type { TextPart } from './schema.ts';

/** Tells a mistake at a path, or at a part of the text there. */
export type ReportPart = (path: string, message: string, hint?: string, within?: TextPart) => void;

/** An end and where it stands. */
interface PlacedEnd {
  /** `links.NAME` or `switches.NAME`. */
  readonly link: string;
  readonly path: string;
  readonly spec: EndSpec;
}

/** Reports what is at odds. */
export function checkLinks(document: Partial<ConfigDocument>, report: ReportPart): void {
  const devices = deviceIndex(document.devices ?? []);
  const ends: PlacedEnd[] = [];
  for (const [link, { ends: texts }] of document.links ?? []) {
    // One that was wrong has been told already.
    if (texts === undefined) continue;
    const path = `links.${link}.ends`;
    const [a, b] = texts.map((text) => parseEnd(text)) as [EndSpec, EndSpec];
    checkMedium(a, b, path, report);
    const whole = `links.${link}`;
    ends.push({ link: whole, path: `${path}[0]`, spec: a }, { link: whole, path: `${path}[1]`, spec: b });
  }
  for (const [name, { ports = [] }] of document.switches ?? []) {
    for (const [port, { end }] of ports) {
      if (end === undefined) continue;
      ends.push({ link: `switches.${name}`, path: `switches.${name}.ports.${port}.end`, spec: parseEnd(end) });
    }
  }
  for (const end of ends) {
    if (end.spec.kind === 'stdio') {
      report(end.path, 'a service has no standard input to read packets from', 'Use another end, or `vnic link`.');
    }
    checkDevice(end, devices, report);
  }
  checkDevicesOnce(ends, report);
  checkListeners(ends, report);
}

type Devices = ReadonlyMap<string, readonly [id: string, device: Partial<DeviceDocument>]>;

function deviceIndex(devices: readonly (readonly [string, Partial<DeviceDocument>])[]): Devices {
  return new Map(devices.map(([id, device]) => [`${device.namespace ?? ''} ${device.name ?? id}`, [id, device]]));
}

function checkMedium(a: EndSpec, b: EndSpec, path: string, report: ReportPart): void {
  try {
    mediumOf(a, b);
  } catch (error) {
    if (!isVnicError(error)) throw error;
    report(path, error.reason, error.hint);
  }
}

/** A device of the file is the file's: an end attaches to it, and says nothing of it. */
function checkDevice({ path, spec }: PlacedEnd, devices: Devices, report: ReportPart): void {
  const claim = deviceOf(spec);
  if (claim === undefined) return;
  const found = devices.get(`${claim.netns} ${claim.name}`);
  if (found === undefined) return;
  const [id, { kind }] = found;
  if (kind !== undefined && kind !== claim.kind) {
    report(
      path,
      `devices.${id} is of kind ${kind}, expected ${claim.kind}`,
      `Give one of them the kind of the other.`,
      {
        at: 0,
        length: claim.kind.length,
      },
    );
  } else if (claim.making !== undefined) {
    const keys: Readonly<Record<string, string>> = { address: 'addresses', route: 'routes' };
    const at = spec.text.indexOf(`${claim.making}=`);
    report(
      path,
      `${claim.name} is a device of devices.${id}, which says what it is like`,
      `Say it there, as ${keys[claim.making] ?? claim.making}, or leave devices.${id} out: then the link makes the device.`,
      { at, length: claim.making.length },
    );
  }
}

function checkDevicesOnce(ends: readonly PlacedEnd[], report: ReportPart): void {
  const taken = new Map<string, PlacedEnd>();
  for (const end of ends) {
    const claim: DeviceClaim | undefined = deviceOf(end.spec);
    if (claim === undefined) continue;
    const key = `${claim.netns} ${claim.name}`;
    const other = taken.get(key);
    if (other === undefined) taken.set(key, end);
    else {
      const place = { at: end.spec.kind.length + 1, length: claim.name.length };
      report(end.path, `${claim.name} is an end of ${whose(other, end)} already`, 'Name another device.', place);
    }
  }
}

function checkListeners(ends: readonly PlacedEnd[], report: ReportPart): void {
  const taken: [ListenerClaim, PlacedEnd][] = [];
  for (const end of ends) {
    for (const claim of claimsOf(end.spec)) {
      const other = taken.find(([one]) => claimsCollide(one, claim))?.[1];
      taken.push([claim, end]);
      if (other === undefined) continue;
      const { kind, where } = end.spec;
      const what = claim.port === 0 ? claim.host : `port ${claim.port}`;
      report(end.path, `${what} is used by ${whose(other, end)} already`, 'Choose another.', {
        at: kind.length + 1,
        length: where.length,
      });
    }
  }
}

function whose(other: PlacedEnd, end: PlacedEnd): string {
  if (other.link === end.link) return end.link.startsWith('links.') ? 'this link' : 'this switch';
  return other.link;
}
