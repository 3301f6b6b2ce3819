/** Ends that are in this process: hosts that answer, and nothing at all. */

import { Cidr } from '../../base/index.ts';
import { attachResponder, createResponder } from '../../host/index.ts';
import { createLinkPair } from '../../link/index.ts';
import { systemClock } from '../../netdev/index.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, mistake, readEach } from '../end-spec.ts';
import { DEFAULT_MTU, MAX_MTU } from '../option-values.ts';

/** Opens `echo`. @throws VNIC_INVALID_END */
export async function openEcho(spec: EndSpec, { medium, mtu = DEFAULT_MTU }: OpenEndOptions): Promise<OpenEnd> {
  const parse = (text: string): Cidr => Cidr.parse(text).network;
  let first: Cidr;
  try {
    first = parse(spec.where);
  } catch {
    throw mistake(
      spec.text,
      spec.kind.length + 1,
      spec.where.length,
      `expected an address or a subnet, found ${JSON.stringify(spec.where)}`,
      {
        hint: 'For example echo:10.0.0.2.',
      },
    );
  }
  const answer = [first, ...readEach(spec, 'also', 'an address or a subnet', parse)];
  const [link, inside] = createLinkPair({ medium, mtu, names: [`echo ${answer.join(', ')}`, 'echo'] });
  const attached = attachResponder(inside, createResponder({ medium, mtu, answer }), systemClock);
  attached.done.catch(() => undefined);
  return { link, label: `echo of ${answer.join(', ')}`, close: () => link.close() };
}

/** Opens `null`. */
export async function openNull(_spec: EndSpec, { medium, mtu = MAX_MTU }: OpenEndOptions): Promise<OpenEnd> {
  const [link, inside] = createLinkPair({ medium, mtu, names: ['null', 'null'] });
  inside.onBatch(
    () => undefined,
    () => undefined,
  );
  return { link, label: 'null', close: () => link.close() };
}
