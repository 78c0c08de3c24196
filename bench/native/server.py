"""Times native PyTorch: reads case names, one a line, answers with milliseconds. One thread unless told otherwise."""
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
torch.manual_seed(0)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.f1, self.f2, self.f3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2).flatten(1)
        return self.f3(F.relu(self.f2(F.relu(self.f1(x)))))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        mask = torch.full((t, t), float("-inf")).triu(1)
        a = torch.softmax(q @ k.transpose(-2, -1) / (c // self.heads) ** 0.5 + mask, -1) @ v
        x = x + self.proj(a.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, vocabulary=96, context=64, layers=4, heads=4, width=128):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(x))).flatten(0, 1)


def training(model, optimizer, x, y):
    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def mlp():
    m = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return training(m, torch.optim.SGD(m.parameters(), lr=0.01), torch.rand(64, 784), torch.randint(0, 10, (64,)))


def cnn():
    m = LeNet()
    return training(m, torch.optim.Adam(m.parameters(), lr=1e-3), torch.rand(64, 1, 28, 28), torch.randint(0, 10, (64,)))


def gpt():
    m = GPT()
    return training(
        m, torch.optim.AdamW(m.parameters(), lr=1e-3), torch.randint(0, 96, (16, 64)), torch.randint(0, 96, (16 * 64,))
    )


def chain(n, grad):
    y = torch.full((16,), 1e-3)

    def run():
        x = torch.zeros(16, requires_grad=grad)
        for _ in range(n):
            x = x + y
        if grad:
            x.sum().backward()

    return run


def of(shape, f):
    x = torch.randn(shape)
    return lambda: f(x)


def decomposition(name, n, dtype):
    n, dtype = int(n), getattr(torch, dtype)
    a = torch.randn(n, n, dtype=dtype)
    s = a @ a.T + n * torch.eye(n, dtype=dtype)
    f = getattr(torch.linalg, name)
    if name == "svd":
        return lambda: f(a, full_matrices=False)
    if name == "solve":
        return lambda: f(a, s)
    return lambda: f(s if name in ("eigh", "cholesky") else a)


def case(name):
    kind, _, rest = name.partition(" ")
    if kind == "matmul":
        n = int(rest)
        a, b = torch.randn(n, n), torch.randn(n, n)
        return lambda: a @ b
    if kind.startswith("linalg."):
        return decomposition(kind[len("linalg.") :], *rest.split())
    if kind == "training":
        return {"mlp": mlp, "cnn": cnn, "gpt": gpt}[rest]()
    if kind == "chain":
        return chain(10000, rest == "backward")
    big = (4 * 1024 * 1024,)
    return {
        "exp": lambda: of(big, torch.exp),
        "tanh": lambda: of(big, torch.tanh),
        "gelu": lambda: of(big, F.gelu),
        "mul-add-relu": lambda: of(big, lambda x: torch.relu(x * 1.5 + 0.5)),
        "add": lambda: of(big, lambda x: x + x),
        "sum rows": lambda: of((1024, 4096), lambda x: x.sum(1)),
        "sum columns": lambda: of((1024, 4096), lambda x: x.sum(0)),
        "softmax": lambda: of((1024, 1024), lambda x: torch.softmax(x, -1)),
        "layernorm": lambda: of((1024, 1024), lambda x: F.layer_norm(x, (1024,))),
    }[name]()


def blas():
    """Which library multiplies matrices: the reference BLAS is twenty times slower than an optimised one."""
    with open("/proc/self/maps") as maps:
        loaded = {line.split("/")[-1].strip() for line in maps if "blas" in line.split("/")[-1]}
    return ", ".join(sorted(loaded)) or "built in"


print(json.dumps({"torch": f"{torch.__version__} ({blas()})"}), flush=True)
cases = {}
for line in sys.stdin:
    name = line.strip()
    try:
        run = cases.setdefault(name, None) or case(name)
        cases[name] = run
        run()  # brings its data into the caches
        calls, start = 0, time.perf_counter()
        while True:
            run()
            calls += 1
            spent = time.perf_counter() - start
            if spent > 0.02:
                break
        print(json.dumps({"ms": spent / calls * 1000}), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)
