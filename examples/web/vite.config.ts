/** The page's development server and build. It runs on the bundle for browsers, as it would in a project that has installed Kindling. */

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** What makes a page cross-origin isolated, which threads need. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  root: path("."),
  base: "./", // the built page works in any folder of any server
  cacheDir: path("../../build/vite"),
  publicDir: false,
  resolve: { alias: { kindling: path("../../dist/kindling.browser.js") } },
  server: { headers, fs: { allow: [path("../..")] } },
  preview: { headers },
  worker: { format: "es" },
  build: { outDir: path("../../dist/examples/web"), emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 2000 },
});
