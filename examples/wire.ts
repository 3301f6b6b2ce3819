/** A wire between two TUN devices: what the kernel sends into one, it receives from the other, and back. */
import { forward, TunDevice } from 'vnic';

await using left = await TunDevice.open({ name: 'left%d' });
await using right = await TunDevice.open({ name: 'right%d' });
await using wire = forward(left, right);
console.log(`${left.name} and ${right.name} are joined; move one to another namespace and ping through it`);
await wire.done;
