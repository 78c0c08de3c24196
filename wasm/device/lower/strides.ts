/** Geometry shared by the lowerings. */

/**
 * Drops dims of size 1 and merges neighbours that all operands run through without a gap between them, so that loops are few and
 * long.
 */
export function coalesce(
  fullShape: readonly number[],
  operands: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const shape: number[] = [];
  const strides: number[][] = operands.map(() => []);
  for (let d = 0; d < fullShape.length; d++) {
    const size = fullShape[d]!;
    if (size === 1) continue;
    const last = shape.length - 1;
    if (last >= 0 && operands.every((s, k) => strides[k]![last] === s[d]! * size)) {
      shape[last]! *= size;
      operands.forEach((s, k) => (strides[k]![last] = s[d]!));
    } else {
      shape.push(size);
      operands.forEach((s, k) => strides[k]!.push(s[d]!));
    }
  }
  return { shape, strides };
}
