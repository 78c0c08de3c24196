extern "C" __global__ void __launch_bounds__(256) map_117ca331f6eb286a(kd_vec4<unsigned char>* __restrict__ b_out0, const kd_vec4<float>* __restrict__ b_in0, const kd_vec4<float>* __restrict__ b_in1, unsigned p_out0_offset, unsigned p_out0_stride0, unsigned p_in0_offset, unsigned p_in0_stride0, unsigned p_in1_offset, unsigned p_in1_stride0, unsigned p_size0, unsigned p_first, unsigned p_count) {
  const unsigned v1 = ((blockIdx.x * 256u) + threadIdx.x);
  if ((v1 < p_count)) {
    const kd_vec4<float> v6 = b_in0[(p_in0_offset + v1)];
    const kd_vec4<float> v7 = b_in1[(p_in1_offset + v1)];
    const float v10 = v6.x;
    const float v11 = v7.x;
    const float v22 = v6.y;
    const float v23 = v7.y;
    const float v34 = v6.z;
    const float v35 = v7.z;
    const float v46 = v6.w;
    const float v47 = v7.w;
    const kd_vec4<int> v55 = kd_vec4<int>{((int)(kd_is_nan((kd_is_nan(v10) ? v10 : (kd_is_nan(v11) ? v11 : kd_max(v10, v11)))))), ((int)(kd_is_nan((kd_is_nan(v22) ? v22 : (kd_is_nan(v23) ? v23 : kd_max(v22, v23)))))), ((int)(kd_is_nan((kd_is_nan(v34) ? v34 : (kd_is_nan(v35) ? v35 : kd_max(v34, v35)))))), ((int)(kd_is_nan((kd_is_nan(v46) ? v46 : (kd_is_nan(v47) ? v47 : kd_max(v46, v47))))))};
    b_out0[(p_out0_offset + v1)] = kd_convert<unsigned char>(v55);
  }
}
