import { describe, expect, it } from 'vitest';

import { DESCRIPTOR_WORDS } from '../link/index.ts';
import { errno, UdpCall } from '../native/index.ts';
import { zeroCounters } from './udp-counters.ts';
import { UdpSender } from './udp-sender.ts';

/** What a kernel refuses: an errno for a message of so many datagrams of a length, 0 when it takes it. */
type Refusal = (datagrams: number, length: number, first: number) => number;

/**
 * A kernel that is not at hand: one that takes or refuses whole messages as a rule says. It sends runs of equal
 * datagrams as one message when asked to, and reports as `native/udp.c` does.
 */
function openSender(refusal: Refusal, hasPending = false) {
  const sent: number[][] = [];
  const counters = zeroCounters();
  const sender = new UdpSender({
    fd: 3,
    options: 0,
    gso: true,
    counters,
    drainErrors: () => !hasPending,
    core: {
      udpSend: (_fd, _bytes, descriptors, _endpoints, from, to, options, status) => {
        status.fill(0);
        const length = (i: number): number => descriptors[i * DESCRIPTOR_WORDS + 1] as number;
        const limit = options >>> UdpCall.segmentLimitShift;
        for (let at = from; at < to; ) {
          let end = at + 1;
          const joins = (options & UdpCall.offload) !== 0 && (limit === 0 || length(at) <= limit);
          while (joins && end < to && length(end) === length(at)) end++;
          const datagrams = end - at;
          const error = refusal(datagrams, length(at), at);
          if (error !== 0) {
            status.set([error, status[1] ?? 0, status[2] ?? 0, datagrams, datagrams, datagrams > 1 ? length(at) : 0]);
            return at - from;
          }
          sent.push(Array.from({ length: datagrams }, (_, i) => at + i));
          status[1] = (status[1] as number) + datagrams * length(at);
          status[2] = (status[2] as number) + datagrams;
          status[6] = (status[6] as number) + 1;
          at = end;
        }
        return to - from;
      },
    },
  });
  const send = (...lengths: number[]): number => {
    const descriptors = Uint32Array.from(lengths.flatMap((length) => [0, length, 0, 0]));
    return sender.send(new Uint8Array(70_000), descriptors, undefined, 0, lengths.length);
  };
  return { sender, send, sent, counters };
}

describe('a sender', () => {
  it('gives segments up for good where the device computes no checksums', () => {
    const { sender, send, sent, counters } = openSender((datagrams) => (datagrams > 1 ? errno.EIO : 0));
    expect(send(100, 100, 100)).toBe(3);
    expect(sent).toEqual([[0], [1], [2]]);
    expect(sender.gso).toBe(false);
    expect(counters).toMatchObject({ datagramsSent: 3, bytesSent: 300, messagesSent: 3 });
  });

  it.each(['EINVAL', 'EMSGSIZE'] as const)('gives segments up for datagrams that do not fit the MTU (%s)', (name) => {
    const rule: Refusal = (datagrams, length) => (datagrams > 1 && length > 1472 ? errno[name] : 0);
    const { sender, send, sent, counters } = openSender(rule);
    expect(send(100, 100, 2000, 2000, 1000, 1000)).toBe(6);
    expect(sent).toEqual([[0, 1], [2], [3], [4, 5]]);
    expect(sender.gso).toBe(true);
    expect(counters.datagramsSent).toBe(6);
    expect(Object.values(counters.sendDropped).every((count) => count === 0)).toBe(true);
  });

  it('tries segments again once the path has changed', () => {
    let mtu = 1472;
    const { sender, send, sent } = openSender((datagrams, length) =>
      datagrams > 1 && length > mtu ? errno.EINVAL : 0,
    );
    send(2000, 2000);
    mtu = 8972;
    send(2000, 2000);
    sender.forgetLimit();
    send(2000, 2000);
    expect(sent).toEqual([[0], [1], [0], [1], [0, 1]]);
  });

  it('tries a datagram once more when the error may be one of an earlier datagram', () => {
    let pending = true;
    const rule: Refusal = () => {
      const error = pending ? errno.ECONNREFUSED : 0;
      pending = false;
      return error;
    };
    const { send, sent, counters } = openSender(rule, true);
    expect(send(10, 20)).toBe(2);
    expect(sent).toEqual([[0], [1]]);
    expect(counters.sendDropped.refused).toBe(0);
  });

  it('counts what is refused for good by reason and goes on behind it', () => {
    const rule: Refusal = (_datagrams, _length, first) => [0, errno.EHOSTUNREACH, errno.ENOBUFS, 0, 96][first] ?? 0;
    const { sender, send, sent, counters } = openSender(rule);
    expect(send(1, 2, 3, 4, 5)).toBe(5);
    expect(sent).toEqual([[0], [3]]);
    expect(counters.sendDropped).toMatchObject({ 'host-unreachable': 1, 'queue-full': 1, invalid: 1 });
    expect(sender.blocked).toBe(false);
  });

  it('stops at pressure and says how many were taken', () => {
    let room = 2;
    const { sender, send } = openSender(() => (room-- > 0 ? 0 : errno.EAGAIN));
    expect(send(1, 2, 3, 4)).toBe(2);
    expect(sender.blocked).toBe(true);
    room = 9;
    expect(send(3, 4)).toBe(2);
    expect(sender.blocked).toBe(false);
  });
});
