// Rows of up to three tables, added and normalized in one pass.
#pragma once
#include "layer_norm.cuh"

namespace longformer::cuda {

// Where the row of a token begins. An id that is no row clears `known` and counts as the first row.
LONGFORMER_DEVICE const char* table_row(const TableRows& t, int token, long long row_bytes, bool& known) {
  long long row = token % t.rows;
  if (t.ids != nullptr) {
    const long long id = load(t.ids + token);
    const bool is_row = id >= 0 && id < t.rows;
    known = known && is_row;
    row = is_row ? id : 0;
  }
  return static_cast<const char*>(t.table) + row * row_bytes;
}

// An id that is no row of its table gives a row of NaN: nothing can be thrown here, and nothing is read where
// no row is.
template <int type, int chunks>
LONGFORMER_DEVICE void embed(const EmbedParameters& p) {
  constexpr int per_chunk = kNormChunk<type>;
  const int token = block_x() * kNormRows + warp_index();
  if (token >= p.tokens) return;
  const long long row_bytes = p.columns / per_chunk * 16ll;
  bool known = true;
  const char *word = table_row(p.words, token, row_bytes, known),
             *position = table_row(p.positions, token, row_bytes, known),
             *token_type = p.types.table != nullptr ? table_row(p.types, token, row_bytes, known) : nullptr;
  const float scale = known ? p.word_scale : float_of(0x7FC00000u);
  const auto sum_of = [&](int chunk, float(&x)[per_chunk]) {
    const Vector a = load_vector(word + chunk * 16), b = load_vector(position + chunk * 16);
    Vector c = {{0, 0, 0, 0}};
    if (token_type != nullptr) c = load_vector(token_type + chunk * 16);
#pragma unroll
    for (int e = 0; e < per_chunk; ++e)
      x[e] = multiply_add(element_of<type>(a, e), scale, element_of<type>(b, e)) + element_of<type>(c, e);
  };
  normalize_row<type, chunks>(p.columns, p.eps, p.weight, p.bias,
                              static_cast<char*>(p.output) + token * row_bytes, sum_of);
}

}  // namespace longformer::cuda
