/** The MTU of a device that was made for a link is kept at what the other end carries. */

import { isVnicError } from '../base/index.ts';
import type { CarrierPolicy } from './carrier.ts';
import type { OpenEnd } from './end.ts';

/**
 * Tells of each change of one end's MTU, and sets that of the other where it is a device that was made here. A device that cannot
 * be set keeps its MTU; what is too long is then answered one by one.
 * @returns what stops that
 */
export function followMtu({ link }: OpenEnd, other: OpenEnd, onEvent: CarrierPolicy['onEvent']): () => void {
  let wanted: number | undefined;
  let isSetting = false;
  const set = async (): Promise<void> => {
    if (isSetting || other.setMtu === undefined) return;
    isSetting = true;
    try {
      while (wanted !== undefined && !other.link.closed) {
        const mtu = wanted;
        wanted = undefined;
        await other.setMtu(mtu);
      }
    } catch (error) {
      if (!isVnicError(error)) throw error;
    } finally {
      isSetting = false;
    }
  };
  const stop = link.on('mtu', (mtu) => {
    onEvent?.({ event: 'mtu', link: link.name, mtu });
    wanted = mtu;
    void set();
  });
  // What has changed while the device was made.
  wanted = link.mtu < other.link.mtu ? link.mtu : undefined;
  void set();
  return stop;
}
