// reduce_sum
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  in0_offset: u32,
  in0_stride0: u32,
  in0_stride1: u32,
  out_offset: u32,
  out_stride0: u32,
  size0: u32,
  size1: u32,
  rows: u32,
  segments: u32,
  steps: u32,
  reduced: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_out0: array<f32>;
@group(0) @binding(2) var<storage, read> b_in0: array<vec4<f32>>;
var<workgroup> s_fold0: array<f32, 64>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v0 = (thread / 8u);
    let v1 = (thread % 8u);
    let v3 = ((group * 8u) + v0);
    let v4 = (v3 < params.rows);
    let v6 = min(v3, (params.rows - 1u));
    let v8 = (params.in0_offset + (v6 * params.in0_stride0));
    let v9 = select(0u, params.steps, v4);
    var m10: f32 = 0.0f;
    var m11: u32 = v1;
    loop {
      let v12 = m11;
      if (!((v12 + 24u) < v9)) { break; }
      let v15 = m11;
      let v17 = b_in0[(v8 + v15)];
      let v20 = b_in0[(v8 + (v15 + 8u))];
      let v23 = b_in0[(v8 + (v15 + 16u))];
      let v26 = b_in0[(v8 + (v15 + 24u))];
      let v96 = ((((v17.x + v17.y) + (v17.z + v17.w)) + ((v20.x + v20.y) + (v20.z + v20.w))) + (((v23.x + v23.y) + (v23.z + v23.w)) + ((v26.x + v26.y) + (v26.z + v26.w))));
      let v97 = m10;
      m10 = (v97 + v96);
      let v99 = m11;
      m11 = (v99 + 32u);
    }
    let v101 = m11;
    for (var v102: u32 = v101; v102 < v9; v102 += 8u) {
      let v104 = b_in0[(v8 + v102)];
      let v121 = m10;
      m10 = (v121 + ((v104.x + v104.y) + (v104.z + v104.w)));
    }
    let v123 = m10;
    var m124: f32 = v123;
    s_fold0[thread] = v123;
    workgroupBarrier();
    if ((v1 == 0u)) {
      for (var v126: u32 = 1u; v126 < 8u; v126 += 1u) {
        let v127 = m124;
        let v130 = s_fold0[((v0 * 8u) + v126)];
        m124 = (v127 + v130);
      }
    }
    if ((v4 & (v1 == 0u))) {
      let v134 = m124;
      b_out0[(params.out_offset + (v6 * params.out_stride0))] = v134;
    }
  }
}
