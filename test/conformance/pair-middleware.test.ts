/** Every middleware under the link conformance suite, around in-memory links and around carriers of the kernel. */

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

import { describe, it } from 'vitest';

import { lengthFraming } from '../../src/framing/index.ts';
import { createLinkPair, type LinkPairOptions, type PacketLink } from '../../src/link/index.ts';
import { clampMss, compress, impair, shape } from '../../src/middleware/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases } from '../../src/testing/index.ts';
import { openUdp, StreamLink, UdpLink } from '../../src/transport/index.ts';

interface Middleware {
  readonly wrap: (link: PacketLink) => PacketLink;
  /** What the other end needs to understand it. */
  readonly wrapPeer?: (link: PacketLink) => PacketLink;
  /** Packets wait, and there are only so many of them. */
  readonly takesAll?: boolean;
  /** Tried around carriers of the kernel too. */
  readonly onCarriers?: boolean;
}

const fast = { rateBitsPerSecond: 1e12 };
const middlewares: Readonly<Record<string, Middleware>> = {
  'an impairment that does nothing': { wrap: (link) => impair(link) },
  'a delay both ways': {
    wrap: (link) =>
      impair(link, { toLink: { delayMs: 2, queuePackets: 100_000 }, fromLink: { delayMs: 2, queuePackets: 100_000 } }),
    takesAll: true,
    onCarriers: true,
  },
  'a rate that nothing reaches': {
    wrap: (link) => impair(link, { toLink: { ...fast, delayMs: 0.01 }, fromLink: { ...fast, delayMs: 0.01 } }),
    takesAll: true,
  },
  shaping: { wrap: (link) => shape(link, { toLink: fast, fromLink: fast }) },
  'shaping of one direction': { wrap: (link) => shape(link, { fromLink: fast }) },
  compression: { wrap: (link) => compress(link), wrapPeer: (link) => compress(link) },
  'MSS clamping': { wrap: (link) => clampMss(link), onCarriers: true },
  'all of them': {
    wrap: (link) => clampMss(compress(shape(impair(link), { toLink: fast, fromLink: fast }))),
    wrapPeer: (link) => compress(link),
    onCarriers: true,
  },
};

function harnessOf([link, peer]: readonly [PacketLink, PacketLink], middleware: Middleware): LinkHarness {
  return joinedLinksHarness(middleware.wrap(link), middleware.wrapPeer?.(peer) ?? peer);
}

const pairs: readonly LinkPairOptions[] = [
  { medium: 'ip', mtu: 1500, capacityPackets: 64 },
  { medium: 'ethernet', mtu: 1500, capacityPackets: 64 },
  { medium: 'ip', mtu: 65_535, capacityPackets: 16 },
];

describe.each(Object.entries(middlewares))('%s', (_name, middleware) => {
  const cases = linkConformanceCases.filter(({ needs }) => needs !== 'backPressure' || !middleware.takesAll);

  describe.each(pairs)('around an in-memory link of $medium, MTU $mtu', (options) => {
    it.each(cases)('$title', ({ run }) => run(async () => harnessOf(createLinkPair(options), middleware)));
  });
});

const onCarriers = Object.entries(middlewares).filter(([, middleware]) => middleware.onCarriers);

describe.each(onCarriers)('%s', (_name, middleware) => {
  describe('around TCP', () => {
    const overTcp = linkConformanceCases.filter(({ needs }) => needs !== 'backPressure');
    it.each(overTcp)('$title', ({ run }) => run(async () => harnessOf(await tcpLinks(), middleware)));
  });

  describe('around UDP', () => {
    const overUdp = linkConformanceCases.filter(({ needs }) => needs === undefined);
    it.each(overUdp)('$title', ({ run }) => run(async () => harnessOf(await udpLinks(), middleware)));
  });
});

async function tcpLinks(): Promise<[PacketLink, PacketLink]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const near = connect(port, '127.0.0.1');
  const [[far]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(near, 'connect')]);
  server.close();
  const link = (name: string, stream: Socket): StreamLink => {
    const made = new StreamLink({ name, medium: 'ip', framing: lengthFraming });
    made.attach(stream);
    return made;
  };
  return [link('near', near), link('far', far)];
}

async function udpLinks(): Promise<[PacketLink, PacketLink]> {
  const far = await openUdp({ local: { address: '127.0.0.1', port: 0 } });
  const near = await openUdp({ local: { address: '127.0.0.1', port: 0 }, remote: far.local });
  const options = { medium: 'ip', mtu: 1500 } as const;
  const [a, b] = [new UdpLink(near, options), new UdpLink(far, options)];
  // The listening end knows whom to answer once it has heard of it. Without payload it counts nowhere.
  near.send(new Uint8Array(0));
  while (b.peer === undefined) await b.read({ signal: AbortSignal.timeout(20) }).catch(() => undefined);
  return [a, b];
}
