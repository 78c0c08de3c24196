extern "C" __global__ void __launch_bounds__(256) map_ea8148999828e770(kd_vec4<float>* __restrict__ b_out0, const kd_vec4<float>* __restrict__ b_in0, const kd_vec4<float>* __restrict__ b_in1, unsigned p_out0_offset, unsigned p_out0_stride0, unsigned p_in0_offset, unsigned p_in0_stride0, unsigned p_in1_offset, unsigned p_in1_stride0, unsigned p_size0, unsigned p_first, float p_scalar0_float32, unsigned p_count) {
  const unsigned v1 = ((blockIdx.x * 256u) + threadIdx.x);
  if ((v1 < p_count)) {
    const kd_vec4<float> v6 = b_in0[(p_in0_offset + v1)];
    const kd_vec4<float> v7 = b_in1[(p_in1_offset + v1)];
    const float v13 = ((v6.x * v7.x) + p_scalar0_float32);
    const float v23 = ((v6.y * v7.y) + p_scalar0_float32);
    const float v33 = ((v6.z * v7.z) + p_scalar0_float32);
    const float v43 = ((v6.w * v7.w) + p_scalar0_float32);
    const kd_vec4<float> v47 = kd_vec4<float>{(kd_is_nan(v13) ? v13 : kd_max(v13, 0.0f)), (kd_is_nan(v23) ? v23 : kd_max(v23, 0.0f)), (kd_is_nan(v33) ? v33 : kd_max(v33, 0.0f)), (kd_is_nan(v43) ? v43 : kd_max(v43, 0.0f))};
    b_out0[(p_out0_offset + v1)] = v47;
  }
}
