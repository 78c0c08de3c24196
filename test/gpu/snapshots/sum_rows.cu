extern "C" __global__ void __launch_bounds__(256) reduce_sum_28b3d5d6a99bdccc(float* __restrict__ b_out0, const kd_vec4<float>* __restrict__ b_in0, unsigned p_in0_offset, unsigned p_in0_stride0, unsigned p_in0_stride1, unsigned p_out_offset, unsigned p_out_stride0, unsigned p_size0, unsigned p_size1, unsigned p_rows, unsigned p_segments, unsigned p_steps, unsigned p_reduced) {
  const unsigned v1 = (threadIdx.x % 8u);
  const unsigned v3 = ((blockIdx.x * 32u) + (threadIdx.x / 8u));
  const bool v4 = (v3 < p_rows);
  const unsigned v6 = kd_min(v3, (p_rows - 1u));
  const unsigned v8 = (p_in0_offset + (v6 * p_in0_stride0));
  const unsigned v9 = (v4 ? p_steps : 0u);
  float m10 = 0.0f;
  unsigned m11 = v1;
  for (;;) {
    const unsigned v12 = m11;
    if (!((v12 + 24u) < v9)) { break; }
    const unsigned v15 = m11;
    const kd_vec4<float> v17 = b_in0[(v8 + v15)];
    const kd_vec4<float> v20 = b_in0[(v8 + (v15 + 8u))];
    const kd_vec4<float> v23 = b_in0[(v8 + (v15 + 16u))];
    const kd_vec4<float> v26 = b_in0[(v8 + (v15 + 24u))];
    const float v96 = ((((v17.x + v17.y) + (v17.z + v17.w)) + ((v20.x + v20.y) + (v20.z + v20.w))) + (((v23.x + v23.y) + (v23.z + v23.w)) + ((v26.x + v26.y) + (v26.z + v26.w))));
    const float v97 = m10;
    m10 = (v97 + v96);
    const unsigned v99 = m11;
    m11 = (v99 + 32u);
  }
  const unsigned v101 = m11;
  for (unsigned v102 = v101; v102 < v9; v102 += 8u) {
    const kd_vec4<float> v104 = b_in0[(v8 + v102)];
    const float v121 = m10;
    m10 = (v121 + ((v104.x + v104.y) + (v104.z + v104.w)));
  }
  const float v123 = m10;
  float m124 = v123;
  const float v125 = m124;
  const float v126 = kd_shuffle<KD_XOR>(32u, v125, 1u);
  m124 = (v125 + v126);
  const float v128 = m124;
  const float v129 = kd_shuffle<KD_XOR>(32u, v128, 2u);
  m124 = (v128 + v129);
  const float v131 = m124;
  const float v132 = kd_shuffle<KD_XOR>(32u, v131, 4u);
  m124 = (v131 + v132);
  if ((v4 && (v1 == 0u))) {
    const float v136 = m124;
    b_out0[(p_out_offset + (v6 * p_out_stride0))] = v136;
  }
}
