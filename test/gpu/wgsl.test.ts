/**
 * What WGSL comes of which operations: snapshots, so that a change of generated code is seen in review. The calls go to a device that only
 * records. `npx vitest run test/gpu/wgsl.test.ts -u` accepts changes.
 */

import { expect, it } from "vitest";
import * as torch from "kindling";
import { recordingDevice, MINIMAL_CAPS } from "./recording.ts";

const F = torch.nn.functional;
type Caps = typeof MINIMAL_CAPS;

/** Values wanted of `fn`'s result on a recording device; the texts of what that dispatches. */
function record(fn: (x: (...shape: number[]) => torch.Tensor) => torch.Tensor | readonly torch.Tensor[], caps: Caps): string {
  const { device, backend } = recordingDevice(caps);
  const result = fn((...shape) => torch.empty(shape, { device }));
  backend.dispatched.length = 0;
  for (const t of Array.isArray(result) ? (result as torch.Tensor[]) : [result as torch.Tensor]) t._storage.materialize();
  return backend.dispatched.map(({ name, wgsl }) => `// ${name}\n${wgsl}`).join("\n");
}

function recordAll(fn: (x: (...shape: number[]) => torch.Tensor) => unknown, caps: Caps): string {
  const { device, backend } = recordingDevice(caps);
  fn((...shape) => torch.empty(shape, { device }));
  return backend.dispatched.map(({ name, wgsl }) => `// ${name}\n${wgsl}`).join("\n");
}

/** Kernels that use neither subgroups nor more memory. */
const SAME_EITHER_WAY: ReadonlySet<string> = new Set(["matmul", "conv2d", "attention", "gather"]);

const wide: Caps = { ...MINIMAL_CAPS, f16: true, subgroups: { min: 4, max: 64 }, maxWorkgroupStorage: 32768 };

it("kernels whose threads work long say how long", () => {
  const works = (fn: (x: (...shape: number[]) => torch.Tensor) => unknown): (number | undefined)[] => {
    const { device, backend } = recordingDevice();
    fn((...shape) => torch.empty(shape, { device, requires_grad: true }));
    return backend.dispatched.map(({ work }) => work).filter((work) => work !== undefined);
  };
  expect(works((x) => x(3, 20, 30).matmul(x(3, 30, 40)))).toEqual([3 * 20 * 30 * 40]);
  expect(works((x) => F.conv2d(x(2, 8, 16, 16), x(16, 8, 3, 3)))).toEqual([2 * 16 * 14 * 14 * 8 * 9]);
  const attention = works((x) => F.scaled_dot_product_attention(x(2, 3, 50, 16), x(2, 3, 60, 16), x(2, 3, 60, 16)));
  expect(attention.reduce<number>((sum, work) => sum + work!, 0)).toBe(6 * 50 * 60 * 32);
});

it.each([
  ["map_dense", (x: (...s: number[]) => torch.Tensor) => x(64, 64).mul(x(64, 64)).add(1).relu()],
  ["map_broadcast", (x: (...s: number[]) => torch.Tensor) => x(64, 1).mul(x(3))],
  ["map_transposed", (x: (...s: number[]) => torch.Tensor) => x(64, 64).t().contiguous()],
  ["map_nan", (x: (...s: number[]) => torch.Tensor) => torch.maximum(x(16), x(16)).isnan()],
])("a fused map: %s", async (name, fn) => {
  await expect(record(fn, MINIMAL_CAPS)).toMatchFileSnapshot(`./snapshots/${name}.wgsl`);
});

it.each([
  ["sum_rows", (x: (...s: number[]) => torch.Tensor) => x(64, 512).sum(1)],
  ["sum_columns", (x: (...s: number[]) => torch.Tensor) => x(512, 64).sum(0)],
  ["softmax", (x: (...s: number[]) => torch.Tensor) => F.softmax(x(64, 512), -1)],
  ["matmul", (x: (...s: number[]) => torch.Tensor) => x(128, 128).matmul(x(128, 128))],
  ["conv2d", (x: (...s: number[]) => torch.Tensor) => F.conv2d(x(2, 8, 16, 16), x(16, 8, 3, 3), x(16), { padding: 1 })],
  [
    "attention",
    (x: (...s: number[]) => torch.Tensor) => F.scaled_dot_product_attention(x(2, 2, 32, 16), x(2, 2, 32, 16), x(2, 2, 32, 16)),
  ],
  [
    "gather",
    (x: (...s: number[]) => torch.Tensor) => x(8, 8).gather(1, torch.zeros([8, 2], { dtype: torch.int64, device: x(1).device })),
  ],
])("a kernel, plain and with every feature: %s", async (name, fn) => {
  const plain = recordAll(fn, MINIMAL_CAPS);
  expect(plain).not.toMatch(/enable (f16|subgroups)/);
  await expect(plain).toMatchFileSnapshot(`./snapshots/${name}.wgsl`);
  const featured = recordAll(fn, wide);
  expect(featured === plain, "whether features make no difference").toBe(SAME_EITHER_WAY.has(name));
  if (featured !== plain) await expect(featured).toMatchFileSnapshot(`./snapshots/${name}.features.wgsl`);
});
