// conv_forward
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
  cin: u32,
  volume_kernel: u32,
  w_offset: u32,
  cout: u32,
  x_offset: u32,
  volume_in: u32,
  channels_in: u32,
  out_w: u32,
  out_h: u32,
  padding_h: u32,
  padding_w: u32,
  in_h: u32,
  in_w: u32,
  kernel_w: u32,
  kernel_h: u32,
  dilation_h: u32,
  dilation_w: u32,
  volume_out: u32,
  y_offset: u32,
  channels_out: u32,
  bias_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b_a: array<f32>;
@group(0) @binding(2) var<storage, read> b_b: array<f32>;
@group(0) @binding(3) var<storage, read> b_bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> b_result: array<f32>;
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
    let v8 = (params.cin * params.volume_kernel);
    let v11 = (params.w_offset + ((v3 * params.cout) * v8));
    let v14 = (params.x_offset + ((v3 * params.cin) * params.volume_in));
    let v15 = (params.channels_in * params.volume_in);
    let v16 = (thread / 16u);
    let v17 = (thread % 16u);
    let v19 = (v6 + (v16 * 4u));
    let v23 = (v11 + (min(v19, (params.m - 1u)) * v8));
    let v28 = (v11 + (min((v19 + 1u), (params.m - 1u)) * v8));
    let v33 = (v11 + (min((v19 + 2u), (params.m - 1u)) * v8));
    let v38 = (v11 + (min((v19 + 3u), (params.m - 1u)) * v8));
    let v40 = ((v17 * 8u) + v16);
    let v41 = (thread + 64u);
    let v42 = (v41 / 16u);
    let v43 = (v41 % 16u);
    let v45 = (v6 + (v42 * 4u));
    let v49 = (v11 + (min(v45, (params.m - 1u)) * v8));
    let v54 = (v11 + (min((v45 + 1u), (params.m - 1u)) * v8));
    let v59 = (v11 + (min((v45 + 2u), (params.m - 1u)) * v8));
    let v64 = (v11 + (min((v45 + 3u), (params.m - 1u)) * v8));
    let v66 = ((v43 * 8u) + v42);
    let v67 = (thread / 16u);
    let v68 = (thread % 16u);
    let v70 = (v7 + (v67 * 4u));
    let v72 = min(v70, (params.n - 1u));
    let v73 = (v72 / params.out_w);
    let v76 = (v73 / params.out_h);
    let v81 = ((v73 - (v76 * params.out_h)) - params.padding_h);
    let v82 = ((v72 - (v73 * params.out_w)) - params.padding_w);
    let v85 = ((v14 + (v76 * v15)) + ((v81 * params.in_w) + v82));
    let v88 = min((v70 + 1u), (params.n - 1u));
    let v89 = (v88 / params.out_w);
    let v92 = (v89 / params.out_h);
    let v97 = ((v89 - (v92 * params.out_h)) - params.padding_h);
    let v98 = ((v88 - (v89 * params.out_w)) - params.padding_w);
    let v101 = ((v14 + (v92 * v15)) + ((v97 * params.in_w) + v98));
    let v104 = min((v70 + 2u), (params.n - 1u));
    let v105 = (v104 / params.out_w);
    let v108 = (v105 / params.out_h);
    let v113 = ((v105 - (v108 * params.out_h)) - params.padding_h);
    let v114 = ((v104 - (v105 * params.out_w)) - params.padding_w);
    let v117 = ((v14 + (v108 * v15)) + ((v113 * params.in_w) + v114));
    let v120 = min((v70 + 3u), (params.n - 1u));
    let v121 = (v120 / params.out_w);
    let v124 = (v121 / params.out_h);
    let v129 = ((v121 - (v124 * params.out_h)) - params.padding_h);
    let v130 = ((v120 - (v121 * params.out_w)) - params.padding_w);
    let v133 = ((v14 + (v124 * v15)) + ((v129 * params.in_w) + v130));
    let v135 = ((v68 * 8u) + v67);
    let v136 = (thread + 64u);
    let v137 = (v136 / 16u);
    let v138 = (v136 % 16u);
    let v140 = (v7 + (v137 * 4u));
    let v142 = min(v140, (params.n - 1u));
    let v143 = (v142 / params.out_w);
    let v146 = (v143 / params.out_h);
    let v151 = ((v143 - (v146 * params.out_h)) - params.padding_h);
    let v152 = ((v142 - (v143 * params.out_w)) - params.padding_w);
    let v155 = ((v14 + (v146 * v15)) + ((v151 * params.in_w) + v152));
    let v158 = min((v140 + 1u), (params.n - 1u));
    let v159 = (v158 / params.out_w);
    let v162 = (v159 / params.out_h);
    let v167 = ((v159 - (v162 * params.out_h)) - params.padding_h);
    let v168 = ((v158 - (v159 * params.out_w)) - params.padding_w);
    let v171 = ((v14 + (v162 * v15)) + ((v167 * params.in_w) + v168));
    let v174 = min((v140 + 2u), (params.n - 1u));
    let v175 = (v174 / params.out_w);
    let v178 = (v175 / params.out_h);
    let v183 = ((v175 - (v178 * params.out_h)) - params.padding_h);
    let v184 = ((v174 - (v175 * params.out_w)) - params.padding_w);
    let v187 = ((v14 + (v178 * v15)) + ((v183 * params.in_w) + v184));
    let v190 = min((v140 + 3u), (params.n - 1u));
    let v191 = (v190 / params.out_w);
    let v194 = (v191 / params.out_h);
    let v199 = ((v191 - (v194 * params.out_h)) - params.padding_h);
    let v200 = ((v190 - (v191 * params.out_w)) - params.padding_w);
    let v203 = ((v14 + (v194 * v15)) + ((v199 * params.in_w) + v200));
    let v205 = ((v138 * 8u) + v137);
    let v206 = (thread % 8u);
    let v207 = (thread / 8u);
    var m208: vec4<f32> = vec4<f32>(0.0f);
    var m209: vec4<f32> = vec4<f32>(0.0f);
    var m210: vec4<f32> = vec4<f32>(0.0f);
    var m211: vec4<f32> = vec4<f32>(0.0f);
    for (var v212: u32 = 0u; v212 < params.k; v212 += 16u) {
      let v213 = (v212 + v17);
      let v215 = min(v213, (params.k - 1u));
      let v217 = b_a[(v23 + v215)];
      let v219 = b_a[(v28 + v215)];
      let v221 = b_a[(v33 + v215)];
      let v223 = b_a[(v38 + v215)];
      s_a_tile[v40] = select(vec4<f32>(0.0f), vec4<f32>(v217, v219, v221, v223), (v213 < params.k));
      let v227 = (v212 + v43);
      let v229 = min(v227, (params.k - 1u));
      let v231 = b_a[(v49 + v229)];
      let v233 = b_a[(v54 + v229)];
      let v235 = b_a[(v59 + v229)];
      let v237 = b_a[(v64 + v229)];
      s_a_tile[v66] = select(vec4<f32>(0.0f), vec4<f32>(v231, v233, v235, v237), (v227 < params.k));
      let v241 = (v212 + v68);
      let v243 = min(v241, (params.k - 1u));
      let v244 = (v243 / params.kernel_w);
      let v247 = (v244 / params.kernel_h);
      let v251 = ((v244 - (v247 * params.kernel_h)) * params.dilation_h);
      let v252 = ((v243 - (v244 * params.kernel_w)) * params.dilation_w);
      let v255 = ((v247 * params.volume_in) + ((v251 * params.in_w) + v252));
      let v260 = (((v81 + v251) < params.in_h) & ((v82 + v252) < params.in_w));
      let v263 = b_b[select(0u, (v85 + v255), v260)];
      let v269 = (((v97 + v251) < params.in_h) & ((v98 + v252) < params.in_w));
      let v272 = b_b[select(0u, (v101 + v255), v269)];
      let v278 = (((v113 + v251) < params.in_h) & ((v114 + v252) < params.in_w));
      let v281 = b_b[select(0u, (v117 + v255), v278)];
      let v287 = (((v129 + v251) < params.in_h) & ((v130 + v252) < params.in_w));
      let v290 = b_b[select(0u, (v133 + v255), v287)];
      let v292 = vec4<f32>(select(0.0f, v263, v260), select(0.0f, v272, v269), select(0.0f, v281, v278), select(0.0f, v290, v287));
      s_b_tile[v135] = select(vec4<f32>(0.0f), v292, (v241 < params.k));
      let v295 = (v212 + v138);
      let v297 = min(v295, (params.k - 1u));
      let v298 = (v297 / params.kernel_w);
      let v301 = (v298 / params.kernel_h);
      let v305 = ((v298 - (v301 * params.kernel_h)) * params.dilation_h);
      let v306 = ((v297 - (v298 * params.kernel_w)) * params.dilation_w);
      let v309 = ((v301 * params.volume_in) + ((v305 * params.in_w) + v306));
      let v314 = (((v151 + v305) < params.in_h) & ((v152 + v306) < params.in_w));
      let v317 = b_b[select(0u, (v155 + v309), v314)];
      let v323 = (((v167 + v305) < params.in_h) & ((v168 + v306) < params.in_w));
      let v326 = b_b[select(0u, (v171 + v309), v323)];
      let v332 = (((v183 + v305) < params.in_h) & ((v184 + v306) < params.in_w));
      let v335 = b_b[select(0u, (v187 + v309), v332)];
      let v341 = (((v199 + v305) < params.in_h) & ((v200 + v306) < params.in_w));
      let v344 = b_b[select(0u, (v203 + v309), v341)];
      let v346 = vec4<f32>(select(0.0f, v317, v314), select(0.0f, v326, v323), select(0.0f, v335, v332), select(0.0f, v344, v341));
      s_b_tile[v205] = select(vec4<f32>(0.0f), v346, (v295 < params.k));
      workgroupBarrier();
      for (var v349: u32 = 0u; v349 < 16u; v349 += 4u) {
        let v352 = s_b_tile[((v349 * 8u) + v206)];
        let v355 = s_a_tile[((v349 * 8u) + v207)];
        let v356 = v355.x;
        let v357 = v355.y;
        let v358 = v355.z;
        let v359 = v355.w;
        let v361 = m208;
        m208 = (v361 + (vec4<f32>(v356, v356, v356, v356) * v352));
        let v365 = m209;
        m209 = (v365 + (vec4<f32>(v357, v357, v357, v357) * v352));
        let v369 = m210;
        m210 = (v369 + (vec4<f32>(v358, v358, v358, v358) * v352));
        let v373 = m211;
        m211 = (v373 + (vec4<f32>(v359, v359, v359, v359) * v352));
        let v376 = (v349 + 1u);
        let v379 = s_b_tile[((v376 * 8u) + v206)];
        let v382 = s_a_tile[((v376 * 8u) + v207)];
        let v383 = v382.x;
        let v384 = v382.y;
        let v385 = v382.z;
        let v386 = v382.w;
        let v388 = m208;
        m208 = (v388 + (vec4<f32>(v383, v383, v383, v383) * v379));
        let v392 = m209;
        m209 = (v392 + (vec4<f32>(v384, v384, v384, v384) * v379));
        let v396 = m210;
        m210 = (v396 + (vec4<f32>(v385, v385, v385, v385) * v379));
        let v400 = m211;
        m211 = (v400 + (vec4<f32>(v386, v386, v386, v386) * v379));
        let v403 = (v349 + 2u);
        let v406 = s_b_tile[((v403 * 8u) + v206)];
        let v409 = s_a_tile[((v403 * 8u) + v207)];
        let v410 = v409.x;
        let v411 = v409.y;
        let v412 = v409.z;
        let v413 = v409.w;
        let v415 = m208;
        m208 = (v415 + (vec4<f32>(v410, v410, v410, v410) * v406));
        let v419 = m209;
        m209 = (v419 + (vec4<f32>(v411, v411, v411, v411) * v406));
        let v423 = m210;
        m210 = (v423 + (vec4<f32>(v412, v412, v412, v412) * v406));
        let v427 = m211;
        m211 = (v427 + (vec4<f32>(v413, v413, v413, v413) * v406));
        let v430 = (v349 + 3u);
        let v433 = s_b_tile[((v430 * 8u) + v206)];
        let v436 = s_a_tile[((v430 * 8u) + v207)];
        let v437 = v436.x;
        let v438 = v436.y;
        let v439 = v436.z;
        let v440 = v436.w;
        let v442 = m208;
        m208 = (v442 + (vec4<f32>(v437, v437, v437, v437) * v433));
        let v446 = m209;
        m209 = (v446 + (vec4<f32>(v438, v438, v438, v438) * v433));
        let v450 = m210;
        m210 = (v450 + (vec4<f32>(v439, v439, v439, v439) * v433));
        let v454 = m211;
        m211 = (v454 + (vec4<f32>(v440, v440, v440, v440) * v433));
      }
      workgroupBarrier();
    }
    let v457 = (v3 * params.m);
    let v458 = (params.channels_out * params.volume_out);
    let v460 = (v7 + (v206 * 4u));
    let v461 = (v460 < params.n);
    let v462 = (v460 / params.volume_out);
    let v466 = ((v462 * v458) + (v460 - (v462 * params.volume_out)));
    let v469 = ((v7 + (v206 * 4u)) + 1u);
    let v470 = (v469 < params.n);
    let v471 = (v469 / params.volume_out);
    let v475 = ((v471 * v458) + (v469 - (v471 * params.volume_out)));
    let v478 = ((v7 + (v206 * 4u)) + 2u);
    let v479 = (v478 < params.n);
    let v480 = (v478 / params.volume_out);
    let v484 = ((v480 * v458) + (v478 - (v480 * params.volume_out)));
    let v487 = ((v7 + (v206 * 4u)) + 3u);
    let v488 = (v487 < params.n);
    let v489 = (v487 / params.volume_out);
    let v493 = ((v489 * v458) + (v487 - (v489 * params.volume_out)));
    let v495 = (v6 + (v207 * 4u));
    let v496 = (v457 + v495);
    let v498 = (params.y_offset + (v496 * params.volume_out));
    let v499 = (params.bias_offset + v496);
    if ((v495 < params.m)) {
      let v501 = m208;
      let v502 = v501.x;
      let v503 = v501.y;
      let v504 = v501.z;
      let v505 = v501.w;
      if (v461) {
        let v506 = b_bias[v499];
        b_result[(v498 + v466)] = (v502 + v506);
      }
      if (v470) {
        let v509 = b_bias[v499];
        b_result[(v498 + v475)] = (v503 + v509);
      }
      if (v479) {
        let v512 = b_bias[v499];
        b_result[(v498 + v484)] = (v504 + v512);
      }
      if (v488) {
        let v515 = b_bias[v499];
        b_result[(v498 + v493)] = (v505 + v515);
      }
    }
    let v520 = ((v6 + (v207 * 4u)) + 1u);
    let v521 = (v457 + v520);
    let v523 = (params.y_offset + (v521 * params.volume_out));
    let v524 = (params.bias_offset + v521);
    if ((v520 < params.m)) {
      let v526 = m209;
      let v527 = v526.x;
      let v528 = v526.y;
      let v529 = v526.z;
      let v530 = v526.w;
      if (v461) {
        let v531 = b_bias[v524];
        b_result[(v523 + v466)] = (v527 + v531);
      }
      if (v470) {
        let v534 = b_bias[v524];
        b_result[(v523 + v475)] = (v528 + v534);
      }
      if (v479) {
        let v537 = b_bias[v524];
        b_result[(v523 + v484)] = (v529 + v537);
      }
      if (v488) {
        let v540 = b_bias[v524];
        b_result[(v523 + v493)] = (v530 + v540);
      }
    }
    let v545 = ((v6 + (v207 * 4u)) + 2u);
    let v546 = (v457 + v545);
    let v548 = (params.y_offset + (v546 * params.volume_out));
    let v549 = (params.bias_offset + v546);
    if ((v545 < params.m)) {
      let v551 = m210;
      let v552 = v551.x;
      let v553 = v551.y;
      let v554 = v551.z;
      let v555 = v551.w;
      if (v461) {
        let v556 = b_bias[v549];
        b_result[(v548 + v466)] = (v552 + v556);
      }
      if (v470) {
        let v559 = b_bias[v549];
        b_result[(v548 + v475)] = (v553 + v559);
      }
      if (v479) {
        let v562 = b_bias[v549];
        b_result[(v548 + v484)] = (v554 + v562);
      }
      if (v488) {
        let v565 = b_bias[v549];
        b_result[(v548 + v493)] = (v555 + v565);
      }
    }
    let v570 = ((v6 + (v207 * 4u)) + 3u);
    let v571 = (v457 + v570);
    let v573 = (params.y_offset + (v571 * params.volume_out));
    let v574 = (params.bias_offset + v571);
    if ((v570 < params.m)) {
      let v576 = m211;
      let v577 = v576.x;
      let v578 = v576.y;
      let v579 = v576.z;
      let v580 = v576.w;
      if (v461) {
        let v581 = b_bias[v574];
        b_result[(v573 + v466)] = (v577 + v581);
      }
      if (v470) {
        let v584 = b_bias[v574];
        b_result[(v573 + v475)] = (v578 + v584);
      }
      if (v479) {
        let v587 = b_bias[v574];
        b_result[(v573 + v484)] = (v579 + v587);
      }
      if (v488) {
        let v590 = b_bias[v574];
        b_result[(v573 + v493)] = (v580 + v590);
      }
    }
  }
}
