// softmax
enable subgroups;
diagnostic(off, subgroup_uniformity);
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  x_offset: u32,
  y_offset: u32,
  n: u32,
  rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b_x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b_y: array<vec4<f32>>;
var<workgroup> s_top: array<f32, 32>;
var<workgroup> s_total0: array<f32, 32>;
@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
  @builtin(subgroup_size) subgroup_size: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v0 = (params.n / 4u);
    var m1: f32 = 0.0f;
    var m2: f32 = 0.0f;
    var m3: f32 = 0.0f;
    var m4: f32 = 0.0f;
    if ((thread < v0)) {
      let v9 = b_x[(((group * v0) + params.x_offset) + thread)];
      m1 = v9.x;
      m2 = v9.y;
      m3 = v9.z;
      m4 = v9.w;
    }
    var m14: f32 = (-3.4028234663852886e+38f);
    if ((thread < v0)) {
      let v16 = m1;
      let v17 = m2;
      let v18 = m3;
      let v19 = m4;
      let v20 = m14;
      let v22 = select(v20, v16, (v16 > v20));
      let v24 = select(v22, v17, (v17 > v22));
      let v26 = select(v24, v18, (v18 > v24));
      m14 = select(v26, v19, (v19 > v26));
    }
    let v29 = m14;
    let v30 = subgroupMax(v29);
    let v33 = (((128u + subgroup_size) - 1u) / subgroup_size);
    if ((subgroup_lane == 0u)) {
      s_top[(thread / subgroup_size)] = v30;
    }
    workgroupBarrier();
    let v36 = s_top[0u];
    var m37: f32 = v36;
    for (var v38: u32 = 1u; v38 < v33; v38 += 1u) {
      let v39 = m37;
      let v40 = s_top[v38];
      m37 = max(v39, v40);
    }
    let v42 = m37;
    workgroupBarrier();
    let v43 = min(v42, 3.4028234663852886e+38f);
    var m44: f32 = 0.0f;
    if ((thread < v0)) {
      let v46 = m1;
      let v47 = m2;
      let v48 = m3;
      let v49 = m4;
      let v50 = (v46 - v43);
      let v55 = bitcast<u32>(v50);
      let v60 = select(select(exp2((v50 * 1.4426950216293335f)), 0.0f, (v50 < (-87.0f))), v50, (((v55 & 2147483647u) >= 2139095040u) & (v55 != 4286578688u)));
      let v61 = (v47 - v43);
      let v66 = bitcast<u32>(v61);
      let v71 = select(select(exp2((v61 * 1.4426950216293335f)), 0.0f, (v61 < (-87.0f))), v61, (((v66 & 2147483647u) >= 2139095040u) & (v66 != 4286578688u)));
      let v72 = (v48 - v43);
      let v77 = bitcast<u32>(v72);
      let v82 = select(select(exp2((v72 * 1.4426950216293335f)), 0.0f, (v72 < (-87.0f))), v72, (((v77 & 2147483647u) >= 2139095040u) & (v77 != 4286578688u)));
      let v83 = (v49 - v43);
      let v88 = bitcast<u32>(v83);
      let v93 = select(select(exp2((v83 * 1.4426950216293335f)), 0.0f, (v83 < (-87.0f))), v83, (((v88 & 2147483647u) >= 2139095040u) & (v88 != 4286578688u)));
      let v94 = m44;
      m44 = (v94 + ((v60 + v71) + (v82 + v93)));
    }
    let v99 = m44;
    let v100 = subgroupAdd(v99);
    let v103 = (((128u + subgroup_size) - 1u) / subgroup_size);
    if ((subgroup_lane == 0u)) {
      s_total0[(thread / subgroup_size)] = v100;
    }
    workgroupBarrier();
    let v106 = s_total0[0u];
    var m107: f32 = v106;
    for (var v108: u32 = 1u; v108 < v103; v108 += 1u) {
      let v109 = m107;
      let v110 = s_total0[v108];
      m107 = (v109 + v110);
    }
    let v112 = m107;
    workgroupBarrier();
    let v119 = select(params.launch_nan, v112, (((bitcast<u32>(v112) & 2147483647u) < 2139095040u) & (bitcast<u32>(v112) != 0u)));
    let v120 = (1.0f / v119);
    if ((thread < v0)) {
      let v122 = m1;
      let v123 = m2;
      let v124 = m3;
      let v125 = m4;
      let v126 = (v122 - v43);
      let v131 = bitcast<u32>(v126);
      let v136 = select(select(exp2((v126 * 1.4426950216293335f)), 0.0f, (v126 < (-87.0f))), v126, (((v131 & 2147483647u) >= 2139095040u) & (v131 != 4286578688u)));
      let v138 = (v123 - v43);
      let v143 = bitcast<u32>(v138);
      let v148 = select(select(exp2((v138 * 1.4426950216293335f)), 0.0f, (v138 < (-87.0f))), v138, (((v143 & 2147483647u) >= 2139095040u) & (v143 != 4286578688u)));
      let v150 = (v124 - v43);
      let v155 = bitcast<u32>(v150);
      let v160 = select(select(exp2((v150 * 1.4426950216293335f)), 0.0f, (v150 < (-87.0f))), v150, (((v155 & 2147483647u) >= 2139095040u) & (v155 != 4286578688u)));
      let v162 = (v125 - v43);
      let v167 = bitcast<u32>(v162);
      let v172 = select(select(exp2((v162 * 1.4426950216293335f)), 0.0f, (v162 < (-87.0f))), v162, (((v167 & 2147483647u) >= 2139095040u) & (v167 != 4286578688u)));
      b_y[(((group * v0) + params.y_offset) + thread)] = vec4<f32>((v136 * v120), (v148 * v120), (v160 * v120), (v172 * v120));
    }
  }
}
