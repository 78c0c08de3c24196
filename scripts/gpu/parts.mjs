/**
 * What runs on the GPU machine, in this order. A part is made of steps, each a process with a time limit; what a step writes to `json` is kept
 * whatever becomes of it. All of them together fit 30 minutes of a machine, each part 10 minutes of a command.
 */

/** In the order in which they are most wanted. `seconds`: of the part. */
export const PARTS = [
  {
    name: "machine",
    what: "describes the machine: GPU, driver, CUDA libraries, PyTorch",
    seconds: 120,
    steps: ({ device }) => [program("machine", "machine", ["--device", device])],
  },
  {
    name: "start",
    what: "from nothing to first results, without and with compiled kernels on disk",
    seconds: 120,
    steps: ({ device, scratch }) => {
      const env = { KINDLING_CACHE_DIR: `${scratch}/cold` };
      return ["cold", "warm"].map((name) => program(name, "start", ["--device", device], { env, seconds: 60 }));
    },
  },
  {
    name: "grid",
    what: "every kind of kernel at small sizes, against the cpu's results",
    seconds: 240,
    steps: ({ device, smoke }) => [program("grid", "grid", ["--device", device, ...(smoke ? ["--share", "40"] : [])])],
  },
  {
    name: "conformance",
    what: "the corpora of PyTorch's own values, gradients and training runs",
    seconds: 540,
    steps: ({ device, smoke, app }) => [
      program("ops", "conformance", corpus(app, "ops", device, smoke ? ["--op", "add,softmax"] : [])),
      program("training", "conformance", corpus(app, "training", device, smoke ? ["--op", "optim/SGD"] : [])),
    ],
  },
  {
    name: "examples",
    what: "trains the digits network and the char-GPT",
    seconds: 240,
    steps: ({ device, smoke, scratch, app }) => [
      program("digits", "digits", ["--device", device, "--epochs", smoke ? "1" : "30", "--out", `${scratch}/model.safetensors`], {
        find: /Test accuracy: (?<accuracy>[\d.]+)%/,
        least: smoke ? {} : { accuracy: 97 },
        skip: smoke && "a stand-in takes too long to train it",
      }),
      program(
        "char-gpt",
        "char-gpt",
        [
          "--device",
          device,
          "--steps",
          smoke ? "1" : "600",
          "--length",
          smoke ? "1" : "200",
          "--text",
          `${app}/node_modules/typescript/lib/lib.es5.d.ts`,
        ],
        { find: /Training on (?<device>\S+):/, skip: smoke && "a stand-in takes too long to train it" },
      ),
    ],
  },
  {
    name: "dispatch",
    what: "what handing a kernel to the GPU costs JavaScript",
    seconds: 90,
    steps: (options) => [bench("dispatch", ["dispatch"], options, 90)],
  },
  {
    name: "bench",
    what: "kernels and small training steps beside PyTorch",
    seconds: 540,
    steps: (options) => [
      bench("matmul", ["matmul"], options, 200),
      bench("memory", ["rowwise", "elementwise", "optimizer"], options, 200),
      bench("attention", ["attention", "digits"], options, 140),
    ],
  },
  {
    name: "gpt2",
    what: "GPT-2 124M training steps beside PyTorch, eager and compiled",
    seconds: 560,
    steps: (options) => [bench("gpt2", ["gpt2"], options, 560)],
  },
  {
    name: "sanitizer",
    what: "compute-sanitizer over the grid: memcheck and racecheck",
    seconds: 400,
    steps: ({ device, smoke }) => ["memcheck", "racecheck"].map((tool) => sanitizer(tool, device, smoke)),
  },
];

/** A staged program; it writes `--json`. */
function program(name, entry, args, { seconds = Infinity, env = {}, find, least, skip } = {}) {
  const json = !["digits", "char-gpt"].includes(entry);
  return { name, entry, args, seconds, env, json, find, least, skip };
}

const corpus = (app, kind, device, more) => ["--corpus", `${app}/test/golden/${kind}.pack`, "--device", device, ...more];

/** Stops by itself before its limit, so that what it has measured is whole. */
function bench(name, suites, { device, smoke, peers }, seconds) {
  const args = ["--device", device, "--suite", suites.join(), "--peers", peers, ...(smoke ? ["--smoke"] : [])];
  return { ...program(name, "bench", args, { seconds }), budget: true };
}

function sanitizer(tool, device, smoke) {
  const share = smoke ? 80 : tool === "racecheck" ? 4 : 2;
  const step = program(tool, "grid", ["--device", device, "--share", String(share)], {
    seconds: 200,
    // Every tensor an allocation of its own: what is written beyond one is seen.
    env: tool === "memcheck" ? { KINDLING_CUDA_ALLOCATOR: "exact" } : {},
    find: /ERROR SUMMARY: (?<errors>\d+) error|RACECHECK SUMMARY: (?<hazards>\d+) hazard/,
  });
  const before = [
    "compute-sanitizer",
    "--tool",
    tool,
    "--error-exitcode",
    "9",
    "--print-limit",
    "40",
    "--target-processes",
    "all",
  ];
  // Reports of the driver's own failing calls (probing for what is not there) are no errors of kernels.
  return { ...step, before: [...before, "--report-api-errors", "no"] };
}
