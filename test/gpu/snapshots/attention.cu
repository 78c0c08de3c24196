namespace attention_b86824a5556b9d62_ns {
static __device__ float log_f32(const float v0) {
  const bool v2 = (kd_bitcast<unsigned>(v0) < 8388608u);
  const int v7 = (v2 ? kd_bitcast<int>(((float)(kd_bitcast<unsigned>(v0)))) : kd_bitcast<int>(v0));
  const int v9 = (kd_sub(v7, 1060439283) >> 23u);
  const float v15 = (kd_bitcast<float>(kd_sub(v7, kd_shl(v9, 23u))) - 1.0f);
  const float v19 = kd_fma(kd_fma(kd_fma(0.06916964054107666f, v15, (-0.11791913211345673f)), v15, 0.11873401701450348f), v15, (-0.12384044378995895f));
  const float v22 = kd_fma(kd_fma(kd_fma(v19, v15, 0.14218565821647644f), v15, (-0.16669264435768127f)), v15, 0.20002231001853943f);
  const float v28 = kd_fma((v15 * v15), (-0.5f), ((kd_fma(kd_fma(v22, v15, (-0.24999986588954926f)), v15, 0.3333331048488617f) * v15) * (v15 * v15)));
  const float v29 = ((float)(v2 ? kd_sub(v9, 149) : v9));
  const float v34 = kd_bitcast<float>(kd_min(kd_bitcast<int>((v15 + kd_fma(v29, (-0.00021219444170128554f), v28))), 2139095040));
  const unsigned v36 = kd_bitcast<unsigned>(v0);
  const unsigned v44 = ((v36 == 2139095040u) ? 2139095040u : ((v36 >= 2139095040u) ? 2143289344u : kd_bitcast<unsigned>(kd_fma(v29, 0.693359375f, v34))));
  return kd_bitcast<float>((((kd_bitcast<unsigned>(v0) & 2147483647u) == 0u) ? 4286578688u : v44));
}
}
extern "C" __global__ void __launch_bounds__(128) attention_b86824a5556b9d62(const kd_vec4<float>* __restrict__ b_q, const kd_vec4<float>* __restrict__ b_k, const kd_vec4<float>* __restrict__ b_v, float* __restrict__ b_out, float* __restrict__ b_lse, unsigned p_queries, unsigned p_keys, unsigned p_width, unsigned p_out_width, unsigned p_blocks, unsigned p_q_row, unsigned p_q_offset, unsigned p_q_batch, unsigned p_k_row, unsigned p_k_offset, unsigned p_k_batch, unsigned p_v_row, unsigned p_v_offset, unsigned p_v_batch, float p_scale, unsigned p_out_offset, unsigned p_lse_offset) {
  __shared__ kd_vec4<float> s_row_tile[288];
  __shared__ kd_vec4<float> s_column_tile[288];
  __shared__ float s_weights[1056];
  const unsigned v0 = kd_div(blockIdx.x, p_blocks);
  const unsigned v3 = ((blockIdx.x - (v0 * p_blocks)) * 32u);
  const unsigned v5 = (p_q_offset + (v0 * p_q_batch));
  const unsigned v7 = (p_k_offset + (v0 * p_k_batch));
  const unsigned v9 = (p_v_offset + (v0 * p_v_batch));
  const unsigned v10 = (threadIdx.x % 8u);
  const unsigned v11 = (threadIdx.x / 8u);
  const unsigned v12 = (v11 + 16u);
  float m13 = (-3.4028234663852886e+38f);
  float m14 = (-3.4028234663852886e+38f);
  float m15 = 0.0f;
  float m16 = 0.0f;
  kd_vec4<float> m17 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m18 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  const unsigned v19 = (v3 + v11);
  const unsigned v20 = (v3 + v12);
  for (unsigned v21 = 0u; v21 < p_keys; v21 += 32u) {
    kd_vec4<float> m22 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    kd_vec4<float> m23 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    kd_vec4<float> m24 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    kd_vec4<float> m25 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    kd_vec4<float> m26 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    kd_vec4<float> m27 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    kd_vec4<float> m28 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    kd_vec4<float> m29 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
    const unsigned v31 = ((p_width + 31u) / 32u);
    for (unsigned v32 = 0u; v32 < v31; v32 += 1u) {
      __syncthreads();
      const unsigned v33 = (threadIdx.x / 8u);
      const unsigned v34 = (threadIdx.x % 8u);
      const unsigned v37 = (((v32 * 8u) + v34) * 4u);
      const kd_vec4<float> v49 = b_q[(((v5 + (kd_min((v3 + v33), (p_queries - 1u)) * p_q_row)) + kd_min(v37, (p_width - 4u))) >> 2u)];
      s_row_tile[((v33 * 9u) + v34)] = ((v37 < p_width) ? v49 : kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f});
      const unsigned v52 = (threadIdx.x + 128u);
      const unsigned v53 = (v52 / 8u);
      const unsigned v54 = (v52 % 8u);
      const unsigned v57 = (((v32 * 8u) + v54) * 4u);
      const kd_vec4<float> v69 = b_q[(((v5 + (kd_min((v3 + v53), (p_queries - 1u)) * p_q_row)) + kd_min(v57, (p_width - 4u))) >> 2u)];
      s_row_tile[((v53 * 9u) + v54)] = ((v57 < p_width) ? v69 : kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f});
      const unsigned v72 = (threadIdx.x / 8u);
      const unsigned v73 = (threadIdx.x % 8u);
      const unsigned v76 = (((v32 * 8u) + v73) * 4u);
      const kd_vec4<float> v88 = b_k[(((v7 + (kd_min((v21 + v72), (p_keys - 1u)) * p_k_row)) + kd_min(v76, (p_width - 4u))) >> 2u)];
      s_column_tile[((v72 * 9u) + v73)] = ((v76 < p_width) ? v88 : kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f});
      const unsigned v91 = (threadIdx.x + 128u);
      const unsigned v92 = (v91 / 8u);
      const unsigned v93 = (v91 % 8u);
      const unsigned v96 = (((v32 * 8u) + v93) * 4u);
      const kd_vec4<float> v108 = b_k[(((v7 + (kd_min((v21 + v92), (p_keys - 1u)) * p_k_row)) + kd_min(v96, (p_width - 4u))) >> 2u)];
      s_column_tile[((v92 * 9u) + v93)] = ((v96 < p_width) ? v108 : kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f});
      __syncthreads();
      for (unsigned v111 = 0u; v111 < 8u; v111 += 2u) {
        const kd_vec4<float> v114 = s_row_tile[((v11 * 9u) + v111)];
        const kd_vec4<float> v117 = s_row_tile[((v12 * 9u) + v111)];
        const kd_vec4<float> v120 = s_column_tile[((v10 * 9u) + v111)];
        const kd_vec4<float> v121 = m22;
        m22 = kd_add(v121, kd_mul(v114, v120));
        const kd_vec4<float> v124 = m26;
        m26 = kd_add(v124, kd_mul(v117, v120));
        const kd_vec4<float> v130 = s_column_tile[(((v10 + 8u) * 9u) + v111)];
        const kd_vec4<float> v131 = m23;
        m23 = kd_add(v131, kd_mul(v114, v130));
        const kd_vec4<float> v134 = m27;
        m27 = kd_add(v134, kd_mul(v117, v130));
        const kd_vec4<float> v140 = s_column_tile[(((v10 + 16u) * 9u) + v111)];
        const kd_vec4<float> v141 = m24;
        m24 = kd_add(v141, kd_mul(v114, v140));
        const kd_vec4<float> v144 = m28;
        m28 = kd_add(v144, kd_mul(v117, v140));
        const kd_vec4<float> v150 = s_column_tile[(((v10 + 24u) * 9u) + v111)];
        const kd_vec4<float> v151 = m25;
        m25 = kd_add(v151, kd_mul(v114, v150));
        const kd_vec4<float> v154 = m29;
        m29 = kd_add(v154, kd_mul(v117, v150));
        const unsigned v157 = (v111 + 1u);
        const kd_vec4<float> v160 = s_row_tile[((v11 * 9u) + v157)];
        const kd_vec4<float> v163 = s_row_tile[((v12 * 9u) + v157)];
        const kd_vec4<float> v166 = s_column_tile[((v10 * 9u) + v157)];
        const kd_vec4<float> v167 = m22;
        m22 = kd_add(v167, kd_mul(v160, v166));
        const kd_vec4<float> v170 = m26;
        m26 = kd_add(v170, kd_mul(v163, v166));
        const kd_vec4<float> v176 = s_column_tile[(((v10 + 8u) * 9u) + v157)];
        const kd_vec4<float> v177 = m23;
        m23 = kd_add(v177, kd_mul(v160, v176));
        const kd_vec4<float> v180 = m27;
        m27 = kd_add(v180, kd_mul(v163, v176));
        const kd_vec4<float> v186 = s_column_tile[(((v10 + 16u) * 9u) + v157)];
        const kd_vec4<float> v187 = m24;
        m24 = kd_add(v187, kd_mul(v160, v186));
        const kd_vec4<float> v190 = m28;
        m28 = kd_add(v190, kd_mul(v163, v186));
        const kd_vec4<float> v196 = s_column_tile[(((v10 + 24u) * 9u) + v157)];
        const kd_vec4<float> v197 = m25;
        m25 = kd_add(v197, kd_mul(v160, v196));
        const kd_vec4<float> v200 = m29;
        m29 = kd_add(v200, kd_mul(v163, v196));
      }
    }
    const kd_vec4<float> v203 = m22;
    const kd_vec4<float> v211 = m23;
    const kd_vec4<float> v219 = m24;
    const kd_vec4<float> v227 = m25;
    const kd_vec4<float> v235 = m26;
    const kd_vec4<float> v243 = m27;
    const kd_vec4<float> v251 = m28;
    const kd_vec4<float> v259 = m29;
    const float v273 = (((v203.x + v203.y) + (v203.z + v203.w)) * p_scale);
    const float v276 = (((v21 + v10) < p_keys) ? ((v273 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v273) : (-3.4028234663852886e+38f));
    const float v284 = (((v211.x + v211.y) + (v211.z + v211.w)) * p_scale);
    const float v287 = (((v21 + (v10 + 8u)) < p_keys) ? ((v284 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v284) : (-3.4028234663852886e+38f));
    const float v295 = (((v219.x + v219.y) + (v219.z + v219.w)) * p_scale);
    const float v298 = (((v21 + (v10 + 16u)) < p_keys) ? ((v295 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v295) : (-3.4028234663852886e+38f));
    const float v306 = (((v227.x + v227.y) + (v227.z + v227.w)) * p_scale);
    const float v309 = (((v21 + (v10 + 24u)) < p_keys) ? ((v306 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v306) : (-3.4028234663852886e+38f));
    const float v316 = (((v235.x + v235.y) + (v235.z + v235.w)) * p_scale);
    const float v319 = (((v21 + v10) < p_keys) ? ((v316 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v316) : (-3.4028234663852886e+38f));
    const float v327 = (((v243.x + v243.y) + (v243.z + v243.w)) * p_scale);
    const float v330 = (((v21 + (v10 + 8u)) < p_keys) ? ((v327 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v327) : (-3.4028234663852886e+38f));
    const float v338 = (((v251.x + v251.y) + (v251.z + v251.w)) * p_scale);
    const float v341 = (((v21 + (v10 + 16u)) < p_keys) ? ((v338 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v338) : (-3.4028234663852886e+38f));
    const float v349 = (((v259.x + v259.y) + (v259.z + v259.w)) * p_scale);
    const float v352 = (((v21 + (v10 + 24u)) < p_keys) ? ((v349 < (-3.4028234663852886e+38f)) ? (-3.4028234663852886e+38f) : v349) : (-3.4028234663852886e+38f));
    const float v355 = kd_max(kd_max(kd_max(v276, v287), v298), v309);
    const float v358 = kd_max(kd_max(kd_max(v319, v330), v341), v352);
    const float v359 = kd_shuffle<KD_XOR>(32u, v355, 1u);
    const float v360 = kd_max(v355, v359);
    const float v361 = kd_shuffle<KD_XOR>(32u, v360, 2u);
    const float v362 = kd_max(v360, v361);
    const float v363 = kd_shuffle<KD_XOR>(32u, v362, 4u);
    const float v365 = kd_shuffle<KD_XOR>(32u, v358, 1u);
    const float v366 = kd_max(v358, v365);
    const float v367 = kd_shuffle<KD_XOR>(32u, v366, 2u);
    const float v368 = kd_max(v366, v367);
    const float v369 = kd_shuffle<KD_XOR>(32u, v368, 4u);
    const float v371 = m13;
    const float v372 = kd_max(v371, kd_max(v362, v363));
    const float v373 = m13;
    const float v374 = (v373 - v372);
    const unsigned v379 = kd_bitcast<unsigned>(v374);
    const float v384 = ((((v379 & 2147483647u) >= 2139095040u) && (v379 != 4286578688u)) ? v374 : ((v374 < (-87.0f)) ? 0.0f : kd_exp2_fast((v374 * 1.4426950216293335f))));
    const float v386 = (v276 - v372);
    const unsigned v391 = kd_bitcast<unsigned>(v386);
    const float v396 = ((((v391 & 2147483647u) >= 2139095040u) && (v391 != 4286578688u)) ? v386 : ((v386 < (-87.0f)) ? 0.0f : kd_exp2_fast((v386 * 1.4426950216293335f))));
    const float v397 = ((v276 <= (-3.4028234663852886e+38f)) ? 0.0f : v396);
    const float v399 = (v287 - v372);
    const unsigned v404 = kd_bitcast<unsigned>(v399);
    const float v409 = ((((v404 & 2147483647u) >= 2139095040u) && (v404 != 4286578688u)) ? v399 : ((v399 < (-87.0f)) ? 0.0f : kd_exp2_fast((v399 * 1.4426950216293335f))));
    const float v410 = ((v287 <= (-3.4028234663852886e+38f)) ? 0.0f : v409);
    const float v412 = (v298 - v372);
    const unsigned v417 = kd_bitcast<unsigned>(v412);
    const float v422 = ((((v417 & 2147483647u) >= 2139095040u) && (v417 != 4286578688u)) ? v412 : ((v412 < (-87.0f)) ? 0.0f : kd_exp2_fast((v412 * 1.4426950216293335f))));
    const float v423 = ((v298 <= (-3.4028234663852886e+38f)) ? 0.0f : v422);
    const float v425 = (v309 - v372);
    const unsigned v430 = kd_bitcast<unsigned>(v425);
    const float v435 = ((((v430 & 2147483647u) >= 2139095040u) && (v430 != 4286578688u)) ? v425 : ((v425 < (-87.0f)) ? 0.0f : kd_exp2_fast((v425 * 1.4426950216293335f))));
    const float v436 = ((v309 <= (-3.4028234663852886e+38f)) ? 0.0f : v435);
    s_weights[((v11 * 33u) + v10)] = v397;
    s_weights[((v11 * 33u) + (v10 + 8u))] = v410;
    s_weights[((v11 * 33u) + (v10 + 16u))] = v423;
    s_weights[((v11 * 33u) + (v10 + 24u))] = v436;
    const float v448 = m15;
    m15 = ((v448 * v384) + (((v397 + v410) + v423) + v436));
    const kd_vec4<float> v454 = m17;
    m17 = kd_mul(v454, kd_vec4<float>{v384, v384, v384, v384});
    m13 = v372;
    const float v457 = m14;
    const float v458 = kd_max(v457, kd_max(v368, v369));
    const float v459 = m14;
    const float v460 = (v459 - v458);
    const unsigned v465 = kd_bitcast<unsigned>(v460);
    const float v470 = ((((v465 & 2147483647u) >= 2139095040u) && (v465 != 4286578688u)) ? v460 : ((v460 < (-87.0f)) ? 0.0f : kd_exp2_fast((v460 * 1.4426950216293335f))));
    const float v472 = (v319 - v458);
    const unsigned v477 = kd_bitcast<unsigned>(v472);
    const float v482 = ((((v477 & 2147483647u) >= 2139095040u) && (v477 != 4286578688u)) ? v472 : ((v472 < (-87.0f)) ? 0.0f : kd_exp2_fast((v472 * 1.4426950216293335f))));
    const float v483 = ((v319 <= (-3.4028234663852886e+38f)) ? 0.0f : v482);
    const float v485 = (v330 - v458);
    const unsigned v490 = kd_bitcast<unsigned>(v485);
    const float v495 = ((((v490 & 2147483647u) >= 2139095040u) && (v490 != 4286578688u)) ? v485 : ((v485 < (-87.0f)) ? 0.0f : kd_exp2_fast((v485 * 1.4426950216293335f))));
    const float v496 = ((v330 <= (-3.4028234663852886e+38f)) ? 0.0f : v495);
    const float v498 = (v341 - v458);
    const unsigned v503 = kd_bitcast<unsigned>(v498);
    const float v508 = ((((v503 & 2147483647u) >= 2139095040u) && (v503 != 4286578688u)) ? v498 : ((v498 < (-87.0f)) ? 0.0f : kd_exp2_fast((v498 * 1.4426950216293335f))));
    const float v509 = ((v341 <= (-3.4028234663852886e+38f)) ? 0.0f : v508);
    const float v511 = (v352 - v458);
    const unsigned v516 = kd_bitcast<unsigned>(v511);
    const float v521 = ((((v516 & 2147483647u) >= 2139095040u) && (v516 != 4286578688u)) ? v511 : ((v511 < (-87.0f)) ? 0.0f : kd_exp2_fast((v511 * 1.4426950216293335f))));
    const float v522 = ((v352 <= (-3.4028234663852886e+38f)) ? 0.0f : v521);
    s_weights[((v12 * 33u) + v10)] = v483;
    s_weights[((v12 * 33u) + (v10 + 8u))] = v496;
    s_weights[((v12 * 33u) + (v10 + 16u))] = v509;
    s_weights[((v12 * 33u) + (v10 + 24u))] = v522;
    const float v534 = m16;
    m16 = ((v534 * v470) + (((v483 + v496) + v509) + v522));
    const kd_vec4<float> v540 = m18;
    m18 = kd_mul(v540, kd_vec4<float>{v470, v470, v470, v470});
    m14 = v458;
    __syncthreads();
    const unsigned v543 = (threadIdx.x / 8u);
    const unsigned v544 = (threadIdx.x % 8u);
    const unsigned v545 = (v544 * 4u);
    const kd_vec4<float> v557 = b_v[(((v9 + (kd_min((v21 + v543), (p_keys - 1u)) * p_v_row)) + kd_min(v545, (p_out_width - 4u))) >> 2u)];
    s_column_tile[((v543 * 9u) + v544)] = ((v545 < p_out_width) ? v557 : kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f});
    const unsigned v560 = (threadIdx.x + 128u);
    const unsigned v561 = (v560 / 8u);
    const unsigned v562 = (v560 % 8u);
    const unsigned v563 = (v562 * 4u);
    const kd_vec4<float> v575 = b_v[(((v9 + (kd_min((v21 + v561), (p_keys - 1u)) * p_v_row)) + kd_min(v563, (p_out_width - 4u))) >> 2u)];
    s_column_tile[((v561 * 9u) + v562)] = ((v563 < p_out_width) ? v575 : kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f});
    __syncthreads();
    for (unsigned v578 = 0u; v578 < 32u; v578 += 4u) {
      const kd_vec4<float> v581 = s_column_tile[((v578 * 9u) + v10)];
      const float v584 = s_weights[((v11 * 33u) + v578)];
      const kd_vec4<float> v586 = m17;
      m17 = kd_add(v586, kd_mul(kd_vec4<float>{v584, v584, v584, v584}, v581));
      const float v591 = s_weights[((v12 * 33u) + v578)];
      const kd_vec4<float> v593 = m18;
      m18 = kd_add(v593, kd_mul(kd_vec4<float>{v591, v591, v591, v591}, v581));
      const unsigned v596 = (v578 + 1u);
      const kd_vec4<float> v599 = s_column_tile[((v596 * 9u) + v10)];
      const float v602 = s_weights[((v11 * 33u) + v596)];
      const kd_vec4<float> v604 = m17;
      m17 = kd_add(v604, kd_mul(kd_vec4<float>{v602, v602, v602, v602}, v599));
      const float v609 = s_weights[((v12 * 33u) + v596)];
      const kd_vec4<float> v611 = m18;
      m18 = kd_add(v611, kd_mul(kd_vec4<float>{v609, v609, v609, v609}, v599));
      const unsigned v614 = (v578 + 2u);
      const kd_vec4<float> v617 = s_column_tile[((v614 * 9u) + v10)];
      const float v620 = s_weights[((v11 * 33u) + v614)];
      const kd_vec4<float> v622 = m17;
      m17 = kd_add(v622, kd_mul(kd_vec4<float>{v620, v620, v620, v620}, v617));
      const float v627 = s_weights[((v12 * 33u) + v614)];
      const kd_vec4<float> v629 = m18;
      m18 = kd_add(v629, kd_mul(kd_vec4<float>{v627, v627, v627, v627}, v617));
      const unsigned v632 = (v578 + 3u);
      const kd_vec4<float> v635 = s_column_tile[((v632 * 9u) + v10)];
      const float v638 = s_weights[((v11 * 33u) + v632)];
      const kd_vec4<float> v640 = m17;
      m17 = kd_add(v640, kd_mul(kd_vec4<float>{v638, v638, v638, v638}, v635));
      const float v645 = s_weights[((v12 * 33u) + v632)];
      const kd_vec4<float> v647 = m18;
      m18 = kd_add(v647, kd_mul(kd_vec4<float>{v645, v645, v645, v645}, v635));
    }
  }
  const float v650 = m15;
  const float v651 = m16;
  const float v652 = kd_shuffle<KD_XOR>(32u, v650, 1u);
  const float v653 = (v650 + v652);
  const float v654 = kd_shuffle<KD_XOR>(32u, v653, 2u);
  const float v655 = (v653 + v654);
  const float v656 = kd_shuffle<KD_XOR>(32u, v655, 4u);
  const float v657 = (v655 + v656);
  const float v658 = kd_shuffle<KD_XOR>(32u, v651, 1u);
  const float v659 = (v651 + v658);
  const float v660 = kd_shuffle<KD_XOR>(32u, v659, 2u);
  const float v661 = (v659 + v660);
  const float v662 = kd_shuffle<KD_XOR>(32u, v661, 4u);
  const float v663 = (v661 + v662);
  if ((v19 < p_queries)) {
    const bool v665 = (v657 == 0.0f);
    const float v667 = (v665 ? 0.0f : (1.0f / v657));
    const unsigned v671 = (p_out_offset + (((v0 * p_queries) + v19) * p_out_width));
    const unsigned v672 = (v10 * 4u);
    const kd_vec4<float> v673 = m17;
    const float v674 = v673.x;
    const float v675 = v673.y;
    const float v676 = v673.z;
    const float v677 = v673.w;
    if ((v672 < p_out_width)) {
      b_out[(v671 + v672)] = (v674 * v667);
    }
    const unsigned v681 = (v672 + 1u);
    if ((v681 < p_out_width)) {
      b_out[(v671 + v681)] = (v675 * v667);
    }
    const unsigned v685 = (v672 + 2u);
    if ((v685 < p_out_width)) {
      b_out[(v671 + v685)] = (v676 * v667);
    }
    const unsigned v689 = (v672 + 3u);
    if ((v689 < p_out_width)) {
      b_out[(v671 + v689)] = (v677 * v667);
    }
    if ((v10 == 0u)) {
      const float v694 = m13;
      const float v695 = attention_b86824a5556b9d62_ns::log_f32(v657);
      b_lse[(p_lse_offset + ((v0 * p_queries) + v19))] = (v665 ? __uint_as_float(0xff800000u) : (v694 + v695));
    }
  }
  if ((v20 < p_queries)) {
    const bool v702 = (v663 == 0.0f);
    const float v704 = (v702 ? 0.0f : (1.0f / v663));
    const unsigned v708 = (p_out_offset + (((v0 * p_queries) + v20) * p_out_width));
    const unsigned v709 = (v10 * 4u);
    const kd_vec4<float> v710 = m18;
    const float v711 = v710.x;
    const float v712 = v710.y;
    const float v713 = v710.z;
    const float v714 = v710.w;
    if ((v709 < p_out_width)) {
      b_out[(v708 + v709)] = (v711 * v704);
    }
    const unsigned v718 = (v709 + 1u);
    if ((v718 < p_out_width)) {
      b_out[(v708 + v718)] = (v712 * v704);
    }
    const unsigned v722 = (v709 + 2u);
    if ((v722 < p_out_width)) {
      b_out[(v708 + v722)] = (v713 * v704);
    }
    const unsigned v726 = (v709 + 3u);
    if ((v726 < p_out_width)) {
      b_out[(v708 + v726)] = (v714 * v704);
    }
    if ((v10 == 0u)) {
      const float v731 = m14;
      const float v732 = attention_b86824a5556b9d62_ns::log_f32(v663);
      b_lse[(p_lse_offset + ((v0 * p_queries) + v20))] = (v702 ? __uint_as_float(0xff800000u) : (v731 + v732));
    }
  }
}
