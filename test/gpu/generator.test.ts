/** GPU random streams: saved, restored, set back where code runs again. */

import { expect, it } from "vitest";
import * as torch from "kindling";

await torch.webgpu.init();
const device = "webgpu";
const draw = async (generator: torch.Generator): Promise<ArrayLike<number | bigint>> =>
  torch.rand(5, { device, generator }).data();

it("a saved state brings the same numbers again", async () => {
  const generator = new torch.Generator(device).manual_seed(7);
  await draw(generator);
  const state = generator.get_state();
  expect(state.shape).toEqual([16]);
  const first = await draw(generator);
  expect(await draw(generator)).not.toEqual(first);
  expect(await draw(generator.set_state(state))).toEqual(first);
  expect(() => generator.set_state(new torch.Generator().get_state())).toThrow(
    "expected the 16 bytes of a GPU generator's state, got 5056",
  );
});

it("blocking sets streams back when it runs code again", async () => {
  torch.manual_seed(3);
  const expected = await torch.rand(4, { device }).data();
  torch.manual_seed(3);
  let runs = 0;
  const [numbers, count] = await torch.blocking(() => {
    runs++;
    const x = torch.rand(4, { device });
    return [x, x.ge(0).nonzero().size(0)] as const;
  });
  expect(runs).toBeGreaterThan(1);
  expect(count).toBe(4);
  expect(await numbers.data()).toEqual(expected);
});

it("says what to do where values are wanted at once", () => {
  const x = torch.ones(3, { device });
  expect(() => x.item_sync()).toThrow(); // not a single element
  expect(() => x.sum().item_sync()).toThrow(/await t\.item\(\)/);
  expect(() => x.nonzero()).toThrow(/torch\.blocking/);
});

it("0-d cpu tensors join as scalars", async () => {
  expect(await torch.ones(2, { device }).mul(torch.tensor(2.5)).tolist()).toEqual([2.5, 2.5]);
  expect(() => torch.ones(2, { device }).add(torch.ones(2))).toThrow(/two devices/);
});
