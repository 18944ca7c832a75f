// relative_banded_attention in its three implementations, the fused one with every instruction set of this
// machine, against the definition in double precision: forward and every gradient over random options and all
// dtypes; finite differences; what must not depend on how a problem is handed over; bad arguments.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "support.h"

namespace longformer::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct RelativeProblem : Problem {
  Tensor relative, content_bias, position_bias;  // biases undefined: not given
  int64_t zero = 0;
};

struct RelativeResult {
  Tensor out, lse, grad_q, grad_k, grad_v, grad_relative, grad_content_bias, grad_position_bias;
  std::vector<std::pair<const char*, Tensor>> all() const {
    return {{"output", out},
            {"gradient of query", grad_q},
            {"gradient of key", grad_k},
            {"gradient of value", grad_v},
            {"gradient of relative", grad_relative},
            {"gradient of content_bias", grad_content_bias},
            {"gradient of position_bias", grad_position_bias}};
  }
};

int64_t reach_of(const Problem& p, int64_t window) {
  int64_t longest = 1, most = 0;
  for (const int64_t length : p.lengths) longest = std::max(longest, length);
  for (int64_t h = 0; h < p.heads; ++h)
    most = std::max(most,
                    std::min(std::min(window, longest) * std::min(p.dilation_of(h), longest), longest - 1));
  return most;
}

// A problem without global keys, and a table that is as long as it must be or a little longer.
RelativeProblem random_relative(uint64_t seed, ScalarType type) {
  RelativeProblem p;
  static_cast<Problem&>(p) = random_problem(seed, type);
  Rng rng(seed * 31 + 7);
  p.global_index = Tensor();
  if (chance(rng, 0.4)) p.window_right = 0;
  p.zero = reach_of(p, p.window_right) + (chance(rng, 0.3) ? uniform(rng, 1, 90) : 0);
  const int64_t rows = p.zero + 1 + reach_of(p, p.window_left) + (chance(rng, 0.3) ? uniform(rng, 1, 90) : 0);
  p.relative = random_tensor(rng, {rows, p.heads, p.dim}, type);
  if (chance(rng, 0.2)) p.relative = random_tensor(rng, {p.heads, rows, p.dim}, type).transpose(0, 1);
  if (chance(rng, 0.8)) p.content_bias = random_tensor(rng, {p.heads, p.dim}, type);
  if (chance(rng, 0.8)) p.position_bias = random_tensor(rng, {p.heads, p.dim}, type);
  return p;
}

OptionalTensor optional(const Tensor& t) {
  return t.defined() ? OptionalTensor(t) : std::nullopt;
}

RelativeOptions relative_options(const Problem& p, const std::vector<int64_t>& offsets,
                                 const std::string& implementation) {
  RelativeOptions o;
  static_cast<AttentionOptions&>(o) = options_of(p, offsets, implementation);
  return o;
}

RelativeResult run_relative(const RelativeProblem& p, const std::string& implementation,
                            Way way = Way::direct) {
  const auto offsets = p.offsets();
  const RelativeOptions options = relative_options(p, offsets, implementation);
  const OptionalTensor content = optional(p.content_bias), position = optional(p.position_bias);
  RelativeResult r;
  std::tie(r.out, r.lse) = std::apply(
      [&](const auto&... each) {
        return call<std::tuple<Tensor, Tensor>>(way, "relative_banded_attention", p.q, p.k, p.v, p.relative,
                                                content, position, p.zero, each...);
      },
      chosen_options<kRelative>(options, options::All()));
  std::tie(r.grad_q, r.grad_k, r.grad_v, r.grad_relative, r.grad_content_bias, r.grad_position_bias) =
      std::apply(
          [&](const auto&... each) {
            return call<std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>>(
                way, "relative_banded_attention_backward", p.grad_out, p.q, p.k, p.v, p.relative, content,
                position, r.out, r.lse, p.zero, each...);
          },
          chosen_options<kRelative>(options, options::All()));
  return r;
}

// The definition of banded_attention.h by scalar loops.
struct Definition {
  const RelativeProblem& p;
  Doubles q, k, v, g, relative, content, position;
  Doubles out, lse, grad_q, grad_k, grad_v, grad_relative, grad_content, grad_position;
  // How large the gradients' terms are before they cancel: a row that sees one key has nothing left of them.
  Doubles terms_q, terms_k, terms_relative, terms_content, terms_position;

  explicit Definition(const RelativeProblem& problem) : p(problem) {
    q = values(p.q), k = values(p.k), v = values(p.v), g = values(p.grad_out), relative = values(p.relative);
    const size_t bias = static_cast<size_t>(p.heads * p.dim);
    content = p.content_bias.defined() ? values(p.content_bias) : Doubles(bias);
    position = p.position_bias.defined() ? values(p.position_bias) : Doubles(bias);
    out = grad_q = grad_k = grad_v = Doubles(q.size());
    lse = Doubles(q.size() / static_cast<size_t>(p.dim), -infinity);
    grad_relative = Doubles(relative.size());
    grad_content = grad_position = terms_content = terms_position = Doubles(bias);
    terms_q = terms_k = Doubles(q.size());
    terms_relative = grad_relative;
    const auto offsets = p.offsets();
    for (size_t s = 0; s < p.lengths.size(); ++s) {
      const std::vector<char> allowed = allowed_keys(p, s);
      const Doubles factor = p.dropout > 0 ? dropout_factor(p, s) : Doubles(allowed.size(), 1.0);
      const int64_t length = p.lengths[s];
      for (int64_t h = 0; h < p.heads; ++h)
        for (int64_t i = 0; i < length; ++i) {
          const size_t at = static_cast<size_t>((h * length + i) * length);
          row(offsets[s], h, i, length, allowed.data() + at, factor.data() + at);
        }
    }
  }

  void row(int64_t begin, int64_t h, int64_t i, int64_t length, const char* allowed, const double* factor) {
    const int64_t D = p.dim;
    const auto token = [&](int64_t t) { return ((begin + t) * p.heads + h) * D; };
    const auto distance = [&](int64_t j) { return ((p.zero + i - j) * p.heads + h) * D; };
    const double scale = p.scale_value();
    Doubles score(static_cast<size_t>(length), -infinity);
    double high = -infinity, total = 0;
    for (int64_t j = 0; j < length; ++j) {
      if (!allowed[j]) continue;
      double sum = 0;
      for (int64_t d = 0; d < D; ++d)
        sum += (q[token(i) + d] + content[h * D + d]) * k[token(j) + d] +
               (q[token(i) + d] + position[h * D + d]) * relative[distance(j) + d];
      high = std::max(high, score[j] = sum * scale);
    }
    if (high == -infinity) return;
    for (double& s : score) total += s = std::exp(s - high);
    lse[token(i) / D] = high + std::log(total);
    double delta = 0;
    for (int64_t j = 0; j < length; ++j) {
      score[j] /= total;
      for (int64_t d = 0; d < D; ++d) {
        if (!allowed[j]) continue;
        out[token(i) + d] += score[j] * factor[j] * v[token(j) + d];
        delta += score[j] * factor[j] * v[token(j) + d] * g[token(i) + d];
        grad_v[token(j) + d] += score[j] * factor[j] * g[token(i) + d];
      }
    }
    for (int64_t j = 0; j < length; ++j) {
      if (!allowed[j]) continue;
      double grad_p = 0;
      for (int64_t d = 0; d < D; ++d) grad_p += g[token(i) + d] * v[token(j) + d];
      const double s = score[j] * (grad_p * factor[j] - delta) * scale;
      const double t = score[j] * (std::abs(grad_p) * factor[j] + std::abs(delta)) * std::abs(scale);
      for (int64_t d = 0; d < D; ++d) {
        const double by_key = s * k[token(j) + d], by_distance = s * relative[distance(j) + d];
        grad_q[token(i) + d] += by_key + by_distance;
        grad_content[h * D + d] += by_key;
        grad_position[h * D + d] += by_distance;
        grad_k[token(j) + d] += s * (q[token(i) + d] + content[h * D + d]);
        grad_relative[distance(j) + d] += s * (q[token(i) + d] + position[h * D + d]);
        terms_q[token(i) + d] += t * (std::abs(k[token(j) + d]) + std::abs(relative[distance(j) + d]));
        terms_content[h * D + d] += t * std::abs(k[token(j) + d]);
        terms_position[h * D + d] += t * std::abs(relative[distance(j) + d]);
        terms_k[token(j) + d] += t * std::abs(q[token(i) + d] + content[h * D + d]);
        terms_relative[distance(j) + d] += t * std::abs(q[token(i) + d] + position[h * D + d]);
      }
    }
  }

  // In the order of RelativeResult::all().
  Doubles terms() const {
    const auto most = [](const Doubles& x) {
      return x.empty() ? 0.0 : *std::max_element(x.begin(), x.end());
    };
    return {0.0,
            most(terms_q),
            most(terms_k),
            0.0,
            most(terms_relative),
            most(terms_content),
            most(terms_position)};
  }

  RelativeResult result() const {
    const auto like = [](const Doubles& x, const Tensor& t) { return tensor_of(x, t.sizes(), kDouble); };
    return {like(out, p.q),
            tensor_of(lse, p.q.sizes().slice(0, p.q.dim() - 1), kDouble),
            like(grad_q, p.q),
            like(grad_k, p.q),
            like(grad_v, p.q),
            like(grad_relative, p.relative),
            tensor_of(grad_content, std::vector<int64_t>{p.heads, p.dim}, kDouble),
            tensor_of(grad_position, std::vector<int64_t>{p.heads, p.dim}, kDouble)};
  }
};

double sum_of_products(const Tensor& x, const Tensor& y) {
  const Doubles a = values(x), b = values(y);
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

void expect_matches_definition(const RelativeProblem& p, const std::string& implementation, ScalarType type,
                               Way way = Way::direct) {
  SCOPED_TRACE(p.describe() + ", relative " + text(p.relative.sizes(), " from ", p.zero));
  const Definition definition(p);
  const RelativeResult truth = definition.result(), r = run_relative(p, implementation, way);
  const Doubles terms = definition.terms();
  const auto expected = truth.all(), given = r.all();
  // Sums of a few hundred products in the type that is computed with, then the rounding of a result. 16 bits:
  // the probabilities and the saved output are rounded on the way.
  const double rounding = type == kDouble ? 1e-12 : type == kFloat ? 2e-5 : type == kHalf ? 6e-3 : 5e-2;
  for (size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(given[i].second.scalar_type(), type) << given[i].first;
    EXPECT_LE(max_difference(given[i].second, expected[i].second),
              rounding * std::max({1.0, terms[i], max_magnitude(expected[i].second)}))
        << given[i].first;
  }
  EXPECT_LE(max_difference(r.lse, truth.lse), type == kDouble ? 1e-12 : 1e-4);
}

// The fused kernels go through all instruction sets of the machine, and what is taken where none is named.
std::vector<std::string> variants(const std::string& implementation) {
  if (implementation != "fused") return {""};
  std::vector<std::string> names{"", "portable"};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) names.push_back("avx2");
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) names.push_back("avx512");
#endif
  return names;
}
struct WithIsa {
  explicit WithIsa(const std::string& name) {
    if (!name.empty()) setenv("LONGFORMER_CPU_ISA", name.c_str(), 1);
  }
  ~WithIsa() { unsetenv("LONGFORMER_CPU_ISA"); }
};

struct RelativeRandom : testing::TestWithParam<std::tuple<std::string, ScalarType>> {};
const auto implementations = testing::Values("loop", "chunks", "fused");

TEST_P(RelativeRandom, options_match_the_definition_forward_and_backward) {
  const auto [implementation, type] = GetParam();
  const bool wide = type == kFloat || type == kDouble;
  for (const std::string& isa : variants(implementation)) {
    const WithIsa with(isa);
    for (uint64_t seed = 0; seed < (wide ? 40 : 15); ++seed) {
      expect_matches_definition(random_relative(seed + 1000 * static_cast<int>(type), type), implementation,
                                type);
      if (HasFailure()) FAIL() << "seed " << seed << " " << isa;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(
    , RelativeRandom, testing::Combine(implementations, testing::Values(kFloat, kDouble, kBFloat16, kHalf)),
    [](const auto& info) { return std::get<0>(info.param) + "_" + text(std::get<1>(info.param)); });

struct RelativeAttention : testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, RelativeAttention, implementations, [](const auto& info) { return info.param; });

RelativeProblem small_relative() {
  RelativeProblem p;
  static_cast<Problem&>(p) = small_problem();
  p.global_index = Tensor();
  Rng rng(8);
  p.zero = 4;
  p.relative = random_tensor(rng, {12, 2, 3}, kDouble);
  p.content_bias = random_tensor(rng, {2, 3}, kDouble);
  p.position_bias = random_tensor(rng, {2, 3}, kDouble);
  return p;
}

TEST_P(RelativeAttention, gradients_equal_finite_differences) {
  const RelativeProblem p = small_relative();
  const RelativeResult r = run_relative(p, GetParam());
  expect_finite_differences(
      {p.q, p.k, p.v, p.relative, p.content_bias, p.position_bias},
      {r.grad_q, r.grad_k, r.grad_v, r.grad_relative, r.grad_content_bias, r.grad_position_bias},
      [&] { return sum_of_products(run_relative(p, GetParam()).out, p.grad_out); }, 1e-7, 25);
}

TEST_P(RelativeAttention, windows_of_several_tiles_and_segments_match_the_definition) {
  for (const std::string& isa : variants(GetParam())) {
    const WithIsa with(isa);
    for (const int64_t dilation : {1, 2}) {
      RelativeProblem p;
      p.lengths = {2500};
      p.heads = 1;
      p.dim = 8;
      p.window_left = 200;
      p.window_right = dilation == 1 ? 0 : 70;
      p.dilation = std::vector<int64_t>{dilation};
      p.zero = reach_of(p, p.window_right);
      Rng rng(4);
      fill(p, rng, kDouble);
      p.relative = random_tensor(rng, {p.zero + 1 + reach_of(p, p.window_left), 1, 8}, kDouble);
      p.position_bias = random_tensor(rng, {1, 8}, kDouble);
      expect_matches_definition(p, GetParam(), kDouble);
    }
  }
}

TEST_P(RelativeAttention, a_table_of_zeros_without_biases_is_banded_attention) {
  RelativeProblem p;
  p.lengths = {150, 150};
  p.dim = 16;
  p.window_left = 40;
  p.window_right = 3;
  Rng rng(5);
  fill(p, rng, kFloat);
  p.zero = 3;
  p.relative = zeros({44, 2, 16}, kFloat);
  const RelativeResult r = run_relative(p, GetParam());
  const Result expected = run(p, GetParam());
  EXPECT_EQ(max_difference(r.out, expected.out), 0.0);
  EXPECT_LE(max_difference(r.grad_q, expected.grad_q), 1e-6);
  EXPECT_LE(max_difference(r.grad_k, expected.grad_k), 1e-6);
  EXPECT_LE(max_difference(r.grad_v, expected.grad_v), 1e-6);
}

TEST_P(RelativeAttention, rows_of_unreached_distances_get_no_gradient_and_change_nothing) {
  RelativeProblem p = random_relative(3, kFloat);
  p.mask = Tensor();
  p.packed = false;
  p.lengths = {60};
  p.heads = 2;
  p.dim = 8;
  p.dilation = std::vector<int64_t>{1, 2};
  p.window_left = 7;
  p.window_right = 0;
  p.zero = 5;
  Rng rng(2);
  fill(p, rng, kFloat);
  p.content_bias = p.position_bias = Tensor();
  p.relative = random_tensor(rng, {40, 2, 8}, kFloat);
  const RelativeResult r = run_relative(p, GetParam());
  const Doubles g = values(r.grad_relative);
  for (int64_t row = 0; row < 40; ++row)
    for (int64_t h = 0; h < 2; ++h) {
      const int64_t distance = row - 5, d = h + 1;
      const bool reached = distance >= 0 && distance <= 7 * d && distance % d == 0;
      double most = 0;
      for (int64_t e = 0; e < 8; ++e) most = std::max(most, std::abs(g[(row * 2 + h) * 8 + e]));
      EXPECT_EQ(most > 0, reached) << "distance " << distance << ", head " << h;
    }
  RelativeProblem other = p;
  other.relative = p.relative.clone();
  other.relative.narrow(0, 0, 5).fill_(1e30);
  other.relative.narrow(0, 20, 20).fill_(1e30);
  EXPECT_EQ(max_difference(run_relative(other, GetParam()).out, r.out), 0.0);
}

TEST_P(RelativeAttention, hides_masked_tokens_even_when_they_are_not_finite) {
  RelativeProblem p;
  p.lengths = {150};
  p.window_left = 90;
  p.window_right = 0;
  p.mask = arange(150).lt(100).view({1, 150});
  Rng rng(6);
  fill(p, rng, kFloat);
  p.relative = random_tensor(rng, {91, 2, 8}, kFloat);
  p.content_bias = random_tensor(rng, {2, 8}, kFloat);
  const RelativeResult expected = run_relative(p, GetParam());
  RelativeProblem spoiled = p;
  for (Tensor* t : {&spoiled.q, &spoiled.k, &spoiled.v, &spoiled.grad_out}) {
    *t = t->clone();
    t->narrow(1, 100, 50).fill_(std::numeric_limits<double>::quiet_NaN());
  }
  const auto x = run_relative(spoiled, GetParam()).all(), y = expected.all();
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(max_difference(x[i].second, y[i].second), 0.0) << x[i].first;
}

TEST(RelativeAttentionCalls, both_ways_give_the_same_bits) {
  const RelativeProblem p = random_relative(12, kFloat);
  const auto x = run_relative(p, "fused", Way::direct).all(),
             y = run_relative(p, "fused", Way::dispatcher).all();
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(max_difference(x[i].second, y[i].second), 0.0) << x[i].first;
}

TEST(RelativeAttentionCalls, refuse_what_does_not_fit_by_name) {
  const auto message = [](const std::function<void(RelativeProblem&)>& spoil) {
    RelativeProblem p = small_relative();
    spoil(p);
    return value_error([&] { run_relative(p, "fused"); });
  };
  expect_words(message([](RelativeProblem& p) { p.relative = p.relative.narrow(0, 0, 10); }),
               {"relative_banded_attention", "relative", "from -3 to 6", "10 rows", "row 4"});
  expect_words(message([](RelativeProblem& p) { p.zero = 2; }), {"from -3 to 6", "row 2"});
  expect_words(message([](RelativeProblem& p) { p.relative = p.relative.narrow(2, 0, 2); }),
               {"relative", "[P, H, D]", "[2, 3]", "[12, 2, 2]"});
  expect_words(message([](RelativeProblem& p) { p.relative = p.relative.to(kFloat); }),
               {"relative", "Float"});
  expect_words(message([](RelativeProblem& p) { p.content_bias = p.content_bias.narrow(0, 0, 1); }),
               {"content_bias", "[H, D] = [2, 3]", "[1, 3]"});
  expect_words(message([](RelativeProblem& p) { p.position_bias = p.position_bias.to(kFloat); }),
               {"position_bias", "Float"});
}

}  // namespace
}  // namespace longformer::test
