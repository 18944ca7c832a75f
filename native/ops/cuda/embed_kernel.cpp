#include "embed_kernel.h"

#include "banded_attention_kernel.h"
#include "kernels/parameters.h"
#include "layer_norm_kernel.h"

namespace longformer::cuda {

bool serves(const Embedding& e) {
  const Tensor& words = e.words.table;
  const auto type = words.scalar_type();
  const int64_t columns = words.size(1), most = int64_t{1} << 31;
  const auto fits = [&](const Tensor& t) {
    return t.scalar_type() == type && t.device() == words.device() && t.is_contiguous() &&
           reinterpret_cast<uintptr_t>(t.data_ptr()) % 16 == 0 && t.size(0) > 0 && t.size(0) < most;
  };
  const auto there = [&](const Tensor& ids) { return !ids.defined() || ids.device() == words.device(); };
  return (type == kFloat || type == kBFloat16 || type == kHalf) && fits(words) && fits(e.positions.table) &&
         (!e.types.table.defined() || fits(e.types.table)) && fits(e.weight) && fits(e.bias) &&
         there(e.words.ids) && there(e.positions.ids) && there(e.types.ids) &&
         columns * words.element_size() % 16 == 0 && columns <= kMostNormColumns && e.tokens < most;
}

KernelText embed_text(int type, int64_t columns) {
  KernelText text = norm_text(type, columns);
  text.file = "embed.cu";
  return text;
}

Tensor embed(const Embedding& e, Launcher& launcher) {
  const Tensor out = empty({e.tokens, e.words.table.size(1)}, e.words.table.options());
  if (out.numel() == 0) return out;
  std::vector<Tensor> kept;  // until the launch
  const auto rows_of = [&](const TokenRows& rows) {
    TableRows r = {};
    if (!rows.table.defined()) return r;
    r.table = launcher.reads(rows.table, rows.name);
    r.rows = static_cast<int>(rows.table.size(0));
    if (rows.ids.defined()) {
      kept.push_back(rows.ids.contiguous());
      r.ids = reinterpret_cast<const long long*>(launcher.reads<int64_t>(kept.back(), "ids"));
    }
    return r;
  };
  EmbedParameters p = {};
  p.words = rows_of(e.words);
  p.positions = rows_of(e.positions);
  p.types = rows_of(e.types);
  p.weight = launcher.reads(e.weight, "weight");
  p.bias = launcher.reads(e.bias, "bias");
  p.output = launcher.writes(out, "out");
  p.tokens = static_cast<int>(e.tokens);
  p.columns = static_cast<int>(out.size(1));
  p.eps = static_cast<float>(e.eps);
  p.word_scale = static_cast<float>(e.word_scale);
  launcher.launch(embed_text(type_of(out), p.columns), norm_grid(p.tokens), p);
  return out;
}

}  // namespace longformer::cuda
