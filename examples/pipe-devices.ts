/** Joins two TUN devices by web streams: what one is sent by the kernel, the other hands back to it. */
import { TunDevice } from 'vnic';

const left = await TunDevice.open({ name: 'left%d' });
const right = await TunDevice.open({ name: 'right%d' });
console.log(`joined ${left.name} and ${right.name}`);

const [a, b] = [left.toWeb(), right.toWeb()];
await Promise.all([a.readable.pipeTo(b.writable), b.readable.pipeTo(a.writable)]);
