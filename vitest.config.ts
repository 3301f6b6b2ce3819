import { defineConfig, type ViteUserConfig } from 'vitest/config';

const setupFiles = ['test/setup/checker.ts'];
/** How many times slower than by itself a test may be; a checker takes its time. */
const patience = Number(process.env['VNIC_TEST_PATIENCE'] ?? 1);
const testTimeout = 60_000 * patience;
const hookTimeout = 30_000 * patience;
const sequential = { pool: 'forks', fileParallelism: false, maxWorkers: 1 } as const;

// The processes that run tests, which are forks of this one, run in this program instead: a node under a checker.
process.execPath = process.env['VNIC_TEST_NODE'] ?? process.execPath;

/**
 * `unit` needs no privilege. `kernel`, `e2e` and `examples` make devices, so they run inside the namespaces that
 * `npm test -- kernel` (and so on) opens around them, one file after the other.
 */
const config: ViteUserConfig = defineConfig({
  test: {
    coverage: { include: ['src/**/*.ts'], exclude: ['src/**/*.test.ts'], reportsDirectory: 'coverage' },
    projects: [
      {
        test: {
          name: 'unit',
          setupFiles,
          include: [
            'src/**/*.test.ts',
            'test/conformance/pair*.test.ts',
            'test/fuzz/**/*.test.ts',
            'test/interop/**/*.test.ts',
            'test/repo/**/*.test.ts',
          ],
          testTimeout,
        },
      },
      {
        test: {
          name: 'kernel',
          setupFiles,
          include: ['test/netns/**/*.test.ts', 'test/conformance/device*.test.ts'],
          testTimeout,
          hookTimeout,
          ...sequential,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout,
          hookTimeout,
          ...sequential,
        },
      },
      { test: { name: 'examples', include: ['test/examples/**/*.test.ts'], testTimeout, ...sequential } },
    ],
  },
});

export default config;
