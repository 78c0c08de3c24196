// reduce_sum
enable subgroups;
diagnostic(off, subgroup_uniformity);
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
  length: u32,
  steps: u32,
  reduced: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_part0: array<f32>;
@group(0) @binding(2) var<storage, read> b_in0: array<vec4<f32>>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
  @builtin(subgroup_size) subgroup_size: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v1 = (thread % 4u);
    let v3 = ((group * 16u) + (thread / 4u));
    let v4 = (params.rows * params.segments);
    let v5 = (v3 < v4);
    let v7 = min(v3, (v4 - 1u));
    let v8 = (v7 / params.segments);
    let v10 = (v7 - (v8 * params.segments));
    let v12 = (params.in0_offset + (v8 * params.in0_stride0));
    let v13 = (v10 * params.length);
    let v16 = select(v13, min((v13 + params.length), params.steps), v5);
    var m18: f32 = 0.0f;
    var m19: u32 = (v13 + v1);
    loop {
      let v20 = m19;
      if (!((v20 + 12u) < v16)) { break; }
      let v23 = m19;
      let v25 = b_in0[(v12 + v23)];
      let v28 = b_in0[(v12 + (v23 + 4u))];
      let v31 = b_in0[(v12 + (v23 + 8u))];
      let v34 = b_in0[(v12 + (v23 + 12u))];
      let v104 = ((((v25.x + v25.y) + (v25.z + v25.w)) + ((v28.x + v28.y) + (v28.z + v28.w))) + (((v31.x + v31.y) + (v31.z + v31.w)) + ((v34.x + v34.y) + (v34.z + v34.w))));
      let v105 = m18;
      m18 = (v105 + v104);
      let v107 = m19;
      m19 = (v107 + 16u);
    }
    let v109 = m19;
    for (var v110: u32 = v109; v110 < v16; v110 += 4u) {
      let v112 = b_in0[(v12 + v110)];
      let v129 = m18;
      m18 = (v129 + ((v112.x + v112.y) + (v112.z + v112.w)));
    }
    let v131 = m18;
    var m132: f32 = v131;
    let v133 = m132;
    let v134 = subgroupShuffleXor(v133, 1u);
    m132 = (v133 + v134);
    let v136 = m132;
    let v137 = subgroupShuffleXor(v136, 2u);
    m132 = (v136 + v137);
    if ((v5 & (v1 == 0u))) {
      let v141 = m132;
      b_part0[((v8 * params.segments) + v10)] = v141;
    }
  }
}

// reduce_sum_finish
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  out_offset: u32,
  out_stride0: u32,
  size0: u32,
  rows: u32,
  steps: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_out0: array<f32>;
@group(0) @binding(2) var<storage, read> b_part0: array<f32>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v1 = ((group * 64u) + thread);
    let v2 = (v1 < params.rows);
    let v4 = min(v1, (params.rows - 1u));
    var m5: f32 = 0.0f;
    let v6 = select(0u, params.steps, v2);
    for (var v7: u32 = 0u; v7 < v6; v7 += 1u) {
      let v10 = b_part0[((v4 * params.steps) + v7)];
      let v11 = m5;
      m5 = (v11 + v10);
    }
    let v13 = m5;
    var m14: f32 = v13;
    if (v2) {
      let v15 = m14;
      b_out0[(params.out_offset + (v4 * params.out_stride0))] = v15;
    }
  }
}
