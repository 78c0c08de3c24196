/**
 * npm run bench:cuda -- [--suite NAME,...] [--device cuda|cuda:1|cpu] [--rounds N] [--json FILE] [--peers eager,graph,compile,fused|none] [--seconds N] [--smoke]
 * Times workloads on a GPU beside the PyTorch of the same machine, in turns, and what the machine can do at most. `--smoke`: tiny sizes, to see
 * that everything runs. `--seconds`: begins no further workload after that time. The file is written anew after every workload.
 */

import * as torch from "kindling";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { measureCeilings, type Ceilings } from "./ceilings.ts";
import { Clock } from "./clock.ts";
import { digitsWorkloads } from "./digits.ts";
import { measureDispatch, type DispatchCost } from "./dispatch.ts";
import { gpt2Workloads } from "./gpt2.ts";
import { kernelWorkloads } from "./kernels.ts";
import { measureWorkload, messageOf, type Row } from "./measure.ts";
import { Peer, type PeerInfo } from "./peer.ts";
import { describeRow } from "./table.ts";

const SUITES = ["matmul", "attention", "rowwise", "elementwise", "optimizer", "digits", "gpt2", "dispatch"];

const { values } = parseArgs({
  options: {
    suite: { type: "string" },
    device: { type: "string", default: "cuda" },
    rounds: { type: "string" },
    json: { type: "string" },
    peers: { type: "string", default: "eager,graph,compile,fused" },
    seconds: { type: "string", default: "Infinity" },
    smoke: { type: "boolean", default: false },
  },
});

const { device, smoke } = values;
const chosen = values.suite?.split(",") ?? SUITES;
for (const name of chosen) {
  if (!SUITES.includes(name)) throw new Error(`there is no suite "${name}"; there are ${SUITES.join(", ")}`);
}
const rounds = Number(values.rounds ?? (smoke ? 1 : 7));
const seconds = Number(values.seconds);
if (!Number.isInteger(rounds) || rounds < 1) {
  throw new Error(`--rounds is ${values.rounds}; expected a positive whole number`);
}
if (!(seconds > 0)) throw new Error(`--seconds is ${values.seconds}; expected a positive number`);

interface Results {
  readonly device: string;
  readonly smoke: boolean;
  readonly gpu: string | null;
  readonly pytorch: PeerInfo | null;
  /** Why PyTorch is not there. */
  readonly noPytorch: string | null;
  readonly ceilings: Ceilings;
  readonly rows: readonly Row[];
  readonly dispatch: DispatchCost | null;
  /** Workloads that there was no time for. */
  readonly left: readonly string[];
}

async function startPeer(): Promise<Peer | string> {
  if (values.peers === "none") return "not asked for (--peers none)";
  try {
    return await Peer.start(device);
  } catch (error) {
    return messageOf(error);
  }
}

async function main(): Promise<number> {
  if (device.startsWith("cuda")) {
    const why = torch.cuda.unavailable_reason();
    if (why !== null) {
      console.error(`cuda is not available: ${why}`);
      return 3;
    }
  }
  const started = performance.now();
  torch.manual_seed(1337);
  const workloads = [...kernelWorkloads(smoke), ...digitsWorkloads(smoke), ...gpt2Workloads(smoke)].filter(({ suite }) =>
    chosen.includes(suite),
  );
  const peer = workloads.length > 0 ? await startPeer() : "not asked for";
  const theirs = typeof peer === "string" ? null : peer;
  const clock = new Clock(device);
  if (device.startsWith("cuda")) torch.cuda.set_device(device);
  const gpu = device.startsWith("cuda") ? torch.cuda.get_device_name(device) : null;
  console.log(
    `${gpu ?? device}, Node ${process.version}, ${theirs === null ? `no PyTorch: ${peer as string}` : `PyTorch ${theirs.info.torch}`}`,
  );

  const rows: Row[] = [];
  const left: string[] = [];
  const ceilings: Ceilings = {};
  let dispatch: DispatchCost | null = null;
  const write = (): void => {
    if (values.json === undefined) return;
    const pytorch = theirs?.info ?? null;
    const noPytorch = typeof peer === "string" ? peer : null;
    const results: Results = { device, smoke, gpu, pytorch, noPytorch, ceilings, rows, dispatch, left };
    writeFileSync(values.json, JSON.stringify(results, null, 1));
  };
  write();
  if (chosen.includes("dispatch")) {
    dispatch = await measureDispatch(device, smoke);
    for (const { name, us, spread } of dispatch.costs)
      console.log(`${name.padEnd(64)} ${us.toFixed(3)} us [${spread.map((x) => x.toFixed(3)).join(", ")}]`);
    write();
  }
  if (workloads.length > 0) await measureCeilings(ceilings, theirs, clock, smoke);
  const options = {
    device,
    rounds,
    atLeast: smoke ? 1 : 40,
    mostCalls: smoke ? 2 : 2000,
    patience: 240,
    peerVariants: values.peers.split(","),
  };
  let failed = false;
  for (const workload of workloads) {
    if (performance.now() - started > seconds * 1000) {
      left.push(workload.name);
      continue;
    }
    try {
      const row = await measureWorkload(workload, theirs, clock, options);
      rows.push(row);
      for (const line of describeRow(row, ceilings)) console.log(line);
      failed ||= row.entries.some(({ who, error }) => who === "ours" && error !== undefined);
      failed ||= row.checks.some(({ passed }) => !passed);
    } catch (error) {
      failed = true;
      console.log(`${workload.name}: failed: ${messageOf(error)}`);
      clock.revive();
    }
    write();
  }
  // Once more at the end: a machine that slowed down meanwhile shows.
  if (workloads.length > 0 && left.length === 0) await measureCeilings(ceilings, theirs, clock, smoke);
  write();
  theirs?.stop();
  if (left.length > 0) console.log(`no time was left for ${left.join("; ")}`);
  return failed ? 1 : 0;
}

process.exitCode = await main();
