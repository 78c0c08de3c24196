extern "C" __global__ void __launch_bounds__(64) matmul_8b634b0eff69bcb5(const float* __restrict__ b_a, const kd_vec4<float>* __restrict__ b_b, float* __restrict__ b_out, unsigned p_m, unsigned p_n, unsigned p_k, unsigned p_steps, unsigned p_tiles_m, unsigned p_tiles_n, unsigned p_splits, unsigned p_a_offset, unsigned p_a_batch, unsigned p_a_line, unsigned p_b_offset, unsigned p_b_batch, unsigned p_b_step, unsigned p_out_offset, unsigned p_out_batch, unsigned p_out_column, unsigned p_out_row, float p_alpha) {
  __shared__ kd_vec4<float> s_a_tile[128];
  __shared__ kd_vec4<float> s_b_tile[128];
  const unsigned v0 = kd_div(blockIdx.x, p_tiles_n);
  const unsigned v3 = kd_div(v0, p_tiles_m);
  const unsigned v6 = ((v0 - (v3 * p_tiles_m)) * 32u);
  const unsigned v7 = ((blockIdx.x - (v0 * p_tiles_n)) * 32u);
  const unsigned v9 = (p_a_offset + (v3 * p_a_batch));
  const unsigned v11 = (p_b_offset + (v3 * p_b_batch));
  const unsigned v12 = (threadIdx.x / 16u);
  const unsigned v13 = (threadIdx.x % 16u);
  const unsigned v15 = (v6 + (v12 * 4u));
  const unsigned v19 = (v9 + (kd_min(v15, (p_m - 1u)) * p_a_line));
  const unsigned v24 = (v9 + (kd_min((v15 + 1u), (p_m - 1u)) * p_a_line));
  const unsigned v29 = (v9 + (kd_min((v15 + 2u), (p_m - 1u)) * p_a_line));
  const unsigned v34 = (v9 + (kd_min((v15 + 3u), (p_m - 1u)) * p_a_line));
  const unsigned v36 = ((v13 * 8u) + v12);
  const unsigned v37 = (threadIdx.x + 64u);
  const unsigned v38 = (v37 / 16u);
  const unsigned v39 = (v37 % 16u);
  const unsigned v41 = (v6 + (v38 * 4u));
  const unsigned v45 = (v9 + (kd_min(v41, (p_m - 1u)) * p_a_line));
  const unsigned v50 = (v9 + (kd_min((v41 + 1u), (p_m - 1u)) * p_a_line));
  const unsigned v55 = (v9 + (kd_min((v41 + 2u), (p_m - 1u)) * p_a_line));
  const unsigned v60 = (v9 + (kd_min((v41 + 3u), (p_m - 1u)) * p_a_line));
  const unsigned v62 = ((v39 * 8u) + v38);
  const unsigned v63 = (threadIdx.x % 8u);
  const unsigned v64 = (threadIdx.x / 8u);
  const unsigned v69 = (v11 + kd_min((v7 + (v63 * 4u)), (p_n - 4u)));
  const unsigned v71 = ((v64 * 8u) + v63);
  const unsigned v72 = (threadIdx.x + 64u);
  const unsigned v73 = (v72 % 8u);
  const unsigned v74 = (v72 / 8u);
  const unsigned v79 = (v11 + kd_min((v7 + (v73 * 4u)), (p_n - 4u)));
  const unsigned v81 = ((v74 * 8u) + v73);
  const unsigned v82 = (threadIdx.x % 8u);
  const unsigned v83 = (threadIdx.x / 8u);
  kd_vec4<float> m84 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m85 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m86 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  kd_vec4<float> m87 = kd_vec4<float>{0.0f, 0.0f, 0.0f, 0.0f};
  for (unsigned v88 = 0u; v88 < p_k; v88 += 16u) {
    const unsigned v89 = (v88 + v13);
    const float v91 = b_a[(v19 + v89)];
    const float v93 = b_a[(v24 + v89)];
    const float v95 = b_a[(v29 + v89)];
    const float v97 = b_a[(v34 + v89)];
    s_a_tile[v36] = kd_vec4<float>{v91, v93, v95, v97};
    const unsigned v99 = (v88 + v39);
    const float v101 = b_a[(v45 + v99)];
    const float v103 = b_a[(v50 + v99)];
    const float v105 = b_a[(v55 + v99)];
    const float v107 = b_a[(v60 + v99)];
    s_a_tile[v62] = kd_vec4<float>{v101, v103, v105, v107};
    const kd_vec4<float> v113 = b_b[((v69 + ((v88 + v64) * p_b_step)) >> 2u)];
    s_b_tile[v71] = v113;
    const kd_vec4<float> v118 = b_b[((v79 + ((v88 + v74) * p_b_step)) >> 2u)];
    s_b_tile[v81] = v118;
    __syncthreads();
    for (unsigned v119 = 0u; v119 < 16u; v119 += 4u) {
      const kd_vec4<float> v122 = s_b_tile[((v119 * 8u) + v82)];
      const kd_vec4<float> v125 = s_a_tile[((v119 * 8u) + v83)];
      const float v126 = v125.x;
      const float v127 = v125.y;
      const float v128 = v125.z;
      const float v129 = v125.w;
      const kd_vec4<float> v131 = m84;
      m84 = kd_add(v131, kd_mul(kd_vec4<float>{v126, v126, v126, v126}, v122));
      const kd_vec4<float> v135 = m85;
      m85 = kd_add(v135, kd_mul(kd_vec4<float>{v127, v127, v127, v127}, v122));
      const kd_vec4<float> v139 = m86;
      m86 = kd_add(v139, kd_mul(kd_vec4<float>{v128, v128, v128, v128}, v122));
      const kd_vec4<float> v143 = m87;
      m87 = kd_add(v143, kd_mul(kd_vec4<float>{v129, v129, v129, v129}, v122));
      const unsigned v146 = (v119 + 1u);
      const kd_vec4<float> v149 = s_b_tile[((v146 * 8u) + v82)];
      const kd_vec4<float> v152 = s_a_tile[((v146 * 8u) + v83)];
      const float v153 = v152.x;
      const float v154 = v152.y;
      const float v155 = v152.z;
      const float v156 = v152.w;
      const kd_vec4<float> v158 = m84;
      m84 = kd_add(v158, kd_mul(kd_vec4<float>{v153, v153, v153, v153}, v149));
      const kd_vec4<float> v162 = m85;
      m85 = kd_add(v162, kd_mul(kd_vec4<float>{v154, v154, v154, v154}, v149));
      const kd_vec4<float> v166 = m86;
      m86 = kd_add(v166, kd_mul(kd_vec4<float>{v155, v155, v155, v155}, v149));
      const kd_vec4<float> v170 = m87;
      m87 = kd_add(v170, kd_mul(kd_vec4<float>{v156, v156, v156, v156}, v149));
      const unsigned v173 = (v119 + 2u);
      const kd_vec4<float> v176 = s_b_tile[((v173 * 8u) + v82)];
      const kd_vec4<float> v179 = s_a_tile[((v173 * 8u) + v83)];
      const float v180 = v179.x;
      const float v181 = v179.y;
      const float v182 = v179.z;
      const float v183 = v179.w;
      const kd_vec4<float> v185 = m84;
      m84 = kd_add(v185, kd_mul(kd_vec4<float>{v180, v180, v180, v180}, v176));
      const kd_vec4<float> v189 = m85;
      m85 = kd_add(v189, kd_mul(kd_vec4<float>{v181, v181, v181, v181}, v176));
      const kd_vec4<float> v193 = m86;
      m86 = kd_add(v193, kd_mul(kd_vec4<float>{v182, v182, v182, v182}, v176));
      const kd_vec4<float> v197 = m87;
      m87 = kd_add(v197, kd_mul(kd_vec4<float>{v183, v183, v183, v183}, v176));
      const unsigned v200 = (v119 + 3u);
      const kd_vec4<float> v203 = s_b_tile[((v200 * 8u) + v82)];
      const kd_vec4<float> v206 = s_a_tile[((v200 * 8u) + v83)];
      const float v207 = v206.x;
      const float v208 = v206.y;
      const float v209 = v206.z;
      const float v210 = v206.w;
      const kd_vec4<float> v212 = m84;
      m84 = kd_add(v212, kd_mul(kd_vec4<float>{v207, v207, v207, v207}, v203));
      const kd_vec4<float> v216 = m85;
      m85 = kd_add(v216, kd_mul(kd_vec4<float>{v208, v208, v208, v208}, v203));
      const kd_vec4<float> v220 = m86;
      m86 = kd_add(v220, kd_mul(kd_vec4<float>{v209, v209, v209, v209}, v203));
      const kd_vec4<float> v224 = m87;
      m87 = kd_add(v224, kd_mul(kd_vec4<float>{v210, v210, v210, v210}, v203));
    }
    __syncthreads();
  }
  const unsigned v228 = (p_out_offset + (v3 * p_out_batch));
  const unsigned v230 = (v7 + (v82 * 4u));
  const bool v231 = (v230 < p_n);
  const unsigned v232 = (v230 * p_out_column);
  const unsigned v235 = ((v7 + (v82 * 4u)) + 1u);
  const bool v236 = (v235 < p_n);
  const unsigned v237 = (v235 * p_out_column);
  const unsigned v240 = ((v7 + (v82 * 4u)) + 2u);
  const bool v241 = (v240 < p_n);
  const unsigned v242 = (v240 * p_out_column);
  const unsigned v245 = ((v7 + (v82 * 4u)) + 3u);
  const bool v246 = (v245 < p_n);
  const unsigned v247 = (v245 * p_out_column);
  const unsigned v249 = (v6 + (v83 * 4u));
  const unsigned v251 = (v228 + (v249 * p_out_row));
  if ((v249 < p_m)) {
    const kd_vec4<float> v253 = m84;
    const float v254 = v253.x;
    const float v255 = v253.y;
    const float v256 = v253.z;
    const float v257 = v253.w;
    if (v231) {
      b_out[(v251 + v232)] = (v254 * p_alpha);
    }
    if (v236) {
      b_out[(v251 + v237)] = (v255 * p_alpha);
    }
    if (v241) {
      b_out[(v251 + v242)] = (v256 * p_alpha);
    }
    if (v246) {
      b_out[(v251 + v247)] = (v257 * p_alpha);
    }
  }
  const unsigned v268 = ((v6 + (v83 * 4u)) + 1u);
  const unsigned v270 = (v228 + (v268 * p_out_row));
  if ((v268 < p_m)) {
    const kd_vec4<float> v272 = m85;
    const float v273 = v272.x;
    const float v274 = v272.y;
    const float v275 = v272.z;
    const float v276 = v272.w;
    if (v231) {
      b_out[(v270 + v232)] = (v273 * p_alpha);
    }
    if (v236) {
      b_out[(v270 + v237)] = (v274 * p_alpha);
    }
    if (v241) {
      b_out[(v270 + v242)] = (v275 * p_alpha);
    }
    if (v246) {
      b_out[(v270 + v247)] = (v276 * p_alpha);
    }
  }
  const unsigned v287 = ((v6 + (v83 * 4u)) + 2u);
  const unsigned v289 = (v228 + (v287 * p_out_row));
  if ((v287 < p_m)) {
    const kd_vec4<float> v291 = m86;
    const float v292 = v291.x;
    const float v293 = v291.y;
    const float v294 = v291.z;
    const float v295 = v291.w;
    if (v231) {
      b_out[(v289 + v232)] = (v292 * p_alpha);
    }
    if (v236) {
      b_out[(v289 + v237)] = (v293 * p_alpha);
    }
    if (v241) {
      b_out[(v289 + v242)] = (v294 * p_alpha);
    }
    if (v246) {
      b_out[(v289 + v247)] = (v295 * p_alpha);
    }
  }
  const unsigned v306 = ((v6 + (v83 * 4u)) + 3u);
  const unsigned v308 = (v228 + (v306 * p_out_row));
  if ((v306 < p_m)) {
    const kd_vec4<float> v310 = m87;
    const float v311 = v310.x;
    const float v312 = v310.y;
    const float v313 = v310.z;
    const float v314 = v310.w;
    if (v231) {
      b_out[(v308 + v232)] = (v311 * p_alpha);
    }
    if (v236) {
      b_out[(v308 + v237)] = (v312 * p_alpha);
    }
    if (v241) {
      b_out[(v308 + v242)] = (v313 * p_alpha);
    }
    if (v246) {
      b_out[(v308 + v247)] = (v314 * p_alpha);
    }
  }
}
