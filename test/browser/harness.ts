/** Tests in a real browser: one Chromium per test file; see chromium.ts for what they do with it. */

import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, vi } from "vitest";
import { launch, root, serve, TestPage, type Site } from "./chromium.ts";

export * from "./chromium.ts";

/** Milliseconds that anything in a page may take: software adapters on busy machines are slow. */
export const PATIENCE = 240_000;

export interface TestBrowser {
  /** A new page of the project's own server, or of `site`. Closed at the end of the test, which fails for errors that nobody caught in it. */
  open(options?: { isolated?: boolean; site?: Site; path?: string }): Promise<TestPage>;
}

/** A browser for the tests of a file, with `flags` in place of those that give a software WebGPU adapter. */
export function useBrowser({ flags }: { flags?: readonly string[] } = {}): TestBrowser {
  let browser: Browser;
  let sites: { isolated: Site; plain: Site };
  let opened: TestPage[] = [];
  vi.setConfig({ testTimeout: 2 * PATIENCE, hookTimeout: PATIENCE });

  beforeAll(async () => {
    browser = await launch(flags);
    sites = { isolated: await serve(root, { isolated: true }), plain: await serve(root, { isolated: false }) };
  });
  afterEach(async () => {
    const errors = opened.flatMap((page) => page.takeErrors());
    await Promise.all(opened.map(({ page }) => page.close()));
    opened = [];
    expect(errors, "errors in the page that nobody caught").toEqual([]);
  });
  afterAll(async () => {
    sites?.isolated.close();
    sites?.plain.close();
    await browser?.close();
  });

  return {
    async open({ isolated = true, site, path = "/blank" } = {}) {
      const page = new TestPage(await browser.newPage());
      page.page.setDefaultTimeout(PATIENCE);
      opened.push(page);
      await page.page.goto(`${(site ?? (isolated ? sites.isolated : sites.plain)).origin}${path}`);
      return page;
    },
  };
}
