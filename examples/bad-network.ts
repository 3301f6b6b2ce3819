/** A network of three hosts with bad links, in memory and in virtual time: a minute of it takes a moment, and is the same each time. */
import { createTestNetwork } from 'vnic/testing';

await using network = createTestNetwork({ seed: 7 });
const laptop = network.host('laptop', ['10.0.0.1', 'fd00::1']);
const router = network.host('router', ['10.0.0.254']);
const server = network.host('server', ['10.0.0.2', 'fd00::2']);
network.connect(laptop, router, { impair: 'delay=8ms,jitter=4ms,distribution=pareto,burst-loss=1%/20%' });
network.connect(router, server, {
  impair: 'delay=40ms,rate=1mbit',
  schedule: '20s out loss=100%   # an outage of five seconds\n25s out loss=0',
});

const pings = {
  v4: laptop.ping('10.0.0.2', { count: 600, intervalMs: 100 }),
  v6: laptop.ping('fd00::2', { count: 60 }),
};
await network.run(61_000);

for (const [family, { sent, missing, replies }] of Object.entries(pings)) {
  const times = replies.map(({ rttMs }) => rttMs).sort((a, b) => a - b);
  const [least, median, most] = [0, 0.5, 1].map((share) => times[Math.round(share * (times.length - 1))]?.toFixed(1));
  console.log(
    `${family}: ${sent} sent, ${missing} lost, round trip ${least} to ${most} ms, half of them below ${median} ms`,
  );
}
console.log(network.trace.slice(0, 5));
