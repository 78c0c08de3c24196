"""Optimizers, schedules and averages in PyTorch, for torch_python.test.ts: trains, saves checkpoints, goes on from ours."""

import json
import sys

import torch

folder, mode = sys.argv[1:]
asked = json.load(sys.stdin)


def closure(params, optimizer):
    def run():
        optimizer.zero_grad()
        x = torch.linspace(-1, 1, 12).reshape(4, 3)
        loss = ((x @ params[0] + params[1]).tanh() - 0.3 * x[:, :2]).square().mean()
        loss.backward()
        return loss
    return run


def train(params, optimizer, steps):
    return [float(optimizer.step(closure(params, optimizer))) for _ in range(steps)]


def start():
    return [torch.linspace(-0.5, 0.8, 6).reshape(3, 2).requires_grad_(), torch.tensor([0.1, -0.2], requires_grad=True)]


out = {}
if mode == "optimizers":
    for i, (name, options) in enumerate(asked):
        params = start()
        optimizer = getattr(torch.optim, name)(params, **options)
        train(params, optimizer, 3)
        torch.save({"params": [p.detach() for p in params], "optimizer": optimizer.state_dict()}, f"{folder}/theirs{i}.pt")
        rest = train(params, optimizer, 4)
        out[i] = {"rest": rest, "keys": sorted(optimizer.state_dict()["param_groups"][0])}
        ours = torch.load(f"{folder}/ours{i}.pt")
        params = [p.clone().requires_grad_() for p in ours["params"]]
        optimizer = getattr(torch.optim, name)(params, **options)
        optimizer.load_state_dict(ours["optimizer"])
        out[i]["from_ours"] = train(params, optimizer, 4)
if mode == "schedules":
    S = torch.optim.lr_scheduler
    for i, (name, kwargs) in enumerate(asked):
        params = start()
        optimizer = torch.optim.SGD(params, lr=0.4, momentum=0.9)
        if name in ("SequentialLR", "ChainedScheduler"):
            parts = [getattr(S, n)(optimizer, **k) for n, k in kwargs["parts"]]
            more = {"milestones": kwargs["milestones"]} if name == "SequentialLR" else {}
            scheduler = S.SequentialLR(optimizer, parts, **more) if more else S.ChainedScheduler(parts)
        else:
            scheduler = getattr(S, name)(optimizer, **kwargs)
        rates = []
        for epoch in range(24):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step(*([0.5 + 0.1 * (epoch % 7)] if name == "ReduceLROnPlateau" else []))
            if epoch == 9:
                state = {k: v for k, v in scheduler.state_dict().items() if k in ("last_epoch", "_step_count", "_last_lr", "base_lrs", "_schedulers") and isinstance(v, (int, float, list))}
                state.pop("_schedulers", None)
        out[i] = {"rates": rates, "state": state}
if mode == "averages":
    from torch.optim.swa_utils import AveragedModel, update_bn
    for i, (kind, use_buffers) in enumerate(asked):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        fn = None if kind == "swa" else lambda a, m, n: 0.9 * a + 0.1 * m
        averaged = AveragedModel(model, avg_fn=fn, use_buffers=use_buffers)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
        x = torch.linspace(-1, 1, 24).reshape(8, 3)
        for step in range(4):
            optimizer.zero_grad()
            model(x * (step + 1)).square().mul(torch.linspace(0, 1, 4)).mean().backward()
            optimizer.step()
            averaged.update_parameters(model)
        before = {k: v.tolist() for k, v in averaged.state_dict().items()}
        update_bn([x, x * 2, [x * 3, 0]], averaged)
        out[i] = {"before": before, "after": {k: v.tolist() for k, v in averaged.state_dict().items()}}
json.dump(out, sys.stdout)
