"""Makes test/golden/onnx.pack: models that PyTorch 1.13's exporter wrote, with inputs and outputs. Run: /usr/bin/python3 test/golden/onnx_models.py"""
import gzip, io, json, struct, sys, warnings
import torch
from torch import nn
import torch.nn.functional as F
warnings.filterwarnings("ignore")
torch.manual_seed(7)
entries, blobs, at = [], [], 0

def put(data):
    global at
    blobs.append(data); start = at; at += len(data)
    return [start, len(data)]

def arr(t):
    t = t.detach().contiguous()
    kind = str(t.dtype).replace("torch.", "")
    return {"dtype": kind, "shape": list(t.shape), "at": put(t.numpy().tobytes())}

def add(name, model, args, opset=13, dynamic=None, **kw):
    model.eval()
    f = io.BytesIO()
    n = len(args)
    names = ["x%d" % i for i in range(n)]
    with torch.no_grad():
        out = model(*args)
        torch.onnx.export(model, args, f, opset_version=opset, input_names=names, dynamic_axes=dynamic, **kw)
    def flat(o):
        return [o] if isinstance(o, torch.Tensor) else [t for x in o for t in flat(x)]
    entries.append({"name": name, "opset": opset, "model": put(f.getvalue()), "inputs": [arr(a) for a in args], "outputs": [arr(t) for t in flat(out)]})

def randomise(m):
    for x in m.modules():
        if isinstance(x, (nn.BatchNorm2d, nn.BatchNorm1d)):
            x.running_mean.normal_(); x.running_var.uniform_(0.5, 2)
    return m

class Block(nn.Module):
    def __init__(s, i, o, stride=1):
        super().__init__()
        s.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False); s.bn1 = nn.BatchNorm2d(o)
        s.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False); s.bn2 = nn.BatchNorm2d(o)
        s.down = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
    def forward(s, x):
        return F.relu(s.bn2(s.conv2(F.relu(s.bn1(s.conv1(x))))) + s.down(x))
class ResNet(nn.Module):
    def __init__(s):
        super().__init__()
        s.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        s.layer1 = Block(8, 8); s.layer2 = Block(8, 12, 2); s.fc = nn.Linear(12, 5)
    def forward(s, x):
        x = s.layer2(s.layer1(s.stem(x)))
        return s.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
class Mobile(nn.Module):
    def __init__(s):
        super().__init__()
        s.a = nn.Conv2d(3, 8, 3, 2, 1, bias=False); s.bn = nn.BatchNorm2d(8); s.dw = nn.Conv2d(8, 8, 5, 1, 2, groups=8)
        s.se1 = nn.Conv2d(8, 4, 1); s.se2 = nn.Conv2d(4, 8, 1); s.out = nn.Conv2d(8, 6, 1)
    def forward(s, x):
        x = F.hardswish(s.bn(s.a(x))); x = F.relu6(s.dw(x))
        g = F.hardsigmoid(s.se2(F.relu(s.se1(F.adaptive_avg_pool2d(x, 1)))))
        x = s.out(x * g)
        return F.log_softmax(x.mean([2, 3]), 1), F.leaky_relu(x), F.elu(x)
class UNet(nn.Module):
    def __init__(s):
        super().__init__()
        s.a = nn.Conv2d(2, 4, 3, padding=1); s.b = nn.Conv2d(4, 8, 3, padding=1, dilation=1); s.up = nn.ConvTranspose2d(8, 4, 2, 2)
        s.c = nn.Conv2d(8, 2, 3, padding=1); s.gn = nn.GroupNorm(2, 4); s.inorm = nn.InstanceNorm2d(8, affine=True); s.p = nn.PReLU(8)
    def forward(s, x):
        a = s.gn(s.a(F.pad(x, (1, 1, 0, 0), mode="reflect")))[:, :, :, 1:-1]
        b = s.p(s.inorm(s.b(F.avg_pool2d(a, 2))))
        y = s.c(torch.cat([a, s.up(b)], 1))
        z = F.interpolate(b, scale_factor=2.0, mode="nearest"); w = F.interpolate(b, size=(7, 9), mode="bilinear", align_corners=False)
        v = F.interpolate(b, scale_factor=2.0, mode="bilinear", align_corners=True); c = F.interpolate(b, scale_factor=1.5, mode="bicubic", align_corners=False)
        return y, z, w, v, c, F.pixel_shuffle(b, 2), F.pad(x, (1, 2, 3, 4), value=0.5)
class Attention(nn.Module):
    def __init__(s, d=16, h=4):
        super().__init__()
        s.h = h; s.qkv = nn.Linear(d, 3 * d); s.out = nn.Linear(d, d)
    def forward(s, x):
        b, t, d = x.shape
        q, k, v = s.qkv(x).reshape(b, t, 3, s.h, d // s.h).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-2, -1)) / (d // s.h) ** 0.5
        a = a + torch.full((t, t), -1e9).triu(1)
        return s.out((a.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))
class GPT(nn.Module):
    def __init__(s, d=16):
        super().__init__()
        s.tok = nn.Embedding(11, d); s.pos = nn.Embedding(12, d); s.ln1 = nn.LayerNorm(d); s.att = Attention(d)
        s.ln2 = nn.LayerNorm(d); s.mlp = nn.Sequential(nn.Linear(d, 32), nn.GELU(), nn.Linear(32, d)); s.head = nn.Linear(d, 11, bias=False)
    def forward(s, i):
        x = s.tok(i) + s.pos(torch.arange(i.shape[1]))
        x = x + s.att(s.ln1(x)); x = x + s.mlp(s.ln2(x))
        return s.head(x)
class RNNs(nn.Module):
    def __init__(s, kind, **kw):
        super().__init__(); s.rnn = kind(5, 6, **kw)
    def forward(s, x):
        o, h = s.rnn(x)
        return (o, *h) if isinstance(h, tuple) else (o, h)
class Ops(nn.Module):
    def forward(s, x, i):
        v, k = x.topk(2, -1)
        return (v, k, x.gather(1, i), x.clamp(-0.5, 0.5), x.cumsum(1), x.var(1), x.norm(dim=1), torch.where(x > 0, x, x * 2), x.max(1)[0], x.argmax(1),
                torch.einsum("ij,kj->ik", x, x), x[:, ::2], x[i[:, 0] % 3], x.scatter(1, i, 0.5), torch.stack([x, x * 2], 1).unbind(1)[1], x.split([1, 3], 1)[1],
                x.expand(2, 3, 4), x.repeat(2, 1), F.one_hot(i, 5), x.flip(1), (x > 0).sum(1), x.prod(1), x.std(), x.sign() * x.abs().sqrt().exp().log1p(),
                x % 0.3, torch.div(x, 2, rounding_mode="floor"), F.softplus(x), F.mish(x), F.silu(x), F.glu(x, 1), F.normalize(x), x.tril(), torch.erf(x))
class Assign(nn.Module):
    def forward(s, x):
        y = x.clone(); y[:, 1] = 0; y[0, 2:] += 1
        return y
class Cond(torch.nn.Module):
    def forward(self, x, n):
        y = x
        for i in range(int(n)):
            y = y * 2 + i
        if bool(y.sum() > 0):
            y = y - 1
        else:
            y = y + 1
        return y
img = torch.randn(2, 3, 18, 18)
add("resnet", randomise(ResNet()), (img,), 13, {"x0": {0: "n"}})
add("resnet_9", randomise(ResNet()), (img,), 9)
add("mobile", randomise(Mobile()), (img,), 14)
add("mobile_11", randomise(Mobile()), (img,), 11)
add("unet", UNet(), (torch.randn(1, 2, 8, 12),), 13)
add("unet_16", UNet(), (torch.randn(2, 2, 8, 8),), 16, {"x0": {0: "n", 2: "h", 3: "w"}})
add("gpt", GPT(), (torch.randint(0, 11, (2, 7)),), 14, {"x0": {0: "n", 1: "t"}})
add("encoder", nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, activation=lambda x: F.gelu(x), batch_first=True), 2, enable_nested_tensor=False), (torch.randn(2, 5, 16),), 16)
add("lstm", RNNs(nn.LSTM, num_layers=2, bidirectional=True, batch_first=True), (torch.randn(2, 4, 5),), 13, {"x0": {0: "n", 1: "t"}})
add("gru", RNNs(nn.GRU, bidirectional=True), (torch.randn(4, 2, 5),), 13)
add("rnn", RNNs(nn.RNN, nonlinearity="relu"), (torch.randn(4, 2, 5),), 11)
add("ops", Ops(), (torch.randn(3, 4), torch.randint(0, 4, (3, 2))), 14)
add("ops_16", Ops(), (torch.randn(3, 4), torch.randint(0, 4, (3, 2))), 16, {"x0": {0: "n"}, "x1": {0: "n"}})
add("assign", Assign(), (torch.randn(3, 5),), 13)
add("control", torch.jit.script(Cond()), (torch.randn(2, 3), torch.tensor(3)), 13)
index = json.dumps(entries).encode()
data = struct.pack("<I", len(index)) + index + b"".join(blobs)
open(sys.argv[1] if len(sys.argv) > 1 else "test/golden/onnx.pack", "wb").write(gzip.compress(data, 9, mtime=0))
print(len(entries), "models,", len(data), "bytes")
