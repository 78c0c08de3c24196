/** Transforms give what torchvision 0.14.1 gives, chance included: test/golden/vision.py made the values. */

import { readFileSync } from "node:fs";
import * as torch from "kindling";
import { transforms } from "kindling/vision";
import { describe, expect, it } from "vitest";

type Case = [name: string, ...args: unknown[]];
interface Expected {
  readonly shape: number[];
  readonly values: number[];
}
const read = <T>(path: string): T => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as T;
const cases = read<Case[]>("./cases.json");
const golden = read<Record<"uint8" | "float32", Expected>[]>("../golden/vision.json");

const [h, w] = [9, 12];
const image = torch
  .arange(3 * h * w)
  .reshape(3, h, w)
  .pow(2)
  .mul(37)
  .add(torch.arange(w).mul(11))
  .remainder(256)
  .to(torch.uint8);

type Call = (...args: unknown[]) => torch.Tensor;
function run([name, ...args]: Case, img: torch.Tensor): torch.Tensor {
  if (/^[a-z]/.test(name)) return (transforms.functional as unknown as Record<string, Call>)[name]!(img, ...args);
  const Class = (transforms as unknown as Record<string, new (...args: unknown[]) => Call>)[name]!;
  return torch.cat([0, 1, 2, 3].map(() => new Class(...args)(img).flatten()));
}

describe.each(["uint8", "float32"] as const)("of %s", (kind) => {
  it.each(cases.map((c, i) => [c.map((x) => JSON.stringify(x)).join(" "), c, golden[i]![kind]] as const).filter(([, , e]) => e))(
    "%s",
    (_, c, expected) => {
      torch.manual_seed(7);
      const out = run(c, kind === "uint8" ? image : image.div(255));
      expect(out.shape).toEqual(expected.shape);
      expect(out.dtype.name).toBe(kind);
      const all = out.flatten().tolist_sync() as number[];
      const step = Math.max(1, Math.floor(all.length / 97));
      const values = all.filter((_, i) => i % step === 0);
      // A value between two whole numbers may be rounded either way.
      const tolerance = kind === "uint8" ? 1 : 2e-4;
      const off = values.map((v, i) => Math.abs(v - expected.values[i]!));
      expect(Math.max(...off)).toBeLessThanOrEqual(tolerance);
      if (kind === "uint8") expect(off.filter((d) => d > 0).length).toBeLessThanOrEqual(values.length / 20);
    },
  );
});
