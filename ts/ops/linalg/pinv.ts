/** Pseudo-inverses and least squares. */

import { int64, type Scalar } from "../../core/dtype.ts";
import { LinAlgError, RuntimeError } from "../../core/errors.ts";
import { formatShape, numelOf, sameShape, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { zeros as zerosOf } from "../creation.ts";
import {
  batchOf,
  broadcastBatches,
  checkAlike,
  checkFloating,
  checkInfo,
  checkMatrix,
  checkSquare,
  columnsOf,
  complaints,
  epsilonOf,
  filledWith,
  forBatch,
  part,
  rowsOf,
  tensorOf,
  valuesOf,
} from "./batches.ts";
import { eighOf } from "./eigh.ts";
import { solveTriangle } from "./elimination.ts";
import {
  copyOf,
  multiply,
  partOf,
  put,
  realNumbers,
  scaleRow,
  sizeAt,
  slice,
  transpose,
  zeros,
  type Numbers,
} from "./numbers.ts";
import { applyQ, factorQR } from "./reflections.ts";
import { singularValues } from "./singular.ts";
import { svdOf, threshold, type Tolerance } from "./svd.ts";

/** dA from the gradient of A's pseudo-inverse P (Golub and Pereyra 1973), A's rank being locally constant. */
function pinvGradient(g: Tensor, P: Tensor, A: Tensor): Tensor {
  const [Ph, gh] = [P.mH, g.mH];
  const through = Ph.matmul(g).matmul(Ph);
  const rows = gh.matmul(P).matmul(Ph);
  const columns = Ph.matmul(P).matmul(gh);
  return rows
    .sub(A.matmul(P.matmul(rows)))
    .add(columns.sub(columns.matmul(P).matmul(A)))
    .sub(through);
}

const pinvCore: Op<[A: Tensor, atol: Tolerance, rtol: Tolerance, hermitian: boolean], Tensor> = defineOp(
  "linalg.pinv",
  "A, atol, rtol, hermitian",
  {
    doc: "",
    method: false,
    complex: true,
    forward(ctx, A: Tensor, atol: Tolerance, rtol: Tolerance, hermitian: boolean) {
      let P: Tensor;
      if (A.numel() === 0) P = A.mH.clone();
      else {
        const reciprocal = (values: Tensor, sizes: Tensor): Tensor => {
          const limit = threshold(A, sizes.amax(-1), atol, rtol);
          return values.reciprocal().masked_fill(sizes.gt(limit.unsqueeze(-1)).logical_not(), 0);
        };
        if (hermitian) {
          const [L, V] = eighOf("linalg.pinv", A, "L", true);
          P = V.mul(reciprocal(L, L.abs()).unsqueeze(-2)).matmul(V.mH);
        } else {
          const { U, S, Vh } = svdOf("linalg.pinv", A, false);
          P = Vh.mH.mul(reciprocal(S, S).unsqueeze(-2)).matmul(U.mH);
        }
      }
      ctx.save(A, P);
      return P;
    },
    backward(ctx, g: Tensor) {
      const [A, P] = ctx.saved() as [Tensor, Tensor];
      return [pinvGradient(g, P, A)];
    },
  },
);

type PinvOptions = { atol?: Tolerance; rtol?: Tolerance; hermitian?: boolean };
type PinvOp = Op<[A: Tensor, ...Args<[{ rcond?: Tolerance }, { hermitian?: boolean }], PinvOptions>], Tensor>;

export const pinv: PinvOp = composite(
  "linalg.pinv",
  "A, rcond=None, hermitian=False, *, atol=None, rtol=None",
  {
    doc: "The pseudo-inverse; singular values (hermitian: eigenvalues) up to max(atol, rtol * the greatest) count as zero.",
    method: false,
  },
  (A: Tensor, rcond: Tolerance, hermitian: boolean, atol: Tolerance, rtol: Tolerance) => {
    checkMatrix("linalg.pinv", "A", A);
    if (hermitian) checkSquare("linalg.pinv", "A", A);
    return pinvCore(A, rcond === null ? atol : (atol ?? 0), rtol ?? rcond, hermitian);
  },
);

type Driver = "gels" | "gelsy" | "gelsd" | "gelss";
const DRIVERS: readonly string[] = ["gels", "gelsy", "gelsd", "gelss"];

/** Filled by the forward pass with what needs no gradient. (A class: a plain object would be taken for options.) */
class Extras {
  readonly infos: Int32Array;
  readonly ranks: BigInt64Array;
  readonly sizes: Float64Array;
  constructor(count: number, size: number) {
    this.infos = new Int32Array(count);
    this.ranks = new BigInt64Array(count);
    this.sizes = new Float64Array(count * size);
  }
}

/** Full rank: by QR of A, or where A is wide of A^H; returns 0, or the row where R is zero. */
function fullRank(a: Numbers, m: number, n: number, b: Numbers, r: number, x: Numbers): number {
  const wide = m < n;
  const tall = wide ? transpose(a, m, n, true) : copyOf(a);
  const [rows, k] = wide ? [n, m] : [m, n];
  const taus = factorQR(tall, rows, k);
  for (let i = 0; i < k; i++) if (sizeAt(tall, i * k + i) === 0) return i + 1;
  const work = zeros(rows * r, a.im !== null);
  put(work, 0, b);
  if (!wide) applyQ(tall, rows, k, taus, work, r, true);
  // R in a square of its own.
  solveTriangle(tall, k, work, r, true, false, wide ? "H" : "");
  if (wide) applyQ(tall, rows, k, taus, work, r, false);
  put(x, 0, slice(work, 0, n * r));
  return 0;
}

const lstsqCore: Op<[A: Tensor, B: Tensor, rcond: number, driver: Driver, extras: Extras], Tensor> = defineOp(
  "linalg.lstsq",
  "A, B, rcond, driver, extras",
  {
    doc: "",
    method: false,
    complex: true,
    forward(ctx, A: Tensor, B: Tensor, rcond: number, driver: Driver, { infos, ranks, sizes }: Extras) {
      const [m, n, r] = [rowsOf(A), columnsOf(A), columnsOf(B)];
      const k = Math.min(m, n);
      const batch = batchOf(A);
      const [a, b] = [valuesOf(A, "linalg.lstsq"), valuesOf(B, "linalg.lstsq")];
      const x = zeros(numelOf(batch) * n * r, A.dtype.is_complex);
      forBatch(batch, (i) => {
        const [matrix, right, out] = [partOf(a, i, m * n), partOf(b, i, m * r), partOf(x, i, n * r)];
        if (driver === "gels") {
          infos[i] = fullRank(matrix, m, n, right, r, out);
          return;
        }
        const { values, U, Vh, info } = singularValues(matrix, m, n, true, false);
        if (info !== 0) throw new LinAlgError(`torch.linalg.lstsq: ${complaints.svd()}`);
        part(sizes, i, k).set(values);
        const limit = rcond * (values[0] ?? 0);
        const along = multiply(U!, right, k, m, r, true);
        let rank = 0;
        while (rank < k && values[rank] > limit) rank++;
        for (let p = 0; p < k; p++) scaleRow(along, p * r, 1, r, p < rank ? 1 / values[p] : 0, 0);
        put(out, 0, multiply(Vh!, along, n, k, r, true));
        ranks[i] = BigInt(rank);
      });
      ctx.save(A, B);
      return tensorOf(x, [...batch, n, r], A);
    },
    backward(ctx, g: Tensor) {
      const [A, B] = ctx.saved() as [Tensor, Tensor];
      const P = pinv(A);
      const gA = ctx.needs[0] ? pinvGradient(g.matmul(B.mH), P, A) : null;
      return [gA, ctx.needs[1] ? P.mH.matmul(g) : null];
    },
  },
);

type LstsqOp = Op<
  [A: Tensor, B: Tensor, ...Args<[{ rcond?: Scalar | null }], { driver?: Driver | null }>],
  Tensor[] & { readonly [K in "solution" | "residuals" | "rank" | "singular_values"]: Tensor }
>;

export const lstsq: LstsqOp = composite(
  "linalg.lstsq",
  "A, B, rcond=None, *, driver=None",
  {
    doc: "X with the least norm of A X - B: solution, residuals, rank, singular values; by driver 'gelsy', 'gels', 'gelsd' or 'gelss'.",
    method: false,
  },
  (A: Tensor, B: Tensor, rcond: Scalar | null, driver: Driver | null) => {
    const op = "torch.linalg.lstsq";
    checkMatrix(op, "A", A);
    checkTensor(op, "B", B);
    checkFloating(op, "B", B);
    checkAlike(op, A, B);
    if (B.ndim < 1) throw new RuntimeError(`${op}: other must have at least 1 dimension.`);
    const by = driver ?? "gelsy";
    if (!DRIVERS.includes(by)) {
      throw new RuntimeError(`${op}: parameter \`driver\` should be one of (gels, gelsy, gelsd, gelss), got '${by}'`);
    }
    const vector = A.ndim - 1 === B.ndim && sameShape(B.shape, A.shape.slice(0, -1));
    const right = vector ? B.unsqueeze(-1) : B;
    if (right.ndim < 2 || rowsOf(right) !== rowsOf(A)) {
      throw new RuntimeError(
        `${op}: input.size(-2) should match other.size(-2), got shapes ${formatShape(A.shape)} and ${formatShape(B.shape)}`,
      );
    }
    const [a, b] = broadcastBatches(op, A, right);
    const [m, n] = [rowsOf(a), columnsOf(a)];
    const batch: Shape = batchOf(a);
    const count = numelOf(batch);
    const extras = new Extras(count, Math.min(m, n));
    const epsilon = epsilonOf(a.dtype);
    const given = rcond === null ? epsilon * Math.max(m, n) : Number(rcond);
    const X = lstsqCore(a, b, given < 0 ? epsilon : given, by, extras);
    checkInfo(
      op,
      extras.infos,
      batch,
      (i) =>
        `The least squares solution could not be computed because the input matrix does not have full rank (error code: ${i}).`,
    );
    const none = zerosOf([0], { dtype: a.dtype.real, device: a.device });
    const ranked = by !== "gels";
    const full = !ranked || extras.ranks.every((rank) => rank === BigInt(n));
    const residuals =
      m > n && by !== "gelsy" && full ? a.detach().matmul(X.detach()).sub(b.detach()).abs().square().sum(-2) : none;
    const rank = ranked ? filledWith(extras.ranks, batch, int64, a) : none.to(int64);
    const sizes = by === "gelsd" || by === "gelss" ? tensorOf(realNumbers(extras.sizes), [...batch, Math.min(m, n)], a) : none;
    return named(["solution", "residuals", "rank", "singular_values"], [vector ? X.squeeze(-1) : X, residuals, rank, sizes]);
  },
);
