// The gradient of banded_attention: its backward pass is an operator of its own, so that it can be traced and
// given shapes without data (meta.cpp). global_attention and linear are made of differentiable operators
// where it matters.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "operators.h"

namespace longformer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const auto& forward_operator() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::banded_attention", "")
                             .typed<BandedForwardOperator>();
  return op;
}

const auto& backward_operator() {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::banded_attention_backward", "")
                             .typed<BandedBackwardOperator>();
  return op;
}

// The options without their tensors travel from the forward to the backward pass as values of the context.
void save_options(AutogradContext* ctx, const BandedOptions& o) {
  const auto list = [](at::OptionalIntArrayRef values) {
    return values.has_value() ? at::IValue(values->vec()) : at::IValue();
  };
  ctx->saved_data["window_left"] = o.window_left;
  ctx->saved_data["window_right"] = o.window_right;
  ctx->saved_data["dilation"] = list(o.dilation);
  ctx->saved_data["sequence_offsets"] = list(o.sequence_offsets);
  ctx->saved_data["scale"] = o.scale.has_value() ? at::IValue(*o.scale) : at::IValue();
  ctx->saved_data["dropout"] = o.dropout;
  ctx->saved_data["seed"] = o.seed;
  ctx->saved_data["implementation"] = std::string(o.implementation.data(), o.implementation.size());
}

c10::optional<at::Tensor> if_defined(const at::Tensor& t) {
  return t.defined() ? c10::optional<at::Tensor>(t) : c10::nullopt;
}

// Differentiating the backward pass once more would silently lose terms; it is refused where it would be
// used.
struct BandedAttentionBackwardFunction : torch::autograd::Function<BandedAttentionBackwardFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& grad_output, const at::Tensor& query,
                               const at::Tensor& key, const at::Tensor& value, const at::Tensor& output,
                               const at::Tensor& logsumexp, const BandedOptions& options) {
    at::AutoDispatchBelowADInplaceOrView guard;
    auto grads =
        call_with_options(backward_operator(), options, grad_output, query, key, value, output, logsumexp);
    return {std::get<0>(grads), std::get<1>(grads), std::get<2>(grads)};
  }

  static variable_list backward(AutogradContext*, variable_list) {
    TORCH_CHECK_NOT_IMPLEMENTED(false, "longformer::banded_attention can be differentiated once, not twice");
  }
};

struct BandedAttentionFunction : torch::autograd::Function<BandedAttentionFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& query, const at::Tensor& key,
                               const at::Tensor& value, const BandedOptions& options) {
    at::AutoDispatchBelowADInplaceOrView guard;
    auto [output, logsumexp] = call_with_options(forward_operator(), options, query, key, value);
    const at::Tensor none;
    ctx->save_for_backward({query, key, value, output, logsumexp, options.mask.value_or(none),
                            options.global_index.value_or(none)});
    save_options(ctx, options);
    ctx->mark_non_differentiable({logsumexp});
    return {output, logsumexp};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    auto& data = ctx->saved_data;
    const auto list = [&](const char* name) {
      return data[name].isNone() ? std::vector<int64_t>() : data[name].toIntVector();
    };
    const std::vector<int64_t> dilation = list("dilation"), offsets = list("sequence_offsets");
    const auto view = [&](const char* name, const std::vector<int64_t>& values) {
      return data[name].isNone() ? at::OptionalIntArrayRef() : at::OptionalIntArrayRef(values);
    };
    const std::string implementation = data["implementation"].toStringRef();
    const BandedOptions options{data["window_left"].toInt(),
                                data["window_right"].toInt(),
                                view("dilation", dilation),
                                if_defined(saved[5]),
                                if_defined(saved[6]),
                                view("sequence_offsets", offsets),
                                data["scale"].toOptional<double>(),
                                data["dropout"].toDouble(),
                                data["seed"].toInt(),
                                implementation};
    auto [grad_q, grad_k, grad_v] = call_with_options(backward_operator(), options, grads[0], saved[0],
                                                      saved[1], saved[2], saved[3], saved[4]);
    return {grad_q, grad_k, grad_v, at::Tensor()};
  }
};

std::tuple<at::Tensor, at::Tensor> forward(const BandedOptions& options, const at::Tensor& query,
                                           const at::Tensor& key, const at::Tensor& value) {
  if (at::GradMode::is_enabled() && (query.requires_grad() || key.requires_grad() || value.requires_grad())) {
    auto results = BandedAttentionFunction::apply(query, key, value, options);
    return {results[0], results[1]};
  }
  at::AutoDispatchBelowADInplaceOrView guard;
  return call_with_options(forward_operator(), options, query, key, value);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> backward(const BandedOptions& options,
                                                        const at::Tensor& grad_output,
                                                        const at::Tensor& query, const at::Tensor& key,
                                                        const at::Tensor& value, const at::Tensor& output,
                                                        const at::Tensor& logsumexp) {
  const auto needs = [](const at::Tensor& t) { return t.defined() && t.requires_grad(); };
  if (at::GradMode::is_enabled() && (needs(grad_output) || needs(query) || needs(key) || needs(value))) {
    auto grads =
        BandedAttentionBackwardFunction::apply(grad_output, query, key, value, output, logsumexp, options);
    return {grads[0], grads[1], grads[2]};
  }
  at::AutoDispatchBelowADInplaceOrView guard;
  return call_with_options(backward_operator(), options, grad_output, query, key, value, output, logsumexp);
}

// The probabilities are for looking at: no gradient flows back from them.
at::Tensor probabilities(const at::Tensor& query, const at::Tensor& key, int64_t window_left,
                         int64_t window_right, at::OptionalIntArrayRef dilation,
                         const c10::optional<at::Tensor>& mask, const c10::optional<at::Tensor>& global_index,
                         at::OptionalIntArrayRef sequence_offsets, c10::optional<double> scale) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("longformer::banded_attention_probabilities", "")
                             .typed<decltype(probabilities)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(query, key, window_left, window_right, dilation, mask, global_index, sequence_offsets,
                 scale);
}

}  // namespace

TORCH_LIBRARY_IMPL(longformer, Autograd, m) {
  m.impl("banded_attention", TORCH_FN(TakesOptions<forward>::call));
  m.impl("banded_attention_backward", TORCH_FN(TakesOptions<backward>::call));
  m.impl("banded_attention_probabilities", TORCH_FN(probabilities));
}

}  // namespace longformer
