"""The digits example (examples/digits) in PyTorch: the first 100 losses, for test/examples/digits.test.ts.

    python3 test/golden/digits_curve.py > test/golden/digits_curve.json
"""
import gzip
import json
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
path = pathlib.Path(__file__).parents[2] / "examples/digits/digits.csv.gz"
rows = [[int(x) for x in line.split(",")] for line in gzip.open(path, "rt").read().split()]
train = rows[:-360]
images = torch.tensor([r[:64] for r in train], dtype=torch.float32).div(16).view(-1, 1, 8, 8)
labels = torch.tensor([r[64] for r in train])


class DigitsNet(nn.Module):
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
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(2048, 128), nn.GELU(), nn.Dropout(0.25), nn.Linear(128, 10)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


def shifted(x):
    n = x.shape[0]
    padded = F.pad(x, [1, 1, 1, 1]).view(n, 100)
    by = torch.randint(0, 3, (2, n, 1))
    cells = (torch.arange(8).mul(10).view(8, 1) + torch.arange(8)).view(1, 64)
    return padded.gather(1, cells + by[0] * 10 + by[1]).view(n, 1, 8, 8)


torch.manual_seed(0)
model = DigitsNet()
loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)
epochs, steps = 30, 23 * 30
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
losses = []
while len(losses) < 100:
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(shifted(x)), y, label_smoothing=0.05)
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
print(json.dumps({"torch": torch.__version__, "epochs": epochs, "seed": 0, "losses": losses[:100]}))
