/**
 * From the text of an end to a link that carries packets: which file of `kinds/` opens it. Each is loaded when it is needed, since
 * the grammar alone is what most programs come here for.
 */

import type { OpenEnd, OpenEndOptions } from './end.ts';
import type { EndSpec } from './end-spec.ts';

/**
 * Opens an end.
 * @throws VNIC_INVALID_END, VNIC_PEER_UNREACHABLE (of a datagram end, or with `once`), VNIC_SYSTEM_CALL, VNIC_PROGRAM_MISSING,
 *   VNIC_NO_SUCH_INTERFACE (with `mustExist`), VNIC_IDENTITY; with `once` VNIC_PEER_CHANGED, VNIC_PEER_UNTRUSTED; what
 *   `openDevice` throws
 */
export async function openEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  switch (spec.kind) {
    case 'tun':
    case 'tap':
      return (await import('./kinds/device.ts')).openDeviceEnd(spec, spec.kind, options);
    case 'udp':
    case 'udp-listen':
      return (await import('./kinds/udp.ts')).openUdpEnd(spec, options);
    case 'if':
      return (await import('./kinds/interface.ts')).openInterfaceEnd(spec);
    case 'pcap':
      return (await import('./kinds/pcap.ts')).openPcapEnd(spec, options);
    case 'pair':
      return (await import('./kinds/pair.ts')).openPairEnd(spec, options);
    case 'vxlan':
    case 'vxlan-listen':
      return (await import('./kinds/vxlan.ts')).openVxlanEnd(spec);
    case 'qemu-dgram':
      return (await import('./kinds/qemu-datagram.ts')).openQemuDatagramEnd(spec, options);
    case 'vde':
      return (await import('./kinds/vde.ts')).openVdeEnd(spec, options);
    case 'serial':
      return (await import('./kinds/serial.ts')).openSerialEnd(spec, options);
    case 'echo':
      return (await import('./kinds/in-memory.ts')).openEcho(spec, options);
    case 'null':
      return (await import('./kinds/in-memory.ts')).openNull(spec, options);
    case 'tls':
    case 'tls-listen':
      return (await import('./kinds/tls.ts')).openTlsEnd(spec, options);
    case 'ws':
    case 'wss':
    case 'ws-listen':
      return (await import('./kinds/websocket.ts')).openWebSocketEnd(spec, options);
    case 'tcp':
    case 'tcp-listen':
    case 'unix':
    case 'unix-listen':
    case 'qemu':
    case 'qemu-listen':
    case 'stdio':
    case 'exec':
      return (await import('./kinds/stream.ts')).openStreamEnd(spec, options);
  }
}
