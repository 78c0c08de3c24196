// map
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  out0_offset: u32,
  out0_stride0: u32,
  in0_offset: u32,
  in0_stride0: u32,
  in1_offset: u32,
  in1_stride0: u32,
  size0: u32,
  first: u32,
  scalar0_float32: f32,
  count: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_out0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b_in0: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b_in1: array<vec4<f32>>;
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v1 = ((group * 256u) + thread);
    if ((v1 < params.count)) {
      let v6 = b_in0[(params.in0_offset + v1)];
      let v7 = b_in1[(params.in1_offset + v1)];
      let v13 = ((v6.x * v7.x) + params.scalar0_float32);
      let v23 = ((v6.y * v7.y) + params.scalar0_float32);
      let v33 = ((v6.z * v7.z) + params.scalar0_float32);
      let v43 = ((v6.w * v7.w) + params.scalar0_float32);
      let v47 = vec4<f32>(select(max(v13, 0.0f), v13, ((bitcast<u32>(v13) & u32(0x7fffffffu)) > u32(0x7f800000u))), select(max(v23, 0.0f), v23, ((bitcast<u32>(v23) & u32(0x7fffffffu)) > u32(0x7f800000u))), select(max(v33, 0.0f), v33, ((bitcast<u32>(v33) & u32(0x7fffffffu)) > u32(0x7f800000u))), select(max(v43, 0.0f), v43, ((bitcast<u32>(v43) & u32(0x7fffffffu)) > u32(0x7f800000u))));
      b_out0[(params.out0_offset + v1)] = v47;
    }
  }
}
