/**
 * Keeps a checker (scripts/checkers.mjs) to this process and its threads: the programs that tests start (`ip`, `ping`,
 * node in a loop) shall be what users have, and at their normal speed. Notes which functions of the core are called.
 */

import { appendFileSync, readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import workerThreads, { type WorkerOptions } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, expect } from 'vitest';

import { nativeCore } from '../../src/native/index.ts';

const { VNIC_NATIVE: checked, VNIC_CHECKER_CALLS: calls, VNIC_TEST_PROPERTY_MS: propertyMs } = process.env;

if (propertyMs !== undefined) fc.configureGlobal({ interruptAfterTimeLimit: Number(propertyMs) });

if (checked !== undefined && calls !== undefined) {
  noteCalls(nativeCore() as unknown as Record<string, (...args: unknown[]) => unknown>, calls);
  // The library is loaded, so only children would still read these; a node without the first cannot load the second.
  for (const name of ['LD_PRELOAD', 'VNIC_NATIVE', 'VNIC_CHECKER_CALLS']) Reflect.deleteProperty(process.env, name);
  handToThreads(checked);

  afterAll(() => {
    const loaded = readFileSync('/proc/self/maps', 'utf8');
    expect(loaded).toContain(checked);
    expect(loaded).not.toContain('/build/vnic.node');
  });
}

/** Each function tells of its first call. */
function noteCalls(core: Record<string, (...args: unknown[]) => unknown>, file: string): void {
  // Called by the loader.
  appendFileSync(file, 'abi\n');
  for (const [name, call] of Object.entries(core)) {
    let noted = false;
    core[name] = (...args) => {
      if (!noted) appendFileSync(file, `${name}\n`);
      noted = true;
      return call(...args);
    };
  }
}

/** A thread has the environment that it is born with, so it would load the core that children load. */
function handToThreads(core: string): void {
  const { Worker } = workerThreads;
  workerThreads.Worker = class extends Worker {
    constructor(file: string | URL, options: WorkerOptions = {}) {
      const { env = process.env } = options;
      super(file, { ...options, env: typeof env === 'symbol' ? env : { ...env, VNIC_NATIVE: core } });
    }
  };
  syncBuiltinESMExports();
}
