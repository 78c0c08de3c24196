/** torch.fft against sums written out, and what must hold of transforms. */

import * as torch from "kindling";
import { describe, expect, it } from "vitest";

const { fft } = torch;
const float64 = { dtype: torch.float64 };

/** Values that look random, the same in every run. */
function noise(n: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: n }, () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5);
}
const real = (shape: number[], seed = 1, dtype = torch.float64): torch.Tensor =>
  torch
    .tensor(
      noise(
        shape.reduce((a, b) => a * b, 1),
        seed,
      ),
      { dtype },
    )
    .reshape(shape);
const complex = (shape: number[], seed = 1, dtype = torch.float64): torch.Tensor =>
  torch.complex(real(shape, seed, dtype), real(shape, seed + 1, dtype));

/** The sums themselves, over the last dimension of [rows, n]. */
function naive(x: torch.Tensor, sign: 1 | -1): torch.Tensor {
  const n = x.shape[1]!;
  const k = torch.arange(n);
  const angle = torch
    .outer(k, k)
    .remainder(n)
    .to(torch.float64)
    .mul((sign * 2 * Math.PI) / n);
  const [c, s] = [angle.cos(), angle.sin()];
  const [re, im] = [x.real.contiguous(), x.imag.contiguous()];
  return torch.complex(re.matmul(c).sub(im.matmul(s)), re.matmul(s).add(im.matmul(c)));
}
const distance = (a: torch.Tensor, b: torch.Tensor): number => {
  expect(a.shape).toEqual(b.shape);
  return Number(a.sub(b).abs().max().item_sync());
};

describe("lengths", () => {
  const lengths = [
    1, 2, 3, 5, 7, 16, 17, 30, 32, 33, 37, 48, 61, 64, 67, 97, 100, 128, 194, 211, 243, 256, 360, 1000, 1009, 1024, 1358,
  ];
  it.each(lengths)("%i numbers", (n) => {
    const x = complex([3, n], n);
    const scale = Math.sqrt(n);
    expect(distance(fft.fft(x), naive(x, -1)) / scale).toBeLessThan(1e-12);
    expect(distance(fft.ifft(x).mul(n), naive(x, 1)) / scale).toBeLessThan(1e-12);
    expect(distance(fft.ifft(fft.fft(x)), x)).toBeLessThan(1e-12);
    // Along the first dimension, strided.
    expect(distance(fft.fft(x.t(), { dim: 0 }).t(), naive(x, -1)) / scale).toBeLessThan(1e-12);
    const small = fft.fft(x.to(torch.complex64));
    expect(small.dtype).toBe(torch.complex64);
    expect(distance(small.to(torch.complex128), naive(x, -1)) / scale).toBeLessThan(2e-6);
    const r = x.real;
    const half = naive(torch.complex(r, torch.zeros_like(r)), -1).narrow(1, 0, Math.floor(n / 2) + 1);
    expect(distance(fft.rfft(r), half) / scale).toBeLessThan(1e-12);
    expect(distance(fft.irfft(half, { n }), r)).toBeLessThan(1e-12);
    expect(distance(fft.hfft(fft.ihfft(r), { n }), r)).toBeLessThan(1e-12);
  });

  it("keeps energy", () => {
    for (const n of [97, 1000]) {
      const x = complex([n], n);
      const energy = (t: torch.Tensor): number => Number(t.abs().square().sum().item_sync());
      expect(energy(fft.fft(x, { norm: "ortho" }))).toBeCloseTo(energy(x), 10);
      expect(energy(fft.fft(x)) / n).toBeCloseTo(energy(x), 10);
    }
  });
});

describe("arguments", () => {
  it("pads and cuts", () => {
    const x = complex([2, 6]);
    expect(distance(fft.fft(x, 4), fft.fft(x.narrow(1, 0, 4)))).toBe(0);
    const wide = torch.cat([x, torch.zeros([2, 3], { dtype: torch.complex128 })], 1);
    expect(distance(fft.fft(x, 9), naive(wide, -1))).toBeLessThan(1e-12);
    expect(distance(fft.fftn(x, { s: [-1, 4] }), fft.fft(fft.fft(x, 4), { dim: 0 }))).toBeLessThan(1e-12);
    expect(fft.fftn(x, { s: [9] }).shape).toEqual([2, 9]);
    expect(fft.irfft(x).shape).toEqual([2, 10]);
    expect(fft.fft(torch.zeros([0, 4])).shape).toEqual([0, 4]);
    expect(fft.fft(torch.zeros([2, 0]), 3).tolist_sync()).toEqual(torch.zeros([2, 3], { dtype: torch.complex64 }).tolist_sync());
  });

  it("scales by norm", () => {
    const x = complex([8]);
    for (const [forward, inverse] of [
      [fft.fft, fft.ifft],
      [fft.rfft, fft.irfft],
      [fft.hfft, fft.ihfft],
    ] as const) {
      // prettier-ignore
      const arg = forward === fft.rfft ? x.real : x;
      const plain = forward(arg);
      expect(distance(forward(arg, { norm: "ortho" }), plain.div(Math.sqrt(forward === fft.hfft ? 14 : 8)))).toBeLessThan(1e-12);
      expect(distance(forward(arg, { norm: "forward" }), plain.div(forward === fft.hfft ? 14 : 8))).toBeLessThan(1e-12);
      const back = forward === fft.hfft ? x.real : x;
      const n = forward === fft.rfft ? 14 : 8;
      expect(distance(inverse(back, { norm: "forward" }), inverse(back).mul(n))).toBeLessThan(1e-12);
    }
  });

  it("takes several dimensions one by one", () => {
    const x = complex([4, 6, 5]);
    const r = x.real;
    const all = fft.fft(fft.fft(fft.fft(x, { dim: 0 }), { dim: 1 }), { dim: 2 });
    expect(distance(fft.fftn(x), all)).toBeLessThan(1e-12);
    expect(distance(fft.ifftn(all), x)).toBeLessThan(1e-12);
    expect(distance(fft.fft2(x, { dim: [0, -1] }), fft.fft(fft.fft(x, { dim: 0 }), { dim: 2 }))).toBeLessThan(1e-12);
    expect(distance(fft.rfftn(r), fft.fftn(r).narrow(2, 0, 3))).toBeLessThan(1e-12);
    expect(distance(fft.irfftn(fft.rfftn(r), { s: [4, 6, 5] }), r)).toBeLessThan(1e-12);
    expect(distance(fft.irfft2(fft.rfft2(r), { s: [6, 5] }), r)).toBeLessThan(1e-12);
    expect(distance(fft.ifft2(fft.fft2(x)), x)).toBeLessThan(1e-12);
    expect(distance(fft.hfftn(fft.ihfftn(r), { s: [4, 6, 5] }), r)).toBeLessThan(1e-12);
    expect(distance(fft.hfft2(fft.ihfft2(r), { s: [6, 5] }), r)).toBeLessThan(1e-12);
    expect(distance(fft.ihfftn(r), fft.ifftn(r).narrow(2, 0, 3))).toBeLessThan(1e-12);
  });

  it("promotes, and refuses what PyTorch refuses", () => {
    expect(fft.fft(torch.arange(4)).dtype).toBe(torch.complex64);
    expect(fft.irfft(torch.ones(3, { dtype: torch.bool })).dtype).toBe(torch.float32);
    expect(fft.rfft(torch.ones(3, float64)).dtype).toBe(torch.complex128);
    expect(() => fft.rfft(complex([4]))).toThrow(/real input/);
    expect(() => fft.ihfft(complex([4]))).toThrow(torch.RuntimeError);
    expect(() => fft.fft(torch.ones(4, { dtype: torch.float16 }))).toThrow(/Unsupported dtype/);
    expect(() => fft.fft(torch.tensor(1))).toThrow(torch.IndexError);
    expect(() => fft.fft(torch.ones(4), 0)).toThrow(/data points \(0\)/);
    expect(() => fft.fft(torch.ones(4), -1)).toThrow(/data points \(-1\)/);
    expect(() => fft.irfft(torch.ones(1))).toThrow(/data points \(0\)/);
    expect(() => fft.fft(torch.ones(4), { dim: 1 })).toThrow(torch.IndexError);
    expect(() => fft.fftn(torch.ones(4, 4), { dim: [0, -2] })).toThrow(/unique/);
    expect(() => fft.fftn(torch.ones(4, 4), { s: [2], dim: [0, 1] })).toThrow(/same length/);
    expect(() => fft.fftn(torch.ones(4), { s: [2, 2] })).toThrow(/only has 1 dimensions/);
    expect(() => fft.rfftn(torch.tensor(1))).toThrow(/at least one axis/);
    expect(() => fft.fft(torch.ones(4), { norm: "other" as "ortho" })).toThrow(/Invalid normalization mode/);
  });

  it("has frequencies, and moves 0 to the middle and back", () => {
    expect(fft.fftfreq(5, 0.5, float64).tolist_sync()).toEqual([0, 0.4, 0.8, -0.8, -0.4]);
    expect(fft.fftfreq(4, float64).tolist_sync()).toEqual([0, 0.25, -0.5, -0.25]);
    expect(fft.rfftfreq(5, { ...float64, requires_grad: true }).requires_grad).toBe(true);
    expect(fft.rfftfreq(4, float64).tolist_sync()).toEqual([0, 0.25, 0.5]);
    expect(fft.fftfreq(0).shape).toEqual([0]);
    expect(() => fft.fftfreq(4, { dtype: torch.int64 })).toThrow(/floating point/);
    expect(fft.fftshift(torch.arange(5)).tolist_sync()).toEqual([3, 4, 0, 1, 2]);
    expect(fft.ifftshift(torch.arange(5)).tolist_sync()).toEqual([2, 3, 4, 0, 1]);
    const x = complex([4, 5]);
    expect(distance(fft.ifftshift(fft.fftshift(x)), x)).toBe(0);
    expect(fft.fftshift(torch.arange(4).reshape(2, 2), -1).tolist_sync()).toEqual([[1, 0], [3, 2]]); // prettier-ignore
  });

  it("stays in its precision under autocast, whatever the matrix product's is", () => {
    const x = real([3, 100], 5, torch.float32);
    const want = fft.rfft(x);
    const got = torch.autocast("cpu", () => fft.rfft(x));
    expect(got.dtype).toBe(torch.complex64);
    expect(distance(got, want)).toBe(0);
    const low = x.to(torch.bfloat16);
    expect(torch.autocast("cpu", () => fft.rfft(low)).dtype).toBe(torch.complex64);
  });

  it("pads complex signals as real ones", () => {
    const z = complex([2, 7]);
    for (const [mode, value] of [
      ["constant", 2],
      ["reflect", null],
      ["replicate", null],
    ] as const) {
      // prettier-ignore
      const padded = (x: torch.Tensor, v: number | null): torch.Tensor => torch.nn.functional.pad(x, [3, 2], { mode, value: v });
      const want = torch.complex(padded(z.real, value), padded(z.imag, value === null ? null : 0));
      expect(distance(padded(z, value), want)).toBe(0);
    }
  });

  it("keeps its tables when a scope ends", () => {
    const x = complex([41]);
    const first = torch.scope(() => fft.fft(x));
    expect(distance(fft.fft(x), first)).toBe(0);
  });
});

describe("gradients", () => {
  const { gradcheck, gradgradcheck } = torch.autograd;
  const pairs = (f: (z: torch.Tensor) => torch.Tensor) => (x: torch.Tensor) => {
    const y = f(torch.view_as_complex(x));
    return y.dtype.is_complex ? torch.view_as_real(y) : y;
  };
  const leaf = (shape: number[]): torch.Tensor => real(shape, 7).requires_grad_();
  it.each([3, 8, 34])("of %i points, once and twice", (n) => {
    const z = leaf([2, n, 2]);
    expect(gradcheck(pairs((x) => fft.fft(x)), [z])).toBe(true); // prettier-ignore
    expect(gradcheck(pairs((x) => fft.irfft(x)), [z])).toBe(true); // prettier-ignore
    expect(gradcheck(pairs((x) => fft.hfft(x, { norm: "ortho" })), [z])).toBe(true); // prettier-ignore
    const r = leaf([2, n]);
    const half = (x: torch.Tensor): torch.Tensor => torch.view_as_real(fft.rfft(x));
    expect(gradcheck(half, [r])).toBe(true);
    expect(gradgradcheck((x: torch.Tensor) => half(x).pow(3), [r])).toBe(true);
  });
  it("of a great prime number of points", () => {
    const r = leaf([67]);
    expect(gradcheck((x: torch.Tensor) => torch.view_as_real(fft.rfft(x)), [r])).toBe(true);
  });
  it("of several dimensions", () => {
    expect(gradcheck(pairs((x) => fft.irfftn(x, { s: [4, 5] })), [leaf([3, 3, 2])])).toBe(true); // prettier-ignore
    expect(gradcheck((x: torch.Tensor) => torch.view_as_real(fft.ihfft2(x)), [leaf([3, 4])])).toBe(true);
  });
  it("of short-time transforms, windows included", () => {
    const window = torch.hann_window(6, { dtype: torch.float64 }).add(0.1).requires_grad_();
    const frames = (x: torch.Tensor, w: torch.Tensor): torch.Tensor =>
      torch.view_as_real(torch.stft(x, 8, { hop_length: 3, win_length: 6, window: w, return_complex: true }));
    expect(gradcheck(frames, [leaf([2, 14]), window])).toBe(true);
    const back = (x: torch.Tensor, w: torch.Tensor): torch.Tensor =>
      torch.istft(torch.view_as_complex(x), 6, { hop_length: 2, window: w });
    expect(gradcheck(back, [leaf([2, 4, 5, 2]), window])).toBe(true);
  });
});

describe("short-time transforms", () => {
  const window = torch.hann_window(16, float64);
  it("are transforms of frames", () => {
    const x = real([50], 3);
    const got = torch.stft(x, 16, { hop_length: 5, window, center: false, return_complex: true });
    expect(got.shape).toEqual([9, 7]);
    for (let f = 0; f < 7; f++) {
      expect(distance(got.select(1, f), fft.rfft(x.narrow(0, 5 * f, 16).mul(window)))).toBeLessThan(1e-12);
    }
    expect(x.stft(16, { return_complex: false, onesided: false }).shape).toEqual([16, 13, 2]);
  });

  it("come back", () => {
    const x = real([2, 64], 3);
    for (const normalized of [false, true]) {
      for (const onesided of [false, true]) {
        const options = { hop_length: 4, window, normalized, onesided };
        const spectra = torch.stft(x, 16, { ...options, return_complex: true });
        expect(distance(torch.istft(spectra, 16, options), x)).toBeLessThan(1e-12);
        expect(distance(torch.istft(spectra, 16, { ...options, length: 40 }), x.narrow(1, 0, 40))).toBeLessThan(1e-12);
      }
    }
    const z = complex([64]);
    const spectra = torch.stft(z, 16, { window });
    expect(distance(torch.istft(spectra, 16, { window, return_complex: true }), z)).toBeLessThan(1e-12);
    const longer = torch.istft(torch.stft(x, 16, { return_complex: true }), 16, { length: 80 });
    expect(longer.shape).toEqual([2, 80]);
    expect(longer.narrow(1, 72, 8).abs().max().item_sync()).toBe(0);
  });

  it("refuse what PyTorch refuses", () => {
    const x = real([20]);
    expect(() => torch.stft(x, 8)).toThrow(/return_complex/);
    expect(() => torch.stft(x, 40, { center: false, return_complex: true })).toThrow(/n_fft/);
    expect(() => torch.stft(x, 8, { hop_length: 0, return_complex: true })).toThrow(/hop_length/);
    expect(() => torch.stft(x, 8, { win_length: 9, return_complex: true })).toThrow(/win_length/);
    expect(() => torch.stft(x, 8, { window, return_complex: true })).toThrow(/window/);
    expect(() => torch.stft(complex([20]), 8, { onesided: true })).toThrow(/onesided/);
    expect(() => torch.istft(real([5, 4]), 8)).toThrow(/complex/);
    expect(() => torch.istft(complex([6, 4]), 8)).toThrow(/frequency/);
    expect(() => torch.istft(complex([5, 4]), 8, { window: torch.zeros(8, float64) })).toThrow(/overlap/);
  });
});
