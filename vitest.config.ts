import { defineConfig, type ViteUserConfig } from 'vitest/config';

const setupFiles = ['test/setup/sanitizer.ts'];
const sequential = { pool: 'forks', fileParallelism: false, maxWorkers: 1 } as const;

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
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'kernel',
          setupFiles,
          include: ['test/netns/**/*.test.ts', 'test/conformance/device*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 30_000,
          ...sequential,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 30_000,
          ...sequential,
        },
      },
      { test: { name: 'examples', include: ['test/examples/**/*.test.ts'], testTimeout: 60_000, ...sequential } },
    ],
  },
});

export default config;
