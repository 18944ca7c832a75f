// Checks the arguments of the attention operators and puts them into the form that implementations take.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "check.h"
#include "decode_attention.h"
#include "dense_attention.h"

namespace longformer {
namespace {

// Offsets of the sequences in N: those given for a packed tensor [N, ...], else 0, T, 2T and so on of [B,
// T, ...]. `dims` is the number of dimensions behind N, `shape` their names.
std::vector<int64_t> check_sequences(const char* op, const char* name, const Tensor& t, int64_t dims,
                                     const char* shape, OptionalIntList sequence_offsets) {
  std::vector<int64_t> offsets;
  if (!sequence_offsets.has_value()) {
    LONGFORMER_CHECK_VALUE(t.dim() == dims + 2, "longformer::", op, ": ", name, " must be [B, T, ", shape,
                           "] when sequence_offsets is not given, given shape ", t.sizes());
    const int64_t batch = t.size(0), tokens = t.size(1);
    offsets.resize(batch + 1);
    for (int64_t s = 0; s <= batch; ++s) offsets[s] = s * tokens;
    return offsets;
  }
  LONGFORMER_CHECK_VALUE(t.dim() == dims + 1, "longformer::", op, ": ", name, " must be [N, ", shape,
                         "] when sequence_offsets is given, given shape ", t.sizes());
  offsets = sequence_offsets->vec();
  LONGFORMER_CHECK_VALUE(!offsets.empty() && offsets.front() == 0, "longformer::", op,
                         ": sequence_offsets must start with 0, given ", *sequence_offsets);
  LONGFORMER_CHECK_VALUE(offsets.back() == t.size(0), "longformer::", op,
                         ": sequence_offsets must end with the ", t.size(0), " tokens of ", name, ", given ",
                         offsets.back());
  const auto descent = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<int64_t>());
  LONGFORMER_CHECK_VALUE(descent == offsets.end(), "longformer::", op,
                         ": sequence_offsets must ascend, given ", *descent, " before ", *(descent + 1),
                         " at index ", descent - offsets.begin());
  return offsets;
}

// bool [N], or undefined where everything is visible.
Tensor check_mask(const char* op, const OptionalTensor& mask, const Tensor& tokens, bool packed) {
  if (!mask.has_value() || !mask->defined()) return {};
  const auto expected = tokens.sizes().slice(0, packed ? 1 : 2);
  LONGFORMER_CHECK_VALUE(mask->sizes() == expected, "longformer::", op, ": mask must be ",
                         packed ? "[N] = " : "[B, T] = ", expected, ", given ", mask->sizes());
  const auto type = mask->scalar_type();
  LONGFORMER_CHECK_VALUE(type == kBool || type == kByte || type == kLong, "longformer::", op,
                         ": mask must be bool, uint8 or int64, given ", type);
  LONGFORMER_CHECK_VALUE(mask->device() == tokens.device(), "longformer::", op,
                         ": mask must be on the device of query, ", tokens.device(), ", given ",
                         mask->device());
  return (type == kBool ? *mask : mask->ne(0)).reshape({-1}).contiguous();
}

// Whether the host can read the values of a tensor without waiting for a device.
bool readable(const Tensor& t) {
  return t.is_cpu();
}

// int64 [S, G], contiguous.
Tensor check_global_index(const char* op, const Tensor& index, const Tensor& tokens,
                          const std::vector<int64_t>& offsets) {
  const int64_t sequences = static_cast<int64_t>(offsets.size()) - 1;
  LONGFORMER_CHECK_VALUE(index.defined(), "longformer::", op, ": global_index must be a tensor, given none");
  LONGFORMER_CHECK_VALUE(index.scalar_type() == kLong, "longformer::", op,
                         ": global_index must be int64, given ", index.scalar_type());
  LONGFORMER_CHECK_VALUE(index.dim() == 2 && index.size(0) == sequences, "longformer::", op,
                         ": global_index must be [S, G] with S = ", sequences, " sequences, given ",
                         index.sizes());
  LONGFORMER_CHECK_VALUE(index.device() == tokens.device(), "longformer::", op,
                         ": global_index must be on the device of query, ", tokens.device(), ", given ",
                         index.device());
  const Tensor dense = index.contiguous();
  if (!readable(dense)) return dense;
  const int64_t* value = dense.data_ptr<int64_t>();
  const int64_t globals = dense.size(1);
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    for (int64_t g = 0; g < globals; ++g, ++value) {
      LONGFORMER_CHECK_VALUE(*value >= -1 && *value < length, "longformer::", op, ": global_index[", s, ", ",
                             g, "] must be a position of its sequence, 0 .. ", length - 1, ", or -1, given ",
                             *value);
      LONGFORMER_CHECK_VALUE(g == 0 || *value == -1 || (value[-1] != -1 && value[-1] < *value),
                             "longformer::", op,
                             ": global_index must ascend strictly with -1 only at the end, given ", *value,
                             " behind ", value[-1], " at [", s, ", ", g, "]");
    }
  }
  return dense;
}

double check_scale(const char* op, std::optional<double> scale, int64_t head_dim) {
  if (!scale.has_value()) return 1.0 / std::sqrt(static_cast<double>(head_dim));
  LONGFORMER_CHECK_VALUE(std::isfinite(*scale), "longformer::", op, ": scale must be finite, given ", *scale);
  return *scale;
}

void check_dropout(const char* op, double dropout) {
  LONGFORMER_CHECK_VALUE(dropout >= 0.0 && dropout < 1.0, "longformer::", op,
                         ": dropout must be a probability, 0 <= dropout < 1, given ", dropout);
}

// [B, T, ...] or [N, ...] as [N, ...] with the last dimension contiguous; a view where the strides allow it.
Tensor flatten_tokens(const Tensor& t, bool packed) {
  Tensor flat = t;
  if (!packed) {
    std::vector<int64_t> sizes(t.sizes().begin() + 1, t.sizes().end());
    sizes[0] = t.size(0) * t.size(1);
    flat = t.reshape(sizes);
  }
  return flat.stride(-1) == 1 || flat.size(-1) == 1 ? flat : flat.contiguous();
}

int64_t longest(const std::vector<int64_t>& offsets) {
  int64_t length = 0;
  for (size_t s = 1; s < offsets.size(); ++s) length = std::max(length, offsets[s] - offsets[s - 1]);
  return length;
}

// Checks that global_attention and its folded form share. query [S, G, H, D] must fit the sequences.
GlobalAttention check_global_options(const char* op, const Tensor& query, const Tensor& tokens,
                                     const Tensor& global_index, const AttentionOptions& options,
                                     std::vector<int64_t> offsets) {
  GlobalAttention a;
  a.offsets = std::move(offsets);
  const bool packed = options.sequence_offsets.has_value();
  a.global_index = check_global_index(op, global_index, tokens, a.offsets);
  LONGFORMER_CHECK_VALUE(
      query.dim() == 4 && query.size(0) == global_index.size(0) && query.size(1) == global_index.size(1),
      "longformer::", op, ": query must be [S, G, H, D] with [S, G] = ", global_index.sizes(),
      " as global_index, given ", query.sizes());
  LONGFORMER_CHECK_VALUE(query.size(2) > 0 && query.size(3) > 0, "longformer::", op,
                         ": query must have at least one head and one dimension, given shape ",
                         query.sizes());
  a.visible = check_mask(op, options.mask, tokens, packed);
  a.scale = check_scale(op, options.scale, query.size(3));
  check_dropout(op, options.dropout);
  a.dropout = options.dropout;
  a.seed = options.seed;
  a.query = query;
  return a;
}

// A bias [H, D] of relative positions; undefined where there is none.
Tensor check_relative_bias(const char* op, const char* name, const OptionalTensor& bias,
                           const Tensor& query) {
  if (!given(bias)) return {};
  check_same_kind(op, name, *bias, "query", query);
  const auto expected = query.sizes().slice(query.dim() - 2);
  LONGFORMER_CHECK_VALUE(bias->sizes() == expected, "longformer::", op, ": ", name,
                         " must be [H, D] = ", expected, ", given ", bias->sizes());
  return bias->contiguous();
}

// How many tokens away the farthest key of any head is, where nothing but the longest sequence ends it.
int64_t farthest_key(int64_t window, const std::vector<int64_t>& dilation, int64_t tokens) {
  int64_t most = 0;
  for (const int64_t d : dilation) most = std::max(most, std::min(window * d, tokens - 1));
  return most;
}

}  // namespace

BandedAttention check_banded_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const AttentionOptions& options) {
  const bool packed = options.sequence_offsets.has_value();
  BandedAttention a;
  check_floating(op, "query", query);
  a.offsets = check_sequences(op, "query", query, 2, "H, D", options.sequence_offsets);
  check_same_shape(op, "key", key, "query", query);
  check_same_shape(op, "value", value, "query", query);
  const int64_t heads = query.size(-2);
  LONGFORMER_CHECK_VALUE(heads > 0 && query.size(-1) > 0, "longformer::", op,
                         ": query must have at least one head and one dimension, given shape ",
                         query.sizes());

  // A window or a dilation longer than the longest sequence reaches no more than one of that length. Clamping
  // keeps every implementation from overflow.
  const int64_t reach = std::max<int64_t>(longest(a.offsets), 1);
  LONGFORMER_CHECK_VALUE(options.window_left >= 0, "longformer::", op, ": window_left must be >= 0, given ",
                         options.window_left);
  LONGFORMER_CHECK_VALUE(options.window_right >= 0, "longformer::", op, ": window_right must be >= 0, given ",
                         options.window_right);
  a.window_left = std::min(options.window_left, reach);
  a.window_right = std::min(options.window_right, reach);
  a.dilation.assign(heads, 1);
  if (options.dilation.has_value()) {
    const auto given = *options.dilation;
    LONGFORMER_CHECK_VALUE(given.size() == 1 || static_cast<int64_t>(given.size()) == heads,
                           "longformer::", op, ": dilation must have 1 value or one for each of the ", heads,
                           " heads, given ", given.size());
    for (size_t h = 0; h < given.size(); ++h)
      LONGFORMER_CHECK_VALUE(given[h] >= 1, "longformer::", op, ": dilation[", h, "] must be >= 1, given ",
                             given[h]);
    for (int64_t h = 0; h < heads; ++h)
      a.dilation[h] = std::min(given.size() == 1 ? given[0] : given[h], reach);
  }

  a.visible = check_mask(op, options.mask, query, packed);
  if (options.global_index.has_value() && options.global_index->defined()) {
    a.global_index = check_global_index(op, *options.global_index, query, a.offsets);
    if (a.global_index.size(1) == 0) a.global_index = Tensor();
  }
  a.scale = check_scale(op, options.scale, query.size(-1));
  check_dropout(op, options.dropout);
  a.dropout = options.dropout;
  a.seed = options.seed;
  a.q = flatten_tokens(query, packed);
  a.k = flatten_tokens(key, packed);
  a.v = flatten_tokens(value, packed);
  return a;
}

BandedGradients check_banded_gradients(const BandedAttention& a, const Tensor& query,
                                       const Tensor& grad_output, const Tensor& output,
                                       const Tensor& logsumexp, const char* op) {
  check_same_shape(op, "grad_output", grad_output, "query", query);
  check_same_shape(op, "output", output, "query", query);
  const auto expected = query.sizes().slice(0, query.dim() - 1);
  LONGFORMER_CHECK_VALUE(logsumexp.defined() && logsumexp.sizes() == expected, "longformer::", op,
                         ": logsumexp must be ", expected, " as banded_attention returned it, given ",
                         logsumexp.sizes());
  LONGFORMER_CHECK_VALUE(logsumexp.scalar_type() == compute_type(query), "longformer::", op,
                         ": logsumexp must be ", compute_type(query), " for query of ", query.scalar_type(),
                         ", given ", logsumexp.scalar_type());
  LONGFORMER_CHECK_VALUE(logsumexp.device() == query.device(), "longformer::", op,
                         ": logsumexp must be on the device of query, ", query.device(), ", given ",
                         logsumexp.device());
  return {grad_output.reshape(a.q.sizes()).contiguous(), output.reshape(a.q.sizes()).contiguous(),
          logsumexp.reshape(a.q.sizes().slice(0, 2)).contiguous()};
}

Implementation check_implementation(const char* op, std::string_view name) {
  if (name == "fused") return Implementation::fused;
  if (name == "chunks") return Implementation::chunks;
  LONGFORMER_CHECK_VALUE(name == "loop", "longformer::", op,
                         ": implementation must be \"fused\", \"chunks\" or \"loop\", given \"", name, "\"");
  return Implementation::loop;
}

GlobalAttention check_global_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const Tensor& global_index,
                                       const AttentionOptions& options) {
  check_floating(op, "query", query);
  check_same_kind(op, "key", key, "query", query);
  auto offsets = check_sequences(op, "key", key, 2, "H, D", options.sequence_offsets);
  GlobalAttention a = check_global_options(op, query, key, global_index, options, std::move(offsets));
  LONGFORMER_CHECK_VALUE(key.sizes().slice(key.dim() - 2) == query.sizes().slice(2), "longformer::", op,
                         ": key must have the heads and head dimension of query, ", query.sizes().slice(2),
                         ", given shape ", key.sizes());
  check_same_shape(op, "value", value, "key", key);
  const bool packed = options.sequence_offsets.has_value();
  a.key = flatten_tokens(key, packed);
  a.value = flatten_tokens(value, packed);
  return a;
}

GlobalAttention check_folded_global_attention(const char* op, const Tensor& query, const Tensor& hidden,
                                              const Tensor& key_weight, const OptionalTensor& key_bias,
                                              const Tensor& value_weight, const OptionalTensor& value_bias,
                                              const Tensor& global_index, const AttentionOptions& options) {
  check_floating(op, "query", query);
  check_same_kind(op, "hidden", hidden, "query", query);
  auto offsets = check_sequences(op, "hidden", hidden, 1, "C", options.sequence_offsets);
  GlobalAttention a = check_global_options(op, query, hidden, global_index, options, std::move(offsets));
  const int64_t features = query.size(2) * query.size(3), channels = hidden.size(-1);
  const auto check_weight = [&](const char* name, const Tensor& weight) {
    check_same_kind(op, name, weight, "query", query);
    LONGFORMER_CHECK_VALUE(weight.dim() == 2 && weight.size(0) == features && weight.size(1) == channels,
                           "longformer::", op, ": ", name, " must be [H*D, C] = [", features, ", ", channels,
                           "], given ", weight.sizes());
  };
  const auto check_bias = [&](const char* name, const OptionalTensor& bias) {
    if (!bias.has_value() || !bias->defined()) return;
    check_same_kind(op, name, *bias, "query", query);
    LONGFORMER_CHECK_VALUE(bias->dim() == 1 && bias->size(0) == features, "longformer::", op, ": ", name,
                           " must be [H*D] = [", features, "], given ", bias->sizes());
  };
  check_weight("key_weight", key_weight);
  check_bias("key_bias", key_bias);
  check_weight("value_weight", value_weight);
  check_bias("value_bias", value_bias);
  a.key = flatten_tokens(hidden, options.sequence_offsets.has_value());
  return a;
}

void check_pooled_tokens(const Tensor& queries, const Tensor& hidden, const OptionalTensor& mask,
                         IntList sequence_offsets) {
  const bool fit = queries.dim() == 3 && hidden.dim() == 2 && queries.size(2) == hidden.size(1) &&
                   static_cast<int64_t>(sequence_offsets.size()) == queries.size(0) + 1 &&
                   sequence_offsets.front() == 0 && sequence_offsets.back() == hidden.size(0) &&
                   std::is_sorted(sequence_offsets.begin(), sequence_offsets.end());
  LONGFORMER_CHECK_VALUE(
      fit,
      "longformer::_pooled_tokens: expected queries [S, R, C], hidden [N, C] and S + 1 ascending "
      "offsets from 0 to N, given ",
      queries.sizes(), ", ", hidden.sizes(), " and ", sequence_offsets);
  LONGFORMER_CHECK_VALUE(
      !mask.has_value() || !mask->defined() || (mask->dim() == 1 && mask->size(0) == hidden.size(0)),
      "longformer::_pooled_tokens: mask must be [", hidden.size(0), "], given ",
      mask.has_value() && mask->defined() ? mask->sizes() : IntList());
}

void check_global_gradient(const char* op, const Tensor& grad_output, const Tensor& query) {
  check_same_shape(op, "grad_output", grad_output, "query", query);
}

DecodeAttention check_decode_attention(const Tensor& query, const TensorList& key, const TensorList& value,
                                       IntList rows, const TensorList& mask, std::optional<double> scale) {
  constexpr const char* op = "longformer::decode_attention: ";
  LONGFORMER_CHECK_VALUE(query.dim() == 3, op, "query must be [R, H, D], given ", query.sizes());
  LONGFORMER_CHECK_VALUE(query.is_floating_point(), op, "query must be of a floating point type, given ",
                         query.scalar_type());
  const size_t documents = key.size();
  LONGFORMER_CHECK_VALUE(value.size() == documents && rows.size() == documents, op,
                         "value and rows must be as many as key, ", documents, ", given ", value.size(),
                         " and ", rows.size());
  LONGFORMER_CHECK_VALUE(mask.empty() || mask.size() == documents, op,
                         "mask must be empty or as many as key, ", documents, ", given ", mask.size());
  DecodeAttention a;
  a.query = query;
  a.scale = scale.has_value() ? *scale : 1 / std::sqrt(static_cast<double>(query.size(2)));
  int64_t first = 0;
  for (size_t d = 0; d < documents; ++d) {
    const Tensor &k = key[d], &v = value[d];
    LONGFORMER_CHECK_VALUE(rows[d] >= 0, op, "rows must not be negative, given ", rows[d], " for document ",
                           d);
    LONGFORMER_CHECK_VALUE(
        k.dim() == 3 && k.size(0) > 0 && k.size(1) == query.size(1) && k.size(2) == query.size(2), op,
        "key must be [L, ", query.size(1), ", ", query.size(2), "] with L > 0, given ", k.sizes(),
        " for document ", d);
    LONGFORMER_CHECK_VALUE(v.sizes() == k.sizes(), op, "value must be like key, ", k.sizes(), ", given ",
                           v.sizes(), " for document ", d);
    for (const Tensor* t : {&k, &v})
      LONGFORMER_CHECK_VALUE(t->scalar_type() == query.scalar_type() && t->device() == query.device(), op,
                             "key and value must be ", query.scalar_type(), " on ", query.device(),
                             " like query, given ", t->scalar_type(), " on ", t->device(), " for document ",
                             d);
    DecodeDocument document{first, rows[d], k, v, {}};
    if (!mask.empty() && mask[d].defined() && mask[d].numel() > 0) {
      const Tensor& m = mask[d];
      const bool whole = m.dim() == 1 && m.size(0) == k.size(0),
                 each = m.dim() == 2 && m.size(0) == rows[d] && m.size(1) == k.size(0);
      LONGFORMER_CHECK_VALUE((whole || each) && (m.scalar_type() == kByte || m.scalar_type() == kBool), op,
                             "mask must be uint8 or bool [", k.size(0), "] or [", rows[d], ", ", k.size(0),
                             "], given ", m.scalar_type(), " ", m.sizes(), " for document ", d);
      document.mask = whole ? m.unsqueeze(0) : m;
    }
    a.documents.push_back(document);
    first += rows[d];
  }
  LONGFORMER_CHECK_VALUE(first == query.size(0), op, "rows must sum to the queries, ", query.size(0),
                         ", given ", first);
  return a;
}

DenseAttention check_dense_attention(const char* op, const Tensor& query, const Tensor& key,
                                     const Tensor& value, const OptionalTensor& mask, IntList query_offsets,
                                     IntList key_offsets, double scale, double dropout, int64_t seed) {
  DenseAttention a;
  a.query_offsets = check_sequences(op, "query", query, 2, "H, D", query_offsets);
  a.key_offsets = check_sequences(op, "key", key, 2, "H, D", key_offsets);
  LONGFORMER_CHECK_VALUE(a.query_offsets.size() == a.key_offsets.size(), "longformer::", op,
                         ": key_offsets must be as many as query_offsets, ", a.query_offsets.size(),
                         ", given ", a.key_offsets.size());
  LONGFORMER_CHECK_VALUE(query.is_floating_point(), "longformer::", op,
                         ": query must be of a floating point type, given ", query.scalar_type());
  check_same_kind(op, "key", key, "query", query);
  check_same_kind(op, "value", value, "query", query);
  LONGFORMER_CHECK_VALUE(key.sizes().slice(1) == query.sizes().slice(1), "longformer::", op,
                         ": key must be [M, H, D] with [H, D] = ", query.sizes().slice(1), ", given ",
                         key.sizes());
  LONGFORMER_CHECK_VALUE(value.sizes() == key.sizes(), "longformer::", op, ": value must be like key, ",
                         key.sizes(), ", given ", value.sizes());
  a.scale = check_scale(op, scale, query.size(2));
  check_dropout(op, dropout);
  a.q = flatten_tokens(query, true);
  a.k = flatten_tokens(key, true);
  a.v = flatten_tokens(value, true);
  a.visible = check_mask(op, mask, key, true);
  a.dropout = dropout;
  a.seed = seed;
  return a;
}

void check_dense_gradient(const char* op, const Tensor& grad_output, const Tensor& output,
                          const Tensor& logsumexp, const DenseAttention& a) {
  for (const auto& [name, t] :
       {std::pair<const char*, const Tensor*>{"grad_output", &grad_output}, {"output", &output}}) {
    check_same_kind(op, name, *t, "query", a.q);
    LONGFORMER_CHECK_VALUE(t->sizes() == a.q.sizes(), "longformer::", op, ": ", name, " must be like query, ",
                           a.q.sizes(), ", given ", t->sizes());
  }
  const auto type = a.q.scalar_type() == kDouble ? kDouble : kFloat;
  LONGFORMER_CHECK_VALUE(logsumexp.scalar_type() == type && logsumexp.sizes() == a.q.sizes().slice(0, 2),
                         "longformer::", op, ": logsumexp must be ", type, " ", a.q.sizes().slice(0, 2),
                         ", given ", logsumexp.scalar_type(), " ", logsumexp.sizes());
}

BandedAttention check_relative_attention(const char* op, const Tensor& query, const Tensor& key,
                                         const Tensor& value, const Tensor& relative,
                                         const OptionalTensor& content_bias,
                                         const OptionalTensor& position_bias, int64_t relative_zero,
                                         const AttentionOptions& options) {
  BandedAttention a = check_banded_attention(op, query, key, value, options);
  check_same_kind(op, "relative", relative, "query", query);
  const auto heads = query.sizes().slice(query.dim() - 2);
  LONGFORMER_CHECK_VALUE(relative.dim() == 3 && relative.sizes().slice(1) == heads, "longformer::", op,
                         ": relative must be [P, H, D] with [H, D] = ", heads, ", given ", relative.sizes());
  const int64_t tokens = std::max<int64_t>(longest(a.offsets), 1);
  const int64_t left = farthest_key(a.window_left, a.dilation, tokens),
                right = farthest_key(a.window_right, a.dilation, tokens);
  LONGFORMER_CHECK_VALUE(relative_zero >= right && relative.size(0) - relative_zero > left,
                         "longformer::", op, ": relative must have a row for every distance i - j from ",
                         -right, " to ", left, ", given ", relative.size(0), " rows with distance 0 in row ",
                         relative_zero);
  a.relative = relative.stride(-1) == 1 || relative.size(-1) == 1 ? relative : relative.contiguous();
  a.content_bias = check_relative_bias(op, "content_bias", content_bias, query);
  a.position_bias = check_relative_bias(op, "position_bias", position_bias, query);
  a.relative_zero = relative_zero;
  return a;
}

}  // namespace longformer
