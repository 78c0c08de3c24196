/** Ops one by one: what the file gives in onnxruntime is what the op gives. */

import * as torch from "kindling";
import { nn, type Tensor } from "kindling";
import * as onnx from "kindling/onnx";
import { it } from "vitest";
import { expectClose } from "./golden.ts";
import { listed, runtime } from "./runtime.ts";

const F = nn.functional;

/** x: [3, 4], y: [3, 4] positive, i: [3, 2] of 0 to 2, img: [2, 4, 6, 6]. */
type Inputs = [x: Tensor, y: Tensor, i: Tensor, img: Tensor];
const OPS: Readonly<Record<string, (...inputs: Inputs) => Tensor>> = {
  abs: (x) => x.abs(),
  adaptive_avg_pool2d: (_x, _y, _i, img) => F.adaptive_avg_pool2d(img, [3, 2]),
  addcdiv: (x, y) => x.addcdiv(x, y, { value: 0.5 }),
  addmm: (x, y) => torch.addmm(torch.ones([3]), x, y.t(), { beta: 0.5, alpha: 2 }),
  all: (x) => x.gt(-5).all(),
  any: (x) => x.gt(0).any(1, true),
  argmax: (x) => x.argmax(),
  argmax_keepdim: (x) => x.argmax(-1, true),
  baddbmm: (x, y) => torch.baddbmm(torch.ones([1, 3, 3]), x.unsqueeze(0), y.t().unsqueeze(0)),
  celu: (x) => F.celu(x, 0.7),
  clamp: (x, y) => x.clamp(y.neg(), y),
  clamp_int: (_x, _y, i) => i.clamp(1, null),
  conv1d: (x) => F.conv1d(x.unsqueeze(0), torch.ones([2, 3, 3]), null, 1, "same", 2),
  conv_groups: (_x, _y, _i, img) => F.conv2d(img, torch.ones([4, 2, 3, 1]), torch.ones([4]), [2, 1], [1, 0], 1, 2),
  cross_add: (x, _y, i) => x.sum().add(i),
  cumsum: (x) => x.cumsum(-1),
  div_floor: (x) => x.div(0.3, { rounding_mode: "floor" }),
  div_trunc: (_x, _y, i) => i.sub(3).div(2, { rounding_mode: "trunc" }),
  elu: (x) => F.elu(x, 0.5),
  erfc: (x) => x.erfc(),
  expand: (x) => x.sum(1, true).expand(-1, 5),
  gelu_tanh: (x) => F.gelu(x, { approximate: "tanh" }),
  glu: (x) => F.glu(x),
  hardsigmoid: (x) => F.hardsigmoid(x),
  hardtanh: (x) => F.hardtanh(x, -0.3, 0.4),
  index_tensors: (x, _y, i) => x.index(i.select(1, 0), i.select(1, 1)),
  index_none: (x, _y, i) => x.index(new torch.Slice(null, null), i),
  index_select: (x, _y, i) => x.index_select(-1, i.select(1, 0)),
  interpolate: (_x, _y, _i, img) => F.interpolate(img, { size: [9, 4], mode: "nearest" }),
  interpolate_cubic: (_x, _y, _i, img) => F.interpolate(img, { scale_factor: 2, mode: "bicubic", align_corners: true }),
  isnan: (x) => x.log().isnan(),
  leaky_relu: (x) => F.leaky_relu(x, 0.2),
  lerp: (x, y) => x.lerp(y, 0.3),
  local_response: (_x, _y, _i, img) => F.local_response_norm(img, 2),
  log10: (_x, y) => y.log10(),
  logsigmoid: (x) => F.logsigmoid(x),
  logsumexp: (x) => x.logsumexp(1),
  masked: (x) => x.masked_fill(x.gt(0.2), 7),
  max_all: (x) => x.max(),
  max_pool_ceil: (_x, _y, _i, img) => F.max_pool2d(img, 3, 2, 1, 1, true),
  maximum: (x, y) => x.maximum(y),
  mish: (x) => F.mish(x),
  mean_dims: (_x, _y, _i, img) => img.mean([-1, 2], true),
  median_free_norm: (x) => torch.linalg.vector_norm(x, 1, 0),
  movedim: (_x, _y, _i, img) => img.movedim(1, -1),
  ne: (_x, _y, i) => i.ne(1),
  norm: (x) => x.norm(),
  one_hot: (_x, _y, i) => F.one_hot(i, 3),
  outer: (x) => x.select(0, 0).outer(x.select(0, 1)),
  pad_reflect: (_x, _y, _i, img) => F.pad(img, [1, 2, 3, 1], "reflect"),
  pixel_shuffle: (_x, _y, _i, img) => F.pixel_shuffle(img, 2),
  pixel_unshuffle: (_x, _y, _i, img) => F.pixel_unshuffle(img, 2),
  pow_scalar: (x) => torch.pow(2, x),
  prod: (x) => x.prod(0),
  relu6: (x) => F.relu6(x.mul(5)),
  remainder_int: (_x, _y, i) => i.sub(2).remainder(3),
  repeat_interleave: (x) => x.repeat_interleave(2, 1),
  rms_norm: (x) => F.rms_norm(x, [4]),
  roll: (x) => x.roll(1, 1),
  round: (x) => x.mul(2).round(),
  rsub: (x) => torch.rsub(x, 1),
  scatter: (x, y, i) => x.scatter(1, i, y.slice(1, 0, 2)),
  scatter_add: (x, y, i) => x.scatter_add(1, i, y.slice(1, 0, 2)),
  sdpa: (x, y) => F.scaled_dot_product_attention(x, y, y, x.matmul(y.t()).gt(-1)),
  select_negative: (x) => x.select(-1, -2),
  selu: (x) => F.selu(x),
  slice_step: (x) => x.slice(1, 0, 4, 2),
  softmax_half: (x) => x.softmax(0, torch.float32),
  softmin: (x) => F.softmin(x, 1),
  softplus: (x) => F.softplus(x),
  softshrink: (x) => F.softshrink(x, 0.3),
  sort: (x) => x.sort(1, true)[0],
  squeeze: (x) => x.unsqueeze(1).squeeze(1),
  std_mean: (x) => torch.cat(torch.std_mean(x, { dim: 0, correction: 0, keepdim: true })),
  sum_bool: (x) => x.gt(0).sum(),
  sum_dtype: (x) => x.sum({ dtype: torch.float64 }),
  swapaxes: (_x, _y, _i, img) => img.swapaxes(0, -1),
  tensordot: (x, y) => torch.tensordot(x, y, [[1], [1]]),
  threshold: (x) => F.threshold(x, 0.1, 20),
  tile: (x) => x.tile([2, 2]),
  tril: (x) => x.tril(-1),
  trunc: (x) => x.mul(3).trunc(),
  unflatten: (x) => x.unflatten(1, [2, 2]),
  vstack: (x, y) => torch.vstack([x, y]),
  where: (x, y) => x.where(x.gt(0), y),
  xor: (x, y) => x.gt(0).logical_xor(y.gt(1)),
};

class Each extends nn.Module {
  constructor(readonly ops: readonly ((...inputs: Inputs) => Tensor)[]) {
    super();
  }
  forward(...inputs: Inputs): Tensor[] {
    return this.ops.map((f) => f(...inputs));
  }
}

it.each([16, 21])("in operator set %i", async (opset_version) => {
  torch.manual_seed(1);
  const inputs: Inputs = [torch.randn(3, 4), torch.rand(3, 4).add(0.1), torch.tensor([[0, 1], [2, 0], [1, 2]]), torch.randn(2, 4, 6, 6)]; // prettier-ignore
  const names = Object.keys(OPS);
  const model = new Each(Object.values(OPS));
  const bytes = await onnx.export(model, inputs, null, { opset_version });
  const want = listed(model(...inputs));
  const got = await runtime(bytes, inputs);
  const ours = listed((await onnx.load(bytes))(...inputs));
  names.forEach((name, k) => {
    expectClose(got[k]!, want[k]!, name);
    expectClose(ours[k]!, want[k]!, `${name}, loaded`);
  });
});
