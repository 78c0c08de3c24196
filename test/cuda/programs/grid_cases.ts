/** The grid: every kind of kernel in its forms and types, at sizes that cross the edges of tiles and are small enough for checkers. */

import * as torch from "kindling";
import { nn, optim, type DType, type Tensor } from "kindling";
import type { Maker } from "./grid_make.ts";
import { FLOATS, type GridCase, HALVES, withGradients } from "./grid_make.ts";

const F = nn.functional;

const each = <T>(list: readonly T[], make: (item: T) => GridCase | readonly GridCase[]): GridCase[] => list.flatMap(make);
const one = (kind: string, name: string, run: GridCase["run"], tolerance?: number): GridCase => ({
  kind,
  name,
  run,
  ...(tolerance === undefined ? {} : { tolerance }),
});

const maps: GridCase[] = [
  ...each(FLOATS, (dtype) => [
    one("map", `chain ${dtype.name}`, (m) => [
      m
        .float([37, 65], dtype)
        .mul(1.5)
        .add(0.25)
        .tanh()
        .mul(m.float([65], dtype)),
    ]),
    one("map", `elementary ${dtype.name}`, (m) => {
      const [x, y] = [m.float([1000], dtype), m.positive([1000], dtype)];
      return [x.exp(), x.sin(), x.sigmoid(), F.gelu(x), torch.erf(x), y.log(), y.sqrt(), y.pow(0.75), x.atan2(y)];
    }),
    one("map", `transposed and broadcast ${dtype.name}`, (m) => [
      m
        .float([33, 17], dtype)
        .t()
        .add(m.float([17, 1], dtype)),
      m.float([5, 1, 7], dtype).mul(m.float([6, 1], dtype)),
    ]),
    one("map", `in place ${dtype.name}`, (m) => {
      const x = m.float([64, 9], dtype);
      x.select(1, 3).mul_(2);
      x.narrow(0, 5, 20).add_(1);
      return [x];
    }),
  ]),
  ...each([torch.int64, torch.int32, torch.int16, torch.uint8], (dtype) =>
    one("map", `integers ${dtype.name}`, (m) => {
      const [x, y] = [m.whole([777], 100, dtype), m.whole([777], 7, dtype).add(1)];
      return [
        x.mul(y),
        x.remainder(y),
        x.div(y, { rounding_mode: "floor" }),
        x.bitwise_xor(y),
        x.lt(y.mul(10)),
        x.to(torch.float32),
      ];
    }),
  ),
  one("map", "casts", (m) => {
    const x = m.float([500]).mul(100);
    return [torch.int64, torch.int8, torch.bool, torch.float16, torch.bfloat16, torch.float64].map((d) => x.to(d));
  }),
  one("map", "where and clamp", (m) => {
    const [x, y] = [m.float([301]), m.float([301])];
    return [torch.where(x.gt(y), x, y.neg()), x.clamp(-1, 0.5), x.maximum(y), x.isnan().logical_or(y.gt(0))];
  }),
];

const reductions: GridCase[] = each(FLOATS, (dtype) =>
  each(
    [
      [7, 1500],
      [700, 9],
      [4, 33, 65],
    ],
    (shape) =>
      one("reduce", `${dtype.name} ${shape.join("x")}`, (m) => {
        const x = m.float(shape, dtype);
        return [x.sum(), x.sum(0), x.mean(-1), x.amax(0), x.amin(-1), x.argmax(-1), x.argmin(0), x.std(-1), x.gt(1.9).any(0)];
      }),
  ),
).concat([
  one("reduce", "integers", (m) => {
    const x = m.whole([60, 70], 50);
    return [x.sum(0), x.sum(), x.amax(1), x.gt(3).all(1), x.argmax()];
  }),
  one("reduce", "products", (m) => [m.float([40, 12]).add(2.5).prod(1), m.whole([3, 9], 4).prod(1)]),
  one("reduce", "of a fused map", (m) => [m.float([50, 300]).mul(2).exp().sum(1), m.float([300, 50]).sub(1).square().mean(0)]),
]);

const scans: GridCase[] = each([torch.float32, torch.float64, torch.bfloat16], (dtype) =>
  each([5, 300, 3000], (n) =>
    one("scan", `${dtype.name} ${n}`, (m) => {
      const x = m.float([4, n], dtype);
      const most = torch.cummax(x, 1);
      return [x.cumsum(1), most[0]!, most[1]!, x.t().contiguous().cumsum(0), torch.logcumsumexp(x, 1)];
    }),
  ),
).concat([one("scan", "integers", (m) => [m.whole([3, 900], 20).cumsum(1), m.float([3, 20]).cumprod(1)])]);

type Product = readonly [m: number, k: number, n: number];
const PRODUCTS: readonly Product[] = [
  [1, 64, 40],
  [33, 17, 65],
  [64, 64, 64],
  [128, 128, 128],
  [130, 72, 200],
  [5, 300, 1],
];

function product([rows, k, n]: Product, dtype: DType, tf32: boolean): GridCase {
  const run = (m: Maker): Tensor[] => {
    const { matmul } = torch.backends.cuda;
    matmul.allow_tf32 = tf32;
    try {
      const [a, b] = [m.float([rows, k], dtype), m.float([k, n], dtype)];
      const [at, bt] = [m.float([k, rows], dtype), m.float([n, k], dtype)];
      const out = [a.matmul(b), at.t().matmul(b), a.matmul(bt.t()), F.linear(a, bt, m.float([n], dtype))];
      out.forEach((t) => t._storage.materialize());
      return out;
    } finally {
      matmul.allow_tf32 = false;
    }
  };
  const tolerance = tf32 ? 1e-2 : undefined;
  return one("matmul", `${tf32 ? "tf32" : dtype.name} ${rows}x${k}x${n}`, run, tolerance);
}

const matmuls: GridCase[] = [
  ...each([...FLOATS, torch.int64], (dtype) => each(PRODUCTS, (p) => product(p, dtype, false))),
  ...each(PRODUCTS, (p) => product(p, torch.float32, true)),
  ...each(HALVES, (dtype) => [
    one("matmul", `batches ${dtype.name}`, (m) => [
      m.float([5, 33, 40], dtype).matmul(m.float([5, 40, 20], dtype)),
      m.float([2, 3, 16, 24], dtype).matmul(m.float([24, 16], dtype)),
    ]),
    one("matmul", `gradients ${dtype.name}`, (m) => {
      const [x, w, b] = [m.leaf([40, 48], dtype), m.leaf([24, 48], dtype), m.leaf([24], dtype)];
      return withGradients(F.linear(x, w, b), [x, w, b], m);
    }),
  ]),
];

const convolutions: GridCase[] = each(HALVES, (dtype) => [
  one("conv", `2d ${dtype.name}`, (m) => {
    const [x, w, b] = [m.leaf([2, 6, 12, 10], dtype), m.leaf([8, 6, 3, 3], dtype), m.leaf([8], dtype)];
    return withGradients(F.conv2d(x, w, b, { padding: 1 }), [x, w, b], m);
  }),
  one("conv", `2d strided, dilated, in groups ${dtype.name}`, (m) => {
    const [x, w] = [m.leaf([2, 4, 13, 11], dtype), m.leaf([8, 2, 3, 3], dtype)];
    return withGradients(F.conv2d(x, w, null, { stride: 2, padding: 2, dilation: 2, groups: 2 }), [x, w], m);
  }),
  one("conv", `1d ${dtype.name}`, (m) => {
    const [x, w] = [m.leaf([3, 5, 40], dtype), m.leaf([7, 5, 5], dtype)];
    return withGradients(F.conv1d(x, w, null, { stride: 2 }), [x, w], m);
  }),
]).concat([
  one("conv", "3d", (m) => {
    const [x, w] = [m.leaf([1, 3, 6, 7, 8]), m.leaf([4, 3, 2, 3, 3])];
    return withGradients(F.conv3d(x, w, null, { padding: 1 }), [x, w], m);
  }),
  one("conv", "transposed", (m) => {
    const [x, w, b] = [m.leaf([2, 6, 7, 7]), m.leaf([6, 4, 3, 3]), m.leaf([4])];
    return withGradients(F.conv_transpose2d(x, w, b, { stride: 2, padding: 1 }), [x, w, b], m);
  }),
]);

const pools: GridCase[] = each(HALVES, (dtype) =>
  one("pool", dtype.name, (m) => {
    const x = m.leaf([2, 3, 9, 11], dtype);
    return [
      ...withGradients(F.max_pool2d(x, 3, { stride: 2, padding: 1 }), [x], m),
      ...withGradients(F.avg_pool2d(x, 2), [x], m),
      ...withGradients(F.adaptive_avg_pool2d(x, [4, 3]), [x], m),
      ...withGradients(F.adaptive_max_pool2d(x, [2, 5]), [x], m),
    ];
  }),
);

const rowwise: GridCase[] = each(HALVES, (dtype) =>
  each([7, 129, 1030, 5000], (n) => [
    one("rowwise", `softmax ${dtype.name} ${n}`, (m) => {
      const x = m.leaf([5, n], dtype);
      return [...withGradients(F.softmax(x, -1), [x], m), ...withGradients(F.log_softmax(x, -1), [x], m)];
    }),
    one("rowwise", `layer_norm ${dtype.name} ${n}`, (m) => {
      const [x, w, b] = [m.leaf([6, n], dtype), m.leaf([n], dtype), m.leaf([n], dtype)];
      return withGradients(F.layer_norm(x, [n], w, b), [x, w, b], m);
    }),
    one("rowwise", `rms_norm ${dtype.name} ${n}`, (m) => {
      const [x, w] = [m.leaf([6, n], dtype), m.leaf([n], dtype)];
      return withGradients(F.rms_norm(x, [n], w), [x, w], m);
    }),
    one("rowwise", `cross_entropy ${dtype.name} ${n}`, (m) => {
      const x = m.leaf([9, n], dtype);
      const loss = F.cross_entropy(x, m.whole([9], n), { reduction: "none" });
      return withGradients(loss, [x], m);
    }),
  ]),
).concat(
  each(HALVES, (dtype) => [
    one("rowwise", `batch_norm ${dtype.name}`, (m) => {
      const [x, w, b] = [m.leaf([6, 5, 7, 3], dtype), m.leaf([5], dtype), m.leaf([5], dtype)];
      return withGradients(F.batch_norm(x, null, null, { weight: w, bias: b, training: true }), [x, w, b], m);
    }),
    one("rowwise", `group_norm ${dtype.name}`, (m) => {
      const [x, w, b] = [m.leaf([3, 8, 5, 5], dtype), m.leaf([8], dtype), m.leaf([8], dtype)];
      return withGradients(F.group_norm(x, 4, w, b), [x, w, b], m);
    }),
  ]),
);

const attentions: GridCase[] = each(HALVES, (dtype) =>
  each(
    [
      [16, 33],
      [64, 64],
      [128, 130],
    ],
    ([width, length]) => [
      one("attention", `causal ${dtype.name} ${length}x${width}`, (m) => {
        const [q, k, v] = [1, 2, 3].map(() => m.leaf([2, 2, length!, width!], dtype)) as [Tensor, Tensor, Tensor];
        return withGradients(F.scaled_dot_product_attention(q, k, v, { is_causal: true }), [q, k, v], m);
      }),
      one("attention", `masked ${dtype.name} ${length}x${width}`, (m) => {
        const q = m.leaf([1, 2, 20, width!], dtype);
        const [k, v] = [1, 2].map(() => m.leaf([1, 2, length!, width!], dtype)) as [Tensor, Tensor];
        const attn_mask = m.float([20, length!], dtype);
        return withGradients(F.scaled_dot_product_attention(q, k, v, { attn_mask }), [q, k, v], m);
      }),
    ],
  ),
);

const indexing: GridCase[] = [
  ...each(HALVES, (dtype) => [
    one("gather", dtype.name, (m) => {
      const [x, rows] = [m.float([20, 33], dtype), m.whole([14], 20)];
      return [
        x.index_select(0, rows),
        x.gather(1, m.whole([20, 7], 33)),
        F.embedding(m.whole([4, 5], 20), x),
        x.index(rows, m.whole([14], 33)),
      ];
    }),
    one("scatter", dtype.name, (m) => {
      const w = m.leaf([20, 9], dtype);
      return [
        m.float([10, 33], dtype).scatter_add(1, m.whole([10, 20], 33), m.float([10, 20], dtype)),
        m.float([9, 16], dtype).index_add(0, m.whole([30], 9), m.float([30, 16], dtype)),
        ...withGradients(F.embedding(m.whole([6, 11], 20), w), [w], m),
      ];
    }),
  ]),
  one("scatter", "reduce", (m) => [m.float([8, 40]).scatter_reduce(1, m.whole([8, 60], 40), m.float([8, 60]), "amax")]),
  one("gather", "joined, padded, rolled", (m) => {
    const [x, y] = [m.float([5, 6]), m.float([5, 9])];
    return [torch.cat([x, y], 1), torch.stack([x, x.neg()]), F.pad(x, [1, 2, 3, 0]), x.roll(2, 1), x.flip([0]), y.tril()];
  }),
];

const sorts: GridCase[] = each([torch.float32, torch.float64, torch.int64, torch.bfloat16], (dtype) =>
  each([10, 1000, 5000], (n) =>
    one("sort", `${dtype.name} ${n}`, (m) => {
      const x = dtype === torch.int64 ? m.whole([3, n], 90) : m.float([3, n], dtype);
      const sorted = torch.sort(x, { dim: 1, stable: true });
      return [sorted[0]!, sorted[1]!, torch.sort(x, { dim: 1, descending: true })[0]!, torch.topk(x, 4, { dim: 1 })[0]!];
    }),
  ),
);

const selections: GridCase[] = [
  one("nonzero", "positions and masks", (m) => {
    const x = m.float([30, 40]);
    return [x.gt(1).nonzero(), x.masked_select(x.lt(-1)), torch.unique(m.whole([500], 40)) as Tensor];
  }),
];

const within = (low: number, high: number, mean: number, slack: number): GridCase["holds"] => {
  return (v) => v.every((x) => x >= low && x <= high) && Math.abs(v.reduce((a, b) => a + b, 0) / v.length - mean) <= slack;
};
const randoms: GridCase[] = [
  { kind: "random", name: "uniform", run: (m) => [torch.rand([4000], { device: m.device })], holds: within(0, 1, 0.5, 0.05) },
  { kind: "random", name: "normal", run: (m) => [torch.randn([4001], { device: m.device })], holds: within(-6, 6, 0, 0.1) },
  {
    kind: "random",
    name: "integers",
    run: (m) => [torch.randint(0, 10, [4000], { device: m.device })],
    holds: within(0, 9, 4.5, 0.3),
  },
  {
    kind: "random",
    name: "dropout",
    run: (m) => [F.dropout(torch.ones([4000], { device: m.device }), 0.25)],
    holds: within(0, 1.34, 1, 0.1),
  },
  {
    kind: "random",
    name: "multinomial",
    run: (m) => [torch.multinomial(torch.ones([8], { device: m.device }), 2000, true)],
    holds: within(0, 7, 3.5, 0.4),
  },
];

function optimizerCase(name: string, make: (weights: nn.Parameter[]) => optim.Optimizer): GridCase {
  return one("optimizer", name, (m) => {
    const shapes = [[7, 9], [300], [2, 3, 4]];
    const weights = shapes.map((shape) => new nn.Parameter(m.float(shape)));
    const optimizer = make(weights);
    for (let step = 0; step < 3; step++) {
      weights.forEach((p) => (p.grad = m.float(p.shape)));
      optimizer.step();
    }
    return weights.map((p) => p.detach());
  });
}
const optimizers: GridCase[] = [
  optimizerCase("SGD", (w) => new optim.SGD(w, { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 })),
  optimizerCase("Adam", (w) => new optim.Adam(w, { lr: 0.01, amsgrad: true })),
  optimizerCase("AdamW", (w) => new optim.AdamW(w, { lr: 0.01, weight_decay: 0.1 })),
  optimizerCase("RMSprop", (w) => new optim.RMSprop(w, { lr: 0.01, momentum: 0.5 })),
  optimizerCase("Adagrad", (w) => new optim.Adagrad(w, { lr: 0.05 })),
  optimizerCase("Rprop", (w) => new optim.Rprop(w)),
  optimizerCase("RAdam", (w) => new optim.RAdam(w, { lr: 0.05, weight_decay: 0.1 })),
];

export const GRID: readonly GridCase[] = [
  ...maps,
  ...reductions,
  ...scans,
  ...matmuls,
  ...convolutions,
  ...pools,
  ...rowwise,
  ...attentions,
  ...indexing,
  ...sorts,
  ...selections,
  ...randoms,
  ...optimizers,
];
