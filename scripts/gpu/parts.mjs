/**
 * What runs on the GPU machine, in this order. A part is made of steps, each a process with a time limit; what a step writes to `json` is kept
 * whatever becomes of it. All of them together fit 30 minutes of a machine, each part 10 minutes of a command.
 */

/** In the order in which they are most wanted. `seconds`: of the part. */
export const PARTS = [
  {
    name: "machine",
    what: "describes the machine: GPU, driver, CUDA libraries, PyTorch",
    seconds: 60,
    steps: ({ device }) => [program("machine", "machine", ["--device", device])],
  },
  {
    name: "start",
    what: "from nothing to first results, without and with compiled kernels on disk",
    seconds: 60,
    steps: ({ device, smoke, scratch }) => {
      const args = ["--device", device, ...(smoke ? ["--smoke"] : [])];
      const env = { KINDLING_CACHE_DIR: `${scratch}/cache` };
      return ["cold", "warm"].map((name) => program(name, "start", args, { env, seconds: 40 }));
    },
  },
  {
    name: "grid",
    what: "every kind of kernel at small sizes, against the cpu's results",
    seconds: 120,
    steps: ({ device, smoke }) => [program("grid", "grid", ["--device", device, ...(smoke ? ["--share", "40"] : [])])],
  },
  {
    name: "conformance",
    what: "the corpora of PyTorch's own values, gradients and training runs; what the cpu cannot do either does not count",
    seconds: 300,
    steps: ({ device, smoke, app, scratch }) =>
      ["ops", "training"].flatMap((kind) => {
        const some = smoke ? ["--op", { ops: "add,softmax", training: "modules/Linear" }[kind]] : [];
        const args = (on) => ["--corpus", `${app}/test/golden/${kind}.pack`, "--device", on, ...some];
        const known = `${scratch}/${kind}.json`;
        return [
          program(`${kind}_cpu`, "conformance", args("cpu"), { json: known, tolerated: 1 }),
          program(kind, "conformance", [...args(device), "--against", known]),
        ];
      }),
  },
  {
    name: "examples",
    what: "trains the digits network and the char-GPT",
    seconds: 90,
    // A stand-in for a GPU would take hours.
    steps: ({ device, smoke, scratch, app }) => {
      const on = ["--device", smoke ? "cpu" : device];
      const text = ["--text", `${app}/node_modules/typescript/lib/lib.es5.d.ts`];
      return [
        program("digits", "digits", [...on, "--epochs", smoke ? "1" : "30", "--out", `${scratch}/model.safetensors`], {
          json: false,
          find: /Test accuracy: (?<accuracy>[\d.]+)%/,
          least: smoke ? {} : { accuracy: 97 },
        }),
        program("char-gpt", "char-gpt", [...on, ...text, "--steps", smoke ? "1" : "600", "--length", smoke ? "1" : "200"], {
          json: false,
          find: /Training on (?<device>\w+)/,
        }),
      ];
    },
  },
  {
    name: "dispatch",
    what: "what handing a kernel to the GPU costs JavaScript",
    seconds: 40,
    steps: (options) => [bench("dispatch", ["dispatch"], options, 40)],
  },
  {
    name: "bench",
    what: "kernels and small training steps beside PyTorch",
    seconds: 460,
    steps: (options) => [
      bench("matmul", ["matmul"], options, 160),
      bench("memory", ["rowwise", "elementwise", "optimizer"], options, 190),
      bench("attention", ["attention", "digits"], options, 120),
    ],
  },
  {
    name: "gpt2",
    what: "GPT-2 124M training steps beside PyTorch, eager and compiled",
    seconds: 400,
    steps: (options) => [bench("gpt2", ["gpt2"], options, 400)],
  },
  {
    name: "sanitizer",
    what: "compute-sanitizer over the grid: memcheck and racecheck",
    seconds: 160,
    steps: ({ device, smoke }) => ["memcheck", "racecheck"].map((tool) => sanitizer(tool, device, smoke)),
  },
];

/**
 * A staged program. `json`: where it writes what it has found; true: where that is kept. `find`: what to keep of its output, `least`: what that
 * must be. `tolerated`: an exit status that is no failure. `skip`: why it does not run.
 */
function program(name, entry, args, { seconds = Infinity, env = {}, json = true, ...others } = {}) {
  return { name, entry, args, seconds, env, json, ...others };
}

/** Stops by itself before its limit, so that what it has measured is whole. */
function bench(name, suites, { device, smoke, peers }, seconds) {
  const args = ["--device", device, "--suite", suites.join(), "--peers", peers, ...(smoke ? ["--smoke"] : [])];
  return { ...program(name, "bench", args, { seconds }), budget: true };
}

function sanitizer(tool, device, smoke) {
  const share = smoke ? 80 : tool === "racecheck" ? 4 : 2;
  const step = program(tool, "grid", ["--device", device, "--share", String(share)], {
    seconds: 80,
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
