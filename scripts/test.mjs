/**
 * `npm test`: sets the checkout up and runs every stage; the last line counts the tests.
 *
 *   npm test -- unit                            one stage
 *   npm test -- kernel test/netns/tun.test.ts   one stage, only these test files
 *
 * With CI=true a skipped test is a failure.
 */

import { installPeers } from './install-peers.mjs';
import { fail, say } from './process.mjs';
import { setup } from './setup.mjs';
import { stages } from './stages.mjs';

const [only, ...filters] = process.argv.slice(2);
const selected = stages.filter(({ name }) => only === undefined || name === only);
if (selected.length === 0) fail(`no stage ${only}`, `stages: ${stages.map(({ name }) => name).join(', ')}`);

const startedMs = performance.now();
// Type errors show in the typecheck stage; the other stages still tell what they can.
await setup({ keepGoing: true });
if (!installPeers()) say('stages that need these programs will fail');

const total = { passed: 0, failed: 0, skipped: 0 };
const failedStages = [];
for (const stage of selected) {
  say(`\n=== ${stage.name}: ${stage.title}`);
  const stageStartedMs = performance.now();
  const result = await stage.run(filters);
  const { passed = 0, failed = 0, skipped = 0 } = result;
  const skippedInCi = process.env.CI === 'true' && skipped > 0;
  if (skippedInCi) say(`${skipped} skipped tests, which is a failure in CI`);
  const ok = result.ok && !skippedInCi;
  if (!ok) failedStages.push(stage.name);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  say(`=== ${stage.name}: ${ok ? 'ok' : 'FAILED'} in ${seconds(stageStartedMs)}`);
}

say(`\n${selected.length - failedStages.length} of ${selected.length} stages ok in ${seconds(startedMs)}`);
if (failedStages.length > 0) say(`failed stages: ${failedStages.join(', ')}`);
process.exitCode = failedStages.length === 0 ? 0 : 1;
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);

function seconds(sinceMs) {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}
