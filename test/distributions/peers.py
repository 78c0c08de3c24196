"""What PyTorch makes of the distributions and transforms that come in as JSON; see torch_python.test.ts."""

import json
import sys

import torch
import torch.distributions as D

torch.set_default_dtype(torch.float64)


def value(x):
    if isinstance(x, list) and len(x) == 2 and isinstance(x[0], str):
        return build(x)
    return torch.tensor(x, dtype=torch.float64) if isinstance(x, (list, float)) else x


def build(spec):
    name, kwargs = spec
    return getattr(D, name, None)(**{k: value(v) for k, v in kwargs.items()}) if hasattr(D, name) else inner(name, kwargs)


def inner(name, kwargs):
    module = D.relaxed_bernoulli if name == "LogitRelaxedBernoulli" else D.relaxed_categorical
    return getattr(module, name)(**{k: value(v) for k, v in kwargs.items()})


def numbers(f):
    try:
        x = f()
    except NotImplementedError:
        return None
    return [x.reshape(-1).tolist(), list(x.shape)]


def transform(spec):
    kind, *args = spec
    if kind == "to":
        return D.transform_to(constraint(args[0]))
    if kind == "biject":
        return D.biject_to(constraint(args[0]))
    return getattr(D.transforms, kind)(*[[transform(t) for t in a] if isinstance(a, list) and a and isinstance(a[0], list) else a for a in args])


def constraint(spec):
    name, *args = spec
    made = getattr(D.constraints, name)
    return made(*[constraint(a) if isinstance(a, list) else a for a in args]) if args else made


asked = json.load(sys.stdin)
out = {"distributions": [], "kl": [], "transforms": []}
for spec, x in asked["distributions"]:
    d = build(spec)
    v = value(x)
    one = {key: numbers(lambda: getattr(d, key)) for key in ("mean", "variance")}
    one["mode"] = numbers(lambda: d.mode) if hasattr(type(d), "mode") else None
    one["log_prob"] = numbers(lambda: d.log_prob(v))
    one["cdf"] = numbers(lambda: d.cdf(v))
    one["entropy"] = numbers(d.entropy)
    one["shapes"] = [list(d.batch_shape), list(d.event_shape)]
    one["expanded"] = numbers(lambda: d.expand((3,) + tuple(d.batch_shape)).log_prob(v))
    torch.manual_seed(7)
    one["draw"] = numbers(lambda: d.sample((2,)))
    out["distributions"].append(one)
for p, q in asked["kl"]:
    out["kl"].append(numbers(lambda: D.kl_divergence(build(p), build(q))))
for spec, x in asked["transforms"]:
    t = transform(spec)
    v = value(x)
    y = t(v)
    out["transforms"].append({
        "y": numbers(lambda: y),
        "back": numbers(lambda: t.inv(y)),
        "log": numbers(lambda: t.log_abs_det_jacobian(v, y)),
        "event_dim": [t.domain.event_dim, t.codomain.event_dim],
        "shape": list(t.forward_shape(v.shape)),
    })
json.dump(out, sys.stdout)
