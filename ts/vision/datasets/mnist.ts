/** The formats of MNIST and CIFAR, from files that are there already. */

import type * as fileSystem from "node:fs";
import type * as zlib from "node:zlib";
import * as torch from "../../torch.ts";
import type { DType, Tensor } from "../../torch.ts";
import { builtin } from "../io/bytes.ts";

export interface ImagesOptions<X = Tensor, Y = number> {
  /** The training images (the default), or those for tests. */
  train?: boolean;
  transform?: ((image: Tensor) => X) | null;
  target_transform?: ((target: number) => Y) | null;
}

/** Images uint8 [N, C, H, W] and numbers of classes: samples [image [C, H, W], class]. */
class Images<X, Y> extends torch.utils.data.Dataset<[X, Y]> {
  readonly targets: readonly number[];
  readonly #options: ImagesOptions<X, Y>;
  constructor(
    readonly data: Tensor,
    targets: Tensor,
    readonly classes: readonly string[],
    options: ImagesOptions<X, Y>,
  ) {
    super();
    if (data.size(0) !== targets.size(0)) {
      throw new torch.RuntimeError(`${new.target.name}: there are ${data.size(0)} images and ${targets.size(0)} labels`);
    }
    this.targets = (targets.tolist_sync() as (number | bigint)[]).map(Number);
    this.#options = options;
  }
  get length(): number {
    return this.targets.length;
  }
  get class_to_idx(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.classes.map((name, i) => [name, i]));
  }
  get(index: number): [X, Y] {
    const target = this.targets.at(index);
    if (target === undefined)
      throw new torch.IndexError(`${this.constructor.name}: index ${index} is out of range of ${this.length} samples`);
    const { transform, target_transform } = this.#options;
    const image = this.data.select(0, index);
    return [transform ? transform(image) : (image as X), target_transform ? target_transform(target) : (target as Y)];
  }
}

/** The first of the files that is there, unpacked where its name ends in .gz. */
function readFirst(name: string, paths: readonly string[]): Uint8Array {
  const fs = builtin<typeof fileSystem>(name, "node:fs");
  const path = paths.flatMap((p) => [p, `${p}.gz`]).find((p) => fs.existsSync(p));
  if (path === undefined)
    throw new torch.RuntimeError(`Dataset not found: there is none of ${paths.join(", ")} (nor .gz of them)`);
  const bytes = fs.readFileSync(path);
  return path.endsWith(".gz") ? builtin<typeof zlib>(name, "node:zlib").gunzipSync(bytes) : bytes;
}

/** Types of IDX files by their codes, the bytes of a value, and how to read one. */
const IDX: Readonly<Record<number, readonly [DType, number, (view: DataView, at: number) => number]>> = {
  0x08: [torch.uint8, 1, (view, at) => view.getUint8(at)],
  0x09: [torch.int8, 1, (view, at) => view.getInt8(at)],
  0x0b: [torch.int16, 2, (view, at) => view.getInt16(at)],
  0x0c: [torch.int32, 4, (view, at) => view.getInt32(at)],
  0x0d: [torch.float32, 4, (view, at) => view.getFloat32(at)],
  0x0e: [torch.float64, 8, (view, at) => view.getFloat64(at)],
};

/** A tensor of an IDX file's bytes, the format of MNIST; RuntimeError where they are not one. */
export function decode_idx(bytes: Uint8Array): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = bytes.length >= 4 && view.getUint16(0) === 0 ? IDX[view.getUint8(2)] : undefined;
  const ndim = bytes[3] ?? 0;
  if (type === undefined || bytes.length < 4 + 4 * ndim) throw new torch.RuntimeError("decode_idx: these bytes are no IDX file");
  const [dtype, width, read] = type;
  const shape = Array.from({ length: ndim }, (_, i) => view.getUint32(4 + 4 * i));
  const count = shape.reduce((a, b) => a * b, 1);
  const start = 4 + 4 * ndim;
  if (bytes.length !== start + count * width) {
    throw new torch.RuntimeError(
      `decode_idx: ${dtype.name} [${shape.join(", ")}] takes ${start + count * width} bytes, there are ${bytes.length}`,
    );
  }
  const values =
    dtype === torch.uint8 ? bytes.slice(start) : Array.from({ length: count }, (_, i) => read(view, start + i * width));
  return torch.tensor(values, { dtype, device: "cpu" }).reshape(shape);
}

const DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/** Handwritten digits, uint8 [1, 28, 28], in the IDX files (.gz or not) of root/MNIST/raw or root itself. */
export class MNIST<X = Tensor, Y = number> extends Images<X, Y> {
  static readonly folder: string = "MNIST";
  static readonly classes: readonly string[] = DIGITS.map((word, i) => `${i} - ${word}`);
  constructor(root: string, options: ImagesOptions<X, Y> = {}) {
    const { folder, classes, name } = new.target;
    const part = options.train === false ? "t10k" : "train";
    const read = (file: string): Tensor =>
      decode_idx(readFirst(name, [`${root}/${folder}/raw/${part}-${file}-ubyte`, `${root}/${part}-${file}-ubyte`]));
    super(read("images-idx3").unsqueeze(1), read("labels-idx1"), classes, options);
  }
}
/** Pieces of clothing, in MNIST's format, in root/FashionMNIST/raw or root itself. */
export class FashionMNIST<X = Tensor, Y = number> extends MNIST<X, Y> {
  static override readonly folder = "FashionMNIST";
  static override readonly classes = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",");
}

/** Records of a label's bytes and an image's, channel by channel. */
function records(name: string, paths: readonly string[], labels: number): [images: Tensor, labels: Tensor] {
  const size = labels + 3 * 32 * 32;
  const all = paths.map((path) => {
    const bytes = readFirst(name, [path]);
    if (bytes.length % size !== 0)
      throw new torch.RuntimeError(`${name}: ${path} is damaged: ${bytes.length} bytes are no records of ${size}`);
    return torch.tensor(bytes, { dtype: torch.uint8, device: "cpu" }).view(-1, size);
  });
  const rows = torch.cat(all);
  return [rows.narrow(1, labels, 3072).reshape([-1, 3, 32, 32]), rows.select(1, labels - 1)];
}

/** Ten classes of colour images, uint8 [3, 32, 32], from the binary version in root/cifar-10-batches-bin. */
export class CIFAR10<X = Tensor, Y = number> extends Images<X, Y> {
  constructor(root: string, options: ImagesOptions<X, Y> = {}) {
    const files = options.train === false ? ["test_batch"] : [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`);
    const paths = files.map((file) => `${root}/cifar-10-batches-bin/${file}.bin`);
    const [images, labels] = records("CIFAR10", paths, 1);
    super(images, labels, "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck".split(","), options);
  }
}
/** A hundred classes (the fine ones), from the binary version in root/cifar-100-binary. */
export class CIFAR100<X = Tensor, Y = number> extends Images<X, Y> {
  constructor(root: string, options: ImagesOptions<X, Y> = {}) {
    const folder = `${root}/cifar-100-binary`;
    const [images, labels] = records("CIFAR100", [`${folder}/${options.train === false ? "test" : "train"}.bin`], 2);
    const names = new TextDecoder().decode(readFirst("CIFAR100", [`${folder}/fine_label_names.txt`]));
    super(images, labels, names.split(/\s+/).filter((n) => n !== ""), options); // prettier-ignore
  }
}
