"""Cases in the corpus' format out of the corpus' own cases, with other arguments; expected results from the PyTorch at hand.

    python3 test/golden/differential.py CORPUS OUT [--seed N] [--each N] [--ops a,b] [--forms]

Every case of CORPUS is a template: sizes, values (NaN, infinities, ties), types, strides, numbers, names and places of arguments change.
--forms: methods and in-place forms instead. What PyTorch's rounding or its random streams decide is left out. PyTorch 1.13 made the pack;
where 2.6 documents something else, its cases were left out by hand.
"""
import argparse, hashlib, json, math, os, random, signal, struct, sys, warnings
import numpy as np, torch
torch.set_num_threads(1)
warnings.simplefilter("ignore")

DT = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
      "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}
NAMES = {v: k for k, v in DT.items()}
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INTS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
COMPLEX = [torch.complex64, torch.complex128]
TOL = {torch.float64: (1e-7, 1e-7), torch.float32: (1e-5, 1.3e-6), torch.float16: (1e-5, 1e-3), torch.bfloat16: (1e-5, 1.6e-2)}

def name_of(dtype): return str(dtype).split(".")[1]

class Reader:
    def __init__(self, path):
        raw = open(path, "rb").read()
        n = struct.unpack("<Q", raw[:8])[0]
        self.h = json.loads(raw[8:8 + n]); self.raw = raw; self.at = 8 + n
    def get(self, key):
        m = self.h[key]; a, b = m["data_offsets"]
        data = self.raw[self.at + a:self.at + b]
        if not data: return torch.empty(m["shape"], dtype=DT[m["dtype"]])
        return torch.frombuffer(bytearray(data), dtype=DT[m["dtype"]]).reshape(m["shape"]).clone()

def raw_bytes(t):
    t = t.detach().resolve_conj().resolve_neg().contiguous()
    if t.numel() == 0: return b""
    if t.dtype == torch.bfloat16: return t.view(torch.int16).numpy().tobytes()
    return t.numpy().tobytes()

class Writer:
    def __init__(self): self.h, self.parts, self.n = {}, [], 0
    def put(self, key, t):
        t = t.detach()
        if t.is_complex(): t = torch.view_as_real(t.resolve_conj().resolve_neg())
        b = raw_bytes(t)
        pad = (-self.n) % 8
        self.parts.append(b"\0" * pad); self.n += pad
        self.h[key] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [self.n, self.n + len(b)]}
        self.parts.append(b); self.n += len(b)
    def save(self, path):
        h = json.dumps(self.h).encode(); h += b" " * ((-len(h)) % 8)
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(h))); f.write(h)
            for p in self.parts: f.write(p)

class Skip(Exception): pass

def decode(v, r):
    if v is None or isinstance(v, (bool, int, str)): return v
    if isinstance(v, list): return [decode(x, r) for x in v]
    if "tensor" in v:
        t = r.get(v["tensor"])
        if v.get("complex"): t = torch.view_as_complex(t)
        return t.requires_grad_() if v.get("requires_grad") else t
    if "float" in v: return float(v["float"])
    if "int" in v: return int(v["int"])
    if "complex" in v: return complex(*v["complex"])
    if "tuple" in v: return tuple(decode(x, r) for x in v["tuple"])
    if "slice" in v: return slice(*[decode(x, r) for x in v["slice"]])
    if "ellipsis" in v: return Ellipsis
    if "dict" in v: return {k: decode(x, r) for k, x in v["dict"].items()}
    if "dtype" in v: return getattr(torch, v["dtype"])
    if "device" in v: return torch.device(v["device"])
    if "layout" in v: return getattr(torch, v["layout"])
    if "memory_format" in v: return getattr(torch, v["memory_format"])
    raise Skip(str(v))

class Encoder:
    def __init__(self, w, prefix): self.w, self.p, self.n, self.keys = w, prefix, {}, {}
    def key(self, kind):
        i = self.n.get(kind, 0); self.n[kind] = i + 1
        return f"{self.p}.{kind}{i}"
    def tensor(self, t, kind):
        k = self.key(kind)
        v = {"tensor": k}
        if t.is_complex(): v["complex"] = True
        if kind == "i":
            if t.requires_grad: v["requires_grad"] = True
            self.keys[id(t)] = k
            if getattr(t, "_lay", None):
                base, size, stride, off = t._lay
                self.w.put(k, base); v["as_strided"] = [list(size), list(stride), off]
                return v
        self.w.put(k, t)
        return v
    def value(self, v, kind):
        if isinstance(v, torch.Tensor):
            if v.layout != torch.strided or v.is_quantized: raise Skip("layout")
            return self.tensor(v, kind)
        if v is None or isinstance(v, (bool, str)): return v
        if isinstance(v, int): return v if abs(v) <= 2**53 else {"int": str(v)}
        if isinstance(v, float): return {"float": "nan" if v != v else "inf" if v == math.inf else "-inf" if v == -math.inf else v}
        if isinstance(v, complex) and not (math.isfinite(v.real) and math.isfinite(v.imag)): raise Skip("complex")
        if isinstance(v, complex): return {"complex": [v.real, v.imag]}
        if isinstance(v, torch.Size): return [self.value(x, kind) for x in v]
        if isinstance(v, tuple) and (hasattr(v, "_fields") or type(v).__module__ == "torch.return_types"):
            names = list(v._fields) if hasattr(v, "_fields") else [a for a in dir(v) if not a.startswith("_") and a not in ("count", "index", "n_fields", "n_sequence_fields", "n_unnamed_fields")]
            if not hasattr(v, "_fields"):
                order = {id(x): i for i, x in enumerate(v)}
                names.sort(key=lambda a: order.get(id(getattr(v, a)), 0))
            d = {"tuple": [self.value(x, kind) for x in v]}
            if len(names) == len(v): d["names"] = names
            return d
        if isinstance(v, tuple): return {"tuple": [self.value(x, kind) for x in v]}
        if isinstance(v, list): return [self.value(x, kind) for x in v]
        if isinstance(v, dict): return {"dict": {k: self.value(x, kind) for k, x in v.items()}}
        if isinstance(v, slice): return {"slice": [self.value(x, kind) for x in (v.start, v.stop, v.step)]}
        if v is Ellipsis: return {"ellipsis": True}
        if isinstance(v, torch.dtype): return {"dtype": name_of(v)}
        if isinstance(v, torch.device): return {"device": str(v)}
        if isinstance(v, torch.layout): return {"layout": name_of(v)}
        if isinstance(v, torch.memory_format): return {"memory_format": name_of(v)}
        raise Skip(f"value {type(v)}")

def tree(f, v):
    if isinstance(v, list): return [tree(f, x) for x in v]
    if isinstance(v, tuple): return tuple(tree(f, x) for x in v) if type(v) in (tuple, torch.Size) else v
    if isinstance(v, dict): return {k: tree(f, x) for k, x in v.items()}
    if isinstance(v, slice): return slice(tree(f, v.start), tree(f, v.stop), tree(f, v.step))
    return f(v)

def leaves(v, out=None):
    out = [] if out is None else out
    tree(lambda x: out.append(x) or x, v)
    return out
def tensors(v): return [x for x in leaves(v) if isinstance(x, torch.Tensor)]

# ---- mutations: (args, kwargs, rng) -> (args, kwargs) ----
def like(t, shape, rng, dtype=None):
    """Values in the range of t's."""
    dtype = dtype or t.dtype
    shape = list(shape); n = math.prod(shape)
    g = torch.Generator().manual_seed(rng.randrange(1 << 30))
    if dtype == torch.bool: return torch.randint(0, 2, shape, generator=g).bool()
    if t.is_complex() or dtype.is_complex:
        return torch.complex(torch.randn(shape, generator=g, dtype=torch.float64), torch.randn(shape, generator=g, dtype=torch.float64)).to(dtype)
    d = t.detach().double(); d = d[torch.isfinite(d)]
    lo, hi = (d.min().item(), d.max().item()) if d.numel() else (0.0, 3.0)
    if t.dtype == torch.bool: lo, hi = 0, 3
    if not dtype.is_floating_point:
        lo, hi = max(int(lo), torch.iinfo(dtype).min), min(int(hi), torch.iinfo(dtype).max)
        return torch.randint(lo, max(hi, lo) + 1, shape, generator=g).to(dtype)
    if lo == hi: lo, hi = lo - 1, hi + 1
    lo, hi = max(lo, -1e4), min(hi, 1e4)
    return (torch.rand(shape, generator=g, dtype=torch.float64) * (hi - lo) + lo).to(dtype)

def keep(new, old):
    if old.requires_grad and (new.is_floating_point() or new.is_complex()): new = new.detach().requires_grad_()
    return new

def on_tensors(f): return lambda a, k, rng: (tree(lambda x: keep(f(x, rng), x) if isinstance(x, torch.Tensor) else x, a),
                                             tree(lambda x: keep(f(x, rng), x) if isinstance(x, torch.Tensor) else x, k))
def on_one(f):
    def m(a, k, rng):
        ts = tensors([a, k])
        if not ts: return a, k
        pick = rng.choice(ts)
        g = lambda x: (keep(f(x, rng), x) if isinstance(f(x, rng), torch.Tensor) else f(x, rng)) if x is pick else x
        return tree(g, a), tree(g, k)
    return m

def resize(a, k, rng):
    """Every size by another, the same everywhere."""
    sizes = sorted({s for t in tensors([a, k]) for s in t.shape})
    pool = [0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 9, 17] if rng.random() < 0.4 else [1, 2, 3, 4, 5, 6, 7, 8]
    if rng.random() < 0.4:
        s = rng.choice(sizes) if sizes else None
        to = {x: x for x in sizes}
        if s is not None: to[s] = rng.choice([0, 1, 2, 3, 4, 7, 19])
    else: to = {s: (1 if s == 1 and rng.random() < 0.7 else rng.choice(pool)) for s in sizes}
    def f(t):
        if not isinstance(t, torch.Tensor): return t
        shape = [to[s] for s in t.shape]
        if math.prod(shape) > 20000: return t
        return keep(like(t, shape, rng), t) if shape != list(t.shape) else t
    return tree(f, a), tree(f, k)

def lead(t, rng): return t.detach().unsqueeze(0).expand([2] + list(t.shape)).clone()
def drop(t, rng): return t.detach()[0].clone() if t.ndim and t.shape[0] else t
def addall(a, k, rng): return on_tensors(lead)(a, k, rng)
def dropall(a, k, rng): return on_tensors(drop)(a, k, rng)
def scalar0(t, rng): return like(t, [], rng)
def empty1(t, rng):
    s = list(t.shape)
    if not s: return t
    s[rng.randrange(len(s))] = 0
    return like(t, s, rng)
def ones1(t, rng):
    s = list(t.shape)
    if not s: return t
    s[rng.randrange(len(s))] = 1
    return like(t, s, rng)
def rank5(t, rng): return like(t, [rng.choice([1, 2, 3]) for _ in range(rng.choice([4, 5]))], rng)
def anyshape(t, rng): return like(t, [rng.choice([1, 2, 3, 4, 5]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4]))], rng)
def fresh(t, rng): return like(t, t.shape, rng)

SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 1e-40, 1e30, -1e-20, 100.0, -1.5, 2.5, 3.5, -0.5]
def special(t, rng):
    t = t.detach().clone()
    if t.numel() == 0: return t
    if t.dtype == torch.bool: return torch.full_like(t, rng.random() < 0.5)
    pool = SPECIAL if rng.random() < 0.6 else [0.0, -0.0, 1.0, -1.0, 0.5, 2.0]
    flat = t.reshape(-1).clone()
    for _ in range(rng.choice([1, 2, max(1, flat.numel() // 2)])):
        v = rng.choice(pool)
        if t.is_floating_point(): flat[rng.randrange(flat.numel())] = v
        elif t.is_complex(): flat[rng.randrange(flat.numel())] = complex(v, rng.choice(pool))
        else: flat[rng.randrange(flat.numel())] = rng.choice([0, 1, -1 if t.dtype != torch.uint8 else 255, 2, 7, torch.iinfo(t.dtype).max, torch.iinfo(t.dtype).min, 5])
    return flat.reshape(t.shape)
def ties(t, rng):
    if t.dtype == torch.bool or t.is_complex(): return t
    return torch.randint(0 if t.dtype == torch.uint8 else -1, 3, list(t.shape), generator=torch.Generator().manual_seed(rng.randrange(1 << 30))).to(t.dtype)

def cast(t, dtype):
    t = t.detach()
    if t.is_complex() and not dtype.is_complex: t = t.real
    if dtype in INTS and t.is_floating_point(): t = t.nan_to_num(1, 5, -5).clamp(-50, 50)
    return t.to(dtype).clone()
def castall(a, k, rng):
    ts = tensors([a, k])
    if not ts: return a, k
    kind = rng.choice(["f64", "f16", "bf16", "int", "int", "bool", "c64", "c128"])
    to = {"f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16, "bool": torch.bool, "c64": torch.complex64, "c128": torch.complex128}.get(kind) or rng.choice(INTS)
    fl = any(t.is_floating_point() or t.is_complex() for t in ts)
    f = lambda t, r: cast(t, to) if not fl or t.is_floating_point() or t.is_complex() else t
    return on_tensors(f)(a, k, rng)
def castone(t, rng): return cast(t, rng.choice(FLOATS + INTS + [torch.bool] + COMPLEX[:1]))

def noncontig(t, rng):
    t = t.detach()
    kind = rng.choice(["T", "T", "gap", "expand", "offset", "perm", "overlap"])
    if kind == "expand" and t.ndim:
        d = rng.randrange(t.ndim)
        if t.shape[d] == 0: return t
        base = t.narrow(d, 0, 1).clone(); v = base.expand(t.shape)
    elif kind == "gap" and t.ndim:
        s = list(t.shape); s[-1] *= 2
        base = like(t, s, rng); v = base[..., ::2]; v.copy_(t)
    elif kind == "offset":
        base = like(t, [t.numel() + 3], rng); v = base[3:].view(t.shape); v.copy_(t)
    elif kind == "overlap" and t.ndim and t.shape[-1] > 1 and t.numel():
        n = t.shape[-1]; base = like(t, [t.numel() + n], rng)
        st = [1] * t.ndim
        v = base.as_strided(t.shape, st)
    elif t.ndim >= 2:
        p = list(range(t.ndim)); rng.shuffle(p)
        inv = [p.index(i) for i in range(t.ndim)]
        base = t.permute(p).contiguous(); v = base.permute(inv)
    else: return t
    v = v.detach()
    flat = torch.empty(0, dtype=base.dtype).set_(base.storage(), 0, [base.storage().size()]) if base.numel() else base.reshape(-1)
    v._lay = (flat, v.shape, v.stride(), v.storage_offset())
    return v
def strided(a, k, rng):
    def f(x):
        if not isinstance(x, torch.Tensor) or rng.random() < 0.2: return x
        n = noncontig(x, rng)
        if n is x: return x
        if x.requires_grad:
            lay = getattr(n, "_lay", None); n = n.detach().requires_grad_()
            if lay: n._lay = lay
        return n
    return tree(f, a), tree(f, k)

def scalars(v, path=()):
    if isinstance(v, (list, tuple)):
        for i, x in enumerate(v): yield from scalars(x, path + (i,))
    elif isinstance(v, dict):
        for i, x in v.items(): yield from scalars(x, path + (i,))
    elif not isinstance(v, torch.Tensor): yield path, v
def replace(v, path, new):
    if not path: return new
    if isinstance(v, dict): return {**v, path[0]: replace(v[path[0]], path[1:], new)}
    if type(v) not in (list, tuple, torch.Size): return v
    l = list(v); l[path[0]] = replace(l[path[0]], path[1:], new)
    return l if isinstance(v, list) else tuple(l)
def number(a, k, rng):
    both = [list(a), dict(k)]
    at = list(scalars(both))
    if not at: return a, k
    path, v = rng.choice(at)
    if isinstance(v, bool): new = not v
    elif isinstance(v, int): new = rng.choice([-1, -2, 0, 1, 2, 3, v + 1, v - 1, -v, -3, v * 2, 1, 0, float(v), v])
    elif isinstance(v, float): new = rng.choice([0.0, 1.0, -1.0, 0.5, 2.0, v / 2 if v == v else 0.1, -v, 1e-3, 3.0, math.inf, 2, 1, 0, -1])
    elif isinstance(v, complex): new = rng.choice([v.conjugate(), 1j, 0j, v.real])
    elif isinstance(v, torch.dtype): new = rng.choice(FLOATS + INTS + [torch.bool] + COMPLEX)
    elif isinstance(v, str): new = rng.choice([v, "mean", "sum", "none", "bogus", "ij", "xy", "reflect", "replicate", "circular", "constant", "backward", "ortho", "forward", "fro", "nuc", "linear", "lower", "higher", "nearest", "midpoint", "floor", "trunc", "tanh", "amax", "amin", "prod"])
    elif v is None: new = rng.choice([0, 1, -1, None, 2])
    else: new = v
    both = replace(both, path, new)
    return both[0], both[1]
def negdim(a, k, rng):
    nd = max([t.ndim for t in tensors([a, k])] or [0])
    both = [list(a), dict(k)]
    at = [(p, v) for p, v in scalars(both) if type(v) is int and -nd <= v < nd]
    if not at: return a, k
    path, v = rng.choice(at)
    both = replace(both, path, v - nd if v >= 0 else v + nd)
    return both[0], both[1]
def drop_arg(a, k, rng):
    if k and rng.random() < 0.6:
        k = dict(k); k.pop(rng.choice(list(k))); return a, k
    return (a[:-1] if len(a) > 1 else a), k
WRONG = ["text", None, [1, 2], 1.5, 3, True, torch.ones(2, 2), (), [], torch.tensor(2.0), 99, -99]
def wrong(a, k, rng):
    if k and rng.random() < 0.5: return a, {**k, rng.choice(list(k)): rng.choice(WRONG)}
    if not a: return a, k
    a = list(a); a[rng.randrange(len(a))] = rng.choice(WRONG); return a, k
def extra_arg(a, k, rng):
    if rng.random() < 0.5: return list(a) + [rng.choice(WRONG[3:6] + [0, 1, -1])], k
    return a, {**k, "bogus": 1}
COMMON = [("dim", lambda r: r.choice([0, 1, -1, -2, None, [0, 1], (), [0]])), ("keepdim", lambda r: True), ("dtype", lambda r: r.choice(FLOATS + INTS + [torch.bool] + COMPLEX)),
          ("reduction", lambda r: r.choice(["none", "sum", "mean", "bogus"])), ("alpha", lambda r: r.choice([2, 0.5, -1, True])), ("descending", lambda r: True),
          ("rounding_mode", lambda r: r.choice(["floor", "trunc", None, "bogus"])), ("norm", lambda r: r.choice(["ortho", "forward", "backward"])),
          ("eps", lambda r: r.choice([0.0, 1e-3, 0.1])), ("weight", lambda r: torch.rand(3)), ("ignore_index", lambda r: r.choice([0, 1, -1])), ("label_smoothing", lambda r: 0.1),
          ("stable", lambda r: True), ("largest", lambda r: False), ("sorted", lambda r: False), ("correction", lambda r: r.choice([0, 1, 2])), ("unbiased", lambda r: r.choice([True, False])),
          ("ceil_mode", lambda r: True), ("align_corners", lambda r: True), ("inplace", lambda r: True), ("ord", lambda r: r.choice([1, 2, math.inf, 0, -1, 3.5, "fro"])), ("p", lambda r: r.choice([1, 2.0, 0, math.inf, -1.0])),
          ("mask", lambda r: torch.rand(3) > 0.5), ("decimals", lambda r: r.choice([0, 1, -1, 3])), ("dims", lambda r: r.choice([0, 1, [0, 1], [0]])), ("accumulate", lambda r: True), ("diagonal", lambda r: r.choice([1, -1, 2])), ("offset", lambda r: r.choice([1, -1, 2])),
          ("memory_format", lambda r: r.choice([torch.contiguous_format, torch.preserve_format])), ("right", lambda r: True), ("return_inverse", lambda r: True), ("return_counts", lambda r: True)]
def common(a, k, rng):
    name, make = rng.choice(COMMON)
    return a, {**k, name: make(rng)}
def scalar_for_tensor(a, k, rng):
    ts = [t for t in tensors([a, k]) if not t.is_complex()]
    if len(ts) < 1: return a, k
    pick = rng.choice(ts)
    new = rng.choice([2, 0, -1, 1.5, True, 3, -2.5, 0.0, math.nan, math.inf, 1 + 2j]) if pick.dtype != torch.bool else rng.choice([True, False, 1])
    g = lambda x: new if x is pick else x
    return tree(g, a), tree(g, k)
def tensor_for_scalar(a, k, rng):
    both = [list(a), dict(k)]
    at = [(p, v) for p, v in scalars(both) if isinstance(v, (int, float)) and v is not None]
    if not at: return a, k
    path, v = rng.choice(at)
    both = replace(both, path, torch.tensor(v)); return both[0], both[1]
def swap(a, k, rng):
    a = list(a)
    if len(a) > 1 and isinstance(a[0], torch.Tensor) and isinstance(a[1], torch.Tensor): a[0], a[1] = a[1], a[0]
    return a, k
def same(a, k, rng):
    ts = tensors([a])
    if len(ts) < 2: return a, k
    a = list(a); t = [i for i, x in enumerate(a) if isinstance(x, torch.Tensor)]
    if len(t) > 1: a[t[1]] = keep(a[t[0]].detach().clone(), a[t[1]])
    return a, k

MUT = [(resize, 10), (addall, 2), (dropall, 2), (on_one(lead), 2), (on_one(drop), 2), (on_one(scalar0), 3), (on_one(empty1), 2), (on_one(ones1), 3),
       (on_one(rank5), 2), (on_one(anyshape), 3), (on_tensors(anyshape), 1), (on_tensors(scalar0), 2), (on_tensors(fresh), 4), (on_one(special), 8), (on_tensors(special), 4), (on_tensors(ties), 4),
       (castall, 10), (on_one(castone), 6), (strided, 9), (number, 12), (negdim, 5), (drop_arg, 4), (wrong, 2), (extra_arg, 1), (common, 9),
       (scalar_for_tensor, 4), (tensor_for_scalar, 2), (swap, 2), (same, 1)]

# ---- running ----
def resolve(op):
    o = torch
    for p in op.split("."):
        o = getattr(o, p, None)
        if o is None: return None
    return o

def is_inplace(n): return n == "__setitem__" or (n.endswith("_") and not n.endswith("__"))

def invoke(kind, name, args, kwargs):
    if kind == "function": return resolve(name)(*args, **kwargs)
    t, *rest = args
    if kind == "property": return getattr(t, name)
    if is_inplace(name):
        c = t.clone(memory_format=torch.contiguous_format) if isinstance(t, torch.Tensor) else t
        getattr(c, name)(*rest, **kwargs)
        return c
    r = getattr(t, name)(*rest, **kwargs)
    if r is NotImplemented: raise TypeError("NotImplemented")
    return r

UNSURE = ("not implemented for", "not supported on CPU", "not implemented on", "does not support", "only supports", "only supported", "not yet supported", "not currently supported", "Long not", "half not", "has not been implemented",
          "unsupported dtype", "INTERNAL ASSERT", "deterministic", "No backend", "NYI", "Could not run", "cannot be converted to type", "can't convert", "not support", "addmv_impl_cpu", "didn't match because", "storage", "sparse", "expected scalar type", "must have the same dtype", "Found dtype", "expected m1 and m2 to have the same dtype")

def parser_error(e):
    m = str(e)
    return isinstance(e, TypeError) and ("argument" in m or "received an invalid combination" in m or "missing" in m or "must be" in m or "object" in m or "operand" in m or "'" in m)

def outs(v): return tensors(v) if not isinstance(v, torch.Tensor) else [v]
def flatten_out(v):
    if isinstance(v, torch.Tensor): return [v]
    if isinstance(v, dict): return [t for x in v.values() for t in flatten_out(x)]
    if isinstance(v, (list, tuple)): return [t for x in v for t in flatten_out(x)]
    return []

def differentiable(t): return t.requires_grad and (t.is_floating_point() or t.is_complex())

def to64(x):
    if isinstance(x, torch.Tensor):
        if x.dtype in (torch.float32, torch.float16, torch.bfloat16): y = x.detach().double().clone()
        elif x.dtype == torch.complex64: y = x.detach().to(torch.complex128)
        else: return x.detach().clone()
        return y.requires_grad_() if x.requires_grad else y
    return {torch.float32: torch.float64, torch.float16: torch.float64, torch.bfloat16: torch.float64, torch.complex64: torch.complex128}.get(x, x) if isinstance(x, torch.dtype) else x

def noise_of(lo, hi):
    """How far lo lies from hi, in tolerances; None where they are of two minds."""
    worst = 0.0
    for a, b in zip(lo, hi):
        if a is None or b is None: continue
        a, b = a.detach().resolve_conj().resolve_neg(), b.detach().resolve_conj().resolve_neg()
        if a.is_complex(): a = torch.view_as_real(a)
        if b.is_complex(): b = torch.view_as_real(b)
        if a.shape != b.shape: return None
        if not a.is_floating_point():
            if not torch.equal(a.double(), b.double()): return None
            continue
        at, rt = TOL[a.dtype]
        b = b.to(a.dtype).double(); a = a.double()
        same = (a == b) | (a.isnan() & b.isnan())
        bad = ~same & ~(a.isfinite() & b.isfinite())
        if bad.any(): return None
        e = torch.where(same, torch.zeros_like(a), (a - b).abs() / (at + rt * b.abs()))
        if e.numel(): worst = max(worst, e.max().item())
    return worst

def evaluate(kind, name, args, kwargs, cots=None, want_grad=True, seed=0):
    """-> result, outputs, cotangents, leaves, grads, gradient's error"""
    torch.manual_seed(seed)
    result = invoke(kind, name, args, kwargs)
    os_ = flatten_out(result)
    ls = [t for t in tensors([args, kwargs]) if t.requires_grad]
    if not want_grad or not ls or not any(differentiable(o) for o in os_): return result, os_, None, ls, None, None
    if cots is None:
        g = torch.Generator().manual_seed(seed + 1)
        cots = [(torch.randn(list(torch.view_as_real(o.detach().resolve_conj().resolve_neg()).shape if o.is_complex() else o.shape), generator=g, dtype=torch.float64)).to(o.real.dtype if o.is_complex() else o.dtype) if differentiable(o) else None for o in os_]
    try:
        enter = [torch.view_as_real(o.resolve_conj().resolve_neg()) if o.is_complex() else o for o in os_ if differentiable(o)]
        grads = torch.autograd.grad(enter, ls, [c for c in cots if c is not None], allow_unused=True)
    except RuntimeError as e:
        return result, os_, cots, ls, None, e
    return result, os_, cots, ls, grads, None

def fresh_copy(v):
    def f(x):
        if not isinstance(x, torch.Tensor): return x
        y = x.detach()
        lay = getattr(x, "_lay", None)
        if lay: y = lay[0].clone().as_strided(lay[1], lay[2], lay[3]).detach()
        else: y = y.clone()
        if x.requires_grad: y.requires_grad_()
        if lay: y._lay = (lay[0],) + tuple(lay[1:])
        return y
    return tree(f, v)

def make_case(w, ident, kind, name, args, kwargs, random_op):
    """-> ("case"|"error", dict)"""
    if sum(t.numel() for t in tensors([args, kwargs])) > 60000: raise Skip("large")
    if kwargs.get("requires_grad") is True or "out" in kwargs: raise Skip("kw")
    run = fresh_copy([args, kwargs])
    enc = Encoder(w, ident)
    try:
        result, os_, cots, ls, grads, gerr = evaluate(kind, name, run[0], run[1])
    except Exception as e:
        if isinstance(e, (MemoryError, NotImplementedError)) or any(u in str(e) for u in UNSURE): raise Skip("unsure")
        if not isinstance(e, (RuntimeError, IndexError, TypeError, ValueError)): raise Skip("odd")
        d = {"id": ident, "args": [enc.value(x, "i") for x in args], "kwargs": {k: enc.value(x, "i") for k, x in kwargs.items()},
             "error": {"type": "LinAlgError" if type(e).__name__ in ("_LinAlgError", "LinAlgError") else type(e).__name__, "message": str(e)[:160]}}
        if parser_error(e) or isinstance(e, TypeError) or isinstance(e, AttributeError): d["argument_types"] = True
        return "error", d
    if sum(o.numel() for o in os_) > 100000: raise Skip("large")
    case = {"id": ident, "dtype": "mixed", "source": "extra", "args": [enc.value(x, "i") for x in args], "kwargs": {k: enc.value(x, "i") for k, x in kwargs.items()}}
    if random_op:
        again = evaluate(kind, name, *fresh_copy([args, kwargs]), want_grad=False, seed=7)[1]
        case["random"] = True
        case["output"] = [{"shape": list(o.shape), "dtype": name_of(o.dtype)} for o in os_]
        return "case", case
    # determined at all?
    again = evaluate(kind, name, *fresh_copy([args, kwargs]), want_grad=False, seed=7)[1]
    n = noise_of(again, os_)
    if n is None or n > 0:
        raise Skip("random")
    case["output"] = enc.value(result, "o")
    low = any(t.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.complex64) for t in tensors([args, kwargs])) or any(o.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.complex64) for o in os_)
    hi = None
    if low:
        try:
            hargs, hk = tree(to64, fresh_copy(args)), tree(to64, fresh_copy(kwargs))
            c64 = None if cots is None else [None if c is None else c.double() for c in cots]
            hi = evaluate(kind, name, hargs, hk, cots=c64)
        except Exception: hi = None
        if hi is not None:
            n = noise_of(os_, hi[1])
            if n is None: case["two_minds"] = True; raise Skip("two minds")
            if n > 0.5: case["noise"] = n if n < 1e300 else 1e300
    if grads is not None:
        case["cotangents"] = []
        for c in cots:
            if c is None: case["cotangents"].append(None)
            else:
                key = enc.key("c"); w.put(key, c); case["cotangents"].append(key)
        case["grads"] = {}
        if hi is not None and hi[4] is not None:
            n = noise_of(grads, hi[4])
            if n is None: del case["grads"], case["cotangents"]; return "case", case
            if n > 0.5: case["grad_noise"] = n if n < 1e300 else 1e300
        # the encoder saw the originals, evaluate the copies: same order
        orig = [t for t in tensors([args, kwargs]) if t.requires_grad]
        for t, g in zip(orig, grads):
            if g is None: case["grads"][enc.keys[id(t)]] = None
            else:
                if g.is_complex(): g = torch.view_as_real(g.resolve_conj().resolve_neg())
                key = enc.key("g"); w.put(key, g); case["grads"][enc.keys[id(t)]] = key
    return "case", case

def content(args, kwargs, kind, name):
    h = hashlib.md5(f"{kind} {name}".encode())
    def f(x):
        h.update((raw_bytes(x) + str((x.shape, x.dtype, x.stride(), x.requires_grad)).encode()) if isinstance(x, torch.Tensor) else repr(x).encode()); return x
    tree(f, [list(args), dict(kwargs)])
    return h.hexdigest()

def schema_names(name):
    base = name.split(".")[-1]
    mod = {"linalg": "linalg_", "special": "special_", "fft": "fft_"}.get(name.split(".")[0], "")
    pk = getattr(torch.ops.aten, mod + base, None)
    if pk is None: return []
    try: return [[a.name for a in getattr(pk, o)._schema.arguments] for o in pk.overloads()]
    except Exception: return []
def keywords(name, args, kwargs, rng):
    lists = schema_names(name)
    if name.startswith("nn.functional") or not lists:
        import inspect
        try: lists = [list(inspect.signature(resolve(name)).parameters)] + lists
        except Exception: pass
    if not lists: return args, kwargs
    names = rng.choice(lists)
    if len(names) < len(args): return args, kwargs
    cut = rng.randrange(0 if rng.random() < 0.1 else 1, len(args) + 1)
    kw = {("input" if n == "self" else n): v for n, v in list(zip(names, args))[cut:]}
    if any(n in kwargs for n in kw): return args, kwargs
    return list(args)[:cut], {**kw, **kwargs}

def generate(corpus, out, unit, entry, manifest, kind, name, n, seed, random_op):
    rng = random.Random(f"{seed} {unit}")
    reader = Reader(os.path.join(corpus, manifest["tensors"]))
    templates = []
    for c in manifest["cases"] + manifest["errors"]:
        try: templates.append(([decode(x, reader) for x in c["args"]], {k: decode(x, reader) for k, x in c["kwargs"].items()}, "error" in c))
        except Exception: pass
    templates = [t for t in templates if sum(x.numel() for x in tensors(list(t[:2]))) < 40000]
    if not templates: return None
    seen = {content(a, k, kind, name) for a, k, _ in templates} if kind == manifest["call"] and name == (manifest.get("method") or manifest["op"]) else set()
    w = Writer(); cases, errors, tries = [], [], 0
    f, wts = zip(*MUT)
    while len(cases) < n and tries < 12 * n:
        tries += 1
        args, kwargs, bad = rng.choice(templates)
        if bad and rng.random() < 0.7: continue
        args, kwargs = fresh_copy([args, kwargs])
        if kind == "function" and manifest["call"] == "function" or True:
            for m in rng.choices(f, wts, k=rng.choice([1, 1, 1, 2, 2, 3])):
                try: args, kwargs = m(args, kwargs, rng)
                except Exception: pass
        if kind == "function" and rng.random() < 0.12: args, kwargs = keywords(name, args, kwargs, rng)
        if not args and kind != "function": continue
        args = list(args)
        if kind != "function" and not isinstance(args[0], torch.Tensor): continue
        # gradients of more
        if rng.random() < 0.8:
            def g(x):
                if isinstance(x, torch.Tensor) and (x.is_floating_point() or x.is_complex()) and not x.requires_grad and rng.random() < 0.5 and entry.get("differentiable"):
                    lay = getattr(x, "_lay", None); y = x.detach().requires_grad_()
                    if lay: y._lay = lay
                    return y
                return x
            args, kwargs = tree(g, args), tree(g, kwargs)
        key = content(args, kwargs, kind, name)
        if key in seen: continue
        seen.add(key)
        w0 = (len(w.parts), w.n, dict(w.h))
        try: what, case = make_case(w, f"{len(cases)}" if True else "", kind, name, args, kwargs, random_op)
        except Skip:
            w.parts = w.parts[:w0[0]]; w.n = w0[1]; w.h = w0[2]; continue
        if what == "error":
            if len(errors) >= n // 2: w.parts = w.parts[:w0[0]]; w.n = w0[1]; w.h = w0[2]; continue
            # keys of its own
            ren = f"e{len(errors)}"
            s = json.dumps({k: v for k, v in case.items() if k not in ("id", "error")})
            mine = [k for k in w.h if k not in w0[2]]
            for k in mine:
                nk = ren + k[k.index("."):]; w.h[nk] = w.h.pop(k); s = s.replace(f'"{k}"', f'"{nk}"')
            errors.append({**json.loads(s), "id": ren, "error": case["error"]})
        else: cases.append(case)
    if not cases and not errors: return None
    file = unit.replace("/", "_")
    w.save(os.path.join(out, file + ".safetensors"))
    m = {**{k: v for k, v in manifest.items() if k in ("ambiguous", "compare_abs")}, "op": name, "call": kind, "tensors": file + ".safetensors", "cases": cases, "errors": errors}
    json.dump(m, open(os.path.join(out, file + ".json"), "w"))
    e = {"file": file, "cases": len(cases), "errors": len(errors)}
    if entry.get("inplace") and kind == "function" and not random_op: e["inplace"] = entry["inplace"]
    return e

def main():
    p = argparse.ArgumentParser(); p.add_argument("corpus"); p.add_argument("out"); p.add_argument("--seed", type=int, default=0)
    p.add_argument("--each", type=int, default=60); p.add_argument("--ops"); p.add_argument("--forms", action="store_true")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    index = json.load(open(os.path.join(a.corpus, "index.json")))
    result, absent, dead = {}, [], []
    for op, entry in index["ops"].items():
        if a.ops and op not in a.ops.split(","): continue
        manifest = json.load(open(os.path.join(a.corpus, entry["file"] + ".json")))
        kind = manifest["call"]; name = manifest.get("method") or manifest["op"]
        jobs = []
        rnd = op in index["random"] or any(c.get("random") or c.get("uninitialised") for c in manifest["cases"])
        if not a.forms:
            if kind == "function" and resolve(name) is None or kind != "function" and not hasattr(torch.Tensor, name): absent.append(op); continue
            jobs.append((op, kind, name))
        else:
            if kind == "function" and hasattr(torch.Tensor, name.split(".")[-1]) and "." not in name: jobs.append((f"Tensor.{op}", "method", name))
            if entry.get("inplace") and hasattr(torch.Tensor, entry["inplace"]): jobs.append((f"Tensor.{entry['inplace']}", "method", entry["inplace"]))
        for unit, kd, nm in jobs:
            r, wr = os.pipe()
            pid = os.fork()
            if pid == 0:
                signal.alarm(60)
                devnull = os.open(os.devnull, os.O_WRONLY); os.dup2(devnull, 2)
                try: e = generate(a.corpus, a.out, unit, entry, manifest, kd, nm, a.each, a.seed, rnd)
                except Exception as x:
                    import traceback; e = {"exception": traceback.format_exc()}
                os.write(wr, json.dumps(e).encode()); os._exit(0)
            os.close(wr)
            data = b""
            while True:
                b = os.read(r, 65536)
                if not b: break
                data += b
            os.close(r); os.waitpid(pid, 0)
            if not data: dead.append(unit); continue
            e = json.loads(data)
            if e is None: dead.append(unit + " (none)")
            elif "exception" in e: print(unit, e["exception"])
            else: result[unit] = e
    json.dump({"format": 1, "ops": result}, open(os.path.join(a.out, "index.json"), "w"))
    print(len(result), "units", sum(e["cases"] for e in result.values()), "cases", sum(e["errors"] for e in result.values()), "errors")
    print("absent:", " ".join(absent)); print("dead:", " ".join(dead))
main()
