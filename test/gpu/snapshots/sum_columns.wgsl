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
  length: u32,
  steps: u32,
  reduced: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> b_part0: array<f32>;
@group(0) @binding(2) var<storage, read> b_in0: array<f32>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v0 = (group / params.segments);
    let v2 = (thread / 64u);
    let v4 = ((v0 * 64u) + (thread % 64u));
    let v5 = (v4 < params.rows);
    let v7 = min(v4, (params.rows - 1u));
    let v9 = (group - (v0 * params.segments));
    let v11 = (params.in0_offset + (v7 * params.in0_stride0));
    let v12 = (v9 * params.length);
    let v15 = select(v12, min((v12 + params.length), params.steps), v5);
    var m17: f32 = 0.0f;
    var m18: u32 = (v12 + v2);
    loop {
      let v19 = m18;
      if (!((v19 + 3u) < v15)) { break; }
      let v22 = m18;
      let v25 = b_in0[(v11 + (v22 * params.in0_stride1))];
      let v29 = b_in0[(v11 + ((v22 + 1u) * params.in0_stride1))];
      let v33 = b_in0[(v11 + ((v22 + 2u) * params.in0_stride1))];
      let v37 = b_in0[(v11 + ((v22 + 3u) * params.in0_stride1))];
      let v52 = m17;
      m17 = (v52 + ((v25 + v29) + (v33 + v37)));
      let v54 = m18;
      m18 = (v54 + 4u);
    }
    let v56 = m18;
    for (var v57: u32 = v56; v57 < v15; v57 += 1u) {
      let v60 = b_in0[(v11 + (v57 * params.in0_stride1))];
      let v63 = m17;
      m17 = (v63 + v60);
    }
    let v65 = m17;
    var m66: f32 = v65;
    if ((v5 & (v2 == 0u))) {
      let v69 = m66;
      b_part0[((v7 * params.segments) + v9)] = v69;
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
var<workgroup> s_fold0: array<f32, 64>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v0 = (thread / 2u);
    let v1 = (thread % 2u);
    let v3 = ((group * 32u) + v0);
    let v4 = (v3 < params.rows);
    let v6 = min(v3, (params.rows - 1u));
    var m7: f32 = 0.0f;
    let v8 = select(0u, params.steps, v4);
    for (var v9: u32 = v1; v9 < v8; v9 += 2u) {
      let v12 = b_part0[((v6 * params.steps) + v9)];
      let v13 = m7;
      m7 = (v13 + v12);
    }
    let v15 = m7;
    var m16: f32 = v15;
    s_fold0[thread] = v15;
    workgroupBarrier();
    if ((v1 == 0u)) {
      for (var v18: u32 = 1u; v18 < 2u; v18 += 1u) {
        let v19 = m16;
        let v22 = s_fold0[((v0 * 2u) + v18)];
        m16 = (v19 + v22);
      }
    }
    if ((v4 & (v1 == 0u))) {
      let v26 = m16;
      b_out0[(params.out_offset + (v6 * params.out_stride0))] = v26;
    }
  }
}
