// Checks the arguments of the layers around the attention: linear, activation, LayerNorm, embedding, dropout.
#include <algorithm>

#include "check.h"
#include "cpu/int8_linear.h"
#include "cpu/products.h"

namespace longformer {
namespace {

constexpr struct {
  std::string_view name;
  Activation activation;
} kActivations[] = {{"none", Activation::none},           {"gelu", Activation::gelu},
                    {"gelu_tanh", Activation::gelu_tanh}, {"relu", Activation::relu},
                    {"tanh", Activation::tanh},           {"silu", Activation::silu}};

Activation activation_of(const char* op, std::string_view name) {
  for (const auto& known : kActivations)
    if (known.name == name) return known.activation;
  throw ValueError(text("longformer::", op,
                        ": activation must be \"none\", \"gelu\", \"gelu_tanh\", \"relu\", \"tanh\" or "
                        "\"silu\", given \"",
                        name, "\""));
}

int64_t last_size(const Tensor& t) {
  return t.dim() >= 1 ? t.size(-1) : 0;
}

// [outputs, inputs] for an input [..., inputs].
void check_weight(const char* op, const Tensor& input, const Tensor& weight) {
  LONGFORMER_CHECK_VALUE(weight.dim() == 2, "longformer::", op, ": weight must be [outputs, inputs], given ",
                         weight.sizes());
  LONGFORMER_CHECK_VALUE(input.dim() >= 1 && input.size(-1) == weight.size(1), "longformer::", op,
                         ": input must be [..., ", weight.size(1), "] for weight ", weight.sizes(),
                         ", given ", input.sizes());
  check_same_kind(op, "weight", weight, "input", input);
}

// Of a product: bias [outputs] and a residual like the result, either of which may be undefined. They are of
// the kind of another argument.
void check_bias(const char* op, const Tensor& bias, int64_t outputs, const char* like_name,
                const Tensor& like) {
  if (!bias.defined()) return;
  check_same_kind(op, "bias", bias, like_name, like);
  LONGFORMER_CHECK_VALUE(bias.dim() == 1 && bias.size(0) == outputs, "longformer::", op, ": bias must be [",
                         outputs, "], given ", bias.sizes());
}
void check_residual(const char* op, const Tensor& residual, const std::vector<int64_t>& shape,
                    const char* like_name, const Tensor& like) {
  if (!residual.defined()) return;
  check_same_kind(op, "residual", residual, like_name, like);
  LONGFORMER_CHECK_VALUE(residual.sizes() == IntList(shape), "longformer::", op, ": residual must be ",
                         IntList(shape), ", given ", residual.sizes());
}

std::vector<int64_t> with_last(IntList sizes, int64_t last) {
  std::vector<int64_t> shape = sizes.vec();
  shape.back() = last;
  return shape;
}

}  // namespace

Activation check_activation(const char* op, const Tensor& input, std::string_view name) {
  check_floating(op, "input", input);
  return activation_of(op, name);
}

void check_activation_gradient(const char* op, const Tensor& grad_output, const Tensor& input) {
  check_same_shape(op, "grad_output", grad_output, "input", input);
}

Linear check_linear(const char* op, const Tensor& input, const Tensor& weight, const OptionalTensor& bias,
                    const OptionalTensor& packed, std::string_view activation,
                    const OptionalTensor& residual) {
  check_weight(op, input, weight);
  Linear linear{input,
                weight,
                or_none(bias),
                or_none(packed),
                or_none(residual),
                activation_of(op, activation),
                with_last(input.sizes(), weight.size(0))};
  check_bias(op, linear.bias, weight.size(0), "input", input);
  check_residual(op, linear.residual, linear.shape, "input", input);
  const bool packs = linear.packed.defined() && linear.packed.numel() > 0;
  LONGFORMER_CHECK_VALUE(!packs || !input.is_cpu() || cpu::is_packed_form_of(linear.packed, weight),
                         "longformer::", op, ": packed must be linear_pack(weight), given ",
                         linear.packed.scalar_type(), " ", linear.packed.sizes(), " for weight ",
                         weight.scalar_type(), " ", weight.sizes());
  return linear;
}

void check_int8_quantize(const Tensor& weight) {
  check_floating("_int8_quantize", "weight", weight);
  LONGFORMER_CHECK_VALUE(weight.dim() == 2,
                         "longformer::_int8_quantize: weight must be [outputs, inputs], given ",
                         weight.sizes());
}

void check_int8_values(bool finite) {
  LONGFORMER_CHECK_VALUE(finite, "longformer::_int8_quantize: weight must be finite, given NaN or infinity");
}

void check_int8_weight(const char* op, const Tensor& weight) {
  LONGFORMER_CHECK_VALUE(weight.scalar_type() == kChar && weight.dim() == 2 && weight.is_cpu(),
                         "longformer::", op, ": weight must be int8 [outputs, inputs] on the CPU, given ",
                         weight.scalar_type(), " ", weight.sizes(), " on ", weight.device());
}

Int8Linear check_int8_linear(const char* op, const Tensor& input, const Tensor& weight, const Tensor& scale,
                             const OptionalTensor& bias, const OptionalTensor& packed,
                             std::string_view activation, const OptionalTensor& residual,
                             const OptionalTensor& out) {
  check_int8_weight(op, weight);
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  LONGFORMER_CHECK_VALUE(cpu::has_product(input.scalar_type()), "longformer::", op,
                         ": input must be float32, bfloat16 or float16, given ", input.scalar_type());
  LONGFORMER_CHECK_VALUE(input.dim() >= 1 && input.size(-1) == inputs, "longformer::", op,
                         ": input must be [..., ", inputs, "] for weight ", weight.sizes(), ", given ",
                         input.sizes());
  LONGFORMER_CHECK_VALUE(
      scale.scalar_type() == kFloat && scale.is_cpu() && scale.sizes() == IntList({outputs}),
      "longformer::", op, ": scale must be float32 [", outputs, "] on the CPU, given ", scale.scalar_type(),
      " ", scale.sizes(), " on ", scale.device());
  Int8Linear linear{input,
                    weight,
                    scale,
                    or_none(bias),
                    or_none(packed),
                    or_none(residual),
                    activation_of(op, activation),
                    with_last(input.sizes(), outputs)};
  const bool integers = linear.packed.defined();
  if (out.has_value()) {
    check_floating(op, "out", *out);
    LONGFORMER_CHECK_VALUE(cpu::has_product(out->scalar_type()), "longformer::", op,
                           ": out must be float32, bfloat16 or float16, given ", out->scalar_type());
    check_out(op, *out, linear.shape, integers ? Tensor() : input);
  }
  const char* const like_name = out.has_value() ? "out" : "input";
  const Tensor& like = out.has_value() ? *out : input;
  const bool wide_bias = integers && linear.bias.defined() && linear.bias.scalar_type() == kFloat;
  check_bias(op, linear.bias, outputs, like_name, wide_bias ? linear.bias : like);
  check_residual(op, linear.residual, linear.shape, like_name, like);
  LONGFORMER_CHECK_VALUE(!linear.packed.defined() || cpu::is_packed_int8(linear.packed, inputs, outputs),
                         "longformer::", op, ": packed must be _int8_pack(weight), given ",
                         or_none(packed).scalar_type(), " ", or_none(packed).sizes(), " for weight ",
                         weight.sizes());
  return linear;
}

void check_linear_pack(const Tensor& weight) {
  LONGFORMER_CHECK_VALUE(weight.dim() == 2,
                         "longformer::linear_pack: weight must be [outputs, inputs], given ", weight.sizes());
}

void check_out(const char* op, const Tensor& out, IntList shape, const Tensor& like) {
  if (like.defined()) check_same_kind(op, "out", out, "input", like);
  LONGFORMER_CHECK_VALUE(out.sizes() == shape, "longformer::", op, ": out must be ", shape, ", given ",
                         out.sizes());
}

void check_linear_gradient(const char* op, const Tensor& grad_output, const Tensor& input,
                           const Tensor& weight) {
  check_weight(op, input, weight);
  check_same_kind(op, "grad_output", grad_output, "input", input);
  const std::vector<int64_t> shape = with_last(input.sizes(), weight.size(0));
  LONGFORMER_CHECK_VALUE(grad_output.sizes() == IntList(shape), "longformer::", op, ": grad_output must be ",
                         IntList(shape), ", given ", grad_output.sizes());
}

void check_layer_norm(const char* op, const Tensor& input, const OptionalTensor& residual,
                      const Tensor& weight, const Tensor& bias) {
  const auto check_row = [&](const char* name, const Tensor& t) {
    LONGFORMER_CHECK_VALUE(!t.defined() || (t.dim() == 1 && input.dim() >= 1 && t.size(0) == input.size(-1)),
                           "longformer::", op, ": ", name, " must be [", last_size(input), "] for input ",
                           input.sizes(), ", given ", t.sizes());
  };
  check_row("weight", weight);
  check_row("bias", bias);
  if (!given(residual)) return;
  // Broadcasts to the input.
  const IntList whole = input.sizes(), part = residual->sizes();
  bool fits = part.size() <= whole.size();
  for (size_t i = 0; fits && i < part.size(); ++i) {
    const int64_t size = part[part.size() - 1 - i];
    fits = size == 1 || size == whole[whole.size() - 1 - i];
  }
  LONGFORMER_CHECK_VALUE(fits, "longformer::", op, ": residual must be ", whole, " like input, given ", part);
}

void check_layer_norm_gradient(const char* op, const Tensor& grad_output, const Tensor& input,
                               const OptionalTensor& residual) {
  LONGFORMER_CHECK_VALUE(grad_output.sizes() == input.sizes(), "longformer::", op, ": grad_output must be ",
                         input.sizes(), " like input, given ", grad_output.sizes());
  LONGFORMER_CHECK_VALUE(!given(residual) || residual->sizes() == input.sizes(), "longformer::", op,
                         ": residual must be ", input.sizes(), " like input, given ", residual->sizes());
}

namespace {

void check_token_rows(const char* op, const TokenRows& rows, int64_t columns, int64_t tokens) {
  if (!rows.table.defined()) {
    LONGFORMER_CHECK_VALUE(!rows.ids.defined(), "longformer::", op, ": there are ids for ", rows.name,
                           ", but no table");
    return;
  }
  LONGFORMER_CHECK_VALUE(rows.table.dim() == 2 && rows.table.size(1) == columns, "longformer::", op, ": ",
                         rows.name, " must be [rows, ", columns, "], given ", rows.table.sizes());
  const int64_t count = rows.table.size(0);
  if (!rows.ids.defined()) {
    LONGFORMER_CHECK_VALUE(tokens == 0 || (count > 0 && tokens % count == 0), "longformer::", op,
                           ": without ids, the rows of ", rows.name, " must go into the ", tokens,
                           " tokens, given ", rows.table.sizes());
    return;
  }
  LONGFORMER_CHECK_VALUE(rows.ids.dim() == 1 && rows.ids.size(0) == tokens && rows.ids.scalar_type() == kLong,
                         "longformer::", op, ": the ids of ", rows.name, " must be int64 [", tokens,
                         "], given ", rows.ids.scalar_type(), " ", rows.ids.sizes());
  if (!rows.ids.is_cpu() || !rows.table.is_cpu()) return;
  const Tensor ids = rows.ids.contiguous();
  const int64_t* const id = ids.data_ptr<int64_t>();
  for (int64_t n = 0; n < tokens; ++n)
    LONGFORMER_CHECK_INDEX(id[n] >= 0 && id[n] < count, "longformer::", op, ": the ids of ", rows.name,
                           " must be rows of [", count, ", C], given ", id[n], " for token ", n);
}

}  // namespace

Embedding check_embed(const char* op, const Tensor& words, const OptionalTensor& word_ids,
                      const Tensor& positions, const OptionalTensor& position_ids,
                      const OptionalTensor& types, const OptionalTensor& type_ids, const Tensor& weight,
                      const Tensor& bias, double eps, double word_scale, int64_t word_padding,
                      int64_t position_padding) {
  Embedding e;
  e.words = {"words", words, or_none(word_ids), word_padding};
  e.positions = {"positions", positions, or_none(position_ids), position_padding};
  e.types = {"types", or_none(types), or_none(type_ids)};
  e.weight = weight;
  e.bias = bias;
  e.eps = eps;
  e.word_scale = word_scale;
  LONGFORMER_CHECK_VALUE(words.dim() == 2, "longformer::", op, ": words must be [rows, C], given ",
                         words.sizes());
  e.tokens = words.size(0);
  for (const TokenRows* rows : {&e.types, &e.positions, &e.words})
    if (rows->ids.defined()) e.tokens = rows->ids.numel();
  const int64_t columns = words.size(1);
  for (const TokenRows* rows : {&e.words, &e.positions, &e.types})
    check_token_rows(op, *rows, columns, e.tokens);
  LONGFORMER_CHECK_VALUE(
      weight.dim() == 1 && bias.dim() == 1 && weight.size(0) == columns && bias.size(0) == columns,
      "longformer::", op, ": weight and bias must be [", columns, "], given ", weight.sizes(), " and ",
      bias.sizes());
  return e;
}

void check_embed_gradient(const char* op, const Embedding& e, const Tensor& grad_output) {
  const int64_t columns = e.words.table.size(1);
  LONGFORMER_CHECK_VALUE(
      grad_output.dim() == 2 && grad_output.size(0) == e.tokens && grad_output.size(1) == columns,
      "longformer::", op, ": grad_output must be [", e.tokens, ", ", columns, "], given ",
      grad_output.sizes());
}

void check_hidden_dropout(const Tensor& input, double probability) {
  check_floating("hidden_dropout", "input", input);
  LONGFORMER_CHECK_VALUE(probability >= 0 && probability <= 1,
                         "longformer::hidden_dropout: probability must be in [0, 1], given ", probability);
}

void check_layer_norm_like(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias) {
  check_layer_norm(op, input, {}, weight, bias);
  check_same_kind(op, "weight", weight, "input", input);
  check_same_kind(op, "bias", bias, "input", input);
}

void check_feed_forward(const char* op, const Tensor& context, const Tensor& hidden) {
  check_same_kind(op, "hidden", hidden, "context", context);
  LONGFORMER_CHECK_VALUE(context.dim() == 2 && context.is_contiguous() && context.sizes() == hidden.sizes(),
                         "longformer::", op,
                         ": context and hidden must be [N, C], the context contiguous, given ",
                         context.sizes(), " and ", hidden.sizes());
}

void check_drop(const char* op, double probability) {
  LONGFORMER_CHECK_VALUE(probability >= 0 && probability < 1, "longformer::", op,
                         ": probability must be in [0, 1), given ", probability);
}

void check_apart(const char* op, const Tensor& out, const Tensor& input) {
  if (!out.is_contiguous() || !input.is_contiguous()) return;
  const char *a = out.data_ptr<char>(), *b = input.data_ptr<char>();
  LONGFORMER_CHECK_VALUE(a + out.nbytes() <= b || b + input.nbytes() <= a, "longformer::", op,
                         ": out must not share the memory of input");
}

}  // namespace longformer
