// map
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
  in1_offset: u32,
  in1_stride0: u32,
  in1_stride1: u32,
  size0: u32,
  size1: u32,
  first: u32,
  count: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_out0: array<f32>;
@group(0) @binding(2) var<storage, read> b_in0: array<f32>;
@group(0) @binding(3) var<storage, read> b_in1: array<f32>;
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
      let v3 = (v1 / params.size1);
      let v5 = (v1 - (v3 * params.size1));
      let v18 = b_in0[((params.in0_offset + (v3 * params.in0_stride0)) + (v5 * params.in0_stride1))];
      let v19 = b_in1[((params.in1_offset + (v3 * params.in1_stride0)) + (v5 * params.in1_stride1))];
      b_out0[((params.out0_offset + (v3 * params.out0_stride0)) + (v5 * params.out0_stride1))] = (v18 * v19);
    }
  }
}
