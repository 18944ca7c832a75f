// longformer::decode_attention: its checks, and the same from libtorch's operators for what the kernels of
// cpu/ and cuda/ do not take.
#include "decode_attention.h"

#include <cmath>
#include <limits>

namespace longformer {

DecodeAttention check_decode_attention(const Tensor& query, const TensorList& key, const TensorList& value,
                                       IntList rows, const TensorList& mask, std::optional<double> scale) {
  constexpr const char* op = "longformer::decode_attention: ";
  LONGFORMER_CHECK_VALUE(query.dim() == 3, op, "query must be [R, H, D], got ", query.sizes());
  LONGFORMER_CHECK_VALUE(query.is_floating_point(), op, "query must be of a floating point type, got ",
                         query.scalar_type());
  const size_t documents = key.size();
  LONGFORMER_CHECK_VALUE(value.size() == documents && rows.size() == documents, op,
                         "value and rows must be as many as key, ", documents, ", got ", value.size(),
                         " and ", rows.size());
  LONGFORMER_CHECK_VALUE(mask.empty() || mask.size() == documents, op,
                         "mask must be empty or as many as key, ", documents, ", got ", mask.size());
  DecodeAttention a;
  a.query = query;
  a.scale = scale.has_value() ? *scale : 1 / std::sqrt(static_cast<double>(query.size(2)));
  int64_t first = 0;
  for (size_t d = 0; d < documents; ++d) {
    const Tensor &k = key[d], &v = value[d];
    LONGFORMER_CHECK_VALUE(rows[d] >= 0, op, "rows must not be negative, got ", rows[d], " for document ", d);
    LONGFORMER_CHECK_VALUE(
        k.dim() == 3 && k.size(0) > 0 && k.size(1) == query.size(1) && k.size(2) == query.size(2), op,
        "key must be [L, ", query.size(1), ", ", query.size(2), "] with L > 0, got ", k.sizes(),
        " for document ", d);
    LONGFORMER_CHECK_VALUE(v.sizes() == k.sizes(), op, "value must be like key, ", k.sizes(), ", got ",
                           v.sizes(), " for document ", d);
    for (const Tensor* t : {&k, &v})
      LONGFORMER_CHECK_VALUE(t->scalar_type() == query.scalar_type() && t->device() == query.device(), op,
                             "key and value must be ", query.scalar_type(), " on ", query.device(),
                             " like query, got ", t->scalar_type(), " on ", t->device(), " for document ", d);
    DecodeDocument document{first, rows[d], k, v, {}};
    if (!mask.empty() && mask[d].defined() && mask[d].numel() > 0) {
      const Tensor& m = mask[d];
      const bool whole = m.dim() == 1 && m.size(0) == k.size(0),
                 each = m.dim() == 2 && m.size(0) == rows[d] && m.size(1) == k.size(0);
      LONGFORMER_CHECK_VALUE((whole || each) && (m.scalar_type() == kByte || m.scalar_type() == kBool), op,
                             "mask must be uint8 or bool [", k.size(0), "] or [", rows[d], ", ", k.size(0),
                             "], got ", m.scalar_type(), " ", m.sizes(), " for document ", d);
      document.mask = whole ? m.unsqueeze(0) : m;
    }
    a.documents.push_back(document);
    first += rows[d];
  }
  LONGFORMER_CHECK_VALUE(first == query.size(0), op, "rows must sum to the queries, ", query.size(0),
                         ", got ", first);
  return a;
}

namespace {

// What HF fills hidden scores with.
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

Tensor decode_attention_by_aten(const Tensor& query, const TensorList& key, const TensorList& value,
                                IntList rows, const TensorList& mask, std::optional<double> scale) {
  const DecodeAttention a = check_decode_attention(query, key, value, rows, mask, scale);
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
