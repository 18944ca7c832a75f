#include "configuration.h"

#include <algorithm>
#include <set>

namespace longformer::cuda {

const char* name_of(AttentionKernel kernel) {
  switch (kernel) {
    case AttentionKernel::forward:
      return "banded_forward";
    case AttentionKernel::backward_query:
      return "banded_backward_query";
    case AttentionKernel::backward_key:
      return "banded_backward_key";
    case AttentionKernel::global_key_sums:
      return "global_key_sums";
    case AttentionKernel::global_key_merge:
      return "global_key_merge";
    case AttentionKernel::relative_forward:
      return "relative_forward";
    case AttentionKernel::relative_query:
      return "relative_backward_query";
    case AttentionKernel::relative_key:
      return "relative_backward_key";
    case AttentionKernel::relative_sums:
      return "relative_table_sums";
    case AttentionKernel::relative_merge:
      return "relative_table_merge";
  }
  return "";
}

KernelText text_of(AttentionKernel kernel, const Configuration& c) {
  const auto number = [](int n) { return std::to_string(n); };
  return {"attention.cu",
          {{"LF_KERNEL", name_of(kernel)},
           {"LF_TYPE", number(c.type)},
           {"LF_DIM", number(c.dim)},
           {"LF_WARPS", number(c.warps)},
           {"LF_ROW_TILES", number(c.row_tiles)},
           {"LF_TILE", number(c.tile)},
           {"LF_GLOBAL_TILE", number(c.global_tile)},
           {"LF_STAGES", number(c.stages)},
           {"LF_FLAGS", number(c.flags)},
           {"LF_DROPOUT", number(c.dropout)},
           {"LF_ALIGNED", number(c.aligned)},
           {"LF_KEEP", number(c.keep)}}};
}

size_t shared_bytes(AttentionKernel kernel, const Configuration& c) {
  const size_t row = static_cast<size_t>(c.dim) * (c.type == 0 ? 4 : 2), rows = c.rows() * row,
               stage = 2 * c.tile * row;
  // relative.cuh: the distances of a stage, and the scratch of a warp for so many columns.
  const size_t distances = (c.rows() + c.tile) * row;
  const auto scratch = [&](size_t columns) { return c.warps * 64 * (columns + 4); };
  switch (kernel) {
    case AttentionKernel::forward:
      return rows + c.stages * stage;
    case AttentionKernel::backward_query:
      return 2 * rows + c.stages * stage;
    case AttentionKernel::backward_key:
    case AttentionKernel::global_key_sums:
      return 2 * rows + c.stages * (stage + 8 * c.tile);
    case AttentionKernel::relative_forward:
      return 2 * rows + c.stages * (stage + distances) + scratch(c.tile + 16);
    case AttentionKernel::relative_query:
      return 3 * rows + c.stages * (stage + distances) + scratch(c.tile + 16);
    case AttentionKernel::relative_key:
      return 2 * rows + c.stages * (3 * c.tile * row + distances + 8 * c.tile) + scratch(32);
    case AttentionKernel::relative_sums: {
      const size_t queries = 16 * c.warps, of_table = 16 * c.row_tiles;
      return std::max(row * (3 * queries + 2 * (queries + of_table) + of_table) + 2 * scratch(of_table + 16),
                      c.warps * of_table * c.dim * sizeof(float));
    }
    case AttentionKernel::global_key_merge:
    case AttentionKernel::relative_merge:
      return 0;
  }
  return 0;
}

std::vector<KernelText> all_attention_kernels() {
  std::vector<KernelText> all;
  std::set<std::string> known;
  for (AttentionKernel kernel : kAttentionKernels)
    for (int type = 0; type < 3; ++type)
      for (int dim = 32; dim <= (is_relative(kernel) ? largest_relative_dim(type) : kLargestDim); dim += 32)
        for (int bits = 0; bits < 16; ++bits) {
          const Shape s{type, dim, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) == 0, (bits & 8) != 0};
          KernelText text = text_of(kernel, choose(kernel, s));
          if (known.insert(text.describe()).second) all.push_back(std::move(text));
        }
  return all;
}

}  // namespace longformer::cuda
