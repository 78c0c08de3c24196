import { describe, expect, test } from "vitest";
import { embeddingGrad } from "../../wasm/device/cpp/embedding.ts";
import { adamStep, sgdStep, type Adam, type Sgd, type Slot } from "../../wasm/device/cpp/optimizer.ts";
import { Harness, randomF64, variants, worstError } from "./cpp_harness.ts";

const lengths = [1, 7, 128, 40001];

describe.each(variants())("optimizers (%s)", (variant) => {
  const h = new Harness(variant);
  for (const dtype of ["f32", "f64"] as const) {
    const put = (a: Float64Array): number => h.put(dtype === "f32" ? Float32Array.from(a) : a);
    const get = (ptr: number, n: number): ArrayLike<number> => (dtype === "f32" ? h.f32(ptr, n) : h.f64(ptr, n));
    const tolerance = dtype === "f32" ? 2e-6 : 1e-14;

    test(`sgd, ${dtype}`, () => {
      const options: Partial<Sgd>[] = [
        {},
        { momentum: 0.9 },
        { momentum: 0.9, dampening: 0.1, weightDecay: 0.01 },
        { momentum: 0.8, nesterov: true, weightDecay: 0.1 },
        { maximize: true, weightDecay: 0.1 },
      ];
      for (const o of options) {
        h.clear();
        const params = lengths.map((n) => randomF64(n, n));
        const buffers = lengths.map((n) => new Float64Array(n).fill(NaN));
        const slots: Slot[] = params.map((p, i) => ({
          param: put(p),
          grad: put(p),
          states: o.momentum ? [put(buffers[i]!)] : [],
          count: p.length,
        }));
        for (let step = 1; step <= 3; step++) {
          const grads = lengths.map((n) => randomF64(n, n + step));
          slots.forEach((s, i) => (dtype === "f32" ? h.f32(s.grad, s.count) : h.f64(s.grad, s.count)).set(grads[i]!));
          sgdStep(h, { dtype, slots, lr: 0.1, first: step === 1, ...o });
          params.forEach((p, i) => {
            for (let j = 0; j < p.length; j++) {
              let g = (o.maximize ? -1 : 1) * grads[i]![j]! + (o.weightDecay ?? 0) * p[j]!;
              if (o.momentum) {
                const b = step === 1 ? g : o.momentum * buffers[i]![j]! + (1 - (o.dampening ?? 0)) * g;
                buffers[i]![j] = b;
                g = o.nesterov ? g + o.momentum * b : b;
              }
              p[j]! -= 0.1 * g;
            }
          });
        }
        slots.forEach((s, i) => expect(worstError(get(s.param, s.count), params[i]!)).toBeLessThan(tolerance));
      }
    });

    test(`adam and adamw, ${dtype}`, () => {
      const options: Partial<Adam>[] = [
        {},
        { weightDecay: 0.1 },
        { weightDecay: 0.1, decoupled: true },
        { amsgrad: true, maximize: true },
        { beta1: 0.3 },
      ];
      for (const o of options) {
        h.clear();
        const [beta1, beta2, eps, lr] = [o.beta1 ?? 0.9, 0.99, 1e-8, 0.01];
        const params = lengths.map((n) => randomF64(n, n));
        const [m, v, top] = [0, 1, 2].map(() => lengths.map((n) => new Float64Array(n))) as [
          Float64Array[],
          Float64Array[],
          Float64Array[],
        ];
        const slots: Slot[] = params.map((p) => {
          const zero = new Float64Array(p.length);
          return {
            param: put(p),
            grad: put(zero),
            states: [put(zero), put(zero), ...(o.amsgrad ? [put(zero)] : [])],
            count: p.length,
          };
        });
        for (let step = 1; step <= 4; step++) {
          const grads = lengths.map((n) => randomF64(n, n + step, 1 / step));
          slots.forEach((s, i) => (dtype === "f32" ? h.f32(s.grad, s.count) : h.f64(s.grad, s.count)).set(grads[i]!));
          adamStep(h, { dtype, slots, lr, beta1, beta2, eps, step, ...o });
          params.forEach((p, i) => {
            for (let j = 0; j < p.length; j++) {
              let g = (o.maximize ? -1 : 1) * grads[i]![j]!;
              if (o.decoupled) p[j]! *= 1 - lr * o.weightDecay!;
              else g += (o.weightDecay ?? 0) * p[j]!;
              m[i]![j] = beta1 * m[i]![j]! + (1 - beta1) * g;
              v[i]![j] = beta2 * v[i]![j]! + (1 - beta2) * g * g;
              top[i]![j] = Math.max(top[i]![j]!, v[i]![j]!);
              const root = Math.sqrt((o.amsgrad ? top : v)[i]![j]!) / Math.sqrt(1 - beta2 ** step) + eps;
              p[j]! -= ((lr / (1 - beta1 ** step)) * m[i]![j]!) / root;
            }
          });
        }
        slots.forEach((s, i) => expect(worstError(get(s.param, s.count), params[i]!)).toBeLessThan(tolerance * 5));
      }
    });

    test(`embedding gradient, ${dtype}`, () => {
      for (const scaleByFrequency of [false, true])
        for (const reversed of [false, true]) {
          h.clear();
          h.reversed = reversed;
          const [count, dim, vocabulary] = [5000, 37, 301];
          const dy = randomF64(count * dim, 1);
          const index = Array.from({ length: count }, (_, i) => (i * i * 7) % vocabulary);
          const want = new Float64Array(vocabulary * dim);
          const uses = new Float64Array(vocabulary);
          index.forEach((row, i) => {
            if (row === 7) return;
            uses[row]!++;
            for (let c = 0; c < dim; c++) want[row * dim + c]! += dy[i * dim + c]!;
          });
          if (scaleByFrequency) want.forEach((x, i) => (want[i] = x / Math.max(1, uses[Math.floor(i / dim)]!)));
          const dw = put(new Float64Array(vocabulary * dim).fill(NaN));
          embeddingGrad(h, {
            dtype,
            dy: put(dy),
            index: h.put(BigInt64Array.from(index, BigInt)),
            dw,
            count,
            dim,
            vocabulary,
            paddingIndex: 7,
            scaleByFrequency,
          });
          expect(worstError(get(dw, want.length), want)).toBeLessThan(tolerance * 10);
        }
      h.reversed = false;
    });
  }
});
