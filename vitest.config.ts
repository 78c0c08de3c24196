import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { vulkanEnvironment } from "./scripts/lib/chromium.mjs";

// The processes that run the tests inherit it; Dawn looks for its driver there. (`npm test` has set it already.)
Object.assign(process.env, vulkanEnvironment());

export default defineConfig({
  resolve: {
    alias: [
      { find: /^kindling$/, replacement: fileURLToPath(new URL("./ts/entry.node.ts", import.meta.url)) },
      { find: /^kindling\/(vision|onnx)$/, replacement: fileURLToPath(new URL("./ts/$1/entry.node.ts", import.meta.url)) },
    ],
  },
  test: {
    environment: "node",
    // What takes many minutes runs by itself: `npm run test:long`.
    include: process.env.KINDLING_LONG === "1" ? ["test/**/*.long.test.ts"] : ["test/**/*.test.ts"],
    exclude: process.env.KINDLING_LONG === "1" ? [] : ["**/*.long.test.ts"],
    globalSetup: ["test/global_setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    // Only for what hangs: machines that test are slow and busy.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    passWithNoTests: true,
  },
});
