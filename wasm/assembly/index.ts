const table: StaticArray<f32> = [1, 2, 3];
/** Proves that the pipeline works; replaced by the real kernels. */
export function probe(pointer: usize): f32 {
  const v = v128.load(pointer);
  if (KINDLING_RELAXED) return f32x4.extract_lane(f32x4.relaxed_madd(v, v, v), 0);
  return f32x4.extract_lane(v, 0) + table[1];
}

export { gather } from "./gather";
export { gather_positions } from "./gather_positions";
export { scatter } from "./scatter";

export { map } from "./block_machine";
export { map_tiles } from "./block_tiles";
export { reduce_columns, reduce_finish, reduce_rows } from "./reduce";
export { random_draw } from "./random";
export { random_normals } from "./random_normals";
export { scan } from "./scan";
export { nonzero_count, nonzero_write } from "./nonzero";
export { sort_rows } from "./sort";
export { select_rows } from "./sort_select";
export { sort_search } from "./sort_search";
