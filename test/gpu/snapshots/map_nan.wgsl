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
  count: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_out0: array<vec4<i32>>;
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
      let v10 = v6.x;
      let v11 = v7.x;
      let v16 = select(select(max(v10, v11), v11, ((bitcast<u32>(v11) & u32(0x7fffffffu)) > u32(0x7f800000u))), v10, ((bitcast<u32>(v10) & u32(0x7fffffffu)) > u32(0x7f800000u)));
      let v22 = v6.y;
      let v23 = v7.y;
      let v28 = select(select(max(v22, v23), v23, ((bitcast<u32>(v23) & u32(0x7fffffffu)) > u32(0x7f800000u))), v22, ((bitcast<u32>(v22) & u32(0x7fffffffu)) > u32(0x7f800000u)));
      let v34 = v6.z;
      let v35 = v7.z;
      let v40 = select(select(max(v34, v35), v35, ((bitcast<u32>(v35) & u32(0x7fffffffu)) > u32(0x7f800000u))), v34, ((bitcast<u32>(v34) & u32(0x7fffffffu)) > u32(0x7f800000u)));
      let v46 = v6.w;
      let v47 = v7.w;
      let v52 = select(select(max(v46, v47), v47, ((bitcast<u32>(v47) & u32(0x7fffffffu)) > u32(0x7f800000u))), v46, ((bitcast<u32>(v46) & u32(0x7fffffffu)) > u32(0x7f800000u)));
      let v55 = vec4<i32>(i32(((bitcast<u32>(v16) & u32(0x7fffffffu)) > u32(0x7f800000u))), i32(((bitcast<u32>(v28) & u32(0x7fffffffu)) > u32(0x7f800000u))), i32(((bitcast<u32>(v40) & u32(0x7fffffffu)) > u32(0x7f800000u))), i32(((bitcast<u32>(v52) & u32(0x7fffffffu)) > u32(0x7f800000u))));
      b_out0[(params.out0_offset + v1)] = v55;
    }
  }
}
