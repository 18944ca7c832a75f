// LayerNorm(input + residual): a warp for each row, which it keeps in registers between reading and writing,
// so that the output may be the input or the residual. Sum and statistics in float32. Rows are whole chunks
// of 16 bytes.
#pragma once
#include "tile.cuh"

namespace longformer::cuda {

constexpr int kNormRows = 4;  // of a block

// chunks: of 16 bytes that a lane has of a row, at most.
template <int type, int chunks>
LONGFORMER_DEVICE void add_layer_norm(const NormParameters& p) {
  constexpr int per_chunk = type == kFloat32 ? 4 : 8;
  const int row = block_x() * kNormRows + warp_index(), lane = lane_index();
  if (row >= p.rows) return;
  const long long first = static_cast<long long>(row) * (p.columns / per_chunk);  // in chunks
  const auto chunk_of = [&](const void* rows, long long chunk) {
    return load_vector(static_cast<const char*>(rows) + chunk * 16);
  };
  float x[chunks][per_chunk] = {}, sum = 0.0f;
#pragma unroll
  for (int i = 0; i < chunks; ++i) {
    const int chunk = 32 * i + lane;
    if (chunk * per_chunk >= p.columns) continue;
    const Vector a = chunk_of(p.input, first + chunk);
    Vector b = {{0, 0, 0, 0}};
    if (p.residual != nullptr) b = chunk_of(p.residual, first + chunk);
#pragma unroll
    for (int e = 0; e < per_chunk; ++e) sum += x[i][e] = element_of<type>(a, e) + element_of<type>(b, e);
  }
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) sum += shuffle_xor(sum, step);
  const float mean = sum / static_cast<float>(p.columns);
  float squares = 0.0f;
#pragma unroll
  for (int i = 0; i < chunks; ++i) {
    if ((32 * i + lane) * per_chunk >= p.columns) continue;
#pragma unroll
    for (int e = 0; e < per_chunk; ++e) squares = multiply_add(x[i][e] - mean, x[i][e] - mean, squares);
  }
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) squares += shuffle_xor(squares, step);
  const float factor = reciprocal_root(squares / static_cast<float>(p.columns) + p.eps);
#pragma unroll
  for (int i = 0; i < chunks; ++i) {
    const int chunk = 32 * i + lane;
    if (chunk * per_chunk >= p.columns) continue;
    const Vector weight = chunk_of(p.weight, chunk), bias = chunk_of(p.bias, chunk);
    float y[per_chunk];
#pragma unroll
    for (int e = 0; e < per_chunk; ++e)
      y[e] = multiply_add((x[i][e] - mean) * factor, element_of<type>(weight, e), element_of<type>(bias, e));
    Vector out;
#pragma unroll
    for (int word = 0; word < 4; ++word)
      out.word[word] = type == kFloat32 ? bits_of(y[word])
                                        : pack<type>(y[2 * word % per_chunk], y[(2 * word + 1) % per_chunk]);
    store_vector(static_cast<char*>(p.output) + (first + chunk) * 16, out);
  }
}

}  // namespace longformer::cuda
