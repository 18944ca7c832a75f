// longformer::decode_attention between its checks and its kernels.
#pragma once
#include <optional>
#include <vector>

#include "../base/library.h"

namespace longformer {

// The queries of one document with what they look at, checked.
struct DecodeDocument {
  int64_t first, rows;  // of query
  Tensor key, value;    // [L, H, D]
  Tensor mask;          // uint8 [1 or rows, L], nonzero: visible; undefined: all
};

struct DecodeAttention {
  Tensor query;  // [R, H, D]
  std::vector<DecodeDocument> documents;
  double scale;
};

// Throws ValueError naming the argument, what is expected and what was given.
DecodeAttention check_decode_attention(const Tensor& query, const TensorList& key, const TensorList& value,
                                       IntList rows, const TensorList& mask, std::optional<double> scale);

// On any device.
Tensor decode_attention_by_aten(const DecodeAttention& a);

}  // namespace longformer
