// softmax
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
var<workgroup> s_top0: array<f32, 128>;
var<workgroup> s_total00: array<f32, 128>;
@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
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
    s_top0[thread] = v29;
    workgroupBarrier();
    if (((thread % 2u) == 0u)) {
      let v32 = s_top0[thread];
      let v34 = s_top0[(thread + 1u)];
      s_top0[thread] = max(v32, v34);
    }
    workgroupBarrier();
    if (((thread % 4u) == 0u)) {
      let v38 = s_top0[thread];
      let v40 = s_top0[(thread + 2u)];
      s_top0[thread] = max(v38, v40);
    }
    workgroupBarrier();
    if (((thread % 8u) == 0u)) {
      let v44 = s_top0[thread];
      let v46 = s_top0[(thread + 4u)];
      s_top0[thread] = max(v44, v46);
    }
    workgroupBarrier();
    if (((thread % 16u) == 0u)) {
      let v50 = s_top0[thread];
      let v52 = s_top0[(thread + 8u)];
      s_top0[thread] = max(v50, v52);
    }
    workgroupBarrier();
    if (((thread % 32u) == 0u)) {
      let v56 = s_top0[thread];
      let v58 = s_top0[(thread + 16u)];
      s_top0[thread] = max(v56, v58);
    }
    workgroupBarrier();
    if (((thread % 64u) == 0u)) {
      let v62 = s_top0[thread];
      let v64 = s_top0[(thread + 32u)];
      s_top0[thread] = max(v62, v64);
    }
    workgroupBarrier();
    if (((thread % 128u) == 0u)) {
      let v68 = s_top0[thread];
      let v70 = s_top0[(thread + 64u)];
      s_top0[thread] = max(v68, v70);
    }
    workgroupBarrier();
    let v72 = s_top0[0u];
    workgroupBarrier();
    let v73 = min(v72, 3.4028234663852886e+38f);
    var m74: f32 = 0.0f;
    if ((thread < v0)) {
      let v76 = m1;
      let v77 = m2;
      let v78 = m3;
      let v79 = m4;
      let v80 = (v76 - v73);
      let v85 = bitcast<u32>(v80);
      let v90 = select(select(exp2((v80 * 1.4426950216293335f)), 0.0f, (v80 < (-87.0f))), v80, (((v85 & 2147483647u) >= 2139095040u) & (v85 != 4286578688u)));
      let v91 = (v77 - v73);
      let v96 = bitcast<u32>(v91);
      let v101 = select(select(exp2((v91 * 1.4426950216293335f)), 0.0f, (v91 < (-87.0f))), v91, (((v96 & 2147483647u) >= 2139095040u) & (v96 != 4286578688u)));
      let v102 = (v78 - v73);
      let v107 = bitcast<u32>(v102);
      let v112 = select(select(exp2((v102 * 1.4426950216293335f)), 0.0f, (v102 < (-87.0f))), v102, (((v107 & 2147483647u) >= 2139095040u) & (v107 != 4286578688u)));
      let v113 = (v79 - v73);
      let v118 = bitcast<u32>(v113);
      let v123 = select(select(exp2((v113 * 1.4426950216293335f)), 0.0f, (v113 < (-87.0f))), v113, (((v118 & 2147483647u) >= 2139095040u) & (v118 != 4286578688u)));
      let v124 = m74;
      m74 = (v124 + ((v90 + v101) + (v112 + v123)));
    }
    let v129 = m74;
    s_total00[thread] = v129;
    workgroupBarrier();
    if (((thread % 2u) == 0u)) {
      let v132 = s_total00[thread];
      let v134 = s_total00[(thread + 1u)];
      s_total00[thread] = (v132 + v134);
    }
    workgroupBarrier();
    if (((thread % 4u) == 0u)) {
      let v138 = s_total00[thread];
      let v140 = s_total00[(thread + 2u)];
      s_total00[thread] = (v138 + v140);
    }
    workgroupBarrier();
    if (((thread % 8u) == 0u)) {
      let v144 = s_total00[thread];
      let v146 = s_total00[(thread + 4u)];
      s_total00[thread] = (v144 + v146);
    }
    workgroupBarrier();
    if (((thread % 16u) == 0u)) {
      let v150 = s_total00[thread];
      let v152 = s_total00[(thread + 8u)];
      s_total00[thread] = (v150 + v152);
    }
    workgroupBarrier();
    if (((thread % 32u) == 0u)) {
      let v156 = s_total00[thread];
      let v158 = s_total00[(thread + 16u)];
      s_total00[thread] = (v156 + v158);
    }
    workgroupBarrier();
    if (((thread % 64u) == 0u)) {
      let v162 = s_total00[thread];
      let v164 = s_total00[(thread + 32u)];
      s_total00[thread] = (v162 + v164);
    }
    workgroupBarrier();
    if (((thread % 128u) == 0u)) {
      let v168 = s_total00[thread];
      let v170 = s_total00[(thread + 64u)];
      s_total00[thread] = (v168 + v170);
    }
    workgroupBarrier();
    let v172 = s_total00[0u];
    workgroupBarrier();
    let v179 = select(params.launch_nan, v172, (((bitcast<u32>(v172) & 2147483647u) < 2139095040u) & (bitcast<u32>(v172) != 0u)));
    let v180 = (1.0f / v179);
    if ((thread < v0)) {
      let v182 = m1;
      let v183 = m2;
      let v184 = m3;
      let v185 = m4;
      let v186 = (v182 - v73);
      let v191 = bitcast<u32>(v186);
      let v196 = select(select(exp2((v186 * 1.4426950216293335f)), 0.0f, (v186 < (-87.0f))), v186, (((v191 & 2147483647u) >= 2139095040u) & (v191 != 4286578688u)));
      let v198 = (v183 - v73);
      let v203 = bitcast<u32>(v198);
      let v208 = select(select(exp2((v198 * 1.4426950216293335f)), 0.0f, (v198 < (-87.0f))), v198, (((v203 & 2147483647u) >= 2139095040u) & (v203 != 4286578688u)));
      let v210 = (v184 - v73);
      let v215 = bitcast<u32>(v210);
      let v220 = select(select(exp2((v210 * 1.4426950216293335f)), 0.0f, (v210 < (-87.0f))), v210, (((v215 & 2147483647u) >= 2139095040u) & (v215 != 4286578688u)));
      let v222 = (v185 - v73);
      let v227 = bitcast<u32>(v222);
      let v232 = select(select(exp2((v222 * 1.4426950216293335f)), 0.0f, (v222 < (-87.0f))), v222, (((v227 & 2147483647u) >= 2139095040u) & (v227 != 4286578688u)));
      b_y[(((group * v0) + params.y_offset) + thread)] = vec4<f32>((v196 * v180), (v208 * v180), (v220 * v180), (v232 * v180));
    }
  }
}
