// The instructions that the kernels use, by name. NVRTC sees inline PTX; the tests compile the same kernels
// with a C++ compiler against an emulation that checks every access. Shared memory is addressed by 32-bit
// numbers, as in PTX, so that no access gets around these functions.
#pragma once
#ifdef LONGFORMER_EMULATION
#include "emulated_device.h"
#else

#define LONGFORMER_DEVICE __device__ __forceinline__

namespace longformer::cuda {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

struct alignas(16) Vector {  // 16 bytes
  u32 word[4];
};

LONGFORMER_DEVICE int thread_index() {
  return threadIdx.x;
}
LONGFORMER_DEVICE int block_x() {
  return blockIdx.x;
}
LONGFORMER_DEVICE int block_y() {
  return blockIdx.y;
}
LONGFORMER_DEVICE void block_barrier() {
  __syncthreads();
}
LONGFORMER_DEVICE void warp_barrier() {
  __syncwarp();
}
LONGFORMER_DEVICE float shuffle_xor(float x, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, x, mask);
}
LONGFORMER_DEVICE float shuffle(float x, int from) {
  return __shfl_sync(0xFFFFFFFFu, x, from);
}
LONGFORMER_DEVICE u32 ballot(bool x) {
  return __ballot_sync(0xFFFFFFFFu, x);
}

// --- global memory
template <class T>
LONGFORMER_DEVICE T load(const T* from) {
  return *from;
}
template <class T>
LONGFORMER_DEVICE void store(T* to, T x) {
  *to = x;
}
LONGFORMER_DEVICE Vector load_vector(const void* from) {
  const uint4 x = *static_cast<const uint4*>(from);
  return {x.x, x.y, x.z, x.w};
}
LONGFORMER_DEVICE void store_vector(void* to, const Vector& x) {
  *static_cast<uint4*>(to) = make_uint4(x.word[0], x.word[1], x.word[2], x.word[3]);
}

// --- shared memory: the dynamic part of a block
extern __shared__ __align__(128) unsigned char dynamic_shared[];
LONGFORMER_DEVICE u32 shared_base() {
  return static_cast<u32>(__cvta_generic_to_shared(dynamic_shared));
}
LONGFORMER_DEVICE float shared_load(u32 from) {
  float x;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(from) : "memory");
  return x;
}
LONGFORMER_DEVICE Vector shared_load_vector(u32 from) {
  Vector x;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.word[0]), "=r"(x.word[1]), "=r"(x.word[2]), "=r"(x.word[3])
               : "r"(from)
               : "memory");
  return x;
}
LONGFORMER_DEVICE void shared_load_two(u32 from, float& x, float& y) {
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x), "=f"(y) : "r"(from) : "memory");
}
LONGFORMER_DEVICE void shared_store(u32 to, u32 x) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(x) : "memory");
}
LONGFORMER_DEVICE void shared_store_vector(u32 to, const Vector& x) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(x.word[0]), "r"(x.word[1]),
               "r"(x.word[2]), "r"(x.word[3])
               : "memory");
}

// Copies past the registers; zeros where not `valid`. They are done when copy_wait<n> says that at most the n
// groups committed last may be under way.
LONGFORMER_DEVICE void copy_vector(u32 to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(valid ? 16 : 0)
               : "memory");
}
LONGFORMER_DEVICE void copy_word(u32 to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(valid ? 4 : 0)
               : "memory");
}
LONGFORMER_DEVICE void copy_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int groups>
LONGFORMER_DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

// --- tensor cores
// Four 8x8 matrices of 16-bit values, whose rows the lanes 0-7, 8-15, 16-23 and 24-31 point to.
LONGFORMER_DEVICE void load_matrices(u32 (&x)[4], u32 from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(from)
               : "memory");
}
LONGFORMER_DEVICE void load_matrices_transposed(u32 (&x)[4], u32 from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(from)
               : "memory");
}
// c [16, 8] += a [16, 16] . b [16, 8]
LONGFORMER_DEVICE void multiply_bfloat16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
LONGFORMER_DEVICE void multiply_float16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// --- numbers
LONGFORMER_DEVICE float exp2_of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
LONGFORMER_DEVICE float log2_of(float x) {
  return log2f(x);
}
LONGFORMER_DEVICE float multiply_add(float x, float y, float z) {
  return fmaf(x, y, z);
}
LONGFORMER_DEVICE float larger(float x, float y) {
  return fmaxf(x, y);
}
LONGFORMER_DEVICE float reciprocal_root(float x) {
  return 1.0f / sqrtf(x);
}
LONGFORMER_DEVICE float exponential(float x) {
  return expf(x);
}
LONGFORMER_DEVICE float hyperbolic_tangent(float x) {
  return tanhf(x);
}
LONGFORMER_DEVICE float error_function(float x) {
  return erff(x);
}
LONGFORMER_DEVICE float float_of(u32 bits) {
  return __uint_as_float(bits);
}
LONGFORMER_DEVICE u32 bits_of(float x) {
  return __float_as_uint(x);
}
LONGFORMER_DEVICE int count_bits(u32 x) {
  return __popc(x);
}
LONGFORMER_DEVICE u32 pack_bfloat16(float low, float high) {
  u32 x;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(high), "f"(low));
  return x;
}
LONGFORMER_DEVICE u32 pack_float16(float low, float high) {
  u32 x;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(x) : "f"(high), "f"(low));
  return x;
}
LONGFORMER_DEVICE float float_of_float16(u16 bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
  return x;
}

}  // namespace longformer::cuda
#endif
