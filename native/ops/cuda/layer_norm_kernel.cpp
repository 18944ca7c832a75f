#include "layer_norm_kernel.h"

#include <algorithm>

#include "banded_attention_kernel.h"
#include "kernels/parameters.h"

namespace longformer::cuda {
namespace {

constexpr int kRowsOfBlock = 4;  // kNormRows of the kernel

bool whole_chunks(const Tensor& t) {
  return reinterpret_cast<uintptr_t>(t.data_ptr()) % 16 == 0;
}

}  // namespace

bool norm_serves(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias) {
  const auto type = input.scalar_type();
  if (type != kFloat && type != kBFloat16 && type != kHalf) return false;
  if (input.dim() < 1 || weight.dim() != 1 || bias.dim() != 1) return false;
  const int64_t columns = input.size(-1);
  const auto fits = [&](const Tensor& t) { return t.scalar_type() == type && t.device() == input.device(); };
  return fits(weight) && fits(bias) && weight.size(0) == columns && bias.size(0) == columns &&
         columns * input.element_size() % 16 == 0 && columns <= kMostNormColumns &&
         (!residual.defined() || (fits(residual) && residual.sizes() == input.sizes())) &&
         input.numel() / std::max<int64_t>(columns, 1) < (int64_t{1} << 31);
}

Grid norm_grid(int64_t rows) {
  return {static_cast<unsigned>((rows + kRowsOfBlock - 1) / kRowsOfBlock), 1, 32 * kRowsOfBlock, 0};
}

KernelText norm_text(int type, int64_t columns) {
  const int64_t of_a_warp = type == 0 ? 128 : 256;
  return {"layer_norm.cu",
          {{"LF_TYPE", std::to_string(type)},
           {"LF_CHUNKS", std::to_string((columns + of_a_warp - 1) / of_a_warp)}}};
}

void norm_into(const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
               double eps, const Tensor& out, Launcher& launcher) {
  if (out.numel() == 0) return;
  const auto dense = [](const Tensor& t) {
    const Tensor c = t.contiguous();
    return whole_chunks(c) ? c : c.clone();
  };
  const Tensor x = dense(input), w = dense(weight), b = dense(bias),
               r = residual.defined() ? dense(residual) : Tensor();
  NormParameters p = {};
  p.input = launcher.reads(x, "input");
  p.residual = r.defined() ? launcher.reads(r, "residual") : nullptr;
  p.weight = launcher.reads(w, "weight");
  p.bias = launcher.reads(b, "bias");
  p.output = launcher.writes(out, "out");
  p.columns = static_cast<int>(input.size(-1));
  p.rows = static_cast<int>(out.numel() / p.columns);
  p.eps = static_cast<float>(eps);
  launcher.launch(norm_text(type_of(input), p.columns), norm_grid(p.rows), p);
}

}  // namespace longformer::cuda
