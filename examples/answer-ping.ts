/** Answers `ping 10.0.0.2` by hand: swap the addresses, set the ICMP type, mend the checksum (RFC 1624). */
import { openDevice } from 'vnic';
import { updateChecksum16 } from 'vnic/wire';

const tun = await openDevice({ kind: 'tun', name: 'tun%d', addresses: ['10.0.0.1/24'], up: true });
console.log(`${tun.name} is up: try "ping 10.0.0.2"`);

for await (const batch of tun) {
  for (const packet of batch) {
    const isEchoRequest = packet[0] === 0x45 && packet[9] === 1 && packet[20] === 8;
    if (!isEchoRequest) continue;
    const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
    const source = view.getUint32(12);
    view.setUint32(12, view.getUint32(16));
    view.setUint32(16, source);
    view.setUint16(20, 0x0000);
    view.setUint16(22, updateChecksum16(view.getUint16(22), 0x0800, 0x0000));
    tun.write(packet);
  }
}
