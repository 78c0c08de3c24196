"""What PyTorch's gradients are where functions have none. Made with PyTorch 1.13: python3 kinks.py > kinks.json"""

import json
import math
import sys
import torch

INF, NAN = math.inf, math.nan
F = "nn.functional."
CASES = []


def case(name, *args, **kwargs):
    CASES.append((name, args, kwargs))


def tensors(name, *values, **kwargs):
    case(name, *[{"t": v} for v in values], **kwargs)


for name in "abs sign sgn relu sqrt rsqrt log log2 log1p sinc frac floor round trunc angle reciprocal square special.i0e special.i1 special.entr tanh".split():
    tensors(name, [0.0, -0.0, 1.0, -1.0])
for name in "abs relu nan_to_num sgn sqrt angle".split():
    tensors(name, [NAN, INF, -INF])
for name in "acos asin atanh erfinv acosh".split():
    tensors(name, [1.0, -1.0])
tensors("logit", [0.0, 1.0, 0.5])
tensors("logit", [0.0, 0.25, 0.75, 1.0], eps=0.25)
for name in "relu relu6 elu selu celu leaky_relu hardtanh hardsigmoid hardshrink softshrink softplus softsign gelu silu mish logsigmoid tanhshrink".split():
    tensors(F + name, [0.0, 1.0, -1.0, 6.0, 0.5, -0.5, 2.0])
tensors(F + "hardsigmoid", [3.0, -3.0])
case(F + "threshold", {"t": [1.0, 0.5, 2.0]}, 1.0, 7.0)
tensors(F + "prelu", [[0.0, 1.0, -1.0]], [0.25, 0.25, 0.25])
case(F + "softplus", {"t": [20.0, 10.0]}, 2.0, 20.0)
for exponent in [0.0, 1.0, 2.0, 0.5, -1.0, 3.0, 1.5]:
    case("pow", {"t": [0.0, 1.0, -1.0]}, exponent)
    tensors("pow", [0.0, 0.0, -2.0], [exponent, 0.0, 1.0])
    case("pow", 0.0, {"t": [exponent]})
tensors("float_power", [0.0, 0.0], [0.0, 2.0])
for name in "xlogy special.xlog1py atan2 hypot maximum minimum fmax fmin logaddexp logaddexp2 copysign dist".split():
    tensors(name, [0.0, 0.0, 1.0, 2.0], [0.0, 1.0, 0.0, 2.0])
for name in "maximum minimum fmax fmin".split():
    tensors(name, [NAN, 1.0, NAN, INF], [1.0, NAN, NAN, INF])
for name in "fmod remainder div".split():
    tensors(name, [0.0, 2.0, -4.0], [1.0, 2.0, 2.0])
tensors("logaddexp", [-INF, -INF, INF], [-INF, 0.0, INF])
tensors("xlogy", [0.0, NAN, 0.0], [NAN, 1.0, -1.0])
case("clamp", {"t": [-1.0, 0.0, 1.0, 2.0, 3.0, NAN]}, 0.0, 2.0)
case("clamp", {"t": [-1.0, 0.0, 1.0]}, 1.0, -1.0)
case("clamp_min", {"t": [0.0, 1.0, -1.0]}, 0.0)
tensors("clamp", [-1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 2.0])
tensors("clamp_max", [0.0, 1.0, -1.0], [0.0, 0.0, 0.0])
case("lerp", {"t": [0.0, 1.0]}, {"t": [1.0, 1.0]}, 0.5)
tensors("addcdiv", [0.0], [0.0], [0.0])
TIES = [[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]]
for name in "max min amax amin median nanmedian".split():
    tensors(name, TIES)
    case(name, {"t": TIES}, 1)
for name in "mode cummax cummin".split():
    case(name, {"t": TIES}, 1)
case("kthvalue", {"t": TIES}, 2, 1)
case("topk", {"t": TIES}, 2, 1)
case("quantile", {"t": [1.0, 2.0, 2.0, 5.0]}, 0.5)
for values in ([0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]):
    tensors("prod", values)
    case("prod", {"t": [values, [1.0, 2.0, 3.0]]}, 1)
    case("cumprod", {"t": values}, 0)
case("cumprod", {"t": [2.0, 0.0, 3.0, 0.0, 5.0]}, 0)
for name in "std var std_mean".split():
    tensors(name, [2.0])
    case(name, {"t": [[2.0], [3.0]]}, 1)
    tensors(name, [2.0, 2.0, 2.0])
    case(name, {"t": [[1.0, 2.0], [3.0, 3.0]]}, 1)
case("var", {"t": [2.0]}, 0, False)
for p in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, INF, -INF]:
    case("norm", {"t": [0.0, 0.0]}, p)
    case("linalg.vector_norm", {"t": [0.0, 0.0]}, p)
    case("linalg.vector_norm", {"t": [[0.0, 2.0, -2.0], [1.0, 1.0, 0.0]]}, p, 1)
    case("dist", {"t": [1.0, 2.0]}, {"t": [1.0, 2.0]}, p)
case("linalg.matrix_norm", {"t": [[0.0, 0.0], [0.0, 0.0]]})
for p in [0.0, 1.0, 2.0, 3.0, INF]:
    case("cdist", {"t": [[1.0, 2.0], [0.0, 1.0]]}, {"t": [[1.0, 2.0]]}, p)
    case(F + "pdist", {"t": [[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]}, p)
case(F + "pairwise_distance", {"t": [[1.0, 2.0]]}, {"t": [[1.0, 2.0]]}, 2.0, 0.0)
case(F + "cosine_similarity", {"t": [[0.0, 0.0]]}, {"t": [[1.0, 2.0]]})
case(F + "normalize", {"t": [[0.0, 0.0], [3.0, 4.0]]})
case("renorm", {"t": [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]}, 2, 0, 5.0)
case("logsumexp", {"t": [[-INF, -INF], [0.0, -INF]]}, 1)
case("logcumsumexp", {"t": [0.0, -INF, 1.0]}, 0)
case("softmax", {"t": [[0.0, -INF], [1.0, 1.0]]}, 1)
case("log_softmax", {"t": [[0.0, 3.0], [1.0, 1.0]]}, 1)
# Not [[1, 2], [2, 4]]: 1.13's gradient there is zeros, which isn't the adjugate's transpose.
case("linalg.det", {"t": [[0.0, 0.0], [0.0, 0.0]]})
for name in ["l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss"]:
    tensors(F + name, [0.0, 1.0, -1.0, 2.0], [0.0, 0.0, 0.0, 2.0], reduction="none")
tensors(F + "binary_cross_entropy", [0.0, 1.0, 0.5], [0.0, 1.0, 1.0], reduction="none")
tensors(F + "binary_cross_entropy_with_logits", [0.0, 0.0], [0.0, 1.0], reduction="none")
tensors(F + "kl_div", [0.0, -1.0], [0.0, 0.5], reduction="none")
tensors(F + "hinge_embedding_loss", [1.0, 0.0], [-1.0, -1.0], reduction="none")
tensors(F + "margin_ranking_loss", [1.0, 2.0], [1.0, 2.0], [1.0, -1.0], reduction="none")
case(F + "max_pool1d", {"t": [[[1.0, 1.0, 2.0, 2.0]]]}, 2)
case(F + "max_pool2d", {"t": [[[1.0, 1.0], [1.0, 1.0]]]}, 2)
case(F + "adaptive_max_pool1d", {"t": [[[1.0, 1.0, 1.0]]]}, 2)
for reduce in ["amax", "amin", "prod", "mean"]:
    for include in [True, False]:
        case("scatter_reduce", {"t": [1.0, 0.0, 5.0]}, 0, {"i": [0, 0, 1, 1]}, {"t": [1.0, 1.0, 0.0, 0.0]}, reduce, include_self=include)
        case("index_reduce", {"t": [1.0, 0.0, 5.0]}, 0, {"i": [0, 0, 1]}, {"t": [1.0, 1.0, 2.0]}, reduce, include_self=include)


def encode(x):
    if isinstance(x, list):
        return [encode(y) for y in x]
    if isinstance(x, dict):
        return {k: encode(y) for k, y in x.items()}
    if isinstance(x, float) and not math.isfinite(x):
        return {"f": str(x)}
    return x


def run(name, args, kwargs):
    inputs = []

    def build(x):
        if isinstance(x, dict) and "t" in x:
            inputs.append(torch.tensor(x["t"], dtype=torch.float64, requires_grad=True))
            return inputs[-1]
        return torch.tensor(x["i"]) if isinstance(x, dict) else x

    fn = torch
    for part in name.split("."):
        fn = getattr(fn, part)
    out = fn(*[build(a) for a in args], **kwargs)
    outputs = [t for t in ([out] if isinstance(out, torch.Tensor) else out) if t.requires_grad]
    # Distinct weights, so that nothing cancels.
    total = sum((t * torch.arange(1, t.numel() + 1, dtype=t.dtype).reshape(t.shape)).sum() for t in outputs)
    return [None if g is None else (g + 0).tolist() for g in torch.autograd.grad(total, inputs, allow_unused=True)]


if __name__ == "__main__":
    rows = []
    for name, args, kwargs in CASES:
        try:
            grads = run(name, args, kwargs)
        except RuntimeError as error:
            print(f"left out: {name} {args} {kwargs}: {error}", file=sys.stderr)
            continue
        row = {"op": name, "args": list(args), "kwargs": kwargs, "grads": grads}
        rows.append(json.dumps({k: encode(v) for k, v in row.items()}))
    print("[\n" + ",\n".join(rows) + "\n]")
