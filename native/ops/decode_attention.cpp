// longformer::decode_attention: its checks, and the same from ATen's operators wherever a gradient is
// recorded and on other devices than the CPU, whose kernel is cpu/decode_attention.cpp.
#include "decode_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <torch/library.h>

#include <cmath>
#include <limits>

namespace longformer {

DecodeAttention check_decode_attention(const at::Tensor& query, at::TensorList key, at::TensorList value,
                                       at::IntArrayRef rows, at::TensorList mask,
                                       c10::optional<double> scale) {
  constexpr const char* op = "longformer::decode_attention: ";
  TORCH_CHECK_VALUE(query.dim() == 3, op, "query must be [R, H, D], got ", query.sizes());
  TORCH_CHECK_VALUE(query.is_floating_point(), op, "query must be of a floating point type, got ",
                    query.scalar_type());
  const size_t documents = key.size();
  TORCH_CHECK_VALUE(value.size() == documents && rows.size() == documents, op,
                    "value and rows must be as many as key, ", documents, ", got ", value.size(), " and ",
                    rows.size());
  TORCH_CHECK_VALUE(mask.empty() || mask.size() == documents, op, "mask must be empty or as many as key, ",
                    documents, ", got ", mask.size());
  DecodeAttention a;
  a.query = query;
  a.scale = scale.has_value() ? *scale : 1 / std::sqrt(static_cast<double>(query.size(2)));
  int64_t first = 0;
  for (size_t d = 0; d < documents; ++d) {
    const at::Tensor &k = key[d], &v = value[d];
    TORCH_CHECK_VALUE(rows[d] >= 0, op, "rows must not be negative, got ", rows[d], " for document ", d);
    TORCH_CHECK_VALUE(
        k.dim() == 3 && k.size(0) > 0 && k.size(1) == query.size(1) && k.size(2) == query.size(2), op,
        "key must be [L, ", query.size(1), ", ", query.size(2), "] with L > 0, got ", k.sizes(),
        " for document ", d);
    TORCH_CHECK_VALUE(v.sizes() == k.sizes(), op, "value must be like key, ", k.sizes(), ", got ", v.sizes(),
                      " for document ", d);
    for (const at::Tensor* t : {&k, &v})
      TORCH_CHECK_VALUE(t->scalar_type() == query.scalar_type() && t->device() == query.device(), op,
                        "key and value must be ", query.scalar_type(), " on ", query.device(),
                        " like query, got ", t->scalar_type(), " on ", t->device(), " for document ", d);
    DecodeDocument document{first, rows[d], k, v, {}};
    if (!mask.empty() && mask[d].defined() && mask[d].numel() > 0) {
      const at::Tensor& m = mask[d];
      const bool whole = m.dim() == 1 && m.size(0) == k.size(0),
                 each = m.dim() == 2 && m.size(0) == rows[d] && m.size(1) == k.size(0);
      TORCH_CHECK_VALUE((whole || each) && (m.scalar_type() == at::kByte || m.scalar_type() == at::kBool), op,
                        "mask must be uint8 or bool [", k.size(0), "] or [", rows[d], ", ", k.size(0),
                        "], got ", m.scalar_type(), " ", m.sizes(), " for document ", d);
      document.mask = whole ? m.unsqueeze(0) : m;
    }
    a.documents.push_back(document);
    first += rows[d];
  }
  TORCH_CHECK_VALUE(first == query.size(0), op, "rows must sum to the queries, ", query.size(0), ", got ",
                    first);
  return a;
}

namespace {

// What HF fills hidden scores with.
double lowest_of(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return std::numeric_limits<double>::lowest();
    case at::kHalf:
      return -65504.0;
    case at::kBFloat16:
      return -3.3895313892515355e38;
    default:
      return std::numeric_limits<float>::lowest();
  }
}

}  // namespace

at::Tensor decode_attention_by_aten(const at::Tensor& query, at::TensorList key, at::TensorList value,
                                    at::IntArrayRef rows, at::TensorList mask, c10::optional<double> scale) {
  const DecodeAttention a = check_decode_attention(query, key, value, rows, mask, scale);
  std::vector<at::Tensor> contexts;
  for (const DecodeDocument& d : a.documents) {
    if (d.rows == 0) continue;
    const at::Tensor q = (query.narrow(0, d.first, d.rows) * a.scale).transpose(0, 1);  // [H, rows, D]
    at::Tensor scores = at::matmul(q, d.key.permute({1, 2, 0}));                        // [H, rows, L]
    if (d.mask.defined()) scores = scores.masked_fill(d.mask.eq(0), lowest_of(scores.scalar_type()));
    contexts.push_back(at::matmul(scores.softmax(-1), d.value.transpose(0, 1)).transpose(0, 1));
  }
  if (contexts.empty()) return at::empty_like(query, query.options(), at::MemoryFormat::Contiguous);
  return contexts.size() == 1 ? contexts[0].contiguous() : at::cat(contexts, 0);
}

namespace {

bool needs_gradient(at::TensorList tensors) {
  for (const at::Tensor& t : tensors)
    if (t.defined() && t.requires_grad()) return true;
  return false;
}

at::Tensor decode_attention_autograd(const at::Tensor& query, at::TensorList key, at::TensorList value,
                                     at::IntArrayRef rows, at::TensorList mask, c10::optional<double> scale) {
  if (at::GradMode::is_enabled() && (needs_gradient(query) || needs_gradient(key) || needs_gradient(value)))
    return decode_attention_by_aten(query, key, value, rows, mask, scale);
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::decode_attention", "")
                             .typed<decltype(decode_attention_by_aten)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(query, key, value, rows, mask, scale);
}

at::Tensor decode_attention_meta(const at::Tensor& query, at::TensorList key, at::TensorList value,
                                 at::IntArrayRef rows, at::TensorList mask, c10::optional<double> scale) {
  if (!query.unsafeGetTensorImpl()->has_symbolic_sizes_strides())
    check_decode_attention(query, key, value, rows, mask, scale);
  return at::empty_like(query, query.options(), at::MemoryFormat::Contiguous);
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, Meta, m) {
  m.impl("decode_attention", TORCH_FN(decode_attention_meta));
}
TORCH_LIBRARY_IMPL(longformer, Autograd, m) {
  m.impl("decode_attention", TORCH_FN(decode_attention_autograd));
}

}  // namespace longformer
