/** `node scripts/kill-apply.mjs --points 500 [--seed N]`: kills `vnic apply` at as many random points, see test/e2e/apply-kill.test.ts. */

import { parseArgs } from 'node:util';

import { runVitest } from './vitest.mjs';

const { values } = parseArgs({ options: { points: { type: 'string', default: '500' }, seed: { type: 'string' } } });
const env = { VNIC_KILL_POINTS: values.points, ...(values.seed !== undefined && { VNIC_KILL_SEED: values.seed }) };
const { ok } = await runVitest('kill-apply', {
  projects: ['e2e'],
  filters: ['test/e2e/apply-kill.test.ts'],
  isolated: true,
  env,
  timeoutMs: 3_600_000,
});
process.exitCode = ok ? 0 : 1;
