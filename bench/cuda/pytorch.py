"""The same workloads in PyTorch: reads one request of JSON a line, answers with one. Started by peer.ts; `python3 pytorch.py cuda:0`.

prepare {id, spec, variant}: makes a workload ready, runs it once (and, of training, the steps whose losses are compared).
sample  {id, at_least, most_calls}: milliseconds of doing it once. drop {id}: forgets it (null: only gives memory back). info: who we are.
"""
import gc
import json
import math
import struct
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

DEVICE = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda")
CUDA = DEVICE.type == "cuda"
MASK = 0x7FFFFFFF
PLACES = 8
IN_GRAPH = 20


def synchronize():
    if CUDA:
        torch.cuda.synchronize(DEVICE)


# Numbers as in values.ts, bit for bit.


def hashed(size, seed):
    h = torch.arange(size, dtype=torch.int64, device=DEVICE)
    h = ((h + seed * 7919) * 747796405 + 1403630843) & MASK
    h = ((h ^ (h >> 15)) * 739982445) & MASK
    return ((h ^ (h >> 12)) * 277803737) & MASK


def values(shape, seed, dtype=torch.float32):
    return (hashed(math.prod(shape), seed).to(torch.float32) * 2.0**-30 - 1).to(dtype).view(*shape)


def whole(shape, below, seed):
    return (hashed(math.prod(shape), seed) % below).view(*shape)


@torch.no_grad()
def fill(module):
    for i, (_, p) in enumerate(module.named_parameters()):
        if p.ndim < 2:
            p.zero_()
        else:
            p.copy_(values(p.shape, 100 + i) * (1 / math.sqrt(p.numel() / p.shape[0])))


@torch.no_grad()
def fingerprint(t):
    flat = t.detach().to(torch.float32).flatten()
    last = flat.numel() - 1
    places = torch.tensor([i * last // (PLACES - 1) for i in range(PLACES)], device=DEVICE)
    return [flat.abs().mean().item(), *flat[places].tolist()]


def elem(precision):
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


# Single operations: each returns a function that computes tensors.


def matmul(spec):
    a, b = (values((spec["n"], spec["n"]), seed, elem(spec["precision"])) for seed in (1, 2))
    return lambda: (a @ b,)


def attention(spec):
    dims = (spec["batch"], spec["heads"], spec["length"], spec["width"])
    q, k, v, g = (values(dims, seed, elem(spec["precision"])) for seed in (1, 2, 3, 4))
    if not spec["backward"]:
        return lambda: (F.scaled_dot_product_attention(q, k, v, is_causal=True),)
    for t in (q, k, v):
        t.requires_grad_()
    return with_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v), g)


def with_gradients(forward, inputs, g):
    """`forward` may be compiled later, so it gets its inputs; gradients are taken outside of it."""

    def run(forward=forward):
        return torch.autograd.grad(forward(*inputs), inputs, g)

    run.forward = forward
    return run


def rows(spec):
    dtype = elem(spec["precision"])
    m, n = spec["shape"]
    x = values((m, n), 1, dtype)
    target = whole((m,), n, 2) if spec["kind"] == "cross_entropy" else None
    w, b = (values((n,), seed, dtype) for seed in (3, 4))
    if spec["kind"] == "layernorm":
        inputs, forward = (x, w, b), lambda x, w, b: F.layer_norm(x, (n,), w, b)
    elif spec["kind"] == "softmax":
        inputs, forward = (x,), lambda x: torch.softmax(x, -1)
    else:
        inputs, forward = (x,), lambda x: F.cross_entropy(x, target)
    if not spec["backward"]:
        return lambda: (forward(*inputs),)
    for t in inputs:
        t.requires_grad_()
    return with_gradients(forward, inputs, None if target is not None else values((m, n), 5, dtype))


def elementwise(spec):
    x, y = (values(spec["shape"], seed, elem(spec["precision"])) for seed in (1, 2))
    return {
        "copy": lambda: (y.copy_(x),),
        "gelu": lambda: (F.gelu(x),),
        "add": lambda: (x + y,),
        "sum_rows": lambda: (x.sum(1),),
        "sum_columns": lambda: (x.sum(0),),
    }[spec["op"]]


KERNELS = {
    "matmul": matmul,
    "attention": attention,
    "layernorm": rows,
    "softmax": rows,
    "cross_entropy": rows,
    "elementwise": elementwise,
}


class Workload:
    """What is run again and again; `repeats` is how often that does the work."""

    def __init__(self, run, repeats=1, tf32=False, answer=None):
        self.run, self.repeats, self.tf32, self.answer = run, repeats, tf32, answer or {}


def with_tf32(allow, f):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allow
    try:
        return f()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def timed(f):
    start = time.perf_counter()
    result = f()
    synchronize()
    return (time.perf_counter() - start) * 1000, result


def prepare_kernel(spec, variant):
    tf32 = spec["precision"] == "tf32"
    compute = KERNELS[spec["kind"]](spec)
    if variant == "compile":
        if hasattr(compute, "forward"):
            compiled, plain = torch.compile(compute.forward), compute
            compute = lambda: plain(compiled)
        else:
            compute = torch.compile(compute)

    def once():
        if getattr(compute, "forward", None) or spec.get("backward"):
            return compute()
        with torch.no_grad():
            return compute()

    if variant != "graph":
        first, out = timed(lambda: with_tf32(tf32, once))
        return Workload(once, tf32=tf32, answer={"first": first, "fingerprint": fingerprint(out[0])})
    return capture(once, tf32)


def capture(once, tf32):
    start = time.perf_counter()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            with_tf32(tf32, once)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(IN_GRAPH):
            out = with_tf32(tf32, once)
    graph.replay()
    synchronize()
    first = (time.perf_counter() - start) * 1000
    workload = Workload(graph.replay, repeats=IN_GRAPH, answer={"first": first, "fingerprint": fingerprint(out[0])})
    workload.keep = (graph, out)
    return workload


def prepare_adamw(spec, variant):
    side = spec["side"]
    weights = [nn.Parameter(values((side, side), i)) for i in range(spec["tensors"])]
    for i, p in enumerate(weights):
        p.grad = values((side, side), 1000 + i)
    options = {"fused": True} if variant == "fused" else {}
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.1, **options)
    step = optimizer.step
    if variant == "compile":
        step = torch.compile(lambda: optimizer.step())
    first, _ = timed(step)
    return Workload(step, answer={"first": first, "fingerprint": fingerprint(weights[0])})


# Training.


class DigitsNet(nn.Module):
    """examples/digits/model.ts"""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.GELU(),
            nn.AvgPool2d(2),
            nn.Dropout(0.25),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.GELU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(128 * 4 * 4, 128),
            nn.GELU(),
            nn.Dropout(0.25),
            nn.Linear(128, 10),
        )

    def forward(self, x):
        return self.classifier(self.features(x))


def prepare_digits(spec, variant):
    batch = spec["batch"]
    x, y = values((batch, 1, 8, 8), 1).abs(), whole((batch,), 10, 2)

    def steps_of(model, compiled):
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
        forward = torch.compile(model) if compiled else model

        def step():
            optimizer.zero_grad()
            loss = F.cross_entropy(forward(x), y, label_smoothing=0.05)
            loss.backward()
            optimizer.step()
            return loss

        return step

    answer = {}
    if variant == "eager":
        calm = DigitsNet().to(DEVICE)
        for m in calm.modules():
            if isinstance(m, nn.Dropout):
                m.p = 0
        fill(calm)
        checked = steps_of(calm, False)
        answer["losses"] = [checked().item() for _ in range(spec["checked"])]
    model = DigitsNet().to(DEVICE)
    fill(model)
    step = steps_of(model, variant == "compile")
    answer["first"], _ = timed(step)
    return Workload(step, answer=answer)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.c_attn, self.c_proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (p.view(b, t, self.heads, c // self.heads).transpose(1, 2) for p in self.c_attn(x).split(c, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), MLP(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """bench/cuda/gpt2_model.ts"""

    def __init__(self, spec):
        super().__init__()
        width = spec["width"]
        self.wte, self.wpe = nn.Embedding(spec["vocabulary"], width), nn.Embedding(spec["context"], width)
        self.h = nn.ModuleList(Block(width, spec["heads"]) for _ in range(spec["layers"]))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for block in self.h:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def load_safetensors(path):
    """float32 tensors of a safetensors file; without a package for it."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        start = 8 + length
        tensors = {}
        for name, info in header.items():
            if name == "__metadata__":
                continue
            if info["dtype"] != "F32":
                raise ValueError(f"{path}: {name} is {info['dtype']}, expected F32")
            begin, end = info["data_offsets"]
            file.seek(start + begin)
            data = bytearray(file.read(end - begin))
            tensors[name] = torch.frombuffer(data, dtype=torch.float32).view(*info["shape"])
        return tensors


def prepare_gpt2(spec, variant):
    model = GPT2(spec)
    model.load_state_dict(load_safetensors(spec["weights"]))
    model.to(DEVICE)
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), **({"fused": True} if CUDA else {}))
    forward = torch.compile(model) if variant == "compile" else model
    context = spec["context"]
    batches = []
    for i in range(spec["batches"]):
        ids = whole((spec["batch"], context + 1), spec["vocabulary"], 10 + i)
        batches.append((ids[:, :-1].contiguous(), ids[:, 1:].contiguous()))
    count = 0

    def step():
        nonlocal count
        ids, targets = batches[count % len(batches)]
        count += 1
        optimizer.zero_grad()
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16, enabled=spec["precision"] == "bfloat16"):
            loss = forward(ids, targets)
        loss.backward()
        optimizer.step()
        return loss

    tf32 = spec["precision"] == "tf32"
    first, loss = timed(lambda: with_tf32(tf32, step))
    losses = [loss.item()] + [with_tf32(tf32, step).item() for _ in range(spec["checked"] - 1)]
    return Workload(step, tf32=tf32, answer={"first": first, "losses": losses})


TRAINING = {"adamw": prepare_adamw, "digits": prepare_digits, "gpt2": prepare_gpt2}


def prepare(spec, variant):
    return TRAINING.get(spec["kind"], prepare_kernel)(spec, variant)


# Timing, as in clock.ts.


def sample_calls(run, calls):
    synchronize()
    if CUDA:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start = time.perf_counter()
    if CUDA:
        begin.record()
    for _ in range(calls):
        run()
    if CUDA:
        end.record()
    host = time.perf_counter() - start
    synchronize()
    wall = time.perf_counter() - start
    gpu = begin.elapsed_time(end) if CUDA else wall * 1000
    return {"gpu": gpu / calls, "wall": wall * 1000 / calls, "host": host * 1000 / calls, "calls": calls}


def fill_time(workload, at_least, most_calls):
    run = workload.run
    first = sample_calls(run, 1)
    calls = math.ceil(at_least / max(first["wall"], 1e-3))
    if calls > 4 and most_calls > 4:
        few = sample_calls(run, 4)
        calls = math.ceil(at_least / max(few["wall"], 1e-3))
    result = sample_calls(run, min(calls, most_calls))
    return {k: v if k == "calls" else v / workload.repeats for k, v in result.items()}


def info():
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    if major < 2:
        raise RuntimeError(f"PyTorch {torch.__version__} is too old to compare with; 2.0 or newer is needed")
    if CUDA and not torch.cuda.is_available():
        raise RuntimeError(f"PyTorch {torch.__version__} sees no GPU: torch.cuda.is_available() is False")
    try:
        import triton

        version = triton.__version__
    except ImportError:
        version = None
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if CUDA else None,
        "device": torch.cuda.get_device_name(DEVICE) if CUDA else "cpu",
        "triton": version,
        "python": sys.version.split()[0],
    }


def drop(workloads, name):
    if name is not None:
        workloads.pop(name, None)
        if hasattr(torch, "_dynamo"):
            torch._dynamo.reset()
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()
    return {}


def prepare_counted(spec, variant):
    """With the most bytes that its first run took, beside those that others hold already."""
    if not CUDA:
        return prepare(spec, variant)
    before = torch.cuda.memory_allocated(DEVICE)
    torch.cuda.reset_peak_memory_stats(DEVICE)
    workload = prepare(spec, variant)
    workload.answer["peak_bytes"] = torch.cuda.max_memory_allocated(DEVICE) - before
    return workload


def answer(request, workloads):
    op = request["op"]
    if op == "info":
        return info()
    if op == "prepare":
        workload = prepare_counted(request["spec"], request["variant"])
        workloads[request["id"]] = workload
        return workload.answer
    if op == "sample":
        workload = workloads[request["id"]]
        return with_tf32(workload.tf32, lambda: fill_time(workload, request["at_least"], request["most_calls"]))
    if op == "drop":
        return drop(workloads, request["id"])
    raise ValueError(f"unknown request {op}")


def main():
    torch.manual_seed(1337)
    workloads = {}
    for line in sys.stdin:
        try:
            with torch.cuda.device(DEVICE) if CUDA and DEVICE.index is not None else torch.enable_grad():
                reply = answer(json.loads(line), workloads)
        except Exception as error:  # one request that fails leaves the others
            reply = {"error": f"{type(error).__name__}: {error}"}
        # NaN and infinity are no JSON; they become null, and differ from everything.
        print(json.dumps(tidy(reply)), flush=True)


def tidy(value):
    if isinstance(value, dict):
        return {k: tidy(v) for k, v in value.items()}
    if isinstance(value, list):
        return [tidy(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


main()
