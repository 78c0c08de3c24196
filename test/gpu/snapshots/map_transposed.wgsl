// map_blocks
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  out0_offset: u32,
  out0_stride0: u32,
  out0_stride1: u32,
  in0_offset: u32,
  in0_stride0: u32,
  in0_stride1: u32,
  size0: u32,
  size1: u32,
  tiles_across: u32,
  tiles_inner: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_out0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b_in0: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v0 = (group / params.tiles_inner);
    let v10 = (((v0 - ((v0 / params.tiles_across) * params.tiles_across)) * 32u) + ((thread % 8u) * 4u));
    let v13 = (((group - (v0 * params.tiles_inner)) * 32u) + ((thread / 8u) * 4u));
    if (((v10 < params.size0) & (v13 < params.size1))) {
      let v22 = b_in0[(((params.in0_offset + (v10 * params.in0_stride0)) + (v13 * params.in0_stride1)) >> 2u)];
      let v29 = b_in0[(((params.in0_offset + (v10 * params.in0_stride0)) + ((v13 + 1u) * params.in0_stride1)) >> 2u)];
      let v36 = b_in0[(((params.in0_offset + (v10 * params.in0_stride0)) + ((v13 + 2u) * params.in0_stride1)) >> 2u)];
      let v43 = b_in0[(((params.in0_offset + (v10 * params.in0_stride0)) + ((v13 + 3u) * params.in0_stride1)) >> 2u)];
      b_out0[(((params.out0_offset + (v10 * params.out0_stride0)) + (v13 * params.out0_stride1)) >> 2u)] = vec4<f32>(v22.x, v29.x, v36.x, v43.x);
      b_out0[(((params.out0_offset + ((v10 + 1u) * params.out0_stride0)) + (v13 * params.out0_stride1)) >> 2u)] = vec4<f32>(v22.y, v29.y, v36.y, v43.y);
      b_out0[(((params.out0_offset + ((v10 + 2u) * params.out0_stride0)) + (v13 * params.out0_stride1)) >> 2u)] = vec4<f32>(v22.z, v29.z, v36.z, v43.z);
      b_out0[(((params.out0_offset + ((v10 + 3u) * params.out0_stride0)) + (v13 * params.out0_stride1)) >> 2u)] = vec4<f32>(v22.w, v29.w, v36.w, v43.w);
    }
  }
}
