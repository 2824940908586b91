import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // The console may stand under any path, so its files name each other relatively.
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: { polyfill: false },
    // Its pages allow no data: addresses but for pictures.
    assetsInlineLimit: 0,
    emptyOutDir: true,
    reportCompressedSize: false,
    // How long plugins take depends on what else the machine does.
    rolldownOptions: { checks: { pluginTimings: false, bundlerTimings: false } },
    chunkSizeWarningLimit: 700,
  },
});
