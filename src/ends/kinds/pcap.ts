/** Ends that are capture files: played, or written. */

import { captureMedium, openPlayer, openRecorderLink } from '../../capture/index.ts';
import type { Medium } from '../../link/index.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, mistake, readOption } from '../end-spec.ts';
import { isPlayed } from '../medium.ts';
import { readMtu, wholeNumber } from '../option-values.ts';

/** Options that only a played file has, and only a recorded one. */
const PLAY_ONLY = ['speed', 'loop'] as const;
const RECORD_ONLY = ['format', 'snaplen', 'overwrite', 'medium'] as const;
const MAX_SNAPLEN = 262_144;

/** What the packets of the file are. @throws what `captureMedium` throws */
export function mediumOfPlayed(spec: EndSpec): Medium {
  checkOptions(spec);
  return captureMedium(spec.where);
}

/** Opens `pcap`. @throws VNIC_INVALID_END; what `openPlayer` and `openRecorder` throw */
export async function openPcapEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  checkOptions(spec);
  return isPlayed(spec) ? play(spec, options) : record(spec, options);
}

async function play(spec: EndSpec, { onEvent }: OpenEndOptions): Promise<OpenEnd> {
  const mtu = readMtu(spec);
  const link = await openPlayer({
    path: spec.where,
    speed: readOption(spec, 'speed', 'max, or a number above 0', readSpeed) ?? 1,
    loop: spec.options.has('loop'),
    ...(mtu !== undefined && { mtu }),
    onPlayed: ({ packets, skipped }) => {
      const found = Object.fromEntries(Object.entries(skipped).filter(([, count]) => count > 0));
      onEvent?.({ event: 'played', link: spec.where, packets, skipped: found });
    },
  });
  return { link, label: `capture file ${spec.where}`, close: () => link.close() };
}

async function record(spec: EndSpec, { medium }: OpenEndOptions): Promise<OpenEnd> {
  const mtu = readMtu(spec);
  const formats = { pcap: 'pcap', pcapng: 'pcapng' } as const;
  const format = readOption(spec, 'format', 'pcap or pcapng', (text) => formats[text as 'pcap' | 'pcapng']);
  const snapLen = readOption(spec, 'snaplen', `a whole number from 1 to ${MAX_SNAPLEN}`, (text) =>
    wholeNumber(text, 1, MAX_SNAPLEN),
  );
  const link = await openRecorderLink({
    path: spec.where,
    medium,
    overwrite: spec.options.has('overwrite'),
    ...(format !== undefined && { format }),
    ...(snapLen !== undefined && { snapLen }),
    ...(mtu !== undefined && { mtu }),
  });
  return { link, label: `recording to ${spec.where}`, close: () => link.close() };
}

function checkOptions(spec: EndSpec): void {
  const isRecorded = !isPlayed(spec);
  if (spec.where === '-') {
    throw mistake(spec.text, spec.text.indexOf('-'), 1, 'a capture file as an end needs a name', {
      hint: 'To see what passes a link, `vnic link … --capture -` writes to standard output.',
    });
  }
  const wrong = (isRecorded ? PLAY_ONLY : RECORD_ONLY).find((name) => spec.options.has(name));
  if (wrong === undefined) return;
  const at = spec.text.indexOf(`,${wrong}`, spec.text.indexOf(','));
  throw mistake(
    spec.text,
    at + 1,
    wrong.length,
    isRecorded ? `${wrong} is of a file that is played` : `${wrong} is of a file that is recorded`,
    { hint: isRecorded ? `Leave out ${wrong} or record.` : `Add record, or leave out ${wrong}.` },
  );
}

function readSpeed(text: string): number | undefined {
  if (text === 'max') return Number.POSITIVE_INFINITY;
  const value = /^[0-9]{1,6}(\.[0-9]{1,6})?$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : undefined;
}
