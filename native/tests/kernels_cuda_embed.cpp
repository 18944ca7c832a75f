// embed's CUDA kernel against float64, in the emulation.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../ops/cuda/embed.h"
#include "cuda_emulation/emulated_kernels.h"

using namespace longformer;
using namespace longformer::test;

namespace {

struct Tables {
  at::Tensor words, positions, types, weight, bias;
};

Tables tables(at::ScalarType type, int64_t columns) {
  const auto random = [&](at::IntArrayRef shape) { return at::randn(shape).to(type); };
  return {random({50, columns}), random({30, columns}), random({2, columns}), random({columns}),
          random({columns})};
}

at::Tensor rows(const at::Tensor& table, const at::Tensor& ids, int64_t tokens) {
  const at::Tensor t = table.to(at::kDouble);
  return ids.defined() ? t.index_select(0, ids) : t.repeat({tokens / t.size(0), 1});
}

at::Tensor exact(const Embedding& e) {
  at::Tensor sum = rows(e.words.table, e.words.ids, e.tokens) * e.word_scale +
                   rows(e.positions.table, e.positions.ids, e.tokens);
  if (e.types.table.defined()) sum = sum + rows(e.types.table, e.types.ids, e.tokens);
  return at::layer_norm(sum, {sum.size(1)}, e.weight.to(at::kDouble), e.bias.to(at::kDouble), e.eps);
}

void expect_exact(const Embedding& e) {
  ASSERT_TRUE(cuda::serves(e));
  EmulatedLauncher launcher(1);
  const at::Tensor out = cuda::embed(e, launcher);
  const auto type = out.scalar_type();
  const double limit = type == at::kFloat ? 2e-5 : type == at::kHalf ? 1e-2 : 6e-2;
  EXPECT_LE((out.to(at::kDouble) - exact(e)).abs().max().item<double>(), limit);
}

TEST(CudaEmbed, equals_float64_with_ids_and_without) {
  at::manual_seed(1);
  for (at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf})
    for (int64_t columns : {8, 256, 768}) {
      SCOPED_TRACE(std::string(at::toString(type)) + " columns " + std::to_string(columns));
      const Tables t = tables(type, columns);
      const int64_t tokens = 9;
      const at::Tensor word_ids = at::randint(0, 50, {tokens}, at::kLong),
                       position_ids = at::randint(0, 30, {tokens}, at::kLong),
                       type_ids = at::randint(0, 2, {tokens}, at::kLong);
      // Longformer
      expect_exact(check_embed(t.words, word_ids, t.positions, position_ids, t.types, type_ids, t.weight,
                               t.bias, 1e-5, 1.0));
      // Every token of the first type
      expect_exact(check_embed(t.words, word_ids, t.positions, position_ids, t.types.narrow(0, 0, 1), {},
                               t.weight, t.bias, 1e-12, 1.0));
      // LED made of mBART: no types, scaled words
      expect_exact(check_embed(t.words, word_ids, t.positions, position_ids, {}, {}, t.weight, t.bias, 1e-5,
                               std::sqrt(static_cast<double>(columns))));
      // A decoder: rows of the same positions
      expect_exact(check_embed(t.words, word_ids, t.positions.narrow(0, 0, 3), {}, {}, {}, t.weight, t.bias,
                               1e-5, 1.0));
      // Vectors in place of ids
      expect_exact(check_embed(t.words.narrow(0, 0, tokens), {}, t.positions, position_ids, t.types, type_ids,
                               t.weight, t.bias, 1e-5, 1.0));
    }
}

TEST(CudaEmbed, an_id_that_is_no_row_gives_nan_and_reads_nothing) {
  const Tables t = tables(at::kFloat, 8);
  const auto ids = [](std::vector<int64_t> values) { return at::tensor(values, at::kLong); };
  EmulatedLauncher launcher(1);
  const at::Tensor out =
      cuda::embed(check_embed(t.words, ids({0, 50, -1, 3, 4}), t.positions, ids({1, 2, 3, 30, 5}), t.types,
                              ids({0, 1, 0, 1, 2}), t.weight, t.bias, 1e-5, 1.0),
                  launcher);
  const at::Tensor nan = out.isnan();
  EXPECT_FALSE(nan[0].any().item<bool>());
  EXPECT_TRUE(nan.narrow(0, 1, 4).all().item<bool>());
}

TEST(CudaEmbed, what_the_kernel_does_not_serve_is_left_to_libtorch) {
  const auto of = [](const Tables& t) {
    return check_embed(t.words, {}, t.positions.narrow(0, 0, 25), {}, t.types, {}, t.weight, t.bias, 1e-5,
                       1.0);
  };
  EXPECT_TRUE(cuda::serves(of(tables(at::kFloat, 8))));
  EXPECT_FALSE(cuda::serves(of(tables(at::kFloat, 10))));
  EXPECT_FALSE(cuda::serves(of(tables(at::kDouble, 8))));
  EXPECT_FALSE(cuda::serves(of(tables(at::kFloat, 2056))));
  Tables empty = tables(at::kFloat, 8);  // ids would have no row to stand for
  EXPECT_FALSE(cuda::serves(check_embed(empty.words, {}, empty.positions.narrow(0, 0, 25), {},
                                        empty.types.narrow(0, 0, 0), at::zeros({50}, at::kLong), empty.weight,
                                        empty.bias, 1e-5, 1.0)));
  Tables mixed = tables(at::kFloat, 8);
  mixed.weight = mixed.weight.to(at::kHalf);
  EXPECT_FALSE(cuda::serves(of(mixed)));
}

}  // namespace
