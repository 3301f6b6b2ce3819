/** Twenty seconds (or a share of them) of `scripts/soak.mjs`: devices, sockets, keys and workers come, go and are lost, under traffic. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { beforeAll, expect, it } from 'vitest';

import { requirePrivateNetns } from './private-netns.ts';
import { soakShare } from './soak-share.ts';

beforeAll(() => requirePrivateNetns());

it('leaves no descriptor, device, thread or memory behind after random use and abuse under traffic', async () => {
  const script = new URL('../../scripts/soak.mjs', import.meta.url).pathname;
  const args = ['--expose-gc', script, '--inside', '--seconds', `${20 * soakShare}`];
  const soak = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = text(soak.stdout);
  const ended = once(soak, 'exit');
  const last = (await printed).trim().split('\n').at(-1) ?? '';
  // What went wrong, with the seed, is on the terminal.
  expect(await ended).toEqual([0, null]);
  const report = JSON.parse(last) as Record<string, number>;
  // It did do what it is for.
  for (const what of ['open', 'close', 'queue', 'delete', 'worker', 'socket', 'send', 'key', 'seal']) {
    expect(report[what], what).toBeGreaterThan(0);
  }
});
