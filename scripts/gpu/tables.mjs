/** Benchmarks' figures as tables. */

export function table(head, rows) {
  const line = (cells) => `| ${cells.map((c) => String(c ?? "").replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

export const number = (x) => (x === null || x === undefined || Number.isNaN(x) ? "" : x >= 100 ? x.toFixed(0) : x.toPrecision(3));
export const time = (ms) => (ms < 1 ? `${number(ms * 1000)} us` : ms < 1000 ? `${number(ms)} ms` : `${number(ms / 1000)} s`);
export const bytes = (n) => (n >= 2 ** 30 ? `${(n / 2 ** 30).toFixed(1)} GiB` : `${(n / 2 ** 20).toFixed(0)} MiB`);
const percent = (x) => `${(100 * x).toFixed(0)}%`;

/** All steps of benchmarks that have figures. */
export const benchData = ({ parts }) =>
  parts
    .filter(({ part }) => part === "bench" || part === "gpt2")
    .flatMap(({ steps }) => steps.map((s) => s.data).filter((d) => d !== null && d !== undefined));

export const entryOf = (row, who, variant) =>
  row.entries.find((e) => e.who === who && e.variant === variant && e.gpu !== undefined) ?? null;

/** What counts: the GPU's time, but the wall's for what is got through as a whole. */
export const timeOf = (row, entry) => (row.items === undefined ? entry.gpu.median : entry.wall.median);

export const ceilingOf = (data, row) => {
  const rates = data.ceilings?.[row.ceiling]?.rates;
  return rates === undefined || rates.length === 0 ? null : Math.max(...rates);
};

/** GB/s or TFLOP/s. */
export const rateOf = (row, ms) =>
  row.bytes !== undefined ? row.bytes / ms / 1e6 : row.flops !== undefined ? row.flops / ms / 1e9 : null;

/** Our fastest variant. */
export function best(row) {
  const own = row.entries.filter((e) => e.who === "ours" && e.gpu !== undefined);
  return own.length === 0 ? null : own.reduce((a, b) => (timeOf(row, b) < timeOf(row, a) ? b : a));
}

/** How many times as fast as PyTorch's variant an entry is. */
export function speed(row, entry, variant) {
  const theirs = entryOf(row, "pytorch", variant);
  return theirs === null || entry === null ? null : timeOf(row, theirs) / timeOf(row, entry);
}

const spread = ({ median, min, max }) => `${time(median)} [${number((100 * (max - min)) / median)}%]`;

function rowsOf(data) {
  return data.rows.flatMap((row) =>
    row.entries.map((entry, i) => {
      const name = i === 0 ? row.name : "";
      const who = `${entry.who === "ours" ? "Kindling" : "PyTorch"} ${entry.variant}`;
      if (entry.gpu === undefined) return [name, who, `failed: ${entry.error ?? ""}`.slice(0, 200), "", "", "", "", "", ""];
      const ms = timeOf(row, entry);
      const rate = rateOf(row, ms);
      const ceiling = ceilingOf(data, row);
      const unit = row.bytes !== undefined ? "GB/s" : "TFLOP/s";
      const through =
        row.items === undefined ? "" : `${Math.round((row.items.count / ms) * 1000).toLocaleString("en")} ${row.items.unit}/s`;
      const against = (variant) => (entry.who === "pytorch" ? "" : number(speed(row, entry, variant)));
      const check = row.checks.find((c) => entry.who === "ours" && c.variant === entry.variant);
      return [
        name,
        who,
        spread(row.items === undefined ? entry.gpu : entry.wall),
        [rate === null ? "" : `${number(rate)} ${unit}`, through].filter(Boolean).join(", "),
        rate === null || ceiling === null ? "" : percent(rate / ceiling),
        against("eager"),
        against("compile"),
        `${time(entry.host.median)}; first ${time(entry.first)}`,
        check === undefined
          ? ""
          : `${check.passed ? "" : "WRONG: "}${check.worst === null ? "NaN" : check.worst.toExponential(1)}`,
      ];
    }),
  );
}

const HEAD = ["Workload", "By", "Time [spread]", "Rate", "Of ceiling", "x eager", "x compile", "Asking", "Differs"];

function kernelsOf(row) {
  const { kernels, launches, kernels_ms, peak_bytes } = row.more ?? {};
  if (!Array.isArray(kernels) || row.suite !== "gpt2") return [];
  const head = `${row.name}: ${launches} launches, ${number(kernels_ms)} ms in own kernels, ${bytes(peak_bytes)} at most`;
  return [
    "",
    head,
    "",
    ...table(
      ["Kernel", "Launches", "ms"],
      kernels.slice(0, 15).map((k) => [k.name, k.count, number(k.ms)]),
    ),
  ];
}

export function benchTables(results) {
  return benchData(results).flatMap((data) => {
    if (data.rows.length === 0) return [];
    const suites = [...new Set(data.rows.map((r) => r.suite))].join(", ");
    const ceilings = Object.entries(data.ceilings).map(
      ([name, { rates, by }]) =>
        `${name} ${number(Math.max(...rates))} ${name === "copy" ? "GB/s" : "TFLOP/s"} (${by}, ${rates.map(number).join(", ")})`,
    );
    return [
      "",
      `## ${suites}`,
      "",
      `Ceilings: ${ceilings.join("; ") || "not measured"}. ${data.pytorch === null ? `No PyTorch: ${data.noPytorch}.` : `PyTorch ${data.pytorch.torch}.`}`,
      ...(data.left.length > 0 ? [`No time was left for ${data.left.join("; ")}.`] : []),
      "",
      ...table(HEAD, rowsOf(data)),
      ...data.rows.flatMap(kernelsOf),
    ];
  });
}

export function dispatchTable(data) {
  const dispatch = data?.dispatch ?? null;
  if (dispatch === null) return [];
  const rows = dispatch.costs.map(({ name, us, spread: [least, most], launches }) => [
    name,
    number(us),
    `${number(least)} to ${number(most)}`,
    number(launches),
  ]);
  return [
    "",
    "## Dispatch",
    "",
    dispatch.noop ? "The driver does nothing: what is measured is this library." : "The driver's own part is in it.",
    "",
    ...table(["Path", "us per kernel", "Spread", "Launches per kernel"], rows),
  ];
}
