"""Reads cases, [class, args, kwargs, inputs], and prints what PyTorch makes of them: state as built, outputs, gradients, state after, outputs in eval mode."""

import json
import sys
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")


def to_tuple(value):
    return tuple(to_tuple(x) for x in value) if isinstance(value, list) else value


def flat(value):
    if isinstance(value, torch.Tensor):
        return [value]
    return [] if value is None else [t for x in value for t in flat(x)]


def dump(t):
    values = [x if abs(x) < float("inf") else str(x) for x in t.detach().double().flatten().tolist()]
    return {"shape": list(t.shape), "dtype": str(t.dtype)[6:], "values": values}


def draw(text, generator):
    """f: normal, p: within (0, 1), s: signs, i: integers below what follows the colon."""
    sizes, _, limit = text[1:].partition(":")
    shape = [int(n) for n in sizes.split(",")]
    if text[0] == "f":
        return torch.randn(shape, generator=generator).requires_grad_()
    if text[0] == "p":
        return (torch.rand(shape, generator=generator) * 0.9 + 0.05).requires_grad_()
    if text[0] == "s":
        return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1
    return torch.randint(0, int(limit), shape, generator=generator)


def run(number, name, args, kwargs, inputs):
    generator = torch.Generator().manual_seed(number)
    x = [draw(text, generator) for text in inputs]
    out = {"inputs": [dump(t) for t in x], "grads": [], "parameters": {}}
    torch.manual_seed(number)
    module = getattr(nn, name)(*[to_tuple(a) for a in args], **{k: to_tuple(v) for k, v in kwargs.items()})
    state = lambda: {k: dump(v) for k, v in module.state_dict().items()}
    out["built"] = {} if name.startswith("Lazy") else state()
    y = flat(module(*x))
    out["outputs"] = [dump(t) for t in y]
    out["after"] = state()
    wave = lambda t: torch.cos(torch.arange(t.numel()).double()).reshape(t.shape)
    loss = sum((t.double() * wave(t)).sum() for t in y if t.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()
        out["grads"] = [None if t.grad is None else dump(t.grad) for t in x]
        out["parameters"] = {k: dump(p.grad) for k, p in module.named_parameters() if p.grad is not None}
    module.eval()
    with torch.no_grad():
        # Fractional pooling draws in eval mode, too.
        out["eval"] = [] if name.startswith("Fractional") else [dump(t) for t in flat(module(*x))]
    return out


print(json.dumps([run(i, *case) for i, case in enumerate(json.load(sys.stdin))]))
