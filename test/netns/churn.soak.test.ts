/** Twenty seconds of `scripts/soak.mjs`: devices opened, closed, deleted, joined and lost by workers, under traffic. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { beforeAll, expect, it } from 'vitest';

import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

it('leaves no descriptor, device, thread or memory behind after random use and abuse under traffic', async () => {
  const script = new URL('../../scripts/soak.mjs', import.meta.url).pathname;
  const args = ['--expose-gc', script, '--inside', '--seconds', '20'];
  const soak = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = text(soak.stdout);
  const ended = once(soak, 'exit');
  const last = (await printed).trim().split('\n').at(-1) ?? '';
  // What went wrong, with the seed, is on the terminal.
  expect(await ended).toEqual([0, null]);
  const report = JSON.parse(last) as Record<string, number>;
  // It did do what it is for.
  for (const what of ['open', 'close', 'queue', 'delete', 'flap', 'wire', 'worker', 'terminate', 'collect']) {
    expect(report[what], what).toBeGreaterThan(0);
  }
});
