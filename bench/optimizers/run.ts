/**
 * npm run bench:optimizers -- [--device cpu|webgpu] [--parameters N] [--rounds N] [--json FILE]
 * A step of each optimizer over many small parameters: its time, and on webgpu its launches; with `foreach: false` (ops one by one) beside.
 */

import * as torch from "kindling";
import { optim, type Tensor } from "kindling";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    device: { type: "string", default: "cpu" },
    parameters: { type: "string", default: "50" },
    rounds: { type: "string", default: "15" },
    json: { type: "string" },
  },
});
const onCpu = values.device === "cpu";
if (!onCpu) await torch.accelerator();
torch.set_default_device(values.device);
torch.set_num_threads(1);

type Make = (params: Tensor[], way: object) => optim.Optimizer;
/** `apart`: the option that has ops run one by one, where there is one. */
const OPTIMIZERS: readonly { readonly name: string; readonly make: Make; readonly apart: object | null }[] = [
  { name: "SGD", make: (p, way) => new optim.SGD(p, { momentum: 0.9, ...way }), apart: { fused: false } },
  { name: "AdamW", make: (p, way) => new optim.AdamW(p, way), apart: { fused: false } },
  { name: "Adagrad", make: (p, way) => new optim.Adagrad(p, way), apart: { foreach: false } },
  { name: "RMSprop", make: (p, way) => new optim.RMSprop(p, way), apart: { foreach: false } },
  {
    name: "RMSprop, centered",
    make: (p, way) => new optim.RMSprop(p, { centered: true, momentum: 0.9, ...way }),
    apart: { foreach: false },
  },
  { name: "Adadelta", make: (p, way) => new optim.Adadelta(p, way), apart: { foreach: false } },
  { name: "Adamax", make: (p, way) => new optim.Adamax(p, way), apart: { foreach: false } },
  { name: "NAdam", make: (p, way) => new optim.NAdam(p, way), apart: { foreach: false } },
  { name: "RAdam", make: (p, way) => new optim.RAdam(p, way), apart: { foreach: false } },
  { name: "ASGD", make: (p, way) => new optim.ASGD(p, way), apart: { foreach: false } },
  { name: "Rprop", make: (p, way) => new optim.Rprop(p, way), apart: { foreach: false } },
  { name: "Adafactor", make: (p) => new optim.Adafactor(p), apart: null },
  { name: "Muon", make: (p) => new optim.Muon(p), apart: null },
];

interface Figures {
  /** Of a step, in milliseconds. */
  readonly time: number;
  readonly launches: number | null;
}

const settled = async (): Promise<void> => torch.get_default_device().synchronize();

/** Steps of matrices of a few sizes, each waited for. */
async function measure(make: Make, way: object): Promise<Figures> {
  const params = Array.from({ length: Number(values.parameters) }, (_, i) =>
    torch.randn([8 * (1 + (i % 3)), 16]).requires_grad_(),
  );
  const optimizer = make(params, way);
  for (const p of params) p.grad = torch.randn(p.shape as number[]);
  const launched = (): number => (onCpu ? 0 : torch.webgpu.stats().dispatches);
  const times: number[] = [];
  let launches = 0;
  const warm = 6;
  for (let i = -warm; i < Number(values.rounds); i++) {
    await settled();
    const [start, before] = [performance.now(), launched()];
    optimizer.step();
    await settled();
    if (i >= 0) times.push(performance.now() - start);
    launches = launched() - before;
  }
  times.sort((a, b) => a - b);
  return { time: times[times.length >> 1]!, launches: onCpu ? null : launches };
}

const rows: { name: string; together: Figures; apart: Figures | null }[] = [];
const shown = (f: Figures | null): string =>
  f === null ? "-" : `${f.time.toFixed(2)} ms${f.launches === null ? "" : `, ${f.launches}`}`;
console.log(`${values.parameters} parameters on ${values.device}, a step${onCpu ? "" : " (time, launches)"}\n`);
console.log(`${"".padEnd(20)}${"together".padEnd(20)}one by one`);
for (const { name, make, apart } of OPTIMIZERS) {
  const row = { name, together: await measure(make, {}), apart: apart === null ? null : await measure(make, apart) };
  rows.push(row);
  console.log(`${name.padEnd(20)}${shown(row.together).padEnd(20)}${shown(row.apart)}`);
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 2));
