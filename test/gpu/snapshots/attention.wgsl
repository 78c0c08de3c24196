// attention
struct Params {
  launch_first: u32,
  launch_end: u32,
  launch_infinity: f32,
  launch_nan: f32,
  queries: u32,
  keys: u32,
  width: u32,
  out_width: u32,
  blocks: u32,
  q_row: u32,
  q_offset: u32,
  q_batch: u32,
  k_row: u32,
  k_offset: u32,
  k_batch: u32,
  v_row: u32,
  v_offset: u32,
  v_batch: u32,
  scale: f32,
  out_offset: u32,
  lse_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b_q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b_k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b_v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> b_out: array<f32>;
@group(0) @binding(5) var<storage, read_write> b_lse: array<f32>;
var<workgroup> s_row_tile: array<vec4<f32>, 288>;
var<workgroup> s_column_tile: array<vec4<f32>, 288>;
var<workgroup> s_weights: array<f32, 1056>;
fn log_f32(v0: f32) -> f32 {
  let v2 = (bitcast<u32>(v0) < 8388608u);
  let v7 = select(bitcast<i32>(v0), bitcast<i32>(f32(bitcast<u32>(v0))), v2);
  let v9 = ((v7 - 1060439283i) >> 23u);
  let v15 = (bitcast<f32>((v7 - (v9 << 23u))) - 1.0f);
  let v19 = fma(fma(fma(0.06916964054107666f, v15, (-0.11791913211345673f)), v15, 0.11873401701450348f), v15, (-0.12384044378995895f));
  let v22 = fma(fma(fma(v19, v15, 0.14218565821647644f), v15, (-0.16669264435768127f)), v15, 0.20002231001853943f);
  let v28 = fma((v15 * v15), (-0.5f), ((fma(fma(v22, v15, (-0.24999986588954926f)), v15, 0.3333331048488617f) * v15) * (v15 * v15)));
  let v29 = f32(select(v9, (v9 - 149i), v2));
  let v35 = fma(v29, 0.693359375f, bitcast<f32>(min(bitcast<i32>((v15 + fma(v29, (-0.00021219444170128554f), v28))), 2139095040i)));
  let v36 = bitcast<u32>(v0);
  let v44 = select(select(bitcast<u32>(v35), 2143289344u, (v36 >= 2139095040u)), 2139095040u, (v36 == 2139095040u));
  return bitcast<f32>(select(v44, 4286578688u, ((bitcast<u32>(v0) & 2147483647u) == 0u)));
}
@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3<u32>,
  @builtin(num_workgroups) num_workgroups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;
  if (group < params.launch_end) {
    let v0 = (group / params.blocks);
    let v3 = ((group - (v0 * params.blocks)) * 32u);
    let v5 = (params.q_offset + (v0 * params.q_batch));
    let v7 = (params.k_offset + (v0 * params.k_batch));
    let v9 = (params.v_offset + (v0 * params.v_batch));
    let v10 = (thread % 8u);
    let v11 = (thread / 8u);
    let v12 = (v11 + 16u);
    var m13: f32 = (-3.4028234663852886e+38f);
    var m14: f32 = (-3.4028234663852886e+38f);
    var m15: f32 = 0.0f;
    var m16: f32 = 0.0f;
    var m17: vec4<f32> = vec4<f32>(0.0f);
    var m18: vec4<f32> = vec4<f32>(0.0f);
    let v19 = (v3 + v11);
    let v20 = (v3 + v12);
    for (var v21: u32 = 0u; v21 < params.keys; v21 += 32u) {
      var m22: vec4<f32> = vec4<f32>(0.0f);
      var m23: vec4<f32> = vec4<f32>(0.0f);
      var m24: vec4<f32> = vec4<f32>(0.0f);
      var m25: vec4<f32> = vec4<f32>(0.0f);
      var m26: vec4<f32> = vec4<f32>(0.0f);
      var m27: vec4<f32> = vec4<f32>(0.0f);
      var m28: vec4<f32> = vec4<f32>(0.0f);
      var m29: vec4<f32> = vec4<f32>(0.0f);
      let v31 = ((params.width + 31u) / 32u);
      for (var v32: u32 = 0u; v32 < v31; v32 += 1u) {
        workgroupBarrier();
        let v33 = (thread / 8u);
        let v34 = (thread % 8u);
        let v37 = (((v32 * 8u) + v34) * 4u);
        let v48 = (((v5 + (min((v3 + v33), (params.queries - 1u)) * params.q_row)) + min(v37, (params.width - 4u))) >> 2u);
        let v49 = b_q[v48];
        s_row_tile[((v33 * 9u) + v34)] = select(vec4<f32>(0.0f), v49, (v37 < params.width));
        let v52 = (thread + 128u);
        let v53 = (v52 / 8u);
        let v54 = (v52 % 8u);
        let v57 = (((v32 * 8u) + v54) * 4u);
        let v68 = (((v5 + (min((v3 + v53), (params.queries - 1u)) * params.q_row)) + min(v57, (params.width - 4u))) >> 2u);
        let v69 = b_q[v68];
        s_row_tile[((v53 * 9u) + v54)] = select(vec4<f32>(0.0f), v69, (v57 < params.width));
        let v72 = (thread / 8u);
        let v73 = (thread % 8u);
        let v76 = (((v32 * 8u) + v73) * 4u);
        let v87 = (((v7 + (min((v21 + v72), (params.keys - 1u)) * params.k_row)) + min(v76, (params.width - 4u))) >> 2u);
        let v88 = b_k[v87];
        s_column_tile[((v72 * 9u) + v73)] = select(vec4<f32>(0.0f), v88, (v76 < params.width));
        let v91 = (thread + 128u);
        let v92 = (v91 / 8u);
        let v93 = (v91 % 8u);
        let v96 = (((v32 * 8u) + v93) * 4u);
        let v107 = (((v7 + (min((v21 + v92), (params.keys - 1u)) * params.k_row)) + min(v96, (params.width - 4u))) >> 2u);
        let v108 = b_k[v107];
        s_column_tile[((v92 * 9u) + v93)] = select(vec4<f32>(0.0f), v108, (v96 < params.width));
        workgroupBarrier();
        for (var v111: u32 = 0u; v111 < 8u; v111 += 2u) {
          let v114 = s_row_tile[((v11 * 9u) + v111)];
          let v117 = s_row_tile[((v12 * 9u) + v111)];
          let v120 = s_column_tile[((v10 * 9u) + v111)];
          let v121 = m22;
          m22 = (v121 + (v114 * v120));
          let v124 = m26;
          m26 = (v124 + (v117 * v120));
          let v130 = s_column_tile[(((v10 + 8u) * 9u) + v111)];
          let v131 = m23;
          m23 = (v131 + (v114 * v130));
          let v134 = m27;
          m27 = (v134 + (v117 * v130));
          let v140 = s_column_tile[(((v10 + 16u) * 9u) + v111)];
          let v141 = m24;
          m24 = (v141 + (v114 * v140));
          let v144 = m28;
          m28 = (v144 + (v117 * v140));
          let v150 = s_column_tile[(((v10 + 24u) * 9u) + v111)];
          let v151 = m25;
          m25 = (v151 + (v114 * v150));
          let v154 = m29;
          m29 = (v154 + (v117 * v150));
          let v157 = (v111 + 1u);
          let v160 = s_row_tile[((v11 * 9u) + v157)];
          let v163 = s_row_tile[((v12 * 9u) + v157)];
          let v166 = s_column_tile[((v10 * 9u) + v157)];
          let v167 = m22;
          m22 = (v167 + (v160 * v166));
          let v170 = m26;
          m26 = (v170 + (v163 * v166));
          let v176 = s_column_tile[(((v10 + 8u) * 9u) + v157)];
          let v177 = m23;
          m23 = (v177 + (v160 * v176));
          let v180 = m27;
          m27 = (v180 + (v163 * v176));
          let v186 = s_column_tile[(((v10 + 16u) * 9u) + v157)];
          let v187 = m24;
          m24 = (v187 + (v160 * v186));
          let v190 = m28;
          m28 = (v190 + (v163 * v186));
          let v196 = s_column_tile[(((v10 + 24u) * 9u) + v157)];
          let v197 = m25;
          m25 = (v197 + (v160 * v196));
          let v200 = m29;
          m29 = (v200 + (v163 * v196));
        }
      }
      let v203 = m22;
      let v211 = m23;
      let v219 = m24;
      let v227 = m25;
      let v235 = m26;
      let v243 = m27;
      let v251 = m28;
      let v259 = m29;
      let v273 = (((v203.x + v203.y) + (v203.z + v203.w)) * params.scale);
      let v276 = select((-3.4028234663852886e+38f), select(v273, (-3.4028234663852886e+38f), (v273 < (-3.4028234663852886e+38f))), ((v21 + v10) < params.keys));
      let v284 = (((v211.x + v211.y) + (v211.z + v211.w)) * params.scale);
      let v287 = select((-3.4028234663852886e+38f), select(v284, (-3.4028234663852886e+38f), (v284 < (-3.4028234663852886e+38f))), ((v21 + (v10 + 8u)) < params.keys));
      let v295 = (((v219.x + v219.y) + (v219.z + v219.w)) * params.scale);
      let v298 = select((-3.4028234663852886e+38f), select(v295, (-3.4028234663852886e+38f), (v295 < (-3.4028234663852886e+38f))), ((v21 + (v10 + 16u)) < params.keys));
      let v306 = (((v227.x + v227.y) + (v227.z + v227.w)) * params.scale);
      let v309 = select((-3.4028234663852886e+38f), select(v306, (-3.4028234663852886e+38f), (v306 < (-3.4028234663852886e+38f))), ((v21 + (v10 + 24u)) < params.keys));
      let v316 = (((v235.x + v235.y) + (v235.z + v235.w)) * params.scale);
      let v319 = select((-3.4028234663852886e+38f), select(v316, (-3.4028234663852886e+38f), (v316 < (-3.4028234663852886e+38f))), ((v21 + v10) < params.keys));
      let v327 = (((v243.x + v243.y) + (v243.z + v243.w)) * params.scale);
      let v330 = select((-3.4028234663852886e+38f), select(v327, (-3.4028234663852886e+38f), (v327 < (-3.4028234663852886e+38f))), ((v21 + (v10 + 8u)) < params.keys));
      let v338 = (((v251.x + v251.y) + (v251.z + v251.w)) * params.scale);
      let v341 = select((-3.4028234663852886e+38f), select(v338, (-3.4028234663852886e+38f), (v338 < (-3.4028234663852886e+38f))), ((v21 + (v10 + 16u)) < params.keys));
      let v349 = (((v259.x + v259.y) + (v259.z + v259.w)) * params.scale);
      let v352 = select((-3.4028234663852886e+38f), select(v349, (-3.4028234663852886e+38f), (v349 < (-3.4028234663852886e+38f))), ((v21 + (v10 + 24u)) < params.keys));
      workgroupBarrier();
      s_weights[((v11 * 33u) + v10)] = max(max(max(v276, v287), v298), v309);
      s_weights[((v12 * 33u) + v10)] = max(max(max(v319, v330), v341), v352);
      workgroupBarrier();
      let v364 = s_weights[(v11 * 33u)];
      let v367 = s_weights[((v11 * 33u) + 1u)];
      let v370 = s_weights[((v11 * 33u) + 2u)];
      let v373 = s_weights[((v11 * 33u) + 3u)];
      let v376 = s_weights[((v11 * 33u) + 4u)];
      let v379 = s_weights[((v11 * 33u) + 5u)];
      let v382 = s_weights[((v11 * 33u) + 6u)];
      let v385 = s_weights[((v11 * 33u) + 7u)];
      let v394 = s_weights[(v12 * 33u)];
      let v397 = s_weights[((v12 * 33u) + 1u)];
      let v400 = s_weights[((v12 * 33u) + 2u)];
      let v403 = s_weights[((v12 * 33u) + 3u)];
      let v406 = s_weights[((v12 * 33u) + 4u)];
      let v409 = s_weights[((v12 * 33u) + 5u)];
      let v412 = s_weights[((v12 * 33u) + 6u)];
      let v415 = s_weights[((v12 * 33u) + 7u)];
      workgroupBarrier();
      let v423 = m13;
      let v424 = max(v423, max(max(max(max(max(max(max(v364, v367), v370), v373), v376), v379), v382), v385));
      let v425 = m13;
      let v426 = (v425 - v424);
      let v431 = bitcast<u32>(v426);
      let v436 = select(select(exp2((v426 * 1.4426950216293335f)), 0.0f, (v426 < (-87.0f))), v426, (((v431 & 2147483647u) >= 2139095040u) & (v431 != 4286578688u)));
      let v438 = (v276 - v424);
      let v443 = bitcast<u32>(v438);
      let v448 = select(select(exp2((v438 * 1.4426950216293335f)), 0.0f, (v438 < (-87.0f))), v438, (((v443 & 2147483647u) >= 2139095040u) & (v443 != 4286578688u)));
      let v449 = select(v448, 0.0f, (v276 <= (-3.4028234663852886e+38f)));
      let v451 = (v287 - v424);
      let v456 = bitcast<u32>(v451);
      let v461 = select(select(exp2((v451 * 1.4426950216293335f)), 0.0f, (v451 < (-87.0f))), v451, (((v456 & 2147483647u) >= 2139095040u) & (v456 != 4286578688u)));
      let v462 = select(v461, 0.0f, (v287 <= (-3.4028234663852886e+38f)));
      let v464 = (v298 - v424);
      let v469 = bitcast<u32>(v464);
      let v474 = select(select(exp2((v464 * 1.4426950216293335f)), 0.0f, (v464 < (-87.0f))), v464, (((v469 & 2147483647u) >= 2139095040u) & (v469 != 4286578688u)));
      let v475 = select(v474, 0.0f, (v298 <= (-3.4028234663852886e+38f)));
      let v477 = (v309 - v424);
      let v482 = bitcast<u32>(v477);
      let v487 = select(select(exp2((v477 * 1.4426950216293335f)), 0.0f, (v477 < (-87.0f))), v477, (((v482 & 2147483647u) >= 2139095040u) & (v482 != 4286578688u)));
      let v488 = select(v487, 0.0f, (v309 <= (-3.4028234663852886e+38f)));
      s_weights[((v11 * 33u) + v10)] = v449;
      s_weights[((v11 * 33u) + (v10 + 8u))] = v462;
      s_weights[((v11 * 33u) + (v10 + 16u))] = v475;
      s_weights[((v11 * 33u) + (v10 + 24u))] = v488;
      let v500 = m15;
      m15 = ((v500 * v436) + (((v449 + v462) + v475) + v488));
      let v506 = m17;
      m17 = (v506 * vec4<f32>(v436, v436, v436, v436));
      m13 = v424;
      let v509 = m14;
      let v510 = max(v509, max(max(max(max(max(max(max(v394, v397), v400), v403), v406), v409), v412), v415));
      let v511 = m14;
      let v512 = (v511 - v510);
      let v517 = bitcast<u32>(v512);
      let v522 = select(select(exp2((v512 * 1.4426950216293335f)), 0.0f, (v512 < (-87.0f))), v512, (((v517 & 2147483647u) >= 2139095040u) & (v517 != 4286578688u)));
      let v524 = (v319 - v510);
      let v529 = bitcast<u32>(v524);
      let v534 = select(select(exp2((v524 * 1.4426950216293335f)), 0.0f, (v524 < (-87.0f))), v524, (((v529 & 2147483647u) >= 2139095040u) & (v529 != 4286578688u)));
      let v535 = select(v534, 0.0f, (v319 <= (-3.4028234663852886e+38f)));
      let v537 = (v330 - v510);
      let v542 = bitcast<u32>(v537);
      let v547 = select(select(exp2((v537 * 1.4426950216293335f)), 0.0f, (v537 < (-87.0f))), v537, (((v542 & 2147483647u) >= 2139095040u) & (v542 != 4286578688u)));
      let v548 = select(v547, 0.0f, (v330 <= (-3.4028234663852886e+38f)));
      let v550 = (v341 - v510);
      let v555 = bitcast<u32>(v550);
      let v560 = select(select(exp2((v550 * 1.4426950216293335f)), 0.0f, (v550 < (-87.0f))), v550, (((v555 & 2147483647u) >= 2139095040u) & (v555 != 4286578688u)));
      let v561 = select(v560, 0.0f, (v341 <= (-3.4028234663852886e+38f)));
      let v563 = (v352 - v510);
      let v568 = bitcast<u32>(v563);
      let v573 = select(select(exp2((v563 * 1.4426950216293335f)), 0.0f, (v563 < (-87.0f))), v563, (((v568 & 2147483647u) >= 2139095040u) & (v568 != 4286578688u)));
      let v574 = select(v573, 0.0f, (v352 <= (-3.4028234663852886e+38f)));
      s_weights[((v12 * 33u) + v10)] = v535;
      s_weights[((v12 * 33u) + (v10 + 8u))] = v548;
      s_weights[((v12 * 33u) + (v10 + 16u))] = v561;
      s_weights[((v12 * 33u) + (v10 + 24u))] = v574;
      let v586 = m16;
      m16 = ((v586 * v522) + (((v535 + v548) + v561) + v574));
      let v592 = m18;
      m18 = (v592 * vec4<f32>(v522, v522, v522, v522));
      m14 = v510;
      workgroupBarrier();
      let v595 = (thread / 8u);
      let v596 = (thread % 8u);
      let v597 = (v596 * 4u);
      let v608 = (((v9 + (min((v21 + v595), (params.keys - 1u)) * params.v_row)) + min(v597, (params.out_width - 4u))) >> 2u);
      let v609 = b_v[v608];
      s_column_tile[((v595 * 9u) + v596)] = select(vec4<f32>(0.0f), v609, (v597 < params.out_width));
      let v612 = (thread + 128u);
      let v613 = (v612 / 8u);
      let v614 = (v612 % 8u);
      let v615 = (v614 * 4u);
      let v626 = (((v9 + (min((v21 + v613), (params.keys - 1u)) * params.v_row)) + min(v615, (params.out_width - 4u))) >> 2u);
      let v627 = b_v[v626];
      s_column_tile[((v613 * 9u) + v614)] = select(vec4<f32>(0.0f), v627, (v615 < params.out_width));
      workgroupBarrier();
      for (var v630: u32 = 0u; v630 < 32u; v630 += 4u) {
        let v633 = s_column_tile[((v630 * 9u) + v10)];
        let v636 = s_weights[((v11 * 33u) + v630)];
        let v638 = m17;
        m17 = (v638 + (vec4<f32>(v636, v636, v636, v636) * v633));
        let v643 = s_weights[((v12 * 33u) + v630)];
        let v645 = m18;
        m18 = (v645 + (vec4<f32>(v643, v643, v643, v643) * v633));
        let v648 = (v630 + 1u);
        let v651 = s_column_tile[((v648 * 9u) + v10)];
        let v654 = s_weights[((v11 * 33u) + v648)];
        let v656 = m17;
        m17 = (v656 + (vec4<f32>(v654, v654, v654, v654) * v651));
        let v661 = s_weights[((v12 * 33u) + v648)];
        let v663 = m18;
        m18 = (v663 + (vec4<f32>(v661, v661, v661, v661) * v651));
        let v666 = (v630 + 2u);
        let v669 = s_column_tile[((v666 * 9u) + v10)];
        let v672 = s_weights[((v11 * 33u) + v666)];
        let v674 = m17;
        m17 = (v674 + (vec4<f32>(v672, v672, v672, v672) * v669));
        let v679 = s_weights[((v12 * 33u) + v666)];
        let v681 = m18;
        m18 = (v681 + (vec4<f32>(v679, v679, v679, v679) * v669));
        let v684 = (v630 + 3u);
        let v687 = s_column_tile[((v684 * 9u) + v10)];
        let v690 = s_weights[((v11 * 33u) + v684)];
        let v692 = m17;
        m17 = (v692 + (vec4<f32>(v690, v690, v690, v690) * v687));
        let v697 = s_weights[((v12 * 33u) + v684)];
        let v699 = m18;
        m18 = (v699 + (vec4<f32>(v697, v697, v697, v697) * v687));
      }
    }
    let v702 = m15;
    let v703 = m16;
    workgroupBarrier();
    s_weights[((v11 * 33u) + v10)] = v702;
    s_weights[((v12 * 33u) + v10)] = v703;
    workgroupBarrier();
    let v709 = s_weights[(v11 * 33u)];
    let v712 = s_weights[((v11 * 33u) + 1u)];
    let v715 = s_weights[((v11 * 33u) + 2u)];
    let v718 = s_weights[((v11 * 33u) + 3u)];
    let v721 = s_weights[((v11 * 33u) + 4u)];
    let v724 = s_weights[((v11 * 33u) + 5u)];
    let v727 = s_weights[((v11 * 33u) + 6u)];
    let v730 = s_weights[((v11 * 33u) + 7u)];
    let v737 = (((((((v709 + v712) + v715) + v718) + v721) + v724) + v727) + v730);
    let v739 = s_weights[(v12 * 33u)];
    let v742 = s_weights[((v12 * 33u) + 1u)];
    let v745 = s_weights[((v12 * 33u) + 2u)];
    let v748 = s_weights[((v12 * 33u) + 3u)];
    let v751 = s_weights[((v12 * 33u) + 4u)];
    let v754 = s_weights[((v12 * 33u) + 5u)];
    let v757 = s_weights[((v12 * 33u) + 6u)];
    let v760 = s_weights[((v12 * 33u) + 7u)];
    let v767 = (((((((v739 + v742) + v745) + v748) + v751) + v754) + v757) + v760);
    workgroupBarrier();
    if ((v19 < params.queries)) {
      let v769 = (v737 == 0.0f);
      let v771 = select((1.0f / v737), 0.0f, v769);
      let v775 = (params.out_offset + (((v0 * params.queries) + v19) * params.out_width));
      let v776 = (v10 * 4u);
      let v777 = m17;
      let v778 = v777.x;
      let v779 = v777.y;
      let v780 = v777.z;
      let v781 = v777.w;
      if ((v776 < params.out_width)) {
        b_out[(v775 + v776)] = (v778 * v771);
      }
      let v785 = (v776 + 1u);
      if ((v785 < params.out_width)) {
        b_out[(v775 + v785)] = (v779 * v771);
      }
      let v789 = (v776 + 2u);
      if ((v789 < params.out_width)) {
        b_out[(v775 + v789)] = (v780 * v771);
      }
      let v793 = (v776 + 3u);
      if ((v793 < params.out_width)) {
        b_out[(v775 + v793)] = (v781 * v771);
      }
      if ((v10 == 0u)) {
        let v798 = m13;
        let v799 = log_f32(v737);
        b_lse[(params.lse_offset + ((v0 * params.queries) + v19))] = select((v798 + v799), (-params.launch_infinity), v769);
      }
    }
    if ((v20 < params.queries)) {
      let v806 = (v767 == 0.0f);
      let v808 = select((1.0f / v767), 0.0f, v806);
      let v812 = (params.out_offset + (((v0 * params.queries) + v20) * params.out_width));
      let v813 = (v10 * 4u);
      let v814 = m18;
      let v815 = v814.x;
      let v816 = v814.y;
      let v817 = v814.z;
      let v818 = v814.w;
      if ((v813 < params.out_width)) {
        b_out[(v812 + v813)] = (v815 * v808);
      }
      let v822 = (v813 + 1u);
      if ((v822 < params.out_width)) {
        b_out[(v812 + v822)] = (v816 * v808);
      }
      let v826 = (v813 + 2u);
      if ((v826 < params.out_width)) {
        b_out[(v812 + v826)] = (v817 * v808);
      }
      let v830 = (v813 + 3u);
      if ((v830 < params.out_width)) {
        b_out[(v812 + v830)] = (v818 * v808);
      }
      if ((v10 == 0u)) {
        let v835 = m14;
        let v836 = log_f32(v767);
        b_lse[(params.lse_offset + ((v0 * params.queries) + v20))] = select((v835 + v836), (-params.launch_infinity), v806);
      }
    }
  }
}
