/** Ends that are the other side of QEMU's `-netdev dgram`: an Ethernet frame a datagram, by UDP or by Unix sockets. */

import { VnicError } from '../../base/index.ts';
import { DatagramLink, openDatagramPeer, openUdp, UdpLink } from '../../transport/index.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, mistake, parseHostPort, readOption } from '../end-spec.ts';
import { resolveHost } from '../host-address.ts';
import { DEFAULT_MTU, readMtu, wholeNumber } from '../option-values.ts';
import { describeAddress } from '../streams.ts';

/** Opens `qemu-dgram`. @throws VNIC_INVALID_END, VNIC_PEER_UNREACHABLE for a name that is not known, VNIC_SYSTEM_CALL */
export async function openQemuDatagramEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  const isPath = spec.where.includes('/');
  const [needed, other] = isPath ? (['local', 'port'] as const) : (['port', 'local'] as const);
  if (spec.options.has(other)) {
    const what = isPath ? 'the path of this side' : 'the port of this side';
    throw mistake(spec.text, spec.text.indexOf(`${other}=`), other.length, `expected ${needed}=, ${what}`, {
      hint: example(isPath),
    });
  }
  if (!spec.options.has(needed)) {
    throw mistake(spec.text, spec.text.length, 1, `${spec.kind} needs ${needed}=, where QEMU sends to`, {
      hint: example(isPath),
    });
  }
  // What a guest sends has 1500 bytes, whatever the path takes: the kernel then fragments.
  const mtu = readMtu(spec) ?? DEFAULT_MTU;
  return isPath ? openUnix(spec, mtu, options) : await openInet(spec, mtu);
}

function example(isPath: boolean): string {
  return isPath
    ? 'For example qemu-dgram:/run/vm.sock,local=/run/vnic.sock, where QEMU has local.path=/run/vm.sock,remote.path=/run/vnic.sock.'
    : 'For example qemu-dgram:127.0.0.1:5001,port=5002, where QEMU has local.port=5001,remote.port=5002.';
}

async function openInet(spec: EndSpec, mtu: number): Promise<OpenEnd> {
  const { host, port } = parseHostPort(spec);
  const localPort = readOption(spec, 'port', 'a port', (text) => wholeNumber(text, 1, 0xffff)) ?? 0;
  const address = await resolveHost(spec, host);
  const socket = await openUdp({ remote: { address, port }, local: { port: localPort } });
  const label = `QEMU datagrams to ${describeAddress({ host, port })}`;
  const link = new UdpLink(socket, { medium: 'ethernet', mtu, name: `${spec.kind} ${spec.where}` });
  return { link, label, close: () => link.close() };
}

function openUnix(spec: EndSpec, mtu: number, { onEvent }: OpenEndOptions): OpenEnd {
  const local = spec.options.get('local')?.at(-1) ?? '';
  const name = `${spec.kind} ${spec.where}`;
  const link = new DatagramLink({ name, medium: 'ethernet', mtu, keep: true });
  const tell = (isThere: boolean): void => {
    if (isThere) onEvent?.({ event: 'up', link: name, peer: spec.where });
    else onEvent?.({ event: 'down', link: name, error: absent(spec.where) });
  };
  const peer = openDatagramPeer({
    local,
    remote: spec.where,
    onPeer: (isThere) => {
      link.noteUp(isThere);
      tell(isThere);
    },
  });
  link.attach(peer);
  tell(peer.isConnected);
  return { link, label: `QEMU datagrams to ${spec.where}`, close: () => link.close() };
}

function absent(path: string): VnicError {
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted: `send to ${path}`,
    reason: 'nobody is there',
    hint: 'Start QEMU; it is found by itself.',
  });
}
