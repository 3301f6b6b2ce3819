/** The address by which a switch is known to other bridges. */

import { randomBytes } from 'node:crypto';

/** A locally administered address, by chance: a switch has none of its own. */
export function ownSwitchMac(): Uint8Array {
  const mac = randomBytes(6);
  mac[0] = ((mac[0] as number) & 0xfc) | 0x02;
  return mac;
}
