#include "support.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace longformer::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <typename Signature>
const c10::TypedOperatorHandle<Signature>& find(const char* name) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
  return op;
}

bool chance(Rng& rng, double probability) {
  return std::uniform_real_distribution<>()(rng) < probability;
}

int64_t random_window(Rng& rng, int64_t longest) {
  switch (uniform(rng, 0, 5)) {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      return uniform(rng, 2, 9);
    case 3:
      return uniform(rng, 10, 90);
    case 4:
      return longest + uniform(rng, 0, 50);
    default:
      return chance(rng, 0.2) ? std::numeric_limits<int64_t>::max() : uniform(rng, 1, 40);
  }
}

at::Tensor random_mask(Rng& rng, const Problem& p) {
  const auto offsets = p.offsets();
  const int64_t kind = uniform(rng, 0, 4);  // 0: none
  if (kind == 0) return {};
  at::Tensor mask = at::full({offsets.back()}, 1, at::kLong);
  int64_t* m = mask.data_ptr<int64_t>();
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    const bool whole = kind == 3 && chance(rng, 0.5);
    const int64_t tail = kind == 1 ? uniform(rng, 0, length) : length;
    for (int64_t i = 0; i < length; ++i) {
      const bool visible = !whole && i < tail && !(kind == 2 && chance(rng, 0.3));
      m[offsets[s] + i] = visible ? uniform(rng, 1, 3) : 0;
    }
  }
  const at::ScalarType types[] = {at::kBool, at::kByte, at::kLong};
  mask = mask.to(types[uniform(rng, 0, 2)]);
  return p.packed ? mask : mask.view({static_cast<int64_t>(p.lengths.size()), -1});
}

at::Tensor random_globals(Rng& rng, const Problem& p) {
  const int64_t kind = uniform(rng, 0, 5), sequences = static_cast<int64_t>(p.lengths.size());
  if (kind <= 1) return {};
  std::vector<std::vector<int64_t>> rows;
  size_t width = chance(rng, 0.1) ? 3 : 0;
  for (int64_t length : p.lengths) {
    std::vector<int64_t> row;
    for (int64_t i = 0; i < length; ++i) {
      const bool take = kind == 2   ? i == 0
                        : kind == 3 ? chance(rng, 0.1)
                        : kind == 4 ? i < 70
                                    : i == length - 1 || i == length / 2;
      if (take) row.push_back(i);
    }
    width = std::max(width, row.size());
    rows.push_back(row);
  }
  at::Tensor index = at::full({sequences, static_cast<int64_t>(width)}, -1, at::kLong);
  for (int64_t s = 0; s < sequences; ++s)
    for (size_t g = 0; g < rows[s].size(); ++g) index[s][static_cast<int64_t>(g)] = rows[s][g];
  return index;
}

}  // namespace

std::vector<int64_t> Problem::offsets() const {
  std::vector<int64_t> result{0};
  for (int64_t length : lengths) result.push_back(result.back() + length);
  return result;
}

double Problem::scale_value() const {
  return scale.has_value() ? *scale : 1.0 / std::sqrt(static_cast<double>(dim));
}

std::string Problem::describe() const {
  std::ostringstream s;
  s << (packed ? "packed" : "batch") << " lengths";
  for (int64_t length : lengths) s << ' ' << length;
  s << ", H " << heads << " D " << dim << ", window " << window_left << ' ' << window_right << ", dilation";
  if (dilation)
    for (int64_t d : *dilation) s << ' ' << d;
  s << ", mask " << (mask.defined() ? toString(mask.scalar_type()) : "none") << ", globals "
    << (global_index.defined() ? global_index.size(1) : 0) << ", dropout " << dropout << ", "
    << q.scalar_type();
  return s.str();
}

int64_t uniform(Rng& rng, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rng);
}

at::Tensor random_tensor(Rng& rng, at::IntArrayRef shape, at::ScalarType type, double deviation) {
  at::Tensor t = at::empty(shape, at::kDouble);
  std::normal_distribution<double> normal(0.0, deviation);
  std::generate_n(t.data_ptr<double>(), t.numel(), [&] { return normal(rng); });
  return t.to(type);
}

void fill(Problem& p, Rng& rng, at::ScalarType type) {
  std::vector<int64_t> shape{p.tokens(), p.heads, p.dim};
  if (!p.packed) {
    shape[0] = p.lengths.empty() ? 0 : p.lengths[0];
    shape.insert(shape.begin(), static_cast<int64_t>(p.lengths.size()));
  }
  p.q = random_tensor(rng, shape, type, 2.0);
  p.k = random_tensor(rng, shape, type);
  p.v = random_tensor(rng, shape, type);
  p.grad_out = random_tensor(rng, shape, type);
}

Problem random_problem(uint64_t seed, at::ScalarType type) {
  Rng rng(seed * 7919 + 17);
  Problem p;
  const auto random_length = [&] {
    return chance(rng, 0.15)   ? uniform(rng, 100, 300)
           : chance(rng, 0.15) ? uniform(rng, 1, 3)
                               : uniform(rng, 4, 90);
  };
  p.packed = chance(rng, 0.5);
  const int64_t sequences = uniform(rng, 1, p.packed ? 4 : 3), length = random_length();
  for (int64_t s = 0; s < sequences; ++s)
    p.lengths.push_back(!p.packed          ? length
                        : chance(rng, 0.2) ? 0
                        : chance(rng, 0.3) ? length
                                           : random_length());
  p.heads = uniform(rng, 1, 5);
  const int64_t dims[] = {1, 3, 8, 16, 24, 32, 33, 64, 80, 128};
  p.dim = dims[uniform(rng, 0, 9)];
  p.window_left = random_window(rng, length);
  p.window_right = chance(rng, 0.4) ? p.window_left : random_window(rng, length);
  if (chance(rng, 0.5)) {
    const int64_t values = chance(rng, 0.3) ? 1 : p.heads;
    std::vector<int64_t> dilation;
    for (int64_t h = 0; h < values; ++h)
      dilation.push_back(chance(rng, 0.1) ? uniform(rng, 50, 400) : uniform(rng, 1, 5));
    p.dilation = dilation;
  }
  p.mask = random_mask(rng, p);
  p.global_index = random_globals(rng, p);
  if (chance(rng, 0.3)) p.scale = 0.3;
  if (chance(rng, 0.3)) p.dropout = 0.35;
  p.seed = uniform(rng, -1000, 1000);
  fill(p, rng, type);
  return p;
}

at::Tensor allowed_keys(const Problem& p, size_t sequence) {
  const auto offsets = p.offsets();
  const int64_t begin = offsets[sequence], length = p.lengths[sequence];
  const at::Tensor mask = p.mask.defined() ? p.mask.reshape({-1}).to(at::kLong).contiguous() : at::Tensor();
  const int64_t* visible = mask.defined() ? mask.data_ptr<int64_t>() + begin : nullptr;
  std::vector<bool> is_global(length, false);
  if (p.global_index.defined())
    for (int64_t g = 0; g < p.global_index.size(1); ++g) {
      const int64_t j = p.global_index[static_cast<int64_t>(sequence)][g].item<int64_t>();
      if (j >= 0) is_global[j] = true;
    }
  at::Tensor allowed = at::zeros({p.heads, length, length}, at::kBool);
  bool* a = allowed.data_ptr<bool>();
  for (int64_t h = 0; h < p.heads; ++h) {
    const int64_t d = !p.dilation ? 1 : p.dilation->size() == 1 ? (*p.dilation)[0] : (*p.dilation)[h];
    for (int64_t i = 0; i < length; ++i)
      for (int64_t j = 0; j < length; ++j, ++a) {
        if (visible && (!visible[i] || !visible[j])) continue;
        const int64_t distance = std::abs(j - i), steps = distance / d;
        const bool local = distance % d == 0 && steps <= (j < i ? p.window_left : p.window_right);
        *a = local || is_global[j];
      }
  }
  return allowed;
}

at::Tensor dropout_factor(const Problem& p, size_t sequence) {
  const int64_t begin = p.offsets()[sequence], length = p.lengths[sequence];
  at::Tensor factor = at::empty({p.heads, length, length}, at::kDouble);
  double* f = factor.data_ptr<double>();
  for (int64_t h = 0; h < p.heads; ++h)
    for (int64_t i = 0; i < length; ++i)
      for (int64_t j = 0; j < length; ++j)
        *f++ = dropout_keeps(p.seed, h, begin + i, begin + j, p.dropout) ? 1.0 / (1.0 - p.dropout) : 0.0;
  return factor;
}

Result dense(const Problem& p, at::ScalarType type) {
  // 16-bit products have no kernel on the CPU of libtorch 1.13: they are made in float32 and rounded.
  const auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
  const auto up = [&](const at::Tensor& t) { return t.to(wide); };
  const auto rounded = [&](const at::Tensor& t) { return t.to(type); };
  const auto leaf = [&](const at::Tensor& t) { return t.to(type).clone().set_requires_grad(true); };
  const at::Tensor q = leaf(p.q), k = leaf(p.k), v = leaf(p.v);
  const auto offsets = p.offsets();
  const auto flat_shape = std::vector<int64_t>{offsets.back(), p.heads, p.dim};
  const at::Tensor out = at::zeros(flat_shape, type);
  at::Tensor lse = at::full({offsets.back(), p.heads}, -infinity, wide);
  Result r{out, lse, at::zeros_like(q), at::zeros_like(k), at::zeros_like(v)};
  for (size_t s = 0; s < p.lengths.size(); ++s) {
    const int64_t length = p.lengths[s];
    if (length == 0) continue;
    const auto heads_first = [&](const at::Tensor& t) {
      return t.reshape(flat_shape).narrow(0, offsets[s], length).transpose(0, 1);
    };
    const at::Tensor hidden = allowed_keys(p, s).logical_not();
    const at::Tensor scores =
        rounded(at::matmul(up(heads_first(q)), up(heads_first(k)).transpose(1, 2)) * p.scale_value());
    const at::Tensor masked = up(scores).masked_fill(hidden, -1e30);
    at::Tensor probability = rounded(masked.softmax(-1).masked_fill(hidden, 0.0));
    if (p.dropout > 0.0) probability = rounded(up(probability) * dropout_factor(p, s).to(wide));
    const at::Tensor o = rounded(at::matmul(up(probability), up(heads_first(v))));
    out.narrow(0, offsets[s], length).copy_(o.detach().transpose(0, 1));
    lse.narrow(0, offsets[s], length)
        .copy_(up(scores).detach().masked_fill(hidden, -infinity).logsumexp(-1).transpose(0, 1));
    const auto grads = torch::autograd::grad({o}, {q, k, v}, {heads_first(p.grad_out.to(type))});
    const at::Tensor grad_p =
        at::matmul(up(heads_first(p.grad_out)), up(heads_first(v.detach())).transpose(1, 2));
    const at::Tensor terms = (up(probability.detach()) * grad_p).abs() * std::abs(p.scale_value());
    const auto size = [&](const at::Tensor& weights, const at::Tensor& t) {
      return max_magnitude(at::matmul(weights, up(heads_first(t.detach())).abs()));
    };
    r.terms_of_grad_q = std::max(r.terms_of_grad_q, size(terms, k));
    r.terms_of_grad_k = std::max(r.terms_of_grad_k, size(terms.transpose(1, 2), q));
    r.grad_q += grads[0];
    r.grad_k += grads[1];
    r.grad_v += grads[2];
  }
  r.out = out.view(p.q.sizes());
  r.lse = lse.view(p.q.sizes().slice(0, p.q.dim() - 1));
  return r;
}

BandedOptions options_of(const Problem& p, const std::vector<int64_t>& offsets,
                         const std::string& implementation) {
  const auto if_defined = [](const at::Tensor& t) {
    return t.defined() ? c10::optional<at::Tensor>(t) : c10::nullopt;
  };
  return {p.window_left,
          p.window_right,
          p.dilation ? at::OptionalIntArrayRef(*p.dilation) : at::OptionalIntArrayRef(),
          if_defined(p.mask),
          if_defined(p.global_index),
          p.packed ? at::OptionalIntArrayRef(offsets) : at::OptionalIntArrayRef(),
          p.scale,
          p.dropout,
          p.seed,
          implementation};
}

std::tuple<at::Tensor, at::Tensor> banded_attention(const at::Tensor& q, const at::Tensor& k,
                                                    const at::Tensor& v, const BandedOptions& options) {
  return call_with_options(find<BandedForwardOperator>("longformer::banded_attention"), options, q, k, v);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> banded_attention_backward(
    const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, const BandedOptions& options) {
  return call_with_options(find<BandedBackwardOperator>("longformer::banded_attention_backward"), options,
                           grad_out, q, k, v, out, lse);
}

std::tuple<at::Tensor, at::Tensor> forward(const Problem& p, const std::string& implementation) {
  const auto offsets = p.offsets();
  return banded_attention(p.q, p.k, p.v, options_of(p, offsets, implementation));
}

Result run(const Problem& p, const std::string& implementation) {
  const auto leaf = [](const at::Tensor& t) { return t.detach().set_requires_grad(true); };
  const at::Tensor q = leaf(p.q), k = leaf(p.k), v = leaf(p.v);
  const auto offsets = p.offsets();
  const auto [out, lse] = banded_attention(q, k, v, options_of(p, offsets, implementation));
  const auto grads = torch::autograd::grad({out}, {q, k, v}, {p.grad_out});
  return {out.detach(), lse, grads[0], grads[1], grads[2]};
}

at::Tensor banded_probabilities(const Problem& p) {
  using Signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, at::OptionalIntArrayRef,
                 const c10::optional<at::Tensor>&, const c10::optional<at::Tensor>&, at::OptionalIntArrayRef,
                 c10::optional<double>);
  const auto offsets = p.offsets();
  const BandedOptions o = options_of(p, offsets, "chunks");
  return find<Signature>("longformer::banded_attention_probabilities")
      .call(p.q, p.k, o.window_left, o.window_right, o.dilation, o.mask, o.global_index, o.sequence_offsets,
            o.scale);
}

at::Tensor global_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& index, const GlobalOptions& o) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                               const c10::optional<at::Tensor>&, at::OptionalIntArrayRef,
                               c10::optional<double>, double, int64_t);
  return find<Signature>("longformer::global_attention")
      .call(q, k, v, index, o.mask, o.sequence_offsets, o.scale, o.dropout, o.seed);
}

at::Tensor global_probabilities(const at::Tensor& q, const at::Tensor& k, const at::Tensor& index,
                                const GlobalOptions& o) {
  using Signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const c10::optional<at::Tensor>&,
                 at::OptionalIntArrayRef, c10::optional<double>);
  return find<Signature>("longformer::global_attention_probabilities")
      .call(q, k, index, o.mask, o.sequence_offsets, o.scale);
}

at::Tensor folded_global_attention(const at::Tensor& q, const at::Tensor& hidden,
                                   const at::Tensor& key_weight, const c10::optional<at::Tensor>& key_bias,
                                   const at::Tensor& value_weight,
                                   const c10::optional<at::Tensor>& value_bias, const at::Tensor& index,
                                   const GlobalOptions& o) {
  using Signature = at::Tensor(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, const c10::optional<at::Tensor>&,
      const at::Tensor&, const c10::optional<at::Tensor>&, const at::Tensor&,
      const c10::optional<at::Tensor>&, at::OptionalIntArrayRef, c10::optional<double>, double, int64_t);
  return find<Signature>("longformer::folded_global_attention")
      .call(q, hidden, key_weight, key_bias, value_weight, value_bias, index, o.mask, o.sequence_offsets,
            o.scale, o.dropout, o.seed);
}

double max_difference(const at::Tensor& x, const at::Tensor& y) {
  if (x.sizes() != y.sizes()) return infinity;
  if (x.numel() == 0) return 0.0;
  const at::Tensor a = x.detach().to(at::kDouble), b = y.detach().to(at::kDouble);
  const at::Tensor difference = (a - b).abs().masked_fill(a.eq(b), 0.0);
  return difference.masked_fill(at::isnan(difference), infinity).max().item<double>();
}

double max_magnitude(const at::Tensor& x) {
  return x.numel() == 0 ? 0.0 : x.detach().to(at::kDouble).abs().max().item<double>();
}

::testing::AssertionResult as_good_as(const at::Tensor& x, const at::Tensor& baseline,
                                      const at::Tensor& truth, at::ScalarType type, double terms) {
  // Rounding of a result, of a sum of a few hundred terms in the wide types.
  const double rounding = type == at::kDouble  ? 1e-14
                          : type == at::kFloat ? 2e-6
                          : type == at::kHalf  ? 0x1p-10
                                               : 0x1p-7;
  const double allowed =
      2.0 * max_difference(baseline, truth) + rounding * std::max({max_magnitude(truth), terms, 1e-3});
  const double error = max_difference(x, truth);
  if (x.scalar_type() != type) return ::testing::AssertionFailure() << "dtype " << x.scalar_type();
  if (error <= allowed) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "error " << error << ", allowed " << allowed << ", largest value " << max_magnitude(truth);
}

std::string value_error(const std::function<void()>& work) {
  try {
    work();
  } catch (const c10::ValueError& e) {
    return e.what_without_backtrace();
  }
  return "";
}

}  // namespace longformer::test
