/** Prints a decoded line for every packet that the kernel sends to a TAP device. */
import { openDevice } from 'vnic';
import { describePacket } from 'vnic/wire';

const tap = await openDevice({ kind: 'tap', name: 'tap%d', addresses: ['10.0.0.1/24', 'fd00::1/64'], up: true });
console.log(`${tap.name} is up: try "ping 10.0.0.2" and see the ARP requests`);

for await (const batch of tap) {
  for (const frame of batch) console.log(describePacket(frame, 'ethernet'));
}
