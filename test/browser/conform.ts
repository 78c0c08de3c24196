/** Corpora in Chromium, for tests and for `npm run conformance -- --browser`. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readWhole } from "../conformance/corpus_files.ts";
import { bundleProgram, launch, root, serve, TestPage, type Program } from "./chromium.ts";
import type * as conformanceProgram from "./programs/conformance.ts";
import type { Reply, Request } from "./programs/conformance.ts";

export type ConformanceProgram = Program<typeof conformanceProgram>;

export function bundleConformance(): Promise<ConformanceProgram> {
  return bundleProgram<typeof conformanceProgram>("./programs/conformance.ts");
}

/** Puts a corpus where pages find it; returns its path there. `name` tells it from others. */
export function offerCorpus(corpus: string, name: string): string {
  mkdirSync(join(root, "build/browser"), { recursive: true });
  writeFileSync(join(root, "build/browser", `${name}.corpus`), readWhole(corpus));
  return `/build/browser/${name}.corpus`;
}

/** Runs a corpus in a page of a Chromium started for it. */
export async function conformInBrowser(
  corpus: string,
  { isolated, ...request }: Omit<Request, "url"> & { isolated: boolean },
): Promise<Reply> {
  const program = await bundleConformance();
  const path = offerCorpus(corpus, "run");
  const site = await serve(root, { isolated });
  const browser = await launch();
  try {
    const page = new TestPage(await browser.newPage());
    await page.page.goto(`${site.origin}/blank`);
    const reply = await page.run(program, "conform", { url: site.origin + path, ...request });
    for (const text of [...page.warnings, ...page.takeErrors()]) console.log(`in the page: ${text}`);
    return reply;
  } finally {
    await browser.close();
    site.close();
  }
}
