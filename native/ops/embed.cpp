// embed from ATen's operators: wherever a gradient is recorded, and for tensors that a device's kernel does
// not take. The devices' own are in cpu/embed.cpp and cuda/embed_rows.cpp.

#include "operators.h"

namespace longformer {
namespace {


Tensor rows_of(const TokenRows& rows, int64_t tokens, int64_t padding) {
  if (rows.ids.defined()) return embedding(rows.table, rows.ids, padding);
  const int64_t count = rows.table.size(0);
  return count == tokens || count == 0 ? rows.table : rows.table.repeat({tokens / count, 1});
}

}  // namespace

Tensor embed_by_aten(const Embedding& e, int64_t word_padding, int64_t position_padding) {
  Tensor words = rows_of(e.words, e.tokens, word_padding);
  if (e.word_scale != 1.0) words = words * e.word_scale;
  const Tensor positions = rows_of(e.positions, e.tokens, position_padding);
  return e.types.table.defined() ? add_layer_norm_by_aten(words + positions, rows_of(e.types, e.tokens, -1),
                                                          e.weight, e.bias, e.eps)
                                 : add_layer_norm_by_aten(words, positions, e.weight, e.bias, e.eps);
}

namespace {

Tensor embed(const Tensor& words, const OptionalTensor& word_ids, const Tensor& positions,
                 const OptionalTensor& position_ids, const OptionalTensor& types,
                 const OptionalTensor& type_ids, const Tensor& weight, const Tensor& bias, double eps,
                 double word_scale, int64_t word_padding, int64_t position_padding) {
  return embed_by_aten(
      check_embed(words, word_ids, positions, position_ids, types, type_ids, weight, bias, eps, word_scale),
      word_padding, position_padding);
}

Tensor embed_autograd(const Tensor& words, const OptionalTensor& word_ids,
                          const Tensor& positions, const OptionalTensor& position_ids,
                          const OptionalTensor& types, const OptionalTensor& type_ids,
                          const Tensor& weight, const Tensor& bias, double eps, double word_scale,
                          int64_t word_padding, int64_t position_padding) {
  const bool types_need = types.has_value() && types->defined() && types->requires_grad();
  if (at::GradMode::is_enabled() && (words.requires_grad() || positions.requires_grad() || types_need ||
                                     weight.requires_grad() || bias.requires_grad()))
    return embed(words, word_ids, positions, position_ids, types, type_ids, weight, bias, eps, word_scale,
                 word_padding, position_padding);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("longformer::embed", "").typed<decltype(embed)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(words, word_ids, positions, position_ids, types, type_ids, weight, bias, eps, word_scale,
                 word_padding, position_padding);
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, CompositeExplicitAutograd, m) {
  m.impl("embed", TORCH_FN(embed));
}
TORCH_LIBRARY_IMPL(longformer, Autograd, m) {
  m.impl("embed", TORCH_FN(embed_autograd));
}

}  // namespace longformer
