/** A million and a half packets (or a share of them) of `scripts/heap-flat.mjs`: memory stays, and nothing is allocated per packet. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeAll, expect, it } from 'vitest';

import { requirePrivateNetns } from './private-netns.ts';
import { soakShare } from './soak-share.ts';

beforeAll(() => requirePrivateNetns());

it('keeps memory flat and allocates nothing per packet while it answers pings at full speed', async () => {
  const script = new URL('../../scripts/heap-flat.mjs', import.meta.url).pathname;
  const args = ['--expose-gc', script, '--inside', '--packets', `${1_500_000 * soakShare}`];
  // Its table is on the terminal, and says what is not flat.
  const measuring = spawn(process.execPath, args, { stdio: 'inherit' });
  expect(await once(measuring, 'exit')).toEqual([0, null]);
});
