// The checked arguments of longformer::decode_attention.
#pragma once
#include <optional>
#include <vector>

#include "../base/library.h"

namespace longformer {

// The queries of one document, and its keys and values.
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

// Throws ValueError. The message names the argument, what is expected and what was given.
DecodeAttention check_decode_attention(const Tensor& query, const TensorList& key, const TensorList& value,
                                       IntList rows, const TensorList& mask, std::optional<double> scale);

// On any device.
Tensor decode_attention_by_aten(const DecodeAttention& a);

}  // namespace longformer
