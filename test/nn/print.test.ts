/** Modules print as PyTorch 2.6's. A Python with PyTorch confirms the rows that older versions print alike. */

import { spawnSync } from "node:child_process";
import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, test } from "vitest";
import { pythonWith } from "../io/python.ts";

type Row = [python: string, make: () => unknown, text: string];

const ONE: Row[] = [
  ["nn.Identity(3)", () => new nn.Identity(3), "Identity()"],
  ["nn.Linear(2, 3, bias=False)", () => new nn.Linear(2, 3, false), "Linear(in_features=2, out_features=3, bias=False)"],
  ["nn.Bilinear(2, 3, 4)", () => new nn.Bilinear(2, 3, 4), "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)"],
  [
    "nn.Conv2d(2, 4, 3, padding='same', padding_mode='reflect')",
    () => new nn.Conv2d(2, 4, 3, { padding: "same", padding_mode: "reflect" }),
    "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=same, padding_mode=reflect)",
  ],
  [
    "nn.ConvTranspose1d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False, dilation=2)",
    () => new nn.ConvTranspose1d(2, 4, 3, { stride: 2, padding: 1, output_padding: 1, groups: 2, bias: false, dilation: 2 }),
    "ConvTranspose1d(2, 4, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(2,), output_padding=(1,), groups=2, bias=False)",
  ],
  [
    "nn.BatchNorm2d(3, momentum=None, eps=1e-3)",
    () => new nn.BatchNorm2d(3, { momentum: null, eps: 1e-3 }),
    "BatchNorm2d(3, eps=0.001, momentum=None, affine=True, track_running_stats=True)",
  ],
  [
    "nn.BatchNorm1d(3, eps=1.0, momentum=1.0)",
    () => new nn.BatchNorm1d(3, 1, 1),
    "BatchNorm1d(3, eps=1.0, momentum=1.0, affine=True, track_running_stats=True)",
  ],
  [
    "nn.InstanceNorm3d(3)",
    () => new nn.InstanceNorm3d(3),
    "InstanceNorm3d(3, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)",
  ],
  ["nn.LayerNorm(3)", () => new nn.LayerNorm(3), "LayerNorm((3,), eps=1e-05, elementwise_affine=True)"],
  ["nn.GroupNorm(2, 4)", () => new nn.GroupNorm(2, 4), "GroupNorm(2, 4, eps=1e-05, affine=True)"],
  ["nn.LocalResponseNorm(3)", () => new nn.LocalResponseNorm(3), "LocalResponseNorm(3, alpha=0.0001, beta=0.75, k=1.0)"],
  [
    "nn.Embedding(3, 4, padding_idx=-1, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True, sparse=True)",
    () => new nn.Embedding(3, 4, -1, 1, 1, true, true),
    "Embedding(3, 4, padding_idx=2, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True, sparse=True)",
  ],
  [
    "nn.LSTM(3, 4, 2, dropout=0.5, proj_size=2, bidirectional=True)",
    () => new nn.LSTM(3, 4, 2, { dropout: 0.5, proj_size: 2, bidirectional: true }),
    "LSTM(3, 4, proj_size=2, num_layers=2, dropout=0.5, bidirectional=True)",
  ],
  [
    "nn.RNNCell(2, 3, nonlinearity='relu')",
    () => new nn.RNNCell(2, 3, { nonlinearity: "relu" }),
    "RNNCell(2, 3, nonlinearity=relu)",
  ],
  ["nn.GRUCell(2, 3, bias=False)", () => new nn.GRUCell(2, 3, false), "GRUCell(2, 3, bias=False)"],
  ["nn.ReLU6(True)", () => new nn.ReLU6(true), "ReLU6(inplace=True)"],
  ["nn.ELU()", () => new nn.ELU(), "ELU(alpha=1.0)"],
  ["nn.LeakyReLU(0.2, True)", () => new nn.LeakyReLU(0.2, true), "LeakyReLU(negative_slope=0.2, inplace=True)"],
  ["nn.Hardtanh()", () => new nn.Hardtanh(), "Hardtanh(min_val=-1.0, max_val=1.0)"],
  ["nn.GELU('tanh')", () => new nn.GELU("tanh"), "GELU(approximate='tanh')"],
  ["nn.Threshold(0.5, 20)", () => new nn.Threshold(0.5, 20), "Threshold(threshold=0.5, value=20)"],
  ["nn.RReLU()", () => new nn.RReLU(), "RReLU(lower=0.125, upper=0.3333333333333333)"],
  ["nn.Softshrink()", () => new nn.Softshrink(), "Softshrink(0.5)"],
  ["nn.Softmax()", () => new nn.Softmax(), "Softmax(dim=None)"],
  ["nn.PReLU(3)", () => new nn.PReLU(3), "PReLU(num_parameters=3)"],
  ["nn.Dropout2d(0.0)", () => new nn.Dropout2d(0), "Dropout2d(p=0.0, inplace=False)"],
  ["nn.MaxPool2d(2)", () => new nn.MaxPool2d(2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"],
  ["nn.MaxUnpool2d(2)", () => new nn.MaxUnpool2d(2), "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"],
  ["nn.AvgPool1d(3, 2)", () => new nn.AvgPool1d(3, 2), "AvgPool1d(kernel_size=(3,), stride=(2,), padding=(0,))"],
  ["nn.AvgPool3d((1, 2, 2))", () => new nn.AvgPool3d([1, 2, 2]), "AvgPool3d(kernel_size=(1, 2, 2), stride=(1, 2, 2), padding=0)"],
  ["nn.LPPool1d(2, 3)", () => new nn.LPPool1d(2, 3), "LPPool1d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"],
  ["nn.AdaptiveAvgPool2d((None, 3))", () => new nn.AdaptiveAvgPool2d([null, 3]), "AdaptiveAvgPool2d(output_size=(None, 3))"],
  ["nn.FractionalMaxPool2d(3, 2)", () => new nn.FractionalMaxPool2d(3, 2), "FractionalMaxPool2d()"],
  ["nn.ZeroPad2d(2)", () => new nn.ZeroPad2d(2), "ZeroPad2d((2, 2, 2, 2))"],
  ["nn.ConstantPad1d(2, 3.5)", () => new nn.ConstantPad1d(2, 3.5), "ConstantPad1d(padding=(2, 2), value=3.5)"],
  [
    "nn.Fold((4, 5), 2)",
    () => new nn.Fold([4, 5], 2),
    "Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)",
  ],
  ["nn.Unflatten(1, (2, 3))", () => new nn.Unflatten(1, [2, 3]), "Unflatten(dim=1, unflattened_size=(2, 3))"],
  ["nn.CrossEntropyLoss()", () => new nn.CrossEntropyLoss(), "CrossEntropyLoss()"],
  [
    "nn.TripletMarginWithDistanceLoss()",
    () => new nn.TripletMarginWithDistanceLoss(),
    "TripletMarginWithDistanceLoss(\n  (distance_function): PairwiseDistance()\n)",
  ],
  ["nn.LazyConv2d(3, 3)", () => new nn.LazyConv2d(3, 3), "LazyConv2d(0, 3, kernel_size=(3, 3), stride=(1, 1))"],
  [
    "nn.LazyInstanceNorm1d()",
    () => new nn.LazyInstanceNorm1d(),
    "LazyInstanceNorm1d(0, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
  ],
  ["nn.parameter.UninitializedParameter()", () => new nn.UninitializedParameter(), "<UninitializedParameter>"],
  ["nn.Sequential()", () => new nn.Sequential(), "Sequential()"],
  ["nn.ModuleList()", () => new nn.ModuleList(), "ModuleList()"],
  [
    "nn.ModuleDict({'a': nn.Sequential(nn.Tanh(), nn.Identity())})",
    () => new nn.ModuleDict({ a: new nn.Sequential(new nn.Tanh(), new nn.Identity()) }),
    "ModuleDict(\n  (a): Sequential(\n    (0): Tanh()\n    (1): Identity()\n  )\n)",
  ],
  [
    "nn.ParameterList([torch.ones(2), torch.ones(2, 3).double()])",
    () => new nn.ParameterList([torch.ones([2]), torch.ones([2, 3]).double()]),
    "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2]\n    (1): Parameter containing: [torch.float64 of size 2x3]\n)",
  ],
  [
    "nn.ParameterList([torch.ones(2)])",
    () => new nn.ParameterList([torch.ones([2])]),
    "ParameterList(  (0): Parameter containing: [torch.float32 of size 2])",
  ],
  [
    "nn.ParameterDict({'a': torch.ones(2).double(), 'b': 'x'})",
    () => new nn.ParameterDict<unknown>({ a: torch.ones([2]).double(), b: "x" }),
    "ParameterDict(\n    (a): Parameter containing: [torch.DoubleTensor of size 2]\n    (b): Object of type: str\n)",
  ],
  [
    "nn.MultiheadAttention(4, 2, bias=False)",
    () => new nn.MultiheadAttention(4, 2, { bias: false }),
    "MultiheadAttention(\n  (out_proj): NonDynamicallyQuantizableLinear(in_features=4, out_features=4, bias=False)\n)",
  ],
  [
    "nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3])",
    () => new nn.AdaptiveLogSoftmaxWithLoss(8, 10, [3]),
    `AdaptiveLogSoftmaxWithLoss(
  (head): Linear(in_features=8, out_features=4, bias=False)
  (tail): ModuleList(
    (0): Sequential(
      (0): Linear(in_features=8, out_features=2, bias=False)
      (1): Linear(in_features=2, out_features=7, bias=False)
    )
  )
)`,
  ],
  [
    "nn.utils.parametrizations.orthogonal(nn.Linear(2, 2))",
    () => nn.utils.parametrizations.orthogonal(new nn.Linear(2, 2)),
    `ParametrizedLinear(
  in_features=2, out_features=2, bias=True
  (parametrizations): ModuleDict(
    (weight): ParametrizationList(
      (0): _Orthogonal()
    )
  )
)`,
  ],
];

/** What 2.6 prints otherwise than 1.13. */
const NEW: Row[] = [
  ["2.0: float defaults", () => new nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"],
  ["repr(self.mode)", () => new nn.Upsample({ scale_factor: [2, 1.5] }), "Upsample(scale_factor=(2.0, 1.5), mode='nearest')"],
  ["repr(self.mode)", () => new nn.UpsamplingBilinear2d(3), "UpsamplingBilinear2d(size=3, mode='bilinear')"],
  [
    "repr of all fields",
    () => new nn.EmbeddingBag(3, 4, { mode: "sum", padding_idx: 1 }),
    "EmbeddingBag(3, 4, mode='sum', padding_idx=1)",
  ],
  ["new", () => new nn.RMSNorm([2, 3]), "RMSNorm((2, 3), eps=None, elementwise_affine=True)"],
  ["new", () => new nn.CircularPad3d(1), "CircularPad3d((1, 1, 1, 1, 1, 1))"],
  [
    "equal modules in a row",
    () => new nn.ModuleList([new nn.Tanh(), new nn.Linear(1, 1), new nn.Linear(1, 1), new nn.Sequential(new nn.ReLU())]),
    `ModuleList(
  (0): Tanh()
  (1-2): 2 x Linear(in_features=1, out_features=1, bias=True)
  (3): Sequential(
    (0): ReLU()
  )
)`,
  ],
  [
    "equal modules in a row",
    () => new nn.TransformerEncoder(new nn.TransformerEncoderLayer(4, 2, 8, 0), 2, { norm: new nn.LayerNorm(4) }),
    `TransformerEncoder(
  (layers): ModuleList(
    (0-1): 2 x TransformerEncoderLayer(
      (self_attn): MultiheadAttention(
        (out_proj): NonDynamicallyQuantizableLinear(in_features=4, out_features=4, bias=True)
      )
      (linear1): Linear(in_features=4, out_features=8, bias=True)
      (dropout): Dropout(p=0.0, inplace=False)
      (linear2): Linear(in_features=8, out_features=4, bias=True)
      (norm1): LayerNorm((4,), eps=1e-05, elementwise_affine=True)
      (norm2): LayerNorm((4,), eps=1e-05, elementwise_affine=True)
      (dropout1): Dropout(p=0.0, inplace=False)
      (dropout2): Dropout(p=0.0, inplace=False)
    )
  )
  (norm): LayerNorm((4,), eps=1e-05, elementwise_affine=True)
)`,
  ],
  [
    "new",
    () => nn.utils.parametrizations.weight_norm(new nn.Linear(2, 2)),
    `ParametrizedLinear(
  in_features=2, out_features=2, bias=True
  (parametrizations): ModuleDict(
    (weight): ParametrizationList(
      (0): _WeightNorm()
    )
  )
)`,
  ],
];

describe("print(model)", () => {
  test.each([...ONE, ...NEW])("%s", (_python, make, text) => {
    expect(String(make())).toBe(text);
  });

  const python = pythonWith("torch");
  test.skipIf(python === null)("PyTorch agrees", () => {
    const program = `
import json, sys, warnings
import torch, torch.nn as nn
warnings.simplefilter("ignore")
print(json.dumps([repr(eval(line)) for line in json.load(sys.stdin)]))`;
    const input = JSON.stringify(ONE.map(([source]) => source));
    const { stdout, stderr } = spawnSync(python!, ["-c", program], { input, encoding: "utf8" });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(ONE.map(([, , text]) => text));
  });
});
