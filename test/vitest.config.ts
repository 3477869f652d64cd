import { defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    projects: [
      {
        test: {
          // Pure code: no socket, no process, no clock.
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/feature/**', 'test/cluster/**', 'test/charts/**', 'test/bench/**'],
          pool: 'threads',
          isolate: false,
        },
      },
      {
        test: {
          // Real sockets inside one process.
          name: 'feature',
          include: ['test/feature/**/*.test.ts'],
          pool: 'forks',
        },
      },
      {
        test: {
          // The Helm chart as the real helm renders it.
          name: 'charts',
          include: ['test/charts/**/*.test.ts'],
          pool: 'forks',
        },
      },
      {
        test: {
          // The real command with its real processes, one file at a time.
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

export default config;
