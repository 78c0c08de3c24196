// map
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  out0_offset: u32,
  out0_stride0: u32,
  size0: u32,
  first: u32,
  scalar0_int64: i32,
  count: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_out0: array<vec4<i32>>;
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
      b_out0[(params.out0_offset + v1)] = vec4<i32>(params.scalar0_int64, params.scalar0_int64, params.scalar0_int64, params.scalar0_int64);
    }
  }
}

// gather
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  index0_offset: u32,
  index0_stride0: u32,
  index0_stride1: u32,
  index0_size: i32,
  index0_step: u32,
  index0_code: u32,
  size0: u32,
  size1: u32,
  src_offset: u32,
  src_stride0: u32,
  src_stride1: u32,
  out_offset: u32,
  out_stride0: u32,
  out_stride1: u32,
  columns: u32,
  threads: u32,
  src_step: u32,
  out_step: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b_src: array<f32>;
@group(0) @binding(2) var<storage, read_write> b_out: array<f32>;
@group(0) @binding(3) var<storage, read> b_index0: array<i32>;
@group(0) @binding(4) var<storage, read_write> b_complaint: array<atomic<u32>>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v1 = ((group * 64u) + thread);
    if ((v1 < params.threads)) {
      let v3 = (v1 / params.columns);
      let v5 = (v1 - (v3 * params.columns));
      let v6 = (v3 / params.size1);
      let v8 = (v3 - (v6 * params.size1));
      let v13 = b_index0[((params.index0_offset + (v6 * params.index0_stride0)) + (v8 * params.index0_stride1))];
      let v16 = ((v13 >= 0i) & (v13 < params.index0_size));
      if ((!v16)) {
        let v18 = atomicMax(&b_complaint[0u], params.index0_code);
        if ((v18 == 0u)) {
          let v21 = atomicExchange(&b_complaint[1u], bitcast<u32>(v13));
        }
      }
      let v28 = (((params.src_offset + (v6 * params.src_stride0)) + (v8 * params.src_stride1)) + (u32(v13) * params.index0_step));
      if (v16) {
        let v31 = b_src[(v28 + (v5 * params.src_step))];
        let v37 = (((params.out_offset + (v6 * params.out_stride0)) + (v8 * params.out_stride1)) + (v5 * params.out_step));
        b_out[v37] = v31;
      }
    }
  }
}
