/** The picture of links and tunnels: this host, and one in the namespace `far`, with a cable between them. */

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';

/** Begins anew: `v0` has 198.51.100.1 and 2001:db8::1, and `v1` in `far` 198.51.100.2 and 2001:db8::2. */
export function joinTwoHosts(): void {
  wipe();
  ip('link set lo up');
  ip('netns add far');
  ip('-n far link set lo up');
  ip('link add v0 type veth peer name v1 netns far');
  for (const [place, name, host] of [
    ['', 'v0', 1],
    ['-n far ', 'v1', 2],
  ]) {
    ip(`${place}addr add 198.51.100.${host}/24 dev ${name}`);
    ip(`${place}addr add 2001:db8::${host}/64 dev ${name} nodad`);
    ip(`${place}link set ${name} up`);
  }
}
