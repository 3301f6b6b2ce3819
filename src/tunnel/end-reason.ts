/** Why a connection of a tunnel has ended, as an error. */

import { VnicError } from '../base/index.ts';
import type { EndReason } from './client-core.ts';

/** The error of an end; VNIC_TUNNEL_REFUSED for what trying again does not mend. */
export function endError(peer: string, reason: EndReason): VnicError {
  const [why, hint] = endTexts[reason];
  return new VnicError(finalReasons.includes(reason) ? 'VNIC_TUNNEL_REFUSED' : 'VNIC_TUNNEL_ENDED', {
    attempted: `use the tunnel to ${peer}`,
    reason: why,
    hint,
  });
}

/** True for what trying again does not mend. */
export function isFinal({ code }: VnicError): boolean {
  return !(code === 'VNIC_PEER_UNREACHABLE' || code === 'VNIC_DEVICE_GONE' || code === 'VNIC_TUNNEL_ENDED');
}

const finalReasons: readonly EndReason[] = ['version', 'medium', 'super-packets'];

const endTexts: Readonly<Record<EndReason, readonly [why: string, hint: string]>> = {
  bye: ['the other side has ended it', 'Wait until it is there again.'],
  silent: ['nothing is heard of the other side', 'See that it runs, and that nothing on the way forbids it.'],
  disconnected: ['the connection has ended', 'Wait until it is made again.'],
  protocol: ['what comes is not the protocol of a tunnel', 'See that `vnic tunnel listen` is at the other side.'],
  replaced: ['another connection of the same client took its place', 'Give each client a key of its own.'],
  version: ['the other side has another version of the protocol', 'Install the same version of vnic at both sides.'],
  'super-packets': [
    'the other side carries super-packets, and this one cannot',
    'Give the listening side `--offload off`.',
  ],
  medium: ['one side has a TUN device and the other a TAP device', 'Give both `--tun`, or both `--tap`.'],
  'not-allowed': ['the other side does not allow this client', 'Allow its fingerprint there.'],
  'no-address': ['the other side has no address left', 'Give it a larger subnet.'],
  busy: ['the other side has as many clients as it takes', 'Try later, or raise its limit.'],
};
