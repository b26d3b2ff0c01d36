import { defineConfig } from 'vitest/config'

export default defineConfig({
  base: './', // relative addresses: the page works in any folder of any server
  build: {
    outDir: '../src/sketchrnn/web/static',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0, // no data: addresses, the Content-Security-Policy forbids them
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
  },
  worker: { format: 'es' }, // onnxruntime is a module
  server: {
    proxy: { '/api': 'http://127.0.0.1:8000' },
  },
  test: {
    include: ['tests/**/*.test.ts'],
    testTimeout: 30_000, // on a busy machine, waiting for a busy server takes longer than the five seconds there are
  },
})
