"""What torchvision makes of the cases in test/vision/cases.json: `python3 test/golden/vision.py` (torchvision 0.14.1 made vision.json)."""

import json
import os
import torch
import torchvision
from torchvision.transforms import InterpolationMode, autoaugment, functional as F, transforms as T

here = os.path.dirname(__file__)
cases = json.load(open(os.path.join(here, "../vision/cases.json")))
h, w = 9, 12
image = (torch.arange(3 * h * w).reshape(3, h, w) ** 2 * 37 + 11 * torch.arange(w)) % 256
image = image.to(torch.uint8)
BYTES = {"posterize", "equalize", "RandomPosterize", "RandomEqualize", "AutoAugment", "RandAugment", "TrivialAugmentWide"}


def value(name, x):
    if name == "interpolation":
        return InterpolationMode(x)
    return x


def run(case, img):
    name, *args = case
    kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
    kwargs = {k: value(k, v) for k, v in kwargs.items()}
    if name == "AutoAugment":
        args[0] = autoaugment.AutoAugmentPolicy(args[0])
    if name[0].islower():
        if name == "affine":
            kwargs.setdefault("interpolation", InterpolationMode.NEAREST)
        return getattr(F, name)(img, *args, **kwargs)
    transform = getattr(T, name, None) or getattr(autoaugment, name)
    return torch.cat([transform(*args, **kwargs)(img).flatten() for _ in range(4)])


out = []
for case in cases:
    results = {}
    for kind, img in [("uint8", image), ("float32", image / 255)]:
        if kind == "float32" and (case[0] in BYTES or "solarize" in case[0].lower()):
            continue
        torch.manual_seed(7)
        got = run(case, img)
        values = got.flatten().tolist()
        shape = list(got.shape)
        values = values[:: max(1, len(values) // 97)]
        results[kind] = {"shape": shape, "values": values if kind == "uint8" else [round(v, 6) for v in values]}
    out.append(results)
json.dump(out, open(os.path.join(here, "vision.json"), "w"), separators=(",", ":"))
print(torchvision.__version__, len(out))
