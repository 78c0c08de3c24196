/** Matrix units and asynchronous copies for CUDA_PRELUDE: see ir.ts for what they do. test/cuda/stand_in/mma.h has their twins in C++. */

const mma = (name: string, shape: string, type: string): string => String.raw`
KD kd_vec4<float> ${name}(kd_vec4<unsigned> a, kd_vec2<unsigned> b, kd_vec4<float> c) {
  kd_vec4<float> d;
  asm volatile("mma.sync.aligned.${shape}.row.col.f32.${type}.${type}.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
               : "=f"(d.x), "=f"(d.y), "=f"(d.z), "=f"(d.w)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y), "f"(c.x), "f"(c.y), "f"(c.z), "f"(c.w));
  return d;
}`;

const pack = (name: string, type: string): string => String.raw`
KD unsigned ${name}(float low, float high) {
  unsigned d;
  asm("cvt.rn.${type}x2.f32 %0, %1, %2;" : "=r"(d) : "f"(high), "f"(low));
  return d;
}`;

const load = (transposed: boolean): string => String.raw`
template <> KD_SPECIAL kd_vec4<unsigned> kd_load_matrices<${transposed}>(const unsigned* at) {
  kd_vec4<unsigned> d;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4${transposed ? ".trans" : ""}.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(d.x), "=r"(d.y), "=r"(d.z), "=r"(d.w)
               : "r"(kd_shared_address(at))
               : "memory");
  return d;
}`;

const copy = (bytes: number, cache: string): string => String.raw`
template <> KD_SPECIAL void kd_copy_async<${bytes}>(unsigned* to, const void* from) {
  asm volatile("cp.async.${cache} [%0], [%1], ${bytes};" : : "r"(kd_shared_address(to)), "l"(from) : "memory");
}
template <> KD_SPECIAL void kd_copy_async<${bytes}>(unsigned* to, const void* from, unsigned bytes) {
  asm volatile("cp.async.${cache} [%0], [%1], ${bytes}, %2;" : : "r"(kd_shared_address(to)), "l"(from), "r"(bytes) : "memory");
}`;

export const CUDA_MATRIX: string = String.raw`
#if !defined(KINDLING_STAND_IN) && __CUDA_ARCH__ >= 800
KD unsigned kd_shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
${mma("kd_mma_f16", "m16n8k16", "f16")}
${mma("kd_mma_bf16", "m16n8k16", "bf16")}
${mma("kd_mma_tf32", "m16n8k8", "tf32")}
${pack("kd_pack_f16", "f16")}
${pack("kd_pack_bf16", "bf16")}
KD float kd_round_tf32(float x) {
  unsigned y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return __uint_as_float(y);
}
// Specialisations have the storage class of their templates.
#define KD_SPECIAL __device__ __forceinline__
template <bool TRANSPOSED> KD kd_vec4<unsigned> kd_load_matrices(const unsigned* at);
${load(false)}
${load(true)}
template <int BYTES> KD void kd_copy_async(unsigned* to, const void* from);
// Only so many bytes are read, zeros follow.
template <int BYTES> KD void kd_copy_async(unsigned* to, const void* from, unsigned bytes);
${copy(4, "ca.shared.global")}
${copy(8, "ca.shared.global")}
${copy(16, "cg.shared.global.L2::128B")}
KD void kd_commit_copies() { asm volatile("cp.async.commit_group;" : : : "memory"); }
template <int PENDING> KD void kd_wait_copies() { asm volatile("cp.async.wait_group %0;" : : "n"(PENDING) : "memory"); }
#endif
`;
