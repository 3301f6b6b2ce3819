/**
 * Ends that are joined in memory by a name: the first of a name waits for the second, a third is refused. Names are those of this
 * process. When one of the two is closed, the other has lost what it was joined to, and the name is free again.
 */

import { VnicError } from '../../base/index.ts';
import { createLinkPair, type Medium, type PacketLink } from '../../link/index.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import type { EndSpec } from '../end-spec.ts';
import { DEFAULT_MTU, readMtu } from '../option-values.ts';

interface Pair {
  readonly medium: Medium;
  /** Until the second end has come. */
  waiting: PacketLink | undefined;
}

const pairs = new Map<string, Pair>();

/** Opens `pair`. @throws VNIC_INVALID_END, VNIC_DEVICE_BUSY for a third end, VNIC_MEDIUM_MISMATCH */
export async function openPairEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  const { where: name } = spec;
  const label = `pair ${name}`;
  const found = pairs.get(name);
  const pair = found ?? { medium: options.medium, waiting: undefined };
  const link = found === undefined ? begin(pair, spec, options) : complete(found, spec, options.medium);
  const free = (): void => {
    if (pairs.get(name) === pair) pairs.delete(name);
    // Nobody can come any more.
    void pair.waiting?.close();
  };
  link.on('gone', free);
  return {
    link,
    label,
    close: async () => {
      free();
      await link.close();
    },
  };
}

function begin(pair: Pair, spec: EndSpec, { medium, mtu }: OpenEndOptions): PacketLink {
  const [first, second] = createLinkPair({
    medium,
    mtu: readMtu(spec) ?? mtu ?? DEFAULT_MTU,
    names: [`pair ${spec.where}`, `pair ${spec.where}`],
  });
  pair.waiting = second;
  pairs.set(spec.where, pair);
  return first;
}

function complete(pair: Pair, { where, text }: EndSpec, medium: Medium): PacketLink {
  const { waiting } = pair;
  if (waiting === undefined) {
    throw new VnicError('VNIC_DEVICE_BUSY', {
      attempted: `open ${text}`,
      reason: `two ends of the name ${where} are joined already`,
      hint: 'A pair has two ends: choose another name.',
    });
  }
  if (pair.medium !== medium) {
    throw new VnicError('VNIC_MEDIUM_MISMATCH', {
      attempted: `open ${text}`,
      reason: `the first end of that name carries ${inWords(pair.medium)}, and this one ${inWords(medium)}`,
      hint: 'Join both to ends of one medium, or say it at both: medium=ip or medium=ethernet.',
    });
  }
  pair.waiting = undefined;
  return waiting;
}

function inWords(medium: Medium): string {
  return medium === 'ip' ? 'IP packets' : 'Ethernet frames';
}
