// LayerNorm of rows that are put together on the way: a warp for each row, which it keeps in registers
// between reading and writing. Sum and statistics in float32. Rows are whole chunks of 16 bytes.
#pragma once
#include "tile.cuh"

namespace longformer::cuda {

constexpr int kNormRows = 4;  // of a block

template <int type>
constexpr int kNormChunk = type == kFloat32 ? 4 : 8;  // elements of 16 bytes

// The warp's row: sum_of(chunk, x) gives the elements of a chunk. chunks: that a lane has of a row, at most.
template <int type, int chunks, class SumOf>
LONGFORMER_DEVICE void normalize_row(int columns, float eps, const void* weight, const void* bias,
                                     void* output, const SumOf& sum_of) {
  constexpr int per_chunk = kNormChunk<type>;
  const int lane = lane_index();
  float x[chunks][per_chunk] = {}, sum = 0.0f;
#pragma unroll
  for (int i = 0; i < chunks; ++i) {
    const int chunk = 32 * i + lane;
    if (chunk * per_chunk >= columns) continue;
    sum_of(chunk, x[i]);
#pragma unroll
    for (int e = 0; e < per_chunk; ++e) sum += x[i][e];
  }
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) sum += shuffle_xor(sum, step);
  const float mean = sum / static_cast<float>(columns);
  float squares = 0.0f;
#pragma unroll
  for (int i = 0; i < chunks; ++i) {
    if ((32 * i + lane) * per_chunk >= columns) continue;
#pragma unroll
    for (int e = 0; e < per_chunk; ++e) squares = multiply_add(x[i][e] - mean, x[i][e] - mean, squares);
  }
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) squares += shuffle_xor(squares, step);
  const float factor = reciprocal_root(squares / static_cast<float>(columns) + eps);
#pragma unroll
  for (int i = 0; i < chunks; ++i) {
    const int chunk = 32 * i + lane;
    if (chunk * per_chunk >= columns) continue;
    const Vector w = load_vector(static_cast<const char*>(weight) + chunk * 16),
                 b = load_vector(static_cast<const char*>(bias) + chunk * 16);
    float y[per_chunk];
#pragma unroll
    for (int e = 0; e < per_chunk; ++e)
      y[e] = multiply_add((x[i][e] - mean) * factor, element_of<type>(w, e), element_of<type>(b, e));
    Vector out;
#pragma unroll
    for (int word = 0; word < 4; ++word)
      out.word[word] = type == kFloat32 ? bits_of(y[word])
                                        : pack<type>(y[2 * word % per_chunk], y[(2 * word + 1) % per_chunk]);
    store_vector(static_cast<char*>(output) + chunk * 16, out);
  }
}

// input + residual; the output may be either.
template <int type, int chunks>
LONGFORMER_DEVICE void add_layer_norm(const NormParameters& p) {
  const int row = block_x() * kNormRows + warp_index();
  if (row >= p.rows) return;
  const long long first = 16ll * row * (p.columns / kNormChunk<type>);  // byte
  const auto sum_of = [&](int chunk, float(&x)[kNormChunk<type>]) {
    const Vector a = load_vector(static_cast<const char*>(p.input) + first + chunk * 16);
    Vector b = {{0, 0, 0, 0}};
    if (p.residual != nullptr) b = load_vector(static_cast<const char*>(p.residual) + first + chunk * 16);
#pragma unroll
    for (int e = 0; e < kNormChunk<type>; ++e) x[e] = element_of<type>(a, e) + element_of<type>(b, e);
  };
  normalize_row<type, chunks>(p.columns, p.eps, p.weight, p.bias, static_cast<char*>(p.output) + first,
                              sum_of);
}

}  // namespace longformer::cuda
