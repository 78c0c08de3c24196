/** PyTorch opens our files, and we its. Runs where a Python with torch is installed (Debian: python3-torch). */

import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as torch from "kindling";
import { io, nn, optim, type Tensor } from "kindling";
import { afterAll, beforeAll, expect, it } from "vitest";
import { pythonWith } from "./python.ts";

const python = pythonWith("torch");
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-py-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (script: string, ...args: string[]): unknown =>
  JSON.parse(execFileSync(python!, ["-W", "ignore", "-c", script, ...args], { encoding: "utf8" })) as unknown;

/** Of PyTorch 1.13 weights_only takes neither floats nor bytes, PyTorch's own included. */
const DESCRIBE = `
import json, struct, sys, torch
safe = {} if torch.__version__.startswith("1.") else {"weights_only": True}
def tell(x):
    if isinstance(x, torch.Tensor):
        values = torch.view_as_real(x.detach()) if x.is_complex() else x.detach().to(torch.float64) if x.is_floating_point() else x
        return [str(x.dtype), list(x.shape), list(x.stride()), x.storage_offset(), values.tolist(), x.requires_grad]
    if isinstance(x, dict): return {"dict": [[tell(k), tell(v)] for k, v in x.items()]}
    if isinstance(x, (list, tuple)): return [tell(v) for v in x]
    if isinstance(x, bytes): return x.hex()
    if isinstance(x, set): return sorted(x)
    return x if x is None or isinstance(x, (bool, int, float, str)) else str(x)
`;

/** The same description of our values; numbers that are whole in both have one type in JSON. */
function tell(x: unknown): unknown {
  if (x instanceof torch.Tensor) {
    const values = x.is_complex() ? torch.view_as_real(x.detach()) : x.detach();
    return [String(x.dtype), x.shape, x.stride(), x.storage_offset(), values.tolist_sync(), x.requires_grad];
  }
  if (Array.isArray(x)) return x.map(tell);
  if (x instanceof Uint8Array) return Buffer.from(x).toString("hex");
  if (x instanceof Set) return [...(x as Set<unknown>)].sort();
  if (x instanceof Map) return { dict: [...(x as Map<unknown, unknown>)].map(([k, v]) => [tell(k), tell(v)]) };
  if (x instanceof torch.DType) return String(x);
  if (typeof x === "object" && x !== null) return { dict: Object.entries(x).map(([k, v]) => [k, tell(v)]) };
  return x;
}

function samples(): Record<string, unknown> {
  const types = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"] as const;
  const whole = torch.arange(12, { dtype: torch.float32 }).reshape([3, 4]);
  return {
    ...Object.fromEntries(types.map((name) => [name, torch.arange(5).sub(2).to(torch[name])])),
    whole,
    view: whole.t(),
    column: whole.select(1, 1),
    complex: torch.tensor([new torch.Complex(1, -2), new torch.Complex(0.5, 3)]),
    scalar: torch.tensor(2.5),
    empty: torch.ones([0, 4]),
    parameter: torch.ones([2], { requires_grad: true }),
    nested: { list: [1, -2.5, "grüß", null, true, [2 ** 40]], map: new Map([[3, "c"]]), dtype: torch.float16 },
    bytes: Uint8Array.of(1, 200, 255),
    set: new Set([1, 2]),
  };
}

it.skipIf(python === null)("PyTorch opens what torch.save writes, with equal values and shared memory", async () => {
  const path = join(folder, "ours.pt");
  const values = samples();
  await torch.save(values, path);
  const script = `${DESCRIBE}
x = torch.load(sys.argv[1], **safe)
shared = x["whole"].data_ptr() == x["view"].data_ptr() and x["column"].data_ptr() == x["whole"].data_ptr() + 4
print(json.dumps([tell(x), shared]))`;
  expect(run(script, path)).toEqual([tell(values), true]);
});

it.skipIf(python === null)("PyTorch opens a state_dict of ours with weights_only=True", async () => {
  const path = join(folder, "weights.pt");
  const tensors = Object.entries(samples()).filter(([, v]) => v instanceof torch.Tensor);
  const values = {
    ...Object.fromEntries(tensors),
    epoch: 3,
    far: 2 ** 40,
    name: "a",
    list: [1, [true, null]],
    inner: { x: torch.ones([2]) },
  };
  await torch.save(values, path);
  const script = `${DESCRIBE}
print(json.dumps(tell(torch.load(sys.argv[1], weights_only=True))))`;
  expect(run(script, path)).toEqual(tell(values));
});

it.skipIf(python === null)("PyTorch goes on with our model and optimizer", async () => {
  const path = join(folder, "model.pt");
  torch.manual_seed(0);
  const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh(), new nn.Linear(4, 1));
  const opt = new optim.Adam(model.parameters(), { lr: 0.05 });
  const x = torch.rand([8, 3]);
  const step = (): number => {
    opt.zero_grad();
    const loss = model.forward(x).square().mean();
    loss.backward();
    opt.step();
    return Number(loss.item_sync());
  };
  for (let i = 0; i < 3; i++) step();
  await torch.save({ model: model.state_dict(), opt: opt.state_dict(), x }, path);
  const script = `${DESCRIBE}
c = torch.load(sys.argv[1], **safe)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
opt = torch.optim.Adam(model.parameters())
model.load_state_dict(c["model"]); opt.load_state_dict(c["opt"])
losses = []
for i in range(4):
    opt.zero_grad(); loss = model(c["x"]).square().mean(); loss.backward(); opt.step(); losses.append(loss.item())
print(json.dumps(losses))`;
  const theirs = run(script, path) as number[];
  theirs.forEach((loss) => expect(Math.abs(step() - loss)).toBeLessThan(1e-6));
});

it.skipIf(python === null)("we read what PyTorch writes, zip and legacy, in pickle protocols 2 to 5", async () => {
  const script = `${DESCRIBE}
from collections import OrderedDict
import io
torch.manual_seed(0)
whole = torch.randn(3, 4)
m = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
o = torch.optim.Adam(m.parameters())
m(torch.randn(4, 2)).sum().backward(); o.step()
x = {"whole": whole, "t": whole.t(), "tail": whole[1:, 2], "state": m.state_dict(), "opt": o.state_dict(), "p": torch.nn.Parameter(whole[0].clone()),
     "half": whole.half(), "bf": whole.bfloat16(), "long": torch.arange(3), "z": torch.complex(whole, whole).t(), "bool": torch.tensor([True, False]), "n": 2 ** 70 % 1000003, "t2": (1, 2.5, None),
     "od": OrderedDict(a=1), "bytes": b"\\x00\\xff", "set": {1, 2}, "frozen": [frozenset([3])] and [3], "many": list(range(3000))}
torch.save(x, sys.argv[1] + "/new.pt")
torch.save(x, sys.argv[1] + "/old.pt", _use_new_zipfile_serialization=False)
for p in (3, 4, 5): torch.save(x, sys.argv[1] + "/p%d.pt" % p, pickle_protocol=p)
torch.save(x, sys.argv[1] + "/oldp4.pt", _use_new_zipfile_serialization=False, pickle_protocol=4)
print(json.dumps(tell(x)))`;
  const theirs = run(script, folder);
  for (const name of ["new", "old", "p3", "p4", "p5", "oldp4"]) {
    const value = (await torch.load(join(folder, `${name}.pt`))) as { whole: Tensor; t: Tensor };
    expect(tell(value), name).toEqual(theirs);
    value.whole.zero_();
    expect(value.t.abs().sum().item_sync(), name).toBe(0);
  }
});

it.skipIf(python === null)("PyTorch makes our tensors of a safetensors file", async () => {
  const path = join(folder, "ours.safetensors");
  const values = Object.fromEntries(
    Object.entries(samples()).filter(([k, v]) => v instanceof torch.Tensor && k !== "complex"),
  ) as Record<string, Tensor>;
  await io.save_file(values, path);
  const script = `${DESCRIBE}
names = dict(F64="float64", F32="float32", F16="float16", BF16="bfloat16", I64="int64", I32="int32", I16="int16", I8="int8", U8="uint8", BOOL="bool")
data = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", data[:8])[0]
out = {}
for k, e in json.loads(data[8:8 + n]).items():
    a, b = e["data_offsets"]
    t = getattr(torch, names[e["dtype"]])
    out[k] = (torch.frombuffer(bytearray(data[8 + n + a:8 + n + b]), dtype=t) if b > a else torch.empty(0, dtype=t)).reshape(e["shape"]).tolist()
print(json.dumps(out))`;
  expect(run(script, path)).toEqual(Object.fromEntries(Object.entries(values).map(([k, v]) => [k, v.detach().tolist_sync()])));
});
