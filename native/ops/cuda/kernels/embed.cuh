// Rows of up to three tables, added and normalized in one pass.
#pragma once
#include "layer_norm.cuh"

namespace longformer::cuda {

// Where the row of a token begins, or null where its id is no row of the table.
LONGFORMER_DEVICE const char* table_row(const TableRows& t, int token, long long row_bytes) {
  if (t.ids == nullptr) return static_cast<const char*>(t.table) + token % t.rows * row_bytes;
  const long long id = load(t.ids + token);
  return id >= 0 && id < t.rows ? static_cast<const char*>(t.table) + id * row_bytes : nullptr;
}

// An id that is no row of its table gives a row of NaN: nothing can be thrown here, and nothing is read where
// no row is.
template <int type, int chunks>
LONGFORMER_DEVICE void embed(const EmbedParameters& p) {
  constexpr int per_chunk = kNormChunk<type>;
  const int token = block_x() * kNormRows + warp_index();
  if (token >= p.tokens) return;
  const long long row_bytes = p.columns / per_chunk * 16ll;
  const char *word = table_row(p.words, token, row_bytes),
             *position = table_row(p.positions, token, row_bytes), *token_type = nullptr;
  bool known = word != nullptr && position != nullptr;
  if (p.types.table != nullptr) {
    token_type = table_row(p.types, token, row_bytes);
    known = known && token_type != nullptr;
  }
  const auto sum_of = [&](int chunk, float(&x)[per_chunk]) {
    if (!known) {
#pragma unroll
      for (int e = 0; e < per_chunk; ++e) x[e] = float_of(0x7FC00000u);
      return;
    }
    const Vector a = load_vector(word + chunk * 16), b = load_vector(position + chunk * 16);
    Vector c = {{0, 0, 0, 0}};
    if (token_type != nullptr) c = load_vector(token_type + chunk * 16);
#pragma unroll
    for (int e = 0; e < per_chunk; ++e)
      x[e] = multiply_add(element_of<type>(a, e), p.word_scale, element_of<type>(b, e)) +
             element_of<type>(c, e);
  };
  normalize_row<type, chunks>(p.columns, p.eps, p.weight, p.bias,
                              static_cast<char*>(p.output) + token * row_bytes, sum_of);
}

}  // namespace longformer::cuda
