/**
 * `npm test`: sets everything up, then runs types, lint, layers and all tests. The last line is `N passed, N failed`.
 * `npm test -- PATTERN...` runs only the test files that match, through vitest's own arguments. `npm run test:full` runs all cases where
 * `npm test` runs a sample on slow devices, and more steps of training. `npm run test:long` runs the exhaustive ones (`*.long.test.ts`),
 * which no other command does.
 */

import { runChecks } from "./lib/checks.mjs";
import { ensureChromium, notRun, vulkanEnvironment } from "./lib/chromium.mjs";
import { main } from "./lib/project.mjs";
import { setUp } from "./lib/setup.mjs";
import { runVitest } from "./lib/vitest.mjs";

const args = process.argv.slice(2);
/** `npm run check` leaves the slow tests out and looks at the format as well. */
const quick = args[0] === "--quick" && args.shift() !== undefined;

if (args[0] === "--full") {
  args.shift();
  process.env.KINDLING_FULL = "1";
}
if (args[0] === "--long") {
  args.shift();
  process.env.KINDLING_LONG = "1";
}
const long = process.env.KINDLING_LONG === "1";

await main(async () => {
  const total = { passed: 0, failed: 0 };
  const add = ({ passed, failed }) => {
    total.passed += passed;
    total.failed += failed;
  };
  try {
    await setUp();
    const chromium = await ensureChromium();
    if (chromium === null) process.on("exit", () => console.error(notRun));
    Object.assign(process.env, vulkanEnvironment(chromium));
    if (args.length === 0 && !long) add(await runChecks(["types", "lint", "layers", ...(quick ? ["format"] : [])]));
    add(await runVitest([...args, ...(quick ? ["--exclude", "**/*.slow.test.ts"] : [])]));
  } catch (error) {
    total.failed++;
    throw error;
  } finally {
    // Through the exit hook, so that it comes after an error's message and after everything else.
    process.on("exit", () => console.log(`${total.passed} passed, ${total.failed} failed`));
  }
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
});
