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
          exclude: [
            'test/feature/**',
            'test/cluster/**',
            'test/hostile/**',
            'test/peers/**',
            'test/charts/**',
            'test/bench/**',
          ],
          pool: 'threads',
          isolate: false,
          maxWorkers: 2,
        },
      },
      {
        test: {
          // Real sockets inside one process.
          name: 'feature',
          include: ['test/feature/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 2,
        },
      },
      {
        test: {
          // The Helm chart as the real helm renders it.
          name: 'charts',
          include: ['test/charts/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 2,
        },
      },
      {
        test: {
          // The real command with its real processes.
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          // The real command between programs of others: gRPC, browsers, curl, nginx.
          name: 'peers',
          include: ['test/peers/**/*.test.ts'],
          pool: 'forks',
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          // The real command under attack. After all others: how soon an honest request is answered says nothing on a busy machine.
          name: 'hostile',
          include: ['test/hostile/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

export default config;
