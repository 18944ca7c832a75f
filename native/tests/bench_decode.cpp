// Not a test: times the operators of a decoding step (LED base, as LedCachedSession calls them) against the
// rates at which this machine copies and reads memory, measured in the same process between the steps.
//   bench_decode [repetitions=20] [tokens=8192] [beams=4] [float32 | bfloat16 | int8]
// OMP_NUM_THREADS sets the threads (default 2). For each operator the best of all steps counts; the step is
// the best sum of one step.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "../base/parallel.h"
#include "../ops/cpu/isa.h"
#include "kernels_tensors.h"

using namespace longformer;
using namespace longformer::test;

namespace {

constexpr int64_t kLayers = 6, kHeads = 12, kDim = 64, kChannels = 768, kInner = 3072, kWords = 50265,
                  kSlots = 256;  // half of what 128 tokens of 4 beams take

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Part {
  double step = 0, best = 1e30, bytes = 0;
  int64_t calls = 0;
};
std::map<std::string, Part> parts;

template <class Work>
void timed(const std::string& name, double bytes, const Work& work) {
  const double start = now();
  work();
  Part& p = parts[name];
  p.step += now() - start;
  p.bytes += bytes;
  p.calls += 1;
}

// No denormal numbers, every page touched.
Tensor filled(IntList shape, ScalarType type) {
  const Tensor t = empty(shape, type);
  std::memset(t.data_ptr(), 0x3c, size_t(t.numel()) * size_t(t.element_size()));
  return t;
}

struct StepLinear {
  Tensor weight, bias, scale;
  StepLinear(int64_t inputs, int64_t outputs, ScalarType type, bool bytes)
      : weight(filled({outputs, inputs}, bytes ? kChar : type)), bias(filled({outputs}, type)) {
    if (bytes) scale = filled({outputs}, kFloat);
  }
  Tensor operator()(const std::string& name, const Tensor& x, const std::string& activation = "none") const {
    Tensor y = empty({x.size(0), weight.size(0)}, x.scalar_type());
    timed(name, double(weight.numel()) * double(weight.element_size()), [&] {
      if (scale.defined())
        call<void>("_int8_linear_into", x, weight, scale, OptionalTensor(bias), OptionalTensor(), activation,
                   OptionalTensor(), y);
      else
        call<void>("_linear_into", x, weight, OptionalTensor(bias), OptionalTensor(), activation,
                   OptionalTensor(), y);
    });
    return y;
  }
};

struct Layer {
  StepLinear q, k, v, o, cross_q, cross_o, inner, output;
  Tensor keys, values, cross_keys, cross_values, norm;
  Layer(int64_t tokens, ScalarType type, bool bytes)
      : q(kChannels, kChannels, type, bytes),
        k(kChannels, kChannels, type, bytes),
        v(kChannels, kChannels, type, bytes),
        o(kChannels, kChannels, type, bytes),
        cross_q(kChannels, kChannels, type, bytes),
        cross_o(kChannels, kChannels, type, bytes),
        inner(kChannels, kInner, type, bytes),
        output(kInner, kChannels, type, bytes),
        keys(filled({kSlots, kHeads, kDim}, type)),
        values(filled({kSlots, kHeads, kDim}, type)),
        cross_keys(filled({tokens, kHeads, kDim}, type)),
        cross_values(filled({tokens, kHeads, kDim}, type)),
        norm(filled({kChannels}, type)) {}

  Tensor normed(const Tensor& x, const Tensor& residual) const {
    Tensor y;
    timed("layer norm", 0,
          [&] { y = call<Tensor>("add_layer_norm", x, OptionalTensor(residual), norm, norm, 1e-5); });
    return y;
  }
  Tensor attend(const char* name, const Tensor& query, const Tensor& key, const Tensor& value,
                const TensorList& mask) const {
    const int64_t rows = query.size(0);
    Tensor y;
    timed(name, 2.0 * double(key.numel()) * double(key.element_size()), [&] {
      y = call<Tensor>("decode_attention", query.view({rows, kHeads, kDim}), TensorList{key},
                       TensorList{value}, std::vector<int64_t>{rows}, mask, std::optional<double>(0.125));
    });
    return y.view({rows, kChannels});
  }
  Tensor forward(Tensor x, const Tensor& visible) const {
    k("768 x 768", x);
    v("768 x 768", x);
    x = normed(o("768 x 768", attend("self attention", q("768 x 768", x), keys, values, {visible})), x);
    x = normed(cross_o("768 x 768",
                       attend("cross attention", cross_q("768 x 768", x), cross_keys, cross_values, {})),
               x);
    return normed(output("3072 x 768", inner("768 x 3072", x, "gelu")), x);
  }
};

// GB/s: what a copy reads and writes together, and what reading alone reads.
double copy_rate = 0, read_rate = 0;
volatile uint64_t sink;

void measure_rates(char* memory, int64_t bytes) {
  const int threads = get_num_threads();
  const int64_t half = bytes / 2, share = half / threads / 64 * 64;
  double start = now();
  parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(memory + i * share, memory + half + i * share, size_t(share));
  });
  copy_rate = std::max(copy_rate, 2e-9 * double(share * threads) / (now() - start));
  start = now();
  parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto* from = reinterpret_cast<const uint64_t*>(memory + i * share);
      uint64_t sum[8] = {};
      // One number of each line of the cache is enough to read all of it.
      for (int64_t j = 0; j + 64 <= share / 8; j += 64)
        for (int k = 0; k < 8; ++k) sum[k] += from[j + 8 * k];
      for (uint64_t s : sum) sink = sink + s;
    }
  });
  read_rate = std::max(read_rate, 1e-9 * double(share * threads) / (now() - start));
}

}  // namespace

int main(int argc, char** argv) {
  const int repetitions = argc > 1 ? std::max(1, std::atoi(argv[1])) : 20;
  const int64_t tokens = argc > 2 ? std::atoi(argv[2]) : 8192, beams = argc > 3 ? std::atoi(argv[3]) : 4;
  const std::string dtype = argc > 4 ? argv[4] : "float32";
  const bool bytes = dtype == "int8";
  const ScalarType type = dtype == "bfloat16" ? kBFloat16 : kFloat;
  const char* threads = std::getenv("OMP_NUM_THREADS");
  open_everything();
  const Threads chosen(threads != nullptr ? std::atoi(threads) : 2);
  std::vector<Layer> layers;
  for (int64_t i = 0; i < kLayers; ++i) layers.emplace_back(tokens, type, bytes);
  const StepLinear table(kChannels, kWords, type, bytes);
  const Tensor x = filled({beams, kChannels}, type), visible = ones({beams, kSlots}, kByte),
               scratch = filled({int64_t(256) << 20}, kByte);
  double best = 1e30, read = 0;
  for (int i = 0; i < repetitions; ++i) {
    for (auto& [name, part] : parts) part = {0, part.best, 0, 0};
    const double start = now();
    Tensor y = x;
    for (const Layer& layer : layers) y = layer.forward(y, visible);
    table("768 x 50265", y);
    best = std::min(best, now() - start);
    read = 0;
    for (auto& [name, part] : parts) {
      part.best = std::min(part.best, part.step);
      read += part.bytes;
    }
    measure_rates(static_cast<char*>(scratch.data_ptr()), scratch.numel());
  }
  std::printf("%s, %lld tokens, %lld beams, threads %d, kernels %s\n", dtype.c_str(), (long long)tokens,
              (long long)beams, get_num_threads(), cpu::active_instruction_set().c_str());
  for (const auto& [name, part] : parts)
    std::printf("%-16s %3lld calls %8.3f ms %6.1f GB/s\n", name.c_str(), (long long)part.calls,
                part.best * 1e3, part.bytes / part.best * 1e-9);
  std::printf("step %.2f ms, %.0f MB: %.1f GB/s; copy %.1f (step %.0f%%), read %.1f GB/s (step %.0f%%)\n",
              best * 1e3, read * 1e-6, read / best * 1e-9, copy_rate, 100e-9 * read / best / copy_rate,
              read_rate, 100e-9 * read / best / read_rate);
  return 0;
}
