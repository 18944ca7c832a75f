// The checks of the arguments, once, at the operators' boundary. Each message names the operator, the
// argument, what is expected and what was given. What passes is brought into the form that implementations
// trust.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "operators.h"

namespace longformer {
namespace {

void check_same_kind(const char* op, const char* name, const Tensor& t, const char* reference_name,
                     const Tensor& reference) {
  LONGFORMER_CHECK_VALUE(t.defined(), "longformer::", op, ": ", name, " must be a tensor, got none");
  LONGFORMER_CHECK_VALUE(t.scalar_type() == reference.scalar_type(), "longformer::", op, ": ", name,
                         " must have the dtype of ", reference_name, ", ", reference.scalar_type(), ", got ",
                         t.scalar_type());
  LONGFORMER_CHECK_VALUE(t.device() == reference.device(), "longformer::", op, ": ", name,
                         " must be on the device of ", reference_name, ", ", reference.device(), ", got ",
                         t.device());
  LONGFORMER_CHECK_VALUE(t.is_strided(), "longformer::", op, ": ", name, " must be dense (strided)");
}

void check_same_shape(const char* op, const char* name, const Tensor& t, const char* reference_name,
                      const Tensor& reference) {
  check_same_kind(op, name, t, reference_name, reference);
  LONGFORMER_CHECK_VALUE(t.sizes() == reference.sizes(), "longformer::", op, ": ", name,
                         " must have the shape of ", reference_name, ", ", reference.sizes(), ", got ",
                         t.sizes());
}

void check_floating(const char* op, const char* name, const Tensor& t) {
  LONGFORMER_CHECK_VALUE(t.defined(), "longformer::", op, ": ", name, " must be a tensor, got none");
  LONGFORMER_CHECK_VALUE(is_floating(t.scalar_type()), "longformer::", op, ": ", name,
                         " must be float32, float64, bfloat16 or float16, got ", t.scalar_type());
  LONGFORMER_CHECK_VALUE(t.is_strided(), "longformer::", op, ": ", name, " must be dense (strided)");
}

// Offsets of the sequences in N: those given for a packed tensor [N, ...], else 0, T, 2T ... of a batch [B,
// T, ...]. `dims` is the number of dimensions behind N, `shape` their names.
std::vector<int64_t> check_sequences(const char* op, const char* name, const Tensor& t, int64_t dims,
                                     const char* shape, OptionalIntList sequence_offsets) {
  std::vector<int64_t> offsets;
  if (!sequence_offsets.has_value()) {
    LONGFORMER_CHECK_VALUE(t.dim() == dims + 2, "longformer::", op, ": ", name, " must be [B, T, ", shape,
                           "] when sequence_offsets is not given, got shape ", t.sizes());
    const int64_t batch = t.size(0), tokens = t.size(1);
    offsets.resize(batch + 1);
    for (int64_t s = 0; s <= batch; ++s) offsets[s] = s * tokens;
    return offsets;
  }
  LONGFORMER_CHECK_VALUE(t.dim() == dims + 1, "longformer::", op, ": ", name, " must be [N, ", shape,
                         "] when sequence_offsets is given, got shape ", t.sizes());
  offsets = sequence_offsets->vec();
  LONGFORMER_CHECK_VALUE(!offsets.empty() && offsets.front() == 0, "longformer::", op,
                         ": sequence_offsets must start with 0, got ", *sequence_offsets);
  LONGFORMER_CHECK_VALUE(offsets.back() == t.size(0), "longformer::", op,
                         ": sequence_offsets must end with the ", t.size(0), " tokens of ", name, ", got ",
                         offsets.back());
  const auto descent = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<int64_t>());
  LONGFORMER_CHECK_VALUE(descent == offsets.end(), "longformer::", op, ": sequence_offsets must ascend, got ",
                         *descent, " before ", *(descent + 1), " at index ", descent - offsets.begin());
  return offsets;
}

// bool [N], or undefined where everything is visible.
Tensor check_mask(const char* op, const OptionalTensor& mask, const Tensor& tokens, bool packed) {
  if (!mask.has_value() || !mask->defined()) return {};
  const auto expected = tokens.sizes().slice(0, packed ? 1 : 2);
  LONGFORMER_CHECK_VALUE(mask->sizes() == expected, "longformer::", op, ": mask must be ",
                         packed ? "[N] = " : "[B, T] = ", expected, ", got ", mask->sizes());
  const auto type = mask->scalar_type();
  LONGFORMER_CHECK_VALUE(type == kBool || type == kByte || type == kLong, "longformer::", op,
                         ": mask must be bool, uint8 or int64, got ", type);
  LONGFORMER_CHECK_VALUE(mask->device() == tokens.device(), "longformer::", op,
                         ": mask must be on the device of query, ", tokens.device(), ", got ",
                         mask->device());
  return (type == kBool ? *mask : mask->ne(0)).reshape({-1}).contiguous();
}

// Whether the values of a tensor can be read here and now: not on another device, where the host would have
// to wait, or where there are none.
bool readable(const Tensor& t) {
  return t.is_cpu();
}

// int64 [S, G], contiguous.
Tensor check_global_index(const char* op, const Tensor& index, const Tensor& tokens,
                          const std::vector<int64_t>& offsets) {
  const int64_t sequences = static_cast<int64_t>(offsets.size()) - 1;
  LONGFORMER_CHECK_VALUE(index.defined(), "longformer::", op, ": global_index must be a tensor, got none");
  LONGFORMER_CHECK_VALUE(index.scalar_type() == kLong, "longformer::", op,
                         ": global_index must be int64, got ", index.scalar_type());
  LONGFORMER_CHECK_VALUE(index.dim() == 2 && index.size(0) == sequences, "longformer::", op,
                         ": global_index must be [S, G] with S = ", sequences, " sequences, got ",
                         index.sizes());
  LONGFORMER_CHECK_VALUE(index.device() == tokens.device(), "longformer::", op,
                         ": global_index must be on the device of query, ", tokens.device(), ", got ",
                         index.device());
  const Tensor dense = index.contiguous();
  if (!readable(dense)) return dense;
  const int64_t* value = dense.data_ptr<int64_t>();
  const int64_t globals = dense.size(1);
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    for (int64_t g = 0; g < globals; ++g, ++value) {
      LONGFORMER_CHECK_VALUE(*value >= -1 && *value < length, "longformer::", op, ": global_index[", s, ", ",
                             g, "] must be a position of its sequence, 0 .. ", length - 1, ", or -1, got ",
                             *value);
      LONGFORMER_CHECK_VALUE(g == 0 || *value == -1 || (value[-1] != -1 && value[-1] < *value),
                             "longformer::", op,
                             ": global_index must ascend strictly with -1 only at the end, got ", *value,
                             " behind ", value[-1], " at [", s, ", ", g, "]");
    }
  }
  return dense;
}

double check_scale(const char* op, std::optional<double> scale, int64_t head_dim) {
  if (!scale.has_value()) return 1.0 / std::sqrt(static_cast<double>(head_dim));
  LONGFORMER_CHECK_VALUE(std::isfinite(*scale), "longformer::", op, ": scale must be finite, got ", *scale);
  return *scale;
}

void check_dropout(const char* op, double dropout) {
  LONGFORMER_CHECK_VALUE(dropout >= 0.0 && dropout < 1.0, "longformer::", op,
                         ": dropout must be a probability, 0 <= dropout < 1, got ", dropout);
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

// What global_attention and its folded form have in common, with query [S, G, H, D] checked against the
// sequences.
GlobalAttention check_global_options(const char* op, const Tensor& query, const Tensor& tokens,
                                     const Tensor& global_index, const GlobalOptions& options,
                                     std::vector<int64_t> offsets) {
  GlobalAttention a;
  a.offsets = std::move(offsets);
  const bool packed = options.sequence_offsets.has_value();
  a.global_index = check_global_index(op, global_index, tokens, a.offsets);
  LONGFORMER_CHECK_VALUE(
      query.dim() == 4 && query.size(0) == global_index.size(0) && query.size(1) == global_index.size(1),
      "longformer::", op, ": query must be [S, G, H, D] with [S, G] = ", global_index.sizes(),
      " as global_index, got ", query.sizes());
  LONGFORMER_CHECK_VALUE(query.size(2) > 0 && query.size(3) > 0, "longformer::", op,
                         ": query must have at least one head and one dimension, got shape ", query.sizes());
  a.visible = check_mask(op, options.mask, tokens, packed);
  a.scale = check_scale(op, options.scale, query.size(3));
  check_dropout(op, options.dropout);
  a.dropout = options.dropout;
  a.seed = options.seed;
  a.query = query;
  return a;
}

}  // namespace

BandedAttention check_banded_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const BandedOptions& options) {
  const bool packed = options.sequence_offsets.has_value();
  BandedAttention a;
  check_floating(op, "query", query);
  a.offsets = check_sequences(op, "query", query, 2, "H, D", options.sequence_offsets);
  check_same_shape(op, "key", key, "query", query);
  check_same_shape(op, "value", value, "query", query);
  const int64_t heads = query.size(-2);
  LONGFORMER_CHECK_VALUE(heads > 0 && query.size(-1) > 0, "longformer::", op,
                         ": query must have at least one head and one dimension, got shape ", query.sizes());

  // A window or a dilation longer than the longest sequence reaches no more than one of that length: clamped,
  // so that no implementation needs to think of overflow.
  const int64_t reach = std::max<int64_t>(longest(a.offsets), 1);
  LONGFORMER_CHECK_VALUE(options.window_left >= 0, "longformer::", op, ": window_left must be >= 0, got ",
                         options.window_left);
  LONGFORMER_CHECK_VALUE(options.window_right >= 0, "longformer::", op, ": window_right must be >= 0, got ",
                         options.window_right);
  a.window_left = std::min(options.window_left, reach);
  a.window_right = std::min(options.window_right, reach);
  a.dilation.assign(heads, 1);
  if (options.dilation.has_value()) {
    const auto given = *options.dilation;
    LONGFORMER_CHECK_VALUE(given.size() == 1 || static_cast<int64_t>(given.size()) == heads,
                           "longformer::", op, ": dilation must have 1 value or one for each of the ", heads,
                           " heads, got ", given.size());
    for (size_t h = 0; h < given.size(); ++h)
      LONGFORMER_CHECK_VALUE(given[h] >= 1, "longformer::", op, ": dilation[", h, "] must be >= 1, got ",
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
                                       const Tensor& logsumexp) {
  const char* op = "banded_attention_backward";
  check_same_shape(op, "grad_output", grad_output, "query", query);
  check_same_shape(op, "output", output, "query", query);
  const auto expected = query.sizes().slice(0, query.dim() - 1);
  LONGFORMER_CHECK_VALUE(logsumexp.defined() && logsumexp.sizes() == expected, "longformer::", op,
                         ": logsumexp must be ", expected, " as banded_attention returned it, got ",
                         logsumexp.sizes());
  LONGFORMER_CHECK_VALUE(logsumexp.scalar_type() == compute_type(query), "longformer::", op,
                         ": logsumexp must be ", compute_type(query), " for query of ", query.scalar_type(),
                         ", got ", logsumexp.scalar_type());
  LONGFORMER_CHECK_VALUE(logsumexp.device() == query.device(), "longformer::", op,
                         ": logsumexp must be on the device of query, ", query.device(), ", got ",
                         logsumexp.device());
  return {grad_output.reshape(a.q.sizes()).contiguous(), output.reshape(a.q.sizes()).contiguous(),
          logsumexp.reshape(a.q.sizes().slice(0, 2)).contiguous()};
}

Implementation check_implementation(const char* op, std::string_view name) {
  if (name == "fused") return Implementation::fused;
  if (name == "chunks") return Implementation::chunks;
  LONGFORMER_CHECK_VALUE(name == "loop", "longformer::", op,
                         ": implementation must be \"fused\", \"chunks\" or \"loop\", got \"", name, "\"");
  return Implementation::loop;
}

GlobalAttention check_global_attention(const char* op, const Tensor& query, const Tensor& key,
                                       const Tensor& value, const Tensor& global_index,
                                       const GlobalOptions& options) {
  check_floating(op, "query", query);
  check_same_kind(op, "key", key, "query", query);
  auto offsets = check_sequences(op, "key", key, 2, "H, D", options.sequence_offsets);
  GlobalAttention a = check_global_options(op, query, key, global_index, options, std::move(offsets));
  LONGFORMER_CHECK_VALUE(key.sizes().slice(key.dim() - 2) == query.sizes().slice(2), "longformer::", op,
                         ": key must have the heads and head dimension of query, ", query.sizes().slice(2),
                         ", got shape ", key.sizes());
  check_same_shape(op, "value", value, "key", key);
  const bool packed = options.sequence_offsets.has_value();
  a.key = flatten_tokens(key, packed);
  a.value = flatten_tokens(value, packed);
  return a;
}

GlobalAttention check_folded_global_attention(const char* op, const Tensor& query, const Tensor& hidden,
                                              const Tensor& key_weight, const OptionalTensor& key_bias,
                                              const Tensor& value_weight, const OptionalTensor& value_bias,
                                              const Tensor& global_index, const GlobalOptions& options) {
  check_floating(op, "query", query);
  check_same_kind(op, "hidden", hidden, "query", query);
  auto offsets = check_sequences(op, "hidden", hidden, 1, "C", options.sequence_offsets);
  GlobalAttention a = check_global_options(op, query, hidden, global_index, options, std::move(offsets));
  const int64_t features = query.size(2) * query.size(3), channels = hidden.size(-1);
  const auto check_weight = [&](const char* name, const Tensor& weight) {
    check_same_kind(op, name, weight, "query", query);
    LONGFORMER_CHECK_VALUE(weight.dim() == 2 && weight.size(0) == features && weight.size(1) == channels,
                           "longformer::", op, ": ", name, " must be [H*D, C] = [", features, ", ", channels,
                           "], got ", weight.sizes());
  };
  const auto check_bias = [&](const char* name, const OptionalTensor& bias) {
    if (!bias.has_value() || !bias->defined()) return;
    check_same_kind(op, name, *bias, "query", query);
    LONGFORMER_CHECK_VALUE(bias->dim() == 1 && bias->size(0) == features, "longformer::", op, ": ", name,
                           " must be [H*D] = [", features, "], got ", bias->sizes());
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

Embedding check_embed(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
                      const OptionalTensor& position_ids, const OptionalTensor& types,
                      const OptionalTensor& type_ids, const Tensor& weight, const Tensor& bias, double eps,
                      double word_scale) {
  const auto or_none = [](const OptionalTensor& t) { return t.has_value() ? *t : Tensor(); };
  Embedding e;
  e.words = {"words", words, or_none(word_ids)};
  e.positions = {"positions", positions, or_none(position_ids)};
  e.types = {"types", or_none(types), or_none(type_ids)};
  e.weight = weight;
  e.bias = bias;
  e.eps = eps;
  e.word_scale = word_scale;
  LONGFORMER_CHECK_VALUE(words.dim() == 2, "longformer::embed: words must be [rows, C], given ",
                         words.sizes());
  e.tokens = words.size(0);
  for (const TokenRows* rows : {&e.types, &e.positions, &e.words})
    if (rows->ids.defined()) e.tokens = rows->ids.numel();
  const int64_t columns = words.size(1);
  for (const TokenRows* rows : {&e.words, &e.positions, &e.types}) {
    if (!rows->table.defined()) {
      LONGFORMER_CHECK_VALUE(!rows->ids.defined(), "longformer::embed: there are ids for ", rows->name,
                             ", but no table");
      continue;
    }
    LONGFORMER_CHECK_VALUE(rows->table.dim() == 2 && rows->table.size(1) == columns,
                           "longformer::embed: ", rows->name, " must be [rows, ", columns, "], given ",
                           rows->table.sizes());
    if (rows->ids.defined()) {
      LONGFORMER_CHECK_VALUE(
          rows->ids.dim() == 1 && rows->ids.size(0) == e.tokens && rows->ids.scalar_type() == kLong,
          "longformer::embed: the ids of ", rows->name, " must be int64 [", e.tokens, "], given ",
          rows->ids.scalar_type(), " ", rows->ids.sizes());
    } else {
      LONGFORMER_CHECK_VALUE(
          e.tokens == 0 || (rows->table.size(0) > 0 && e.tokens % rows->table.size(0) == 0),
          "longformer::embed: without ids, the rows of ", rows->name, " must go into the ", e.tokens,
          " tokens, given ", rows->table.sizes());
    }
  }
  LONGFORMER_CHECK_VALUE(
      weight.dim() == 1 && bias.dim() == 1 && weight.size(0) == columns && bias.size(0) == columns,
      "longformer::embed: weight and bias must be [", columns, "], given ", weight.sizes(), " and ",
      bias.sizes());
  return e;
}

}  // namespace longformer
