// Which configuration of the attention kernels runs for which problem: the one place where tiles are chosen.
// Registers decide (255 for a thread, kernels_cuda_compile.cpp counts what spills); so does
// the size of the problem, since few rows need small blocks to fill a GPU.
#pragma once
#include <cstddef>
#include <vector>

#include "launcher.h"

namespace longformer::cuda {

enum class AttentionKernel { forward, backward_query, backward_key, global_key_sums, global_key_merge };

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
      c.flags = c.aligned = true;
      c.dropout = false;
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
