// matmul
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  m: u32,
  n: u32,
  k: u32,
  steps: u32,
  tiles_m: u32,
  tiles_n: u32,
  splits: u32,
  a_offset: u32,
  a_batch: u32,
  a_line: u32,
  b_offset: u32,
  b_batch: u32,
  b_step: u32,
  out_offset: u32,
  out_batch: u32,
  out_column: u32,
  out_row: u32,
  alpha: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b_a: array<f32>;
@group(0) @binding(2) var<storage, read> b_b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> b_out: array<f32>;
var<workgroup> s_a_tile: array<vec4<f32>, 128>;
var<workgroup> s_b_tile: array<vec4<f32>, 128>;
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v0 = (group / params.tiles_n);
    let v3 = (v0 / params.tiles_m);
    let v6 = ((v0 - (v3 * params.tiles_m)) * 32u);
    let v7 = ((group - (v0 * params.tiles_n)) * 32u);
    let v9 = (params.a_offset + (v3 * params.a_batch));
    let v11 = (params.b_offset + (v3 * params.b_batch));
    let v12 = (thread / 16u);
    let v13 = (thread % 16u);
    let v15 = (v6 + (v12 * 4u));
    let v19 = (v9 + (min(v15, (params.m - 1u)) * params.a_line));
    let v24 = (v9 + (min((v15 + 1u), (params.m - 1u)) * params.a_line));
    let v29 = (v9 + (min((v15 + 2u), (params.m - 1u)) * params.a_line));
    let v34 = (v9 + (min((v15 + 3u), (params.m - 1u)) * params.a_line));
    let v36 = ((v13 * 8u) + v12);
    let v37 = (thread + 64u);
    let v38 = (v37 / 16u);
    let v39 = (v37 % 16u);
    let v41 = (v6 + (v38 * 4u));
    let v45 = (v9 + (min(v41, (params.m - 1u)) * params.a_line));
    let v50 = (v9 + (min((v41 + 1u), (params.m - 1u)) * params.a_line));
    let v55 = (v9 + (min((v41 + 2u), (params.m - 1u)) * params.a_line));
    let v60 = (v9 + (min((v41 + 3u), (params.m - 1u)) * params.a_line));
    let v62 = ((v39 * 8u) + v38);
    let v63 = (thread % 8u);
    let v64 = (thread / 8u);
    let v69 = (v11 + min((v7 + (v63 * 4u)), (params.n - 4u)));
    let v71 = ((v64 * 8u) + v63);
    let v72 = (thread + 64u);
    let v73 = (v72 % 8u);
    let v74 = (v72 / 8u);
    let v79 = (v11 + min((v7 + (v73 * 4u)), (params.n - 4u)));
    let v81 = ((v74 * 8u) + v73);
    let v82 = (thread % 8u);
    let v83 = (thread / 8u);
    var m84: vec4<f32> = vec4<f32>(0.0f);
    var m85: vec4<f32> = vec4<f32>(0.0f);
    var m86: vec4<f32> = vec4<f32>(0.0f);
    var m87: vec4<f32> = vec4<f32>(0.0f);
    for (var v88: u32 = 0u; v88 < params.k; v88 += 16u) {
      let v89 = (v88 + v13);
      let v91 = b_a[(v19 + v89)];
      let v93 = b_a[(v24 + v89)];
      let v95 = b_a[(v29 + v89)];
      let v97 = b_a[(v34 + v89)];
      s_a_tile[v36] = vec4<f32>(v91, v93, v95, v97);
      let v99 = (v88 + v39);
      let v101 = b_a[(v45 + v99)];
      let v103 = b_a[(v50 + v99)];
      let v105 = b_a[(v55 + v99)];
      let v107 = b_a[(v60 + v99)];
      s_a_tile[v62] = vec4<f32>(v101, v103, v105, v107);
      let v113 = b_b[((v69 + ((v88 + v64) * params.b_step)) >> 2u)];
      s_b_tile[v71] = v113;
      let v118 = b_b[((v79 + ((v88 + v74) * params.b_step)) >> 2u)];
      s_b_tile[v81] = v118;
      workgroupBarrier();
      for (var v119: u32 = 0u; v119 < 16u; v119 += 4u) {
        let v122 = s_b_tile[((v119 * 8u) + v82)];
        let v125 = s_a_tile[((v119 * 8u) + v83)];
        let v126 = v125.x;
        let v127 = v125.y;
        let v128 = v125.z;
        let v129 = v125.w;
        let v131 = m84;
        m84 = (v131 + (vec4<f32>(v126, v126, v126, v126) * v122));
        let v135 = m85;
        m85 = (v135 + (vec4<f32>(v127, v127, v127, v127) * v122));
        let v139 = m86;
        m86 = (v139 + (vec4<f32>(v128, v128, v128, v128) * v122));
        let v143 = m87;
        m87 = (v143 + (vec4<f32>(v129, v129, v129, v129) * v122));
        let v146 = (v119 + 1u);
        let v149 = s_b_tile[((v146 * 8u) + v82)];
        let v152 = s_a_tile[((v146 * 8u) + v83)];
        let v153 = v152.x;
        let v154 = v152.y;
        let v155 = v152.z;
        let v156 = v152.w;
        let v158 = m84;
        m84 = (v158 + (vec4<f32>(v153, v153, v153, v153) * v149));
        let v162 = m85;
        m85 = (v162 + (vec4<f32>(v154, v154, v154, v154) * v149));
        let v166 = m86;
        m86 = (v166 + (vec4<f32>(v155, v155, v155, v155) * v149));
        let v170 = m87;
        m87 = (v170 + (vec4<f32>(v156, v156, v156, v156) * v149));
        let v173 = (v119 + 2u);
        let v176 = s_b_tile[((v173 * 8u) + v82)];
        let v179 = s_a_tile[((v173 * 8u) + v83)];
        let v180 = v179.x;
        let v181 = v179.y;
        let v182 = v179.z;
        let v183 = v179.w;
        let v185 = m84;
        m84 = (v185 + (vec4<f32>(v180, v180, v180, v180) * v176));
        let v189 = m85;
        m85 = (v189 + (vec4<f32>(v181, v181, v181, v181) * v176));
        let v193 = m86;
        m86 = (v193 + (vec4<f32>(v182, v182, v182, v182) * v176));
        let v197 = m87;
        m87 = (v197 + (vec4<f32>(v183, v183, v183, v183) * v176));
        let v200 = (v119 + 3u);
        let v203 = s_b_tile[((v200 * 8u) + v82)];
        let v206 = s_a_tile[((v200 * 8u) + v83)];
        let v207 = v206.x;
        let v208 = v206.y;
        let v209 = v206.z;
        let v210 = v206.w;
        let v212 = m84;
        m84 = (v212 + (vec4<f32>(v207, v207, v207, v207) * v203));
        let v216 = m85;
        m85 = (v216 + (vec4<f32>(v208, v208, v208, v208) * v203));
        let v220 = m86;
        m86 = (v220 + (vec4<f32>(v209, v209, v209, v209) * v203));
        let v224 = m87;
        m87 = (v224 + (vec4<f32>(v210, v210, v210, v210) * v203));
      }
      workgroupBarrier();
    }
    let v228 = (params.out_offset + (v3 * params.out_batch));
    let v230 = (v7 + (v82 * 4u));
    let v231 = (v230 < params.n);
    let v232 = (v230 * params.out_column);
    let v235 = ((v7 + (v82 * 4u)) + 1u);
    let v236 = (v235 < params.n);
    let v237 = (v235 * params.out_column);
    let v240 = ((v7 + (v82 * 4u)) + 2u);
    let v241 = (v240 < params.n);
    let v242 = (v240 * params.out_column);
    let v245 = ((v7 + (v82 * 4u)) + 3u);
    let v246 = (v245 < params.n);
    let v247 = (v245 * params.out_column);
    let v249 = (v6 + (v83 * 4u));
    let v251 = (v228 + (v249 * params.out_row));
    if ((v249 < params.m)) {
      let v253 = m84;
      let v254 = v253.x;
      let v255 = v253.y;
      let v256 = v253.z;
      let v257 = v253.w;
      if (v231) {
        b_out[(v251 + v232)] = (v254 * params.alpha);
      }
      if (v236) {
        b_out[(v251 + v237)] = (v255 * params.alpha);
      }
      if (v241) {
        b_out[(v251 + v242)] = (v256 * params.alpha);
      }
      if (v246) {
        b_out[(v251 + v247)] = (v257 * params.alpha);
      }
    }
    let v268 = ((v6 + (v83 * 4u)) + 1u);
    let v270 = (v228 + (v268 * params.out_row));
    if ((v268 < params.m)) {
      let v272 = m85;
      let v273 = v272.x;
      let v274 = v272.y;
      let v275 = v272.z;
      let v276 = v272.w;
      if (v231) {
        b_out[(v270 + v232)] = (v273 * params.alpha);
      }
      if (v236) {
        b_out[(v270 + v237)] = (v274 * params.alpha);
      }
      if (v241) {
        b_out[(v270 + v242)] = (v275 * params.alpha);
      }
      if (v246) {
        b_out[(v270 + v247)] = (v276 * params.alpha);
      }
    }
    let v287 = ((v6 + (v83 * 4u)) + 2u);
    let v289 = (v228 + (v287 * params.out_row));
    if ((v287 < params.m)) {
      let v291 = m86;
      let v292 = v291.x;
      let v293 = v291.y;
      let v294 = v291.z;
      let v295 = v291.w;
      if (v231) {
        b_out[(v289 + v232)] = (v292 * params.alpha);
      }
      if (v236) {
        b_out[(v289 + v237)] = (v293 * params.alpha);
      }
      if (v241) {
        b_out[(v289 + v242)] = (v294 * params.alpha);
      }
      if (v246) {
        b_out[(v289 + v247)] = (v295 * params.alpha);
      }
    }
    let v306 = ((v6 + (v83 * 4u)) + 3u);
    let v308 = (v228 + (v306 * params.out_row));
    if ((v306 < params.m)) {
      let v310 = m87;
      let v311 = v310.x;
      let v312 = v310.y;
      let v313 = v310.z;
      let v314 = v310.w;
      if (v231) {
        b_out[(v308 + v232)] = (v311 * params.alpha);
      }
      if (v236) {
        b_out[(v308 + v237)] = (v312 * params.alpha);
      }
      if (v241) {
        b_out[(v308 + v242)] = (v313 * params.alpha);
      }
      if (v246) {
        b_out[(v308 + v247)] = (v314 * params.alpha);
      }
    }
  }
}
