// longformer::decode_attention by operators of libtorch, for what the kernels of cpu/ and cuda/ do not take.
#include "decode_attention.h"

#include <cmath>
#include <limits>

namespace longformer {

namespace {

// HF fills hidden scores with this.
double lowest_of(ScalarType type) {
  switch (type) {
    case kDouble:
      return std::numeric_limits<double>::lowest();
    case kHalf:
      return -65504.0;
    case kBFloat16:
      return -3.3895313892515355e38;
    default:
      return std::numeric_limits<float>::lowest();
  }
}

}  // namespace

Tensor decode_attention_by_aten(const DecodeAttention& a) {
  const Tensor& query = a.query;
  TensorList contexts;
  for (const DecodeDocument& d : a.documents) {
    if (d.rows == 0) continue;
    const Tensor q = (query.narrow(0, d.first, d.rows) * a.scale).transpose(0, 1);  // [H, rows, D]
    Tensor scores = matmul(q, d.key.permute({1, 2, 0}));                            // [H, rows, L]
    if (d.mask.defined()) scores = scores.masked_fill(d.mask.eq(0), lowest_of(scores.scalar_type()));
    contexts.push_back(matmul(scores.softmax(-1), d.value.transpose(0, 1)).transpose(0, 1));
  }
  if (contexts.empty()) return empty_like(query);
  return contexts.size() == 1 ? contexts[0].contiguous() : cat(contexts, 0);
}

}  // namespace longformer
