extern "C" __global__ void __launch_bounds__(128) matmul_85beb30654cc34ea(const short* __restrict__ b_a, const short* __restrict__ b_b, kd_vec2<unsigned short>* __restrict__ b_out, unsigned p_m, unsigned p_n, unsigned p_k, unsigned p_steps, unsigned p_tiles_m, unsigned p_tiles_n, unsigned p_splits, unsigned p_a_offset, unsigned p_a_batch, unsigned p_a_line, unsigned p_b_offset, unsigned p_b_batch, unsigned p_b_line, unsigned p_out_offset, unsigned p_out_batch, unsigned p_out_column, unsigned p_out_row, float p_alpha) {
  __shared__ kd_vec4<unsigned> s_a_tile[1024];
  __shared__ kd_vec4<unsigned> s_b_tile[1024];
  const unsigned v0 = (p_tiles_n * p_tiles_m);
  const unsigned v1 = kd_div(blockIdx.x, v0);
  const unsigned v3 = (blockIdx.x - (v1 * v0));
  const unsigned v4 = (p_tiles_n * 8u);
  const unsigned v5 = kd_div(v3, v4);
  const unsigned v7 = (v3 - (v5 * v4));
  const unsigned v8 = (v5 * 8u);
  const unsigned v10 = kd_min((p_tiles_m - v8), 8u);
  const unsigned v11 = kd_div(v7, v10);
  const unsigned v15 = ((v8 + (v7 - (v11 * v10))) * 64u);
  const unsigned v16 = (v11 * 64u);
  const unsigned v18 = (p_a_offset + (v1 * p_a_batch));
  const unsigned v20 = (p_b_offset + (v1 * p_b_batch));
  const unsigned v21 = (threadIdx.x / 32u);
  const unsigned v23 = ((v21 / 2u) * 32u);
  const unsigned v25 = ((v21 % 2u) * 32u);
  const unsigned v26 = (threadIdx.x / 4u);
  const unsigned v27 = (threadIdx.x % 4u);
  const unsigned v33 = ((v26 * 4u) + (v27 ^ ((v26 / 2u) & 3u)));
  const unsigned v34 = (v27 * 8u);
  const unsigned v38 = (v18 + (kd_min((v15 + v26), (p_m - 1u)) * p_a_line));
  const unsigned v39 = (threadIdx.x + 128u);
  const unsigned v40 = (v39 / 4u);
  const unsigned v41 = (v39 % 4u);
  const unsigned v47 = ((v40 * 4u) + (v41 ^ ((v40 / 2u) & 3u)));
  const unsigned v48 = (v41 * 8u);
  const unsigned v52 = (v18 + (kd_min((v15 + v40), (p_m - 1u)) * p_a_line));
  const unsigned v59 = ((v23 + ((((threadIdx.x & 31u) / 8u) & 1u) * 8u)) + ((threadIdx.x & 31u) & 7u));
  const unsigned v60 = (v59 * 4u);
  const unsigned v63 = (((threadIdx.x & 31u) / 16u) ^ ((v59 / 2u) & 3u));
  const unsigned v64 = (threadIdx.x / 4u);
  const unsigned v65 = (threadIdx.x % 4u);
  const unsigned v71 = ((v64 * 4u) + (v65 ^ ((v64 / 2u) & 3u)));
  const unsigned v72 = (v65 * 8u);
  const unsigned v76 = (v20 + (kd_min((v16 + v64), (p_n - 1u)) * p_b_line));
  const unsigned v77 = (threadIdx.x + 128u);
  const unsigned v78 = (v77 / 4u);
  const unsigned v79 = (v77 % 4u);
  const unsigned v85 = ((v78 * 4u) + (v79 ^ ((v78 / 2u) & 3u)));
  const unsigned v86 = (v79 * 8u);
  const unsigned v90 = (v20 + (kd_min((v16 + v78), (p_n - 1u)) * p_b_line));
  const unsigned v97 = ((v25 + (((threadIdx.x & 31u) / 16u) * 8u)) + ((threadIdx.x & 31u) & 7u));
  const unsigned v98 = (v97 * 4u);
  const unsigned v101 = ((((threadIdx.x & 31u) / 8u) & 1u) ^ ((v97 / 2u) & 3u));
  kd_copy_async<16>((unsigned*)s_a_tile + (v33 * 4u), (const short*)b_a + (v38 + v34));
  kd_copy_async<16>((unsigned*)s_a_tile + (v47 * 4u), (const short*)b_a + (v52 + v48));
  kd_copy_async<16>((unsigned*)s_b_tile + (v71 * 4u), (const short*)b_b + (v76 + v72));
  kd_copy_async<16>((unsigned*)s_b_tile + (v85 * 4u), (const short*)b_b + (v90 + v86));
  kd_commit_copies();
  if ((32u < p_k)) {
    kd_copy_async<16>((unsigned*)s_a_tile + ((256u + v33) * 4u), (const short*)b_a + (v38 + (32u + v34)));
    kd_copy_async<16>((unsigned*)s_a_tile + ((256u + v47) * 4u), (const short*)b_a + (v52 + (32u + v48)));
  }
  if ((32u < p_k)) {
    kd_copy_async<16>((unsigned*)s_b_tile + ((256u + v71) * 4u), (const short*)b_b + (v76 + (32u + v72)));
    kd_copy_async<16>((unsigned*)s_b_tile + ((256u + v85) * 4u), (const short*)b_b + (v90 + (32u + v86)));
  }
  kd_commit_copies();
  if ((64u < p_k)) {
    kd_copy_async<16>((unsigned*)s_a_tile + ((512u + v33) * 4u), (const short*)b_a + (v38 + (64u + v34)));
    kd_copy_async<16>((unsigned*)s_a_tile + ((512u + v47) * 4u), (const short*)b_a + (v52 + (64u + v48)));
  }
  if ((64u < p_k)) {
    kd_copy_async<16>((unsigned*)s_b_tile + ((512u + v71) * 4u), (const short*)b_b + (v76 + (64u + v72)));
    kd_copy_async<16>((unsigned*)s_b_tile + ((512u + v85) * 4u), (const short*)b_b + (v90 + (64u + v86)));
  }
  kd_commit_copies();
  kd_wait_copies<2>();
  __syncthreads();
  const kd_vec4<unsigned> v149 = kd_load_matrices<false>((const unsigned*)s_a_tile + ((v60 + (v63 ^ 0u)) * 4u));
  const kd_vec4<unsigned> v154 = kd_load_matrices<false>((const unsigned*)s_a_tile + (((v60 + (v63 ^ 0u)) + 64u) * 4u));
  const kd_vec4<unsigned> v158 = kd_load_matrices<false>((const unsigned*)s_b_tile + ((v98 + (v101 ^ 0u)) * 4u));
  const kd_vec4<unsigned> v163 = kd_load_matrices<false>((const unsigned*)s_b_tile + (((v98 + (v101 ^ 0u)) + 64u) * 4u));
  kd_vec4<unsigned> m164 = v149;
  kd_vec4<unsigned> m165 = v154;
  kd_vec4<unsigned> m166 = v158;
  kd_vec4<unsigned> m167 = v163;
  kd_vec4<float> m168 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m169 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m170 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m171 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m172 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m173 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m174 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m175 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  unsigned m176 = 0u;
  unsigned m177 = 3u;
  for (unsigned v178 = 0u; v178 < p_k; v178 += 32u) {
    const kd_vec4<unsigned> v179 = m164;
    const kd_vec4<unsigned> v180 = m165;
    const kd_vec4<unsigned> v181 = m166;
    const kd_vec4<unsigned> v182 = m167;
    const unsigned v183 = m176;
    const unsigned v186 = ((v183 >= 3u) ? 0u : (v183 + 1u));
    const kd_vec4<unsigned> v192 = kd_load_matrices<false>((const unsigned*)s_a_tile + ((((v183 * 256u) + v60) + (v63 ^ 2u)) * 4u));
    const kd_vec4<unsigned> v199 = kd_load_matrices<false>((const unsigned*)s_a_tile + (((((v183 * 256u) + v60) + (v63 ^ 2u)) + 64u) * 4u));
    const kd_vec4<unsigned> v205 = kd_load_matrices<false>((const unsigned*)s_b_tile + ((((v183 * 256u) + v98) + (v101 ^ 2u)) * 4u));
    const kd_vec4<unsigned> v212 = kd_load_matrices<false>((const unsigned*)s_b_tile + (((((v183 * 256u) + v98) + (v101 ^ 2u)) + 64u) * 4u));
    const unsigned v213 = m177;
    const unsigned v214 = (v178 + 96u);
    if ((v214 < p_k)) {
      const unsigned v216 = (v213 * 256u);
      kd_copy_async<16>((unsigned*)s_a_tile + ((v216 + v33) * 4u), (const short*)b_a + (v38 + (v214 + v34)));
      kd_copy_async<16>((unsigned*)s_a_tile + ((v216 + v47) * 4u), (const short*)b_a + (v52 + (v214 + v48)));
    }
    if ((v214 < p_k)) {
      const unsigned v226 = (v213 * 256u);
      kd_copy_async<16>((unsigned*)s_b_tile + ((v226 + v71) * 4u), (const short*)b_b + (v76 + (v214 + v72)));
      kd_copy_async<16>((unsigned*)s_b_tile + ((v226 + v85) * 4u), (const short*)b_b + (v90 + (v214 + v86)));
    }
    kd_commit_copies();
    m177 = ((v213 >= 3u) ? 0u : (v213 + 1u));
    const kd_vec2<unsigned> v242 = kd_vec2<unsigned>{v181.x, v181.y};
    const kd_vec2<unsigned> v243 = kd_vec2<unsigned>{v181.z, v181.w};
    const kd_vec2<unsigned> v248 = kd_vec2<unsigned>{v182.x, v182.y};
    const kd_vec2<unsigned> v249 = kd_vec2<unsigned>{v182.z, v182.w};
    const kd_vec4<float> v250 = m168;
    const kd_vec4<float> v251 = kd_mma_bf16(v179, v242, v250);
    m168 = v251;
    const kd_vec4<float> v252 = m169;
    const kd_vec4<float> v253 = kd_mma_bf16(v179, v243, v252);
    m169 = v253;
    const kd_vec4<float> v254 = m170;
    const kd_vec4<float> v255 = kd_mma_bf16(v179, v248, v254);
    m170 = v255;
    const kd_vec4<float> v256 = m171;
    const kd_vec4<float> v257 = kd_mma_bf16(v179, v249, v256);
    m171 = v257;
    const kd_vec4<float> v258 = m172;
    const kd_vec4<float> v259 = kd_mma_bf16(v180, v242, v258);
    m172 = v259;
    const kd_vec4<float> v260 = m173;
    const kd_vec4<float> v261 = kd_mma_bf16(v180, v243, v260);
    m173 = v261;
    const kd_vec4<float> v262 = m174;
    const kd_vec4<float> v263 = kd_mma_bf16(v180, v248, v262);
    m174 = v263;
    const kd_vec4<float> v264 = m175;
    const kd_vec4<float> v265 = kd_mma_bf16(v180, v249, v264);
    m175 = v265;
    kd_wait_copies<2>();
    __syncthreads();
    const kd_vec4<unsigned> v271 = kd_load_matrices<false>((const unsigned*)s_a_tile + ((((v186 * 256u) + v60) + (v63 ^ 0u)) * 4u));
    const kd_vec4<unsigned> v278 = kd_load_matrices<false>((const unsigned*)s_a_tile + (((((v186 * 256u) + v60) + (v63 ^ 0u)) + 64u) * 4u));
    const kd_vec4<unsigned> v284 = kd_load_matrices<false>((const unsigned*)s_b_tile + ((((v186 * 256u) + v98) + (v101 ^ 0u)) * 4u));
    const kd_vec4<unsigned> v291 = kd_load_matrices<false>((const unsigned*)s_b_tile + (((((v186 * 256u) + v98) + (v101 ^ 0u)) + 64u) * 4u));
    const kd_vec2<unsigned> v296 = kd_vec2<unsigned>{v205.x, v205.y};
    const kd_vec2<unsigned> v297 = kd_vec2<unsigned>{v205.z, v205.w};
    const kd_vec2<unsigned> v302 = kd_vec2<unsigned>{v212.x, v212.y};
    const kd_vec2<unsigned> v303 = kd_vec2<unsigned>{v212.z, v212.w};
    const kd_vec4<float> v304 = m168;
    const kd_vec4<float> v305 = kd_mma_bf16(v192, v296, v304);
    m168 = v305;
    const kd_vec4<float> v306 = m169;
    const kd_vec4<float> v307 = kd_mma_bf16(v192, v297, v306);
    m169 = v307;
    const kd_vec4<float> v308 = m170;
    const kd_vec4<float> v309 = kd_mma_bf16(v192, v302, v308);
    m170 = v309;
    const kd_vec4<float> v310 = m171;
    const kd_vec4<float> v311 = kd_mma_bf16(v192, v303, v310);
    m171 = v311;
    const kd_vec4<float> v312 = m172;
    const kd_vec4<float> v313 = kd_mma_bf16(v199, v296, v312);
    m172 = v313;
    const kd_vec4<float> v314 = m173;
    const kd_vec4<float> v315 = kd_mma_bf16(v199, v297, v314);
    m173 = v315;
    const kd_vec4<float> v316 = m174;
    const kd_vec4<float> v317 = kd_mma_bf16(v199, v302, v316);
    m174 = v317;
    const kd_vec4<float> v318 = m175;
    const kd_vec4<float> v319 = kd_mma_bf16(v199, v303, v318);
    m175 = v319;
    m164 = v271;
    m165 = v278;
    m166 = v284;
    m167 = v291;
    m176 = v186;
  }
  const unsigned v320 = (v15 + v23);
  const unsigned v323 = (p_out_offset + (v1 * p_out_batch));
  const unsigned v326 = ((v16 + v25) + (((threadIdx.x & 31u) % 4u) * 2u));
  const bool v327 = (v326 < p_n);
  const unsigned v328 = (v326 * p_out_column);
  const unsigned v333 = (v326 + 8u);
  const bool v334 = (v333 < p_n);
  const unsigned v335 = (v333 * p_out_column);
  const unsigned v340 = (v326 + 16u);
  const bool v341 = (v340 < p_n);
  const unsigned v342 = (v340 * p_out_column);
  const unsigned v347 = (v326 + 24u);
  const bool v348 = (v347 < p_n);
  const unsigned v349 = (v347 * p_out_column);
  const kd_vec4<float> v354 = m168;
  const float v355 = v354.x;
  const float v356 = v354.y;
  const float v357 = v354.z;
  const float v358 = v354.w;
  const kd_vec4<float> v359 = m169;
  const float v360 = v359.x;
  const float v361 = v359.y;
  const float v362 = v359.z;
  const float v363 = v359.w;
  const kd_vec4<float> v364 = m170;
  const float v365 = v364.x;
  const float v366 = v364.y;
  const float v367 = v364.z;
  const float v368 = v364.w;
  const kd_vec4<float> v369 = m171;
  const float v370 = v369.x;
  const float v371 = v369.y;
  const float v372 = v369.z;
  const float v373 = v369.w;
  const unsigned v375 = (v320 + ((threadIdx.x & 31u) / 4u));
  const unsigned v377 = (v323 + (v375 * p_out_row));
  if ((v375 < p_m)) {
    if (v327) {
      b_out[((v377 + v328) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v355 * p_alpha), (v356 * p_alpha)});
    }
    if (v334) {
      b_out[((v377 + v335) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v360 * p_alpha), (v361 * p_alpha)});
    }
    if (v341) {
      b_out[((v377 + v342) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v365 * p_alpha), (v366 * p_alpha)});
    }
    if (v348) {
      b_out[((v377 + v349) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v370 * p_alpha), (v371 * p_alpha)});
    }
  }
  const unsigned v401 = ((v320 + ((threadIdx.x & 31u) / 4u)) + 8u);
  const unsigned v403 = (v323 + (v401 * p_out_row));
  if ((v401 < p_m)) {
    if (v327) {
      b_out[((v403 + v328) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v357 * p_alpha), (v358 * p_alpha)});
    }
    if (v334) {
      b_out[((v403 + v335) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v362 * p_alpha), (v363 * p_alpha)});
    }
    if (v341) {
      b_out[((v403 + v342) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v367 * p_alpha), (v368 * p_alpha)});
    }
    if (v348) {
      b_out[((v403 + v349) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v372 * p_alpha), (v373 * p_alpha)});
    }
  }
  const kd_vec4<float> v425 = m172;
  const float v426 = v425.x;
  const float v427 = v425.y;
  const float v428 = v425.z;
  const float v429 = v425.w;
  const kd_vec4<float> v430 = m173;
  const float v431 = v430.x;
  const float v432 = v430.y;
  const float v433 = v430.z;
  const float v434 = v430.w;
  const kd_vec4<float> v435 = m174;
  const float v436 = v435.x;
  const float v437 = v435.y;
  const float v438 = v435.z;
  const float v439 = v435.w;
  const kd_vec4<float> v440 = m175;
  const float v441 = v440.x;
  const float v442 = v440.y;
  const float v443 = v440.z;
  const float v444 = v440.w;
  const unsigned v447 = ((v320 + ((threadIdx.x & 31u) / 4u)) + 16u);
  const unsigned v449 = (v323 + (v447 * p_out_row));
  if ((v447 < p_m)) {
    if (v327) {
      b_out[((v449 + v328) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v426 * p_alpha), (v427 * p_alpha)});
    }
    if (v334) {
      b_out[((v449 + v335) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v431 * p_alpha), (v432 * p_alpha)});
    }
    if (v341) {
      b_out[((v449 + v342) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v436 * p_alpha), (v437 * p_alpha)});
    }
    if (v348) {
      b_out[((v449 + v349) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v441 * p_alpha), (v442 * p_alpha)});
    }
  }
  const unsigned v473 = ((v320 + ((threadIdx.x & 31u) / 4u)) + 24u);
  const unsigned v475 = (v323 + (v473 * p_out_row));
  if ((v473 < p_m)) {
    if (v327) {
      b_out[((v475 + v328) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v428 * p_alpha), (v429 * p_alpha)});
    }
    if (v334) {
      b_out[((v475 + v335) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v433 * p_alpha), (v434 * p_alpha)});
    }
    if (v341) {
      b_out[((v475 + v342) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v438 * p_alpha), (v439 * p_alpha)});
    }
    if (v348) {
      b_out[((v475 + v349) / 2u)] = kd_f32_to_bf16(kd_vec2<float>{(v443 * p_alpha), (v444 * p_alpha)});
    }
  }
}
