// kernels/device.cuh for the emulation: the same names, each access checked.
#pragma once

#include <cmath>
#include <cstring>

#include "../../ops/cpu/vec_portable.h"
#include "emulation.h"

#define LONGFORMER_DEVICE inline

namespace longformer::cuda {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

struct alignas(16) Vector {
  u32 word[4];
};

inline float float_of(u32 bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline u32 bits_of(float x) {
  u32 bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

inline int thread_index() {
  return emulation::thread_index();
}
inline int block_x() {
  return emulation::block_x();
}
inline int block_y() {
  return emulation::block_y();
}
inline void block_barrier() {
  emulation::block_barrier();
}
inline void warp_barrier() {
  emulation::together("warp_barrier", nullptr, [](void**) {});
}

struct ShuffleArguments {
  float x;
  int lane;  // to take from
  float result;
};
inline float shuffle_from(const char* name, float x, int lane) {
  ShuffleArguments mine{x, lane, 0};
  emulation::together(name, &mine, [](void** all) {
    for (int i = 0; i < 32; ++i) {
      auto* a = static_cast<ShuffleArguments*>(all[i]);
      a->result = static_cast<ShuffleArguments*>(all[a->lane & 31])->x;
    }
  });
  return mine.result;
}
inline float shuffle_xor(float x, int mask) {
  return shuffle_from("shuffle_xor", x, (thread_index() & 31) ^ mask);
}
inline float shuffle(float x, int from) {
  return shuffle_from("shuffle", x, from);
}
inline u32 ballot(bool x) {
  struct Arguments {
    bool x;
    u32 result;
  } mine{x, 0};
  emulation::together("ballot", &mine, [](void** all) {
    u32 bits = 0;
    for (int i = 0; i < 32; ++i) bits |= static_cast<u32>(static_cast<Arguments*>(all[i])->x) << i;
    for (int i = 0; i < 32; ++i) static_cast<Arguments*>(all[i])->result = bits;
  });
  return mine.result;
}

template <class T>
inline T load(const T* from) {
  emulation::check_global(from, sizeof(T), false);
  return *from;
}
template <class T>
inline void store(T* to, T x) {
  emulation::check_global(to, sizeof(T), true);
  *to = x;
}
inline Vector load_vector(const void* from) {
  emulation::check_global(from, 16, false);
  Vector x;
  std::memcpy(&x, from, 16);
  return x;
}
inline void store_vector(void* to, const Vector& x) {
  emulation::check_global(to, 16, true);
  std::memcpy(to, &x, 16);
}

inline u32 shared_base() {
  return 0;
}
template <class T>
inline T shared_load_as(u32 from) {
  T x;
  std::memcpy(&x, emulation::shared_read(from, sizeof(T)), sizeof(T));
  return x;
}
inline float shared_load(u32 from) {
  return shared_load_as<float>(from);
}
inline Vector shared_load_vector(u32 from) {
  return shared_load_as<Vector>(from);
}
inline void shared_load_two(u32 from, float& x, float& y) {
  const u64 both = shared_load_as<u64>(from);
  x = float_of(static_cast<u32>(both));
  y = float_of(static_cast<u32>(both >> 32));
}
inline void shared_store(u32 to, u32 x) {
  std::memcpy(emulation::shared_write(to, 4), &x, 4);
}
inline void shared_store_vector(u32 to, const Vector& x) {
  std::memcpy(emulation::shared_write(to, 16), &x, 16);
}

inline void copy_vector(u32 to, const void* from, bool valid) {
  emulation::copy_later(to, from, 16, valid);
}
inline void copy_word(u32 to, const void* from, bool valid) {
  emulation::copy_later(to, from, 4, valid);
}
inline void copy_commit() {
  emulation::copy_commit();
}
template <int groups>
inline void copy_wait() {
  emulation::copy_wait(groups);
}

struct MatrixArguments {
  u32* x;
  u32 from;
};
template <bool transposed>
inline void load_four(const char* name, u32 (&x)[4], u32 from) {
  MatrixArguments mine{x, from};
  emulation::together(name, &mine, [](void** all) {
    for (int matrix = 0; matrix < 4; ++matrix) {
      u16 element[8][8];
      for (int row = 0; row < 8; ++row) {
        const int lane = 8 * matrix + row;
        std::memcpy(element[row],
                    emulation::shared_read(static_cast<MatrixArguments*>(all[lane])->from, 16, lane), 16);
      }
      for (int lane = 0; lane < 32; ++lane) {
        const int row = lane / 4, column = lane % 4 * 2;
        const u16 low = transposed ? element[column][row] : element[row][column],
                  high = transposed ? element[column + 1][row] : element[row][column + 1];
        static_cast<MatrixArguments*>(all[lane])->x[matrix] = low | static_cast<u32>(high) << 16;
      }
    }
  });
}
inline void load_matrices(u32 (&x)[4], u32 from) {
  load_four<false>("load_matrices", x, from);
}
inline void load_matrices_transposed(u32 (&x)[4], u32 from) {
  load_four<true>("load_matrices_transposed", x, from);
}

inline float float_of_bfloat16(u16 bits) {
  return float_of(static_cast<u32>(bits) << 16);
}
inline float float_of_float16(u16 bits) {
  return half_to_float(bits);
}
inline u32 pack_bfloat16(float low, float high) {
  return float_to_bfloat16(low) | static_cast<u32>(float_to_bfloat16(high)) << 16;
}
inline u32 pack_float16(float low, float high) {
  return float_to_half(low) | static_cast<u32>(float_to_half(high)) << 16;
}

struct MultiplyArguments {
  float* c;
  const u32* a;
  u32 b0, b1;
};
// The places of the elements of mma.m16n8k16 in its lanes' registers.
template <float (*number)(u16)>
inline void multiply_all(void** all) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto* x = static_cast<const MultiplyArguments*>(all[lane]);
    const int row = lane / 4, column = lane % 4 * 2;
    for (int i = 0; i < 4; ++i)
      for (int e = 0; e < 2; ++e)
        a[row + 8 * (i & 1)][column + e + 8 * (i >> 1)] = number(static_cast<u16>(x->a[i] >> (16 * e)));
    for (int e = 0; e < 2; ++e) {
      b[column + e][row] = number(static_cast<u16>(x->b0 >> (16 * e)));
      b[column + 8 + e][row] = number(static_cast<u16>(x->b1 >> (16 * e)));
    }
  }
  float sum[16][8] = {};
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k)
      for (int j = 0; j < 8; ++j) sum[i][j] += a[i][k] * b[k][j];
  for (int lane = 0; lane < 32; ++lane)
    for (int e = 0; e < 4; ++e)
      static_cast<MultiplyArguments*>(all[lane])->c[e] +=
          sum[lane / 4 + 8 * (e >> 1)][lane % 4 * 2 + (e & 1)];
}
inline void multiply_bfloat16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  MultiplyArguments mine{c, a, b0, b1};
  emulation::together("multiply_bfloat16", &mine, &multiply_all<float_of_bfloat16>);
}
inline void multiply_float16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  MultiplyArguments mine{c, a, b0, b1};
  emulation::together("multiply_float16", &mine, &multiply_all<float_of_float16>);
}

inline float exp2_of(float x) {
  return std::exp2(x);
}
inline float log2_of(float x) {
  return std::log2(x);
}
inline float multiply_add(float x, float y, float z) {
  return x * y + z;
}
inline float larger(float x, float y) {
  return std::fmax(x, y);
}
inline float reciprocal_root(float x) {
  return 1.0f / std::sqrt(x);
}
inline float exponential(float x) {
  return std::exp(x);
}
inline float hyperbolic_tangent(float x) {
  return std::tanh(x);
}
inline float error_function(float x) {
  return std::erf(x);
}
inline int count_bits(u32 x) {
  return __builtin_popcount(x);
}

}  // namespace longformer::cuda
