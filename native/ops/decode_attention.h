// longformer::decode_attention between its checks and its kernels.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Optional.h>

#include <vector>

namespace longformer {

// The queries of one document with what they look at, checked.
struct DecodeDocument {
  int64_t first, rows;    // of query
  at::Tensor key, value;  // [L, H, D]
  at::Tensor mask;        // uint8 [1 or rows, L], nonzero: visible; undefined: all
};

struct DecodeAttention {
  at::Tensor query;  // [R, H, D]
  std::vector<DecodeDocument> documents;
  double scale;
};

// Throws c10::ValueError naming the argument, what is expected and what was given.
DecodeAttention check_decode_attention(const at::Tensor& query, at::TensorList key, at::TensorList value,
                                       at::IntArrayRef rows, at::TensorList mask,
                                       c10::optional<double> scale);

// Differentiable, any device.
at::Tensor decode_attention_by_aten(const at::Tensor& query, at::TensorList key, at::TensorList value,
                                    at::IntArrayRef rows, at::TensorList mask, c10::optional<double> scale);

}  // namespace longformer
