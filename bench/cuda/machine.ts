/** Describes the machine: `machine.js [--device cuda] [--json FILE]`. Exit status 3, and why, where CUDA is not available. */

import * as torch from "kindling";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { messageOf } from "./measure.ts";
import { Peer, type PeerInfo } from "./peer.ts";

const { values } = parseArgs({ options: { device: { type: "string", default: "cuda" }, json: { type: "string" } } });

const QUERY = [
  "name",
  "driver_version",
  "memory.total",
  "clocks.sm",
  "clocks.mem",
  "clocks.max.sm",
  "clocks.max.mem",
  "power.draw",
  "power.limit",
  "temperature.gpu",
  "persistence_mode",
  "mig.mode.current",
];

/** What nvidia-smi says of each GPU, by its names; or why it says nothing. */
async function smi(): Promise<Record<string, string>[] | string> {
  return new Promise((resolve) => {
    execFile("nvidia-smi", [`--query-gpu=${QUERY.join()}`, "--format=csv,noheader"], { timeout: 20_000 }, (error, stdout) => {
      if (error !== null) return resolve(`nvidia-smi: ${error.message.trim().split("\n")[0]}`);
      const lines = stdout.trim().split("\n");
      resolve(
        lines.map((line) => Object.fromEntries(line.split(", ").map((text, i): [string, string] => [QUERY[i] ?? `${i}`, text]))),
      );
    });
  });
}

async function pytorch(device: string): Promise<PeerInfo | string> {
  try {
    const peer = await Peer.start(device);
    peer.stop();
    return peer.info;
  } catch (error) {
    return messageOf(error);
  }
}

const why = torch.cuda.unavailable_reason();
const libraries = torch.cuda.libraries();
const [gpus, peer] = await Promise.all([smi(), pytorch(values.device)]);
let properties: torch.cuda.CudaDeviceProperties | null = null;
let opening: string | null = why;
if (why === null) {
  try {
    properties = torch.cuda.get_device_properties(values.device);
  } catch (error) {
    opening = messageOf(error);
  }
}

const machine = {
  available: opening === null,
  /** Why not. */
  reason: opening,
  properties,
  libraries,
  nvidia_smi: gpus,
  pytorch: peer,
  node: process.version,
  processor: cpus()[0]?.model ?? "unknown",
  processors: availableParallelism(),
  memory_bytes: totalmem(),
  kernel: release(),
};
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(machine, null, 1));

if (properties !== null) {
  const { name, major, minor, total_memory, multi_processor_count } = properties;
  console.log(
    `${name}, sm_${major}${minor}, ${multi_processor_count} multiprocessors, ${(total_memory / 2 ** 30).toFixed(1)} GiB`,
  );
}
for (const name of ["driver", "nvrtc", "cublasLt", "cudnn"] as const) {
  const found = libraries?.[name];
  if (found === undefined) continue;
  console.log(`${name}: ${found.error ?? (found.path === null ? "not found" : `${found.version ?? "?"} (${found.path})`)}`);
}
console.log(typeof peer === "string" ? `no PyTorch to compare with: ${peer}` : `PyTorch ${peer.torch}, CUDA ${peer.cuda}`);
if (typeof gpus === "string") console.log(gpus);
else
  for (const gpu of gpus)
    console.log(
      `nvidia-smi: ${Object.entries(gpu)
        .map(([k, v]) => `${k} ${v}`)
        .join(", ")}`,
    );
if (opening !== null) {
  console.error(`cuda is not available: ${opening}`);
  process.exitCode = 3;
}
