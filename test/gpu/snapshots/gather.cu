extern "C" __global__ void __launch_bounds__(64) gather_72495c3e7f11f8dd(const float* __restrict__ b_src, float* __restrict__ b_out, const long long* __restrict__ b_index0, unsigned* b_complaint, unsigned p_index0_offset, unsigned p_index0_stride0, unsigned p_index0_stride1, int p_index0_size, unsigned p_index0_step, unsigned p_index0_code, unsigned p_size0, unsigned p_size1, unsigned p_src_offset, unsigned p_src_stride0, unsigned p_src_stride1, unsigned p_out_offset, unsigned p_out_stride0, unsigned p_out_stride1, unsigned p_columns, unsigned p_threads, unsigned p_src_step, unsigned p_out_step) {
  const unsigned v1 = ((blockIdx.x * 64u) + threadIdx.x);
  if ((v1 < p_threads)) {
    const unsigned v3 = kd_div(v1, p_columns);
    const unsigned v5 = (v1 - (v3 * p_columns));
    const unsigned v6 = kd_div(v3, p_size1);
    const unsigned v8 = (v3 - (v6 * p_size1));
    const long long v13 = b_index0[((p_index0_offset + (v6 * p_index0_stride0)) + (v8 * p_index0_stride1))];
    const bool v17 = ((v13 >= 0ll) && (v13 < ((long long)p_index0_size)));
    if ((!v17)) {
      const unsigned v19 = atomicMax(&b_complaint[0u], p_index0_code);
      if ((v19 == 0u)) {
        atomicExch(&b_complaint[1u], ((unsigned)v13));
      }
    }
    const unsigned v29 = (((p_src_offset + (v6 * p_src_stride0)) + (v8 * p_src_stride1)) + (((unsigned)v13) * p_index0_step));
    if (v17) {
      const float v32 = b_src[(v29 + (v5 * p_src_step))];
      b_out[(((p_out_offset + (v6 * p_out_stride0)) + (v8 * p_out_stride1)) + (v5 * p_out_step))] = v32;
    }
  }
}
