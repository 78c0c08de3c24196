/**
 * How long it takes from nothing to a first result: `start.js [--device cuda] [--json FILE] [--smoke]`. Times count from the start of the process. Run it
 * twice with the same, at first empty, KINDLING_CACHE_DIR to see what compiling takes.
 * `--smoke`: without the training step.
 */

const begun = performance.now();
const torch = await import("kindling");
const { writeFileSync } = await import("node:fs");
const { parseArgs } = await import("node:util");
const { DigitsNet } = await import("../../examples/digits/model.ts");

const { values } = parseArgs({
  options: { device: { type: "string", default: "cuda" }, json: { type: "string" }, smoke: { type: "boolean", default: false } },
});
const { device } = values;

const marks: { readonly what: string; readonly ms: number }[] = [];
const mark = (what: string, ms = performance.now()): void => void marks.push({ what, ms });

async function main(): Promise<number> {
  mark("the program begins", begun);
  mark("the library is loaded");
  if (device.startsWith("cuda")) {
    const why = torch.cuda.unavailable_reason();
    if (why !== null) {
      console.error(`cuda is not available: ${why}`);
      return 3;
    }
    mark("NVIDIA's libraries are open");
  }
  const x = torch.ones([4, 4], { device });
  mark("the device is open");
  await x.add(1).sum().item();
  mark("a first value is read");
  await x.matmul(x).sum().item();
  mark("a first product is read");
  if (!values.smoke) await trainAStep();
  const stats = device.startsWith("cuda") ? torch.cuda.stats(device) : null;
  for (const { what, ms } of marks) console.log(`${ms.toFixed(0).padStart(7)} ms  ${what}`);
  if (stats !== null)
    console.log(`${stats.kernels_compiled} kernels compiled in ${stats.units} units, ${stats.kernels_cached} found on disk`);
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ device, marks, stats }, null, 1));
  return 0;
}

async function trainAStep(): Promise<void> {
  torch.manual_seed(0);
  const model = new DigitsNet().to(device);
  const optimizer = new torch.optim.AdamW(model.parameters(), { lr: 1e-3 });
  const images = torch.rand([8, 1, 8, 8]).to(device);
  const labels = torch.randint(0, 10, [8]).to(device);
  const step = async (): Promise<void> => {
    optimizer.zero_grad();
    const loss = torch.nn.functional.cross_entropy(model(images), labels);
    loss.backward();
    optimizer.step();
    await loss.item();
  };
  await step();
  mark("a first training step");
  await step();
  mark("a second training step");
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

export {};
