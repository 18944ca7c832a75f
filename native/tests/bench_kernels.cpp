// Not a test: times the CPU kernels against the machine's own multiply-add peak, measured in the same process
// between the repetitions, because the machine may be shared. Minima over many repetitions.
//   bench_kernels [repetitions=20] [filter]
// OMP_NUM_THREADS sets the threads (default 2). With one thread the processor time of the thread is taken
// instead of the wall clock's, which stays meaningful when other programs use the processor.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>

#include "../base/parallel.h"
#include "../ops/banded_attention.h"
#include "../ops/cpu/isa.h"
#include "../ops/cpu/peak.h"
#include "kernels_tensors.h"

using namespace longformer;
using namespace longformer::test;

namespace {

double now() {
  timespec t;
  clock_gettime(get_num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

double seconds_of(const std::function<void()>& work) {
  const double start = now();
  work();
  return now() - start;
}

int repetitions = 20;
std::string filter;
double best_peak = 0;

double measure(const char* name, double flops, const std::function<void()>& work) {
  if (!filter.empty() && std::string(name).find(filter) == std::string::npos) return 0;
  double best = 1e30;
  work();
  for (int i = 0; i < repetitions; ++i) {
    best = std::min(best, seconds_of(work));
    best_peak = std::max(best_peak, cpu::multiply_add_peak());
  }
  std::printf("%-44s %9.3f ms", name, best * 1e3);
  if (flops > 0) {
    std::printf(" %8.1f GFLOP/s", flops / best * 1e-9);
    if (best_peak > 0)
      std::printf("  %5.1f%% of peak %.0f", 100 * flops / best * 1e-9 / best_peak, best_peak);
  }
  std::printf("\n");
  std::fflush(stdout);
  return best;
}

struct Shape {
  int64_t tokens, heads, dim, side, dilation;
  ScalarType dtype;
};

BandedAttention attention_of(const Shape& s) {
  BandedAttention a;
  a.offsets = {0, s.tokens};
  const Tensor all = randn({s.tokens, 3, s.heads, s.dim}, s.dtype);  // as one projection leaves them
  a.q = all.select(1, 0);
  a.k = all.select(1, 1);
  a.v = all.select(1, 2);
  a.window_left = a.window_right = s.side;
  a.dilation.assign(size_t(s.heads), s.dilation);
  a.scale = 1 / std::sqrt(double(s.dim));
  a.global_index = zeros({1, 1}, kLong);
  return a;
}

// The character model's attention: causal, with the distances' table or without.
BandedAttention causal_attention_of(const Shape& s, bool relative) {
  BandedAttention a = attention_of(s);
  a.window_right = 0;
  a.global_index = Tensor();
  if (!relative) return a;
  a.relative = randn({s.side * s.dilation + 1, s.heads, s.dim}, s.dtype);
  a.content_bias = randn({s.heads, s.dim}, s.dtype);
  a.position_bias = randn({s.heads, s.dim}, s.dtype);
  return a;
}

// Two products per query and visible key; pairs outside the band or the sequence are not counted.
double useful_flops(const Shape& s) {
  double pairs = 0;
  for (int64_t i = 0; i < s.tokens; ++i) {
    const int64_t left = std::min(s.side, i / s.dilation),
                  right = std::min(s.side, (s.tokens - 1 - i) / s.dilation);
    pairs += double(left + right + 1);
  }
  return pairs * double(s.heads * s.dim) * 4;
}

void attention(const char* name, const Shape& s) {
  const BandedAttention a = attention_of(s);
  const double flops = useful_flops(s);
  const double forward = measure(name, flops, [&] { banded_attention_fused_cpu(a); });
  const BandedForward f = banded_attention_fused_cpu(a);
  const Tensor grad = randn(a.q.sizes()).to(s.dtype);
  const double backward = measure((std::string(name) + " backward").c_str(), 2.5 * flops,
                                  [&] { banded_attention_fused_cpu_backward(a, grad, f.out, f.lse); });
  if (forward > 0 && backward > 0) std::printf("%-44s %9.2f\n", "  backward / forward", backward / forward);
}

// With and without relative positions in turn, so that what else the machine does meets both.
void relative_attention(const char* name, const Shape& s) {
  if (!filter.empty() && std::string(name).find(filter) == std::string::npos) return;
  const Tensor grad = randn({s.tokens, s.heads, s.dim}).to(s.dtype);
  double forward[2] = {1e30, 1e30}, backward[2] = {1e30, 1e30};
  for (int i = 0; i <= repetitions; ++i)
    for (const int with : {0, 1}) {
      const BandedAttention a = causal_attention_of(s, with == 1);
      BandedForward f;
      forward[with] = std::min(forward[with], seconds_of([&] { f = banded_attention_fused_cpu(a); }));
      backward[with] = std::min(
          backward[with], seconds_of([&] { banded_attention_fused_cpu_backward(a, grad, f.out, f.lse); }));
    }
  std::printf("%-44s forward %.3f to %.3f ms: %.2f; backward %.3f to %.3f ms: %.2f; both %.2f\n", name,
              forward[0] * 1e3, forward[1] * 1e3, forward[1] / forward[0], backward[0] * 1e3,
              backward[1] * 1e3, backward[1] / backward[0],
              (forward[1] + backward[1]) / (forward[0] + backward[0]));
  std::fflush(stdout);
}

// Through the registered operator, into the same output every time.
void linear(const char* name, int64_t rows, int64_t inputs, int64_t outputs, ScalarType dtype,
            const char* activation, bool with_residual, bool packed) {
  const Tensor x = randn({rows, inputs}, dtype), w = randn({outputs, inputs}, dtype),
               b = randn({outputs}, dtype);
  const OptionalTensor r = with_residual ? OptionalTensor(randn({rows, outputs}, dtype)) : OptionalTensor();
  const OptionalTensor p = packed ? OptionalTensor(call<Tensor>("linear_pack", w)) : OptionalTensor();
  const Tensor out = empty({rows, outputs}, x.options());
  measure(name, 2.0 * double(rows) * double(inputs) * double(outputs),
          [&] { call<void>("_linear_into", x, w, OptionalTensor(b), p, activation, r, out); });
}

// The products of a training step's backward pass: the gradients of the input, of the weight, of the bias.
void linear_backward(const char* name, int64_t rows, int64_t inputs, int64_t outputs, ScalarType dtype) {
  const Tensor x = randn({rows, inputs}, dtype), w = randn({outputs, inputs}, dtype),
               g = randn({rows, outputs}, dtype), to_x = randn({rows, inputs}, dtype),
               to_w = randn({outputs, inputs}, dtype);
  using Three = std::tuple<Tensor, Tensor, Tensor>;
  const double flops = 2.0 * double(rows) * double(inputs) * double(outputs);
  const std::string of = name;
  measure((of + " of input").c_str(), flops,
          [&] { call<void>("_linear_backward_into", g, x, w, OptionalTensor(to_x), OptionalTensor()); });
  measure((of + " of weight").c_str(), flops,
          [&] { call<void>("_linear_backward_into", g, x, w, OptionalTensor(), OptionalTensor(to_w)); });
  measure((of + " of bias").c_str(), 0,
          [&] { call<Three>("_linear_backward", g, x, w, false, false, true); });
}

// With a weight of eight bits; unpacked, the input keeps its type.
void int8_linear(const char* name, int64_t rows, int64_t inputs, int64_t outputs, const char* activation,
                 bool packed) {
  const Tensor x = randn({rows, inputs}), b = randn({outputs}), out = empty({rows, outputs}, kFloat);
  const auto [w, scale] = call<std::tuple<Tensor, Tensor>>("_int8_quantize", randn({outputs, inputs}));
  const OptionalTensor p = packed ? OptionalTensor(call<Tensor>("_int8_pack", w)) : OptionalTensor();
  const Tensor &weight = w, &factors = scale;
  measure(name, 2.0 * double(rows) * double(inputs) * double(outputs), [&] {
    call<void>("_int8_linear_into", x, weight, factors, OptionalTensor(b), p, activation, OptionalTensor(),
               out);
  });
}

// The cost of a layer's global tokens, without their query's projection.
void global_attention(const char* name, int64_t globals, ScalarType dtype) {
  const Tensor q = randn({1, globals, 12, 64}, dtype), x = randn({4096, 768}, dtype),
               w = randn({768, 768}, dtype), b = randn({768}, dtype);
  const Tensor index = arange(globals).view({1, globals});
  const std::vector<int64_t> offsets = {0, 4096};
  const OptionalTensor bias(b);
  GlobalOptions options;
  options.sequence_offsets = offsets;
  measure(name, 4.0 * double(globals) * 12 * 768 * 4096,
          [&] { test::folded_global_attention(q, x, w, bias, w, bias, index, options); });
}

void layer_norm(const char* name, ScalarType dtype) {
  const Tensor x = randn({4096, 768}, dtype), r = randn({4096, 768}, dtype), w = randn({768}, dtype),
               b = randn({768}, dtype);
  measure(name, 0, [&] { call<Tensor>("add_layer_norm", x, OptionalTensor(r), w, b, 1e-5); });
  measure((std::string(name) + ", libtorch").c_str(), 0, [&] { longformer::layer_norm(x + r, w, b, 1e-5); });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) repetitions = std::max(1, std::atoi(argv[1]));
  if (argc > 2) filter = argv[2];
  const char* threads = std::getenv("OMP_NUM_THREADS");
  open_everything();
  const Threads chosen(threads != nullptr ? std::atoi(threads) : 2);
  std::printf("threads %d, kernels %s\n", get_num_threads(), cpu::active_instruction_set().c_str());
  for (int i = 0; i < 50; ++i) best_peak = std::max(best_peak, cpu::multiply_add_peak());
  attention("float32 T4096 window 512", {4096, 12, 64, 256, 1, kFloat});
  attention("float32 T4096 window 128", {4096, 12, 64, 64, 1, kFloat});
  attention("float32 T4096 window 512 dilation 4", {4096, 12, 64, 256, 4, kFloat});
  attention("float32 T4096 D32 window 512", {4096, 24, 32, 256, 1, kFloat});
  attention("float32 T4096 D128 window 512", {4096, 6, 128, 256, 1, kFloat});
  attention("float32 T4096 D80 window 512", {4096, 12, 80, 256, 1, kFloat});
  attention("float32 T64 window 512", {64, 12, 64, 256, 1, kFloat});
  attention("bfloat16 T4096 window 512", {4096, 12, 64, 256, 1, kBFloat16});
  attention("float16 T4096 window 512", {4096, 12, 64, 256, 1, kHalf});
  attention("float64 T4096 window 512", {4096, 12, 64, 256, 1, kDouble});
  relative_attention("relative float32 T4096 causal 512", {4096, 8, 64, 512, 1, kFloat});
  relative_attention("relative float32 T4096 causal 128", {4096, 8, 64, 128, 1, kFloat});
  relative_attention("relative float32 T2048 causal 32", {2048, 8, 64, 32, 1, kFloat});
  relative_attention("relative float32 T8192 causal 512 dilation 4", {8192, 8, 64, 512, 4, kFloat});
  relative_attention("relative bfloat16 T4096 causal 512", {4096, 8, 64, 512, 1, kBFloat16});
  linear("vocabulary 256 x 768 x 50265 unpacked", 256, 768, 50265, kFloat, "none", false, false);
  linear_backward("vocabulary backward 256 x 768 x 50265", 256, 768, 50265, kFloat);
  linear("linear float32 4096 x 768 x 3072 gelu", 4096, 768, 3072, kFloat, "gelu", false, true);
  linear("linear float32 4096 x 768 x 3072", 4096, 768, 3072, kFloat, "none", false, true);
  linear("linear float32 4096 x 768 x 3072 unpacked", 4096, 768, 3072, kFloat, "none", false, false);
  linear("linear float32 4096 x 3072 x 768 residual", 4096, 3072, 768, kFloat, "none", true, true);
  linear("linear float32 4096 x 768 x 2304", 4096, 768, 2304, kFloat, "none", false, true);
  // As the layers behind the attention do it: a block of tokens at a time.
  linear("linear float32 512 x 768 x 3072 gelu", 512, 768, 3072, kFloat, "gelu", false, true);
  linear("linear float32 512 x 768 x 3072", 512, 768, 3072, kFloat, "none", false, true);
  linear("linear float32 512 x 3072 x 768", 512, 3072, 768, kFloat, "none", false, true);
  linear("linear float32 512 x 768 x 768", 512, 768, 768, kFloat, "none", false, true);
  linear("linear float32 1024 x 768 x 3072", 1024, 768, 3072, kFloat, "none", false, true);
  linear("linear float32 1024 x 3072 x 768", 1024, 3072, 768, kFloat, "none", false, true);
  linear("linear float32 256 x 768 x 3072", 256, 768, 3072, kFloat, "none", false, true);
  linear("linear float32 256 x 3072 x 768", 256, 3072, 768, kFloat, "none", false, true);
  linear("linear float32 64 x 768 x 768", 64, 768, 768, kFloat, "none", false, true);
  for (ScalarType dtype : {kFloat, kBFloat16}) {
    linear_backward(("backward " + name_of(dtype) + " 4096 x 768 x 768").c_str(), 4096, 768, 768, dtype);
    linear_backward(("backward " + name_of(dtype) + " 4096 x 768 x 3072").c_str(), 4096, 768, 3072, dtype);
    linear_backward(("backward " + name_of(dtype) + " 4096 x 3072 x 768").c_str(), 4096, 3072, 768, dtype);
  }
  linear("linear bfloat16 4096 x 768 x 3072 gelu", 4096, 768, 3072, kBFloat16, "gelu", false, true);
  linear("linear bfloat16 4096 x 768 x 3072", 4096, 768, 3072, kBFloat16, "none", false, true);
  linear("linear bfloat16 4096 x 3072 x 768 residual", 4096, 3072, 768, kBFloat16, "none", true, true);
  linear("linear bfloat16 512 x 768 x 768", 512, 768, 768, kBFloat16, "none", false, true);
  int8_linear("linear int8 4096 x 768 x 2304", 4096, 768, 2304, "none", true);
  int8_linear("linear int8 512 x 768 x 3072 gelu", 512, 768, 3072, "gelu", true);
  int8_linear("linear int8 512 x 768 x 3072", 512, 768, 3072, "none", true);
  int8_linear("linear int8 512 x 3072 x 768", 512, 3072, 768, "none", true);
  int8_linear("linear int8 512 x 768 x 768", 512, 768, 768, "none", true);
  int8_linear("linear int8 4 x 768 x 50265 weights only", 4, 768, 50265, "none", false);
  linear("linear float32 4 x 768 x 50265 unpacked", 4, 768, 50265, kFloat, "none", false, false);
  for (ScalarType dtype : {kFloat, kBFloat16})
    for (int64_t globals : {1, 4, 32})
      global_attention(
          ("global attention " + name_of(dtype) + " 4096 x 768, " + std::to_string(globals) + " global")
              .c_str(),
          globals, dtype);
  layer_norm("add_layer_norm float32 4096 x 768", kFloat);
  layer_norm("add_layer_norm bfloat16 4096 x 768", kBFloat16);
  return 0;
}
