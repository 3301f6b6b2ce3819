/** Plays a whole subnet of hosts that are 80 ms away, lose 2 % and have a hop limit of 57. */
import { attachResponder, Cidr, createResponder, openDevice, seededRandom, systemClock } from 'vnic';

const tun = await openDevice({ kind: 'tun', name: 'tun%d', addresses: ['10.0.0.1/24', 'fd00::1/64'], up: true });
const responder = createResponder({
  medium: tun.medium,
  mtu: tun.mtu,
  answer: [Cidr.parse('10.0.0.0/24'), Cidr.parse('fd00::/64')],
  delayMs: 80,
  jitterMs: 5,
  loss: 0.02,
  hopLimit: 57,
  random: seededRandom(1),
});
console.log(`${tun.name} is up: try "ping 10.0.0.77" and "ping fd00::77"`);
await attachResponder(tun, responder, systemClock).done;
