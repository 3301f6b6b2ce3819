import { describe, expect, it } from 'vitest';

import { NLM_F_DUMP } from './constants.ts';
import { Exchange, parseOutcome } from './exchange.ts';
import { MessageBuilder, type NetlinkMessage, splitMessages } from './message.ts';
import { exchangeError, type RequestSubject, refusalError } from './request-error.ts';

const MULTI = 2;
const INTERRUPTED = 0x10;
const CAPPED = 0x100;
const TLVS = 0x200;

function status(
  type: number,
  flags: number,
  value: number,
  rest: (builder: MessageBuilder) => void = () => undefined,
): MessageBuilder {
  const builder = new MessageBuilder(type, flags).fixed(4, (view) => view.setInt32(0, value, true));
  rest(builder);
  return builder;
}

const ack = (): MessageBuilder => status(2, CAPPED, 0, (builder) => builder.fixed(16, () => undefined));
const done = (flags = MULTI): MessageBuilder => status(3, flags, 0);
const refusal = (errno: number, text?: string): MessageBuilder =>
  status(2, CAPPED | TLVS, -errno, (builder) => {
    builder.fixed(16, () => undefined);
    if (text !== undefined) builder.text(1, text).u32(2, 28);
  });

function datagram(...messages: readonly [MessageBuilder, number][]): Uint8Array {
  return Uint8Array.from(messages.flatMap(([message, sequence]) => [...message.finish(sequence)]));
}

function only(message: MessageBuilder): NetlinkMessage {
  return splitMessages(message.finish(1)).messages[0] as NetlinkMessage;
}

describe('Exchange', () => {
  it('ends a change with its acknowledgement', () => {
    const exchange = new Exchange(5, 5, () => undefined);
    expect(exchange.take(datagram([ack(), 5]))).toEqual({ end: 'ok' });
  });

  it('collects a dump over many datagrams up to NLMSG_DONE', () => {
    const types: number[] = [];
    const exchange = new Exchange(5, NLM_F_DUMP, ({ type }) => void types.push(type));
    expect(exchange.take(datagram([new MessageBuilder(16, MULTI), 5], [new MessageBuilder(1, 0), 5]))).toBeUndefined();
    expect(exchange.take(datagram([new MessageBuilder(20, MULTI), 5], [done(), 5]))).toEqual({ end: 'ok' });
    expect(types).toEqual([16, 20]);
  });

  it('skips what answers a request that was given up', () => {
    const types: number[] = [];
    const exchange = new Exchange(5, 5, ({ type }) => void types.push(type));
    expect(exchange.take(datagram([new MessageBuilder(16, 0), 4], [refusal(1), 4], [done(), 4]))).toBeUndefined();
    expect(types).toEqual([]);
  });

  it('asks for a dump again that was interrupted, lost a part, or overran', () => {
    const interrupted = new Exchange(5, NLM_F_DUMP, () => undefined);
    interrupted.take(datagram([new MessageBuilder(16, MULTI | INTERRUPTED), 5]));
    expect(interrupted.take(datagram([done(), 5]))).toEqual({ end: 'inconsistent' });
    const lossy = new Exchange(5, NLM_F_DUMP, () => undefined);
    lossy.markLoss();
    expect(lossy.take(datagram([done(), 5]))).toEqual({ end: 'inconsistent' });
    const overrun = new Exchange(5, NLM_F_DUMP, () => undefined);
    expect(overrun.take(datagram([new MessageBuilder(4, 0), 5]))).toEqual({ end: 'inconsistent' });
  });

  it('reads a dump to its end although a message in it is malformed', () => {
    const exchange = new Exchange(5, NLM_F_DUMP, () => 'truncated');
    expect(exchange.take(datagram([new MessageBuilder(16, MULTI), 5]))).toBeUndefined();
    expect(exchange.take(datagram([done(), 5]))).toEqual({ end: 'malformed', fault: 'truncated' });
  });

  it('ends as malformed where messages can no longer be told apart', () => {
    const exchange = new Exchange(5, 5, () => undefined);
    expect(exchange.take(new Uint8Array(15))).toEqual({ end: 'malformed', fault: 'truncated' });
  });

  it('neither throws nor ends well on any truncated refusal', () => {
    const whole = datagram([refusal(17, 'ipv4: Address already assigned'), 5]);
    for (let length = 1; length < whole.length; length++) {
      const end = new Exchange(5, 5, () => undefined).take(whole.slice(0, length));
      expect(end?.end).toBe('malformed');
    }
  });
});

describe('parseOutcome', () => {
  it('reads the extended ACK behind a capped and a full echo of the request', () => {
    expect(parseOutcome(only(refusal(22, 'mtu less than device minimum')))).toEqual({
      errno: 22,
      text: 'mtu less than device minimum',
      offset: 28,
    });
    const full = status(2, TLVS, -22, (builder) => {
      builder.fixed(21, (view) => view.setUint32(0, 21, true)).text(1, 'why');
    });
    expect(parseOutcome(only(full))).toEqual({ errno: 22, text: 'why' });
  });

  it('reads the status and the words of a refused dump', () => {
    expect(parseOutcome(only(status(3, MULTI | TLVS, -2, (builder) => builder.text(1, 'no such table'))))).toEqual({
      errno: 2,
      text: 'no such table',
    });
    expect(parseOutcome(only(new MessageBuilder(3, MULTI)))).toBeUndefined();
  });

  it('keeps the errno of a refusal whose explanation is damaged', () => {
    const damaged = status(2, CAPPED | TLVS, -1, (builder) =>
      builder.fixed(20, (view) => view.setUint16(16, 99, true)),
    );
    expect(parseOutcome(only(damaged))).toEqual({ errno: 1 });
  });

  it('finds a status of fewer than 4 bytes truncated', () => {
    expect(parseOutcome(only(new MessageBuilder(2, 0)))).toBe('truncated');
  });
});

describe('refusalError', () => {
  const context = (subject: RequestSubject) => ({ subject, attempted: 'do it', call: 'RTM_X' });

  it.each<[number, RequestSubject, string]>([
    [1, 'link', 'VNIC_NO_PRIVILEGE'],
    [19, 'address', 'VNIC_NO_SUCH_INTERFACE'],
    [16, 'link', 'VNIC_DEVICE_BUSY'],
    [17, 'link', 'VNIC_DEVICE_EXISTS'],
    [17, 'address', 'VNIC_ADDRESS_EXISTS'],
    [17, 'route', 'VNIC_ROUTE_EXISTS'],
    [99, 'address', 'VNIC_NO_SUCH_ADDRESS'],
    [99, 'link', 'VNIC_INVALID_ARGUMENT'],
    [3, 'route', 'VNIC_NO_SUCH_ROUTE'],
    [3, 'link', 'VNIC_NETLINK'],
    [13, 'address', 'VNIC_UNSUPPORTED'],
    [22, 'neighbour', 'VNIC_INVALID_ARGUMENT'],
    [100, 'route', 'VNIC_LINK_DOWN'],
    [12, 'route', 'VNIC_NETLINK'],
  ])('tells errno %i of a %s as %s', (errno, subject, code) => {
    const error = refusalError({ errno }, context(subject));
    expect([error.code, error.syscall, error.reason === '']).toEqual([code, 'RTM_X', false]);
  });

  it('has the words of the kernel, else those of the C library where the code says little', () => {
    expect(refusalError({ errno: 22, text: 'because' }, context('link')).message).toBe(
      'cannot do it: because [RTM_X: EINVAL]',
    );
    expect(refusalError({ errno: 22 }, context('link')).reason).toBe('invalid argument');
    expect(refusalError({ errno: 4095 }, context('link')).errno).toBe('E4095');
  });

  it('is undefined for an exchange that went well', () => {
    expect(exchangeError({ end: 'ok' }, context('link'))).toBeUndefined();
    expect(exchangeError({ end: 'inconsistent' }, context('link'))?.code).toBe('VNIC_NETLINK');
    expect(exchangeError({ end: 'malformed', fault: 'bad-length' }, context('link'))?.reason).toContain('bad-length');
  });
});
