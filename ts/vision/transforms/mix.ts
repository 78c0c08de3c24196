/** Batches mixed with themselves, labels too: for a loader's collate_fn, or between it and the model. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { randint } from "./draws.ts";

const { _layer: layer } = torch;
type MixArgs = [{ alpha?: number }, { num_classes?: number | null }];
type Batch = [images: Tensor, labels: Tensor];

function check(name: string, images: Tensor, labels: Tensor, num_classes: number | null): void {
  if (images.ndim !== 4) throw new torch.ValueError(`${name}: Expected a batched input with 4 dims, but got ${images.ndim} dims`);
  if (labels.ndim === 1 && num_classes === null) {
    throw new torch.ValueError(`${name}: num_classes must be passed if the labels are index-based (integers)`);
  }
  if (labels.ndim !== 1 && (labels.ndim !== 2 || (num_classes !== null && labels.size(1) !== num_classes))) {
    throw new torch.ValueError(
      `${name}: labels should be index based with shape (batch_size,) or probability based with shape (batch_size, num_classes), got [${labels.shape.join(", ")}]`,
    );
  }
  if (labels.size(0) !== images.size(0)) {
    throw new torch.ValueError(`${name}: got ${images.size(0)} images and ${labels.size(0)} labels`);
  }
}

/** `share` of each, and the rest of the one before it. */
const mixed = (x: Tensor, share: number): Tensor => x.roll(1, 0).mul(1 - share).add(x.mul(share)); // prettier-ignore

function mixedLabels(labels: Tensor, share: number, num_classes: number | null): Tensor {
  const rows = labels.ndim === 1 ? torch.nn.functional.one_hot(labels, num_classes!) : labels;
  return mixed(rows.dtype.is_floating_point ? rows : rows.to(torch.float32), share);
}

/** From Beta(alpha, alpha): how much of an image stays. */
const share = (alpha: number): number => new torch.distributions.Beta(alpha, alpha).sample().item_sync() as number;

const keep =
  (name: string) =>
  ({ alpha }: Record<string, unknown>): void => {
    if (!((alpha as number) > 0)) throw new torch.ValueError(`${name}: alpha should be positive, got ${String(alpha)}`);
  };

/** Images (N, C, H, W) and labels, (N,) or (N, num_classes), each mixed with its neighbour's; labels come as shares of classes. */
export class MixUp extends layer<MixArgs, Batch, Batch>(
  "alpha=1.0, num_classes=None",
  ({ alpha, num_classes }, images, labels) => {
    check("MixUp", images, labels, num_classes);
    const lam = share(alpha);
    return [mixed(images, lam), mixedLabels(labels, lam, num_classes)];
  },
  { repr: "alpha=, num_classes=", keep: keep("MixUp") },
) {}

/** Images (N, C, H, W) with a rectangle of the neighbour's in each, and labels by the shares of area. */
export class CutMix extends layer<MixArgs, Batch, Batch>(
  "alpha=1.0, num_classes=None",
  ({ alpha, num_classes }, images, labels) => {
    check("CutMix", images, labels, num_classes);
    const lam = share(alpha);
    const [h, w] = images.shape.slice(-2) as [number, number];
    const [x, y] = [randint(0, w), randint(0, h)];
    const half = 0.5 * Math.sqrt(1 - lam);
    const span = (at: number, size: number): [number, number] => {
      const reach = Math.trunc(half * size);
      return [Math.max(at - reach, 0), Math.min(at + reach, size)];
    };
    const [[x1, x2], [y1, y2]] = [span(x, w), span(y, h)];
    const out = images.clone();
    const part = (t: Tensor): Tensor => t.narrow(-2, y1, y2 - y1).narrow(-1, x1, x2 - x1);
    part(out).copy_(part(images.roll(1, 0)));
    return [out, mixedLabels(labels, 1 - ((x2 - x1) * (y2 - y1)) / (w * h), num_classes)];
  },
  { repr: "alpha=, num_classes=", keep: keep("CutMix") },
) {}
