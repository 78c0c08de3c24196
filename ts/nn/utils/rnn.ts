/** torch.nn.utils.rnn: sequences of unlike lengths. */

import { float16, float32, float64, int16, int32, int64, int8, uint8 } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { Tensor } from "../../core/tensor.ts";
import { type Args, checkTensor } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import { bind } from "../layer.ts";

/** Sequences, longest first, laid out step by step: at step t the `batch_sizes[t]` of them that are still running. */
export class PackedSequence {
  /** @internal batch_sizes as numbers. */
  readonly _sizes: readonly number[];

  constructor(
    readonly data: Tensor,
    readonly batch_sizes: Tensor,
    readonly sorted_indices: Tensor | null = null,
    readonly unsorted_indices: Tensor | null = invert_permutation(sorted_indices),
  ) {
    if (batch_sizes.device.type !== "cpu") {
      throw new ValueError(
        `batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. Got ${batch_sizes.device}`,
      );
    }
    this._sizes = numbersOf(batch_sizes);
  }

  /** The same layout with other data. */
  with(data: Tensor): PackedSequence {
    return new PackedSequence(data, this.batch_sizes, this.sorted_indices, this.unsorted_indices);
  }
  /** The data by step. */
  steps(): Tensor[] {
    return this.data.split(this._sizes) as Tensor[];
  }

  /** As Tensor.to; the indices go to the same device, batch_sizes stay on the cpu. */
  to(...given: Parameters<Tensor["to"]>): PackedSequence {
    const data = this.data.to(...given);
    if (data === this.data) return this;
    const move = (t: Tensor | null): Tensor | null => (t === null ? null : t.to({ device: data.device }));
    return new PackedSequence(data, this.batch_sizes, move(this.sorted_indices), move(this.unsorted_indices));
  }
  cpu(): PackedSequence {
    return this.to("cpu");
  }
  cuda(): PackedSequence {
    return this.is_cuda ? this : this.to("cuda");
  }
  double(): PackedSequence {
    return this.to(float64);
  }
  float(): PackedSequence {
    return this.to(float32);
  }
  half(): PackedSequence {
    return this.to(float16);
  }
  long(): PackedSequence {
    return this.to(int64);
  }
  int(): PackedSequence {
    return this.to(int32);
  }
  short(): PackedSequence {
    return this.to(int16);
  }
  char(): PackedSequence {
    return this.to(int8);
  }
  byte(): PackedSequence {
    return this.to(uint8);
  }
  get is_cuda(): boolean {
    return this.data.device.type === "cuda";
  }
  /** No memory is page-locked here. */
  is_pinned(): boolean {
    return false;
  }
  pin_memory(): this {
    return this;
  }
  /** Data, batch_sizes, sorted_indices and unsorted_indices, in which order a tuple of PyTorch has them. */
  *[Symbol.iterator](): Generator<Tensor | null> {
    yield this.data;
    yield this.batch_sizes;
    yield this.sorted_indices;
    yield this.unsorted_indices;
  }
}

function numbersOf(lengths: Tensor | readonly number[]): number[] {
  return lengths instanceof Tensor ? Array.from(lengths.data_sync() as ArrayLike<number | bigint>, Number) : [...lengths];
}

/** The permutation that undoes another. */
export function invert_permutation(permutation: Tensor | null): Tensor | null {
  return permutation === null ? null : (ops.argsort(permutation) as Tensor);
}

export function pack_padded_sequence(
  ...given: [
    input: Tensor,
    ...Args<[{ lengths: Tensor | readonly number[] }, { batch_first?: boolean }, { enforce_sorted?: boolean }]>,
  ]
): PackedSequence {
  const [input, lengths, batchFirst, enforce] = bind<[Tensor, Tensor | readonly number[], boolean, boolean]>(
    "pack_padded_sequence",
    "input, lengths, batch_first=False, enforce_sorted=True",
    given,
  );
  checkTensor("pack_padded_sequence", "input", input);
  let sizes = numbersOf(lengths);
  let x = batchFirst ? input.transpose(0, 1) : input;
  if (sizes.length !== x.shape[1]) {
    throw new RuntimeError(
      `Expected \`len(lengths)\` to be equal to batch_size, but got ${sizes.length} (batch_size=${x.shape[1]})`,
    );
  }
  if (sizes.some((n) => n <= 0)) {
    throw new RuntimeError("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0");
  }
  let sorted: Tensor | null = null;
  if (!enforce) {
    const order = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]! || a - b);
    sorted = ops.tensor(order, { dtype: int64, device: input.device });
    x = x.index_select(1, sorted);
    sizes = order.map((i) => sizes[i]!);
  } else if (sizes.some((n, i) => i > 0 && n > sizes[i - 1]!)) {
    throw new RuntimeError(
      "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass `enforce_sorted: false` to sort it",
    );
  }
  if (sizes[0]! > x.shape[0]!) {
    throw new RuntimeError(`Expected lengths of at most ${x.shape[0]} (the padded length), got ${sizes[0]}`);
  }
  const perStep: number[] = [];
  for (let t = 0; t < sizes[0]!; t++) perStep.push(sizes.filter((n) => n > t).length);
  const data = ops.cat(perStep.map((n, t) => x.select(0, t).narrow(0, 0, n)));
  return new PackedSequence(data, ops.tensor(perStep, { dtype: int64 }), sorted);
}

type PadOptions = Args<[{ batch_first?: boolean }, { padding_value?: number }, { total_length?: number | null }]>;

/** Undoes pack_padded_sequence: the padded sequences and their lengths. */
export function pad_packed_sequence(sequence: PackedSequence, ...given: PadOptions): [Tensor, Tensor] {
  const [batchFirst, value, total] = bind<[boolean, number, number | null]>(
    "pad_packed_sequence",
    "batch_first=False, padding_value=0.0, total_length=None",
    given,
  );
  const batch = sequence._sizes[0]!;
  const steps = sequence.steps().map((x) => {
    const missing = batch - x.shape[0]!;
    return missing === 0
      ? x
      : ops.cat([x, ops.full([missing, ...x.shape.slice(1)], value, { dtype: x.dtype, device: x.device })]);
  });
  if (total !== null && total < steps.length) {
    throw new RuntimeError(
      `Expected total_length to be at least the length of the longest sequence in input, but got total_length=${total} and max sequence length being ${steps.length}`,
    );
  }
  const like = steps[0]!;
  while (steps.length < (total ?? 0)) steps.push(ops.full(like.shape, value, { dtype: like.dtype, device: like.device }));
  let out = ops.stack(steps, batchFirst ? 1 : 0);
  let lengths = ops.tensor(
    Array.from({ length: batch }, (_, i) => sequence._sizes.filter((n) => n > i).length),
    { dtype: int64 },
  );
  if (sequence.unsorted_indices !== null) {
    out = out.index_select(batchFirst ? 0 : 1, sequence.unsorted_indices);
    lengths = lengths.index_select(0, sequence.unsorted_indices);
  }
  return [out, lengths];
}

/** Stacks sequences of unlike lengths, the shorter ones filled up. */
export function pad_sequence(
  sequences: readonly Tensor[],
  ...given: Args<[{ batch_first?: boolean }, { padding_value?: number }, { padding_side?: "left" | "right" }]>
): Tensor {
  const [batchFirst, value, side] = bind<[boolean, number, "left" | "right"]>(
    "pad_sequence",
    "batch_first=False, padding_value=0.0, padding_side='right'",
    given,
  );
  if (sequences.length === 0) throw new RuntimeError("pad_sequence: received an empty list of sequences");
  const longest = Math.max(...sequences.map((s) => s.shape[0]!));
  const padded = sequences.map((s) => {
    const missing = longest - s.shape[0]!;
    if (missing === 0) return s;
    const fill = ops.full([missing, ...s.shape.slice(1)], value, { dtype: s.dtype, device: s.device });
    return ops.cat(side === "left" ? [fill, s] : [s, fill]);
  });
  return ops.stack(padded, batchFirst ? 0 : 1);
}

/** Undoes pad_sequence. */
export function unpad_sequence(
  padded_sequences: Tensor,
  lengths: Tensor | readonly number[],
  ...given: Args<[{ batch_first?: boolean }]>
): Tensor[] {
  const [batchFirst] = bind<[boolean]>("unpad_sequence", "batch_first=False", given);
  const x = batchFirst ? padded_sequences : padded_sequences.transpose(0, 1);
  return numbersOf(lengths).map((n, i) => x.select(0, i).narrow(0, 0, n));
}

/** The sequences of a packed one, in the order in which they were packed. */
export function unpack_sequence(packed_sequences: PackedSequence): Tensor[] {
  const [padded, lengths] = pad_packed_sequence(packed_sequences, { batch_first: true });
  return unpad_sequence(padded, lengths, { batch_first: true });
}

export function pack_sequence(sequences: readonly Tensor[], ...given: Args<[{ enforce_sorted?: boolean }]>): PackedSequence {
  const [enforce_sorted] = bind<[boolean]>("pack_sequence", "enforce_sorted=True", given);
  const lengths = sequences.map((s) => s.shape[0]!);
  return pack_padded_sequence(pad_sequence(sequences), lengths, { enforce_sorted });
}
