import { describe, expect, test } from "vitest";
import { normApply, normBackward, normStatistics } from "../../wasm/device/cpp/channelnorm.ts";
import {
  crossEntropy,
  crossEntropyBackward,
  layerNorm,
  layerNormBackward,
  softmax,
  softmaxBackward,
} from "../../wasm/device/cpp/rowwise.ts";
import { Harness, randomF64, variants, worstError } from "./cpp_harness.ts";

const dtypes = ["f32", "f64"] as const;
const tolerance = { f32: 5e-6, f64: 1e-13 };
const sum = (x: ArrayLike<number>): number => Array.from(x).reduce((a, b) => a + b, 0);

describe.each(variants())("rowwise (%s)", (variant) => {
  const h = new Harness(variant);
  const tools = (dtype: "f32" | "f64") => {
    h.clear();
    const bytes = dtype === "f32" ? 4 : 8;
    return {
      put: (a: ArrayLike<number>): number => h.put(dtype === "f32" ? Float32Array.from(a) : Float64Array.from(a)),
      blank: (n: number): number => h.put(new Uint8Array(n * bytes).fill(255)),
      get: (ptr: number, n: number): ArrayLike<number> => (dtype === "f32" ? h.f32(ptr, n) : h.f64(ptr, n)),
      close: (ptr: number, want: ArrayLike<number>, what: string, factor = 1): void =>
        expect(
          worstError(dtype === "f32" ? h.f32(ptr, want.length) : h.f64(ptr, want.length), want),
          `${dtype} ${what}`,
        ).toBeLessThan(tolerance[dtype] * factor),
    };
  };

  test.each(dtypes)("softmax and log_softmax, %s", (dtype) => {
    for (const [rows, cols] of [
      [3, 1],
      [5, 7],
      [2, 64],
      [40, 1030],
      [1, 5000],
    ] as const) {
      const { put, blank, close } = tools(dtype);
      const x = randomF64(rows * cols, 1, 10).map((v) => (dtype === "f32" ? Math.fround(v) : v));
      const dy = randomF64(rows * cols, 2);
      for (const log of [false, true]) {
        const y = new Float64Array(rows * cols);
        const dx = new Float64Array(rows * cols);
        for (let r = 0; r < rows; r++) {
          const row = x.subarray(r * cols, (r + 1) * cols);
          const g = dy.subarray(r * cols, (r + 1) * cols);
          const top = Math.max(...row);
          const total = sum(row.map((v) => Math.exp(v - top)));
          const p = row.map((v) => Math.exp(v - top) / total);
          const dot = log ? sum(g) : sum(g.map((v, i) => v * p[i]!));
          for (let c = 0; c < cols; c++) {
            y[r * cols + c] = log ? row[c]! - top - Math.log(total) : p[c]!;
            dx[r * cols + c] = log ? g[c]! - p[c]! * dot : p[c]! * (g[c]! - dot);
          }
        }
        const [out, grad] = [blank(rows * cols), blank(rows * cols)];
        softmax(h, { dtype, rows, cols, x: put(x), y: out, log });
        close(out, y, `softmax ${rows}x${cols}`);
        softmaxBackward(h, { dtype, rows, cols, dy: put(dy), y: out, dx: grad, log });
        close(grad, dx, `backward ${rows}x${cols}`, 10);
      }
    }
  });

  test.each(dtypes)("softmax of special rows, %s", (dtype) => {
    const { put, blank, get } = tools(dtype);
    const inf = Infinity;
    const rows = [
      [-inf, -inf, -inf, -inf, -inf],
      [0, -inf, 0, -inf, -inf],
      [inf, 0, 0, 0, 0],
      [0, NaN, 1, 2, 3],
      [NaN, -inf, -inf, 1, 1],
      [-1000, -1000, 0, -80, -104],
    ];
    const y = blank(30);
    softmax(h, { dtype, rows: 6, cols: 5, x: put(rows.flat()), y });
    const out = Array.from(get(y, 30));
    expect(out.slice(0, 5)).toEqual([NaN, NaN, NaN, NaN, NaN]);
    expect(out.slice(5, 10)).toEqual([0.5, 0, 0.5, 0, 0]);
    expect(out[10]).toBeNaN();
    expect(out.slice(15, 25).every(Number.isNaN)).toBe(true);
    expect(out.slice(25, 28)).toEqual([0, 0, 1]);
    expect(out[28]! / Math.exp(-80)).toBeCloseTo(1, 5);
  });

  test.each(dtypes)("cross entropy, %s", (dtype) => {
    const { put, blank, get, close } = tools(dtype);
    const [rows, cols] = [37, 11];
    const x = randomF64(rows * cols, 1, 4);
    const weight = randomF64(cols, 2).map((v) => v + 2);
    const grad = randomF64(rows, 3);
    const target = Array.from({ length: rows }, (_, r) => (r === 5 ? -100 : (r * 7) % cols));
    const loss = new Float64Array(rows);
    const dx = new Float64Array(rows * cols);
    for (let r = 0; r < rows; r++) {
      const t = target[r]!;
      if (t < 0) continue;
      const row = x.subarray(r * cols, (r + 1) * cols);
      const lse = Math.log(sum(row.map(Math.exp)));
      loss[r] = weight[t]! * (lse - row[t]!);
      for (let c = 0; c < cols; c++) dx[r * cols + c] = grad[r]! * weight[t]! * (Math.exp(row[c]! - lse) - (c === t ? 1 : 0));
    }
    const status = h.put(new Int32Array([0]));
    const base = {
      dtype,
      rows,
      cols,
      x: put(x),
      target: h.put(BigInt64Array.from(target, BigInt)),
      weight: put(weight),
      lse: blank(rows),
      status,
    };
    const [outLoss, outDx] = [blank(rows), blank(rows * cols)];
    crossEntropy(h, { ...base, loss: outLoss });
    close(outLoss, loss, "loss");
    crossEntropyBackward(h, { ...base, dx: outDx, grad: put(grad), gradStep: 1 });
    close(outDx, dx, "dx");
    expect(h.i32(status, 1)[0]).toBe(0);
    crossEntropy(h, { ...base, rows: 1, target: h.put(BigInt64Array.from([11n])), loss: outLoss });
    expect(h.i32(status, 1)[0]).toBe(1);
    expect(get(outLoss, 1)[0]).toBeNaN();
  });

  test.each(dtypes)("layer norm and rms norm, %s", (dtype) => {
    for (const rms of [false, true])
      for (const [rows, cols] of [
        [3, 5],
        [70, 128],
        [5, 1023],
      ] as const)
        for (const affine of [true, false]) {
          const { put, blank, close } = tools(dtype);
          const eps = 1e-5;
          const x = randomF64(rows * cols, 1, 3).map((v) => v + 1);
          const [w, b, dy] = [randomF64(cols, 2), randomF64(cols, 3), randomF64(rows * cols, 4)];
          const [y, dx, dw, db] = [
            new Float64Array(rows * cols),
            new Float64Array(rows * cols),
            new Float64Array(cols),
            new Float64Array(cols),
          ];
          for (let r = 0; r < rows; r++) {
            const row = x.subarray(r * cols, (r + 1) * cols);
            const mean = rms ? 0 : sum(row) / cols;
            const rstd = 1 / Math.sqrt(sum(row.map((v) => (v - mean) ** 2)) / cols + eps);
            const hat = row.map((v) => (v - mean) * rstd);
            const g = hat.map((_, c) => dy[r * cols + c]! * (affine ? w[c]! : 1));
            const [mg, mgh] = [rms ? 0 : sum(g) / cols, sum(g.map((v, c) => v * hat[c]!)) / cols];
            for (let c = 0; c < cols; c++) {
              y[r * cols + c] = affine ? hat[c]! * w[c]! + b[c]! : hat[c]!;
              dx[r * cols + c] = rstd * (g[c]! - mg - hat[c]! * mgh);
              dw[c]! += dy[r * cols + c]! * hat[c]!;
              db[c]! += dy[r * cols + c]!;
            }
          }
          const base = {
            dtype,
            rows,
            cols,
            x: put(x),
            weight: affine ? put(w) : 0,
            bias: affine ? put(b) : 0,
            mean: blank(rows),
            rstd: blank(rows),
            rms,
            eps,
          };
          const outs = { y: blank(rows * cols), dx: blank(rows * cols), dweight: blank(cols), dbias: blank(cols) };
          layerNorm(h, { ...base, y: outs.y });
          close(outs.y, y, "y");
          layerNormBackward(h, { ...base, dy: put(dy), ...outs });
          close(outs.dx, dx, "dx", 3);
          close(outs.dweight, dw, "dweight", 3);
          close(outs.dbias, db, "dbias", 3);
        }
  });

  test.each(dtypes)("batch norm and group norm, %s", (dtype) => {
    for (const [batch, channels, inner, groups] of [
      [4, 6, 35, 0],
      [33, 130, 1, 0],
      [4, 6, 35, 3],
      [3, 8, 1, 2],
      [5, 3, 3, 0],
    ] as const) {
      const { put, blank, close } = tools(dtype);
      const eps = 1e-5;
      const total = batch * channels * inner;
      const x = randomF64(total, 1, 2).map((v) => v + 3);
      const [w, b, dy] = [randomF64(channels, 2), randomF64(channels, 3), randomF64(total, 4)];
      const stats = groups ? batch * groups : channels;
      const statOf = (i: number): number => {
        const c = Math.floor(i / inner) % channels;
        return groups ? Math.floor(i / inner / channels) * groups + Math.floor(c / (channels / groups)) : c;
      };
      const each = total / stats;
      const [mean, variance, mg, mgh] = [0, 0, 0, 0].map(() => new Float64Array(stats)) as [
        Float64Array,
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      x.forEach((v, i) => (mean[statOf(i)]! += v / each));
      x.forEach((v, i) => (variance[statOf(i)]! += (v - mean[statOf(i)]!) ** 2 / each));
      const rstd = variance.map((v) => 1 / Math.sqrt(v + eps));
      const hat = x.map((v, i) => (v - mean[statOf(i)]!) * rstd[statOf(i)]!);
      const channel = (i: number): number => Math.floor(i / inner) % channels;
      const [dw, db] = [new Float64Array(channels), new Float64Array(channels)];
      dy.forEach((v, i) => {
        dw[channel(i)]! += v * hat[i]!;
        db[channel(i)]! += v;
        mg[statOf(i)]! += (v * w[channel(i)]!) / each;
        mgh[statOf(i)]! += (v * w[channel(i)]! * hat[i]!) / each;
      });
      const base = {
        dtype,
        batch,
        channels,
        inner,
        ...(groups ? { groups } : {}),
        x: put(x),
        weight: put(w),
        bias: put(b),
        mean: blank(stats),
        rstd: blank(stats),
      };
      const outs = { y: blank(total), dx: blank(total), dweight: blank(channels), dbias: blank(channels) };
      const outVar = blank(stats);
      normStatistics(h, { ...base, var: outVar, eps });
      close(base.mean, mean, "mean");
      close(outVar, variance, "var");
      normApply(h, { ...base, y: outs.y });
      close(
        outs.y,
        hat.map((v, i) => v * w[channel(i)]! + b[channel(i)]!),
        "y",
      );
      normBackward(h, { ...base, dy: put(dy), ...outs });
      close(
        outs.dx,
        dy.map((v, i) => rstd[statOf(i)]! * (v * w[channel(i)]! - mg[statOf(i)]! - hat[i]! * mgh[statOf(i)]!)),
        "dx",
        3,
      );
      close(outs.dweight, dw, "dweight", 3);
      close(outs.dbias, db, "dbias", 3);
      normBackward(h, { ...base, dy: put(dy), dx: outs.dx, constant: true });
      close(
        outs.dx,
        dy.map((v, i) => rstd[statOf(i)]! * v * w[channel(i)]!),
        "dx of constants",
        3,
      );
    }
  });
});
