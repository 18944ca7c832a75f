// Which configuration of the attention kernels runs for which problem: the one place where tiles are chosen.
// Registers decide (255 for a thread, kernels_cuda_compile.cpp counts what spills); so does
// the size of the problem, since few rows need small blocks to fill a GPU.
#pragma once
#include <cstddef>
#include <vector>

#include "launcher.h"

namespace longformer::cuda {

enum class AttentionKernel {
  forward,
  backward_query,
  backward_key,
  global_key_sums,
  global_key_merge,
  // With relative positions.
  relative_forward,
  relative_query,
  relative_key,
  relative_sums,
  relative_merge
};

constexpr AttentionKernel kAttentionKernels[] = {
    AttentionKernel::forward,         AttentionKernel::backward_query,   AttentionKernel::backward_key,
    AttentionKernel::global_key_sums, AttentionKernel::global_key_merge, AttentionKernel::relative_forward,
    AttentionKernel::relative_query,  AttentionKernel::relative_key,     AttentionKernel::relative_sums,
    AttentionKernel::relative_merge};

struct Configuration {  // the template arguments of Config in kernels/tile.cuh
  int type = 0, dim = 0, warps = 4, row_tiles = 1, tile = 64, global_tile = 16, stages = 2;
  bool flags = false, dropout = false, aligned = true, keep = true;

  constexpr int rows() const { return 16 * warps * row_tiles; }
  constexpr int threads() const { return 32 * warps; }
};

// The properties of a problem by which its kernels are chosen.
struct Shape {
  int type = 0;  // kFloat32 = 0, kBFloat16 = 1, kFloat16 = 2
  int dim = 0;   // of a head, at most 128
  bool flags = false, dropout = false, aligned = true;
  bool few_rows = false;  // blocks of 128 queries would leave multiprocessors without work
};

constexpr int kLargestDim = 128;
// With relative positions the distances take as much shared memory as keys and values together.
constexpr int largest_relative_dim(int type) {
  return type == 0 ? 64 : kLargestDim;
}
constexpr bool is_relative(AttentionKernel kernel) {
  return kernel >= AttentionKernel::relative_forward;
}

// Known while compiling too: the emulation of the tests makes its kernels by it.
constexpr Configuration choose(AttentionKernel kernel, const Shape& shape) {
  Configuration c;
  c.type = shape.type;
  c.dim = (shape.dim + 31) / 32 * 32;
  // Four variants are enough: bare, with flags, with flags and dropout, and that one again for odd addresses.
  c.aligned = shape.aligned;
  c.dropout = shape.dropout || !shape.aligned;
  c.flags = shape.flags || c.dropout;
  const bool wide = c.dim > 64, float32 = c.type == 0;
  switch (kernel) {
    case AttentionKernel::forward:
      // 32 rows a warp halve the reading of keys from shared memory, which otherwise limits the tensor cores;
      // narrower tiles leave the registers for it, and a third stage makes up for their shorter time.
      if (!float32 && !wide && !shape.few_rows) {
        c.row_tiles = 2;
        c.tile = 32;
        c.stages = 3;
      } else if (float32 || wide) {
        c.tile = 32;
      }
      break;
    case AttentionKernel::backward_query:
      c.tile = float32 && wide                ? 16  // the shared memory of the smaller GPUs
               : float32 || wide || c.dropout ? 32
                                              : 64;
      c.keep = !wide;
      break;
    case AttentionKernel::global_key_sums:
      c.warps = 1;  // few global keys: one warp has room for 16
      c.flags = true;
      c.tile = wide ? 16 : 32;
      c.keep = !wide;
      break;
    case AttentionKernel::backward_key:
      c.tile = wide ? 16 : float32 || c.dropout ? 32 : 64;
      c.keep = !wide;
      break;
    case AttentionKernel::global_key_merge:
    case AttentionKernel::relative_merge:
      c.flags = c.aligned = true;
      c.dropout = false;
      break;
    case AttentionKernel::relative_forward:
    case AttentionKernel::relative_query:
    case AttentionKernel::relative_key:
      c.tile = kernel == AttentionKernel::relative_key && (float32 || wide) ? 16 : 32;
      if (kernel == AttentionKernel::relative_query && c.dim == kLargestDim && c.flags) c.tile = 16;
      c.keep = false;  // two queries, and the scores of a tile twice
      if (float32 || wide) c.warps = 2;
      break;
    case AttentionKernel::relative_sums:
      // row_tiles: sixteens of distances.
      c.row_tiles = float32 || wide ? 1 : 2;
      c.keep = false;
      if (float32 || wide) c.warps = 2;
      break;
  }
  return c;
}

KernelText text_of(AttentionKernel kernel, const Configuration& c);
size_t shared_bytes(AttentionKernel kernel, const Configuration& c);
const char* name_of(AttentionKernel kernel);

// Every kernel that choose() can name, for compiling them all.
std::vector<KernelText> all_attention_kernels();

}  // namespace longformer::cuda
