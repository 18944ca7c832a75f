// Not a test: times the CPU kernels against the machine's own multiply-add peak, measured in the same process
// between the repetitions, because the machine may be shared. Minima over many repetitions.
//   bench_kernels [repetitions=20] [filter]
// OMP_NUM_THREADS sets the threads (default 2). With one thread the processor time of the thread is taken
// instead of the wall clock's, which stays meaningful when other programs want the processor.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>

#include "../ops/banded_attention.h"
#include "../ops/cpu/isa.h"
#include "../ops/cpu/peak.h"

using namespace longformer;

namespace {

double now() {
  timespec t;
  clock_gettime(at::get_num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
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
  at::ScalarType dtype;
};

BandedAttention attention_of(const Shape& s) {
  BandedAttention a;
  a.offsets = {0, s.tokens};
  const at::Tensor all =
      at::randn({s.tokens, 3, s.heads, s.dim}).to(s.dtype);  // as one projection leaves them
  a.q = all.select(1, 0);
  a.k = all.select(1, 1);
  a.v = all.select(1, 2);
  a.window_left = a.window_right = s.side;
  a.dilation.assign(size_t(s.heads), s.dilation);
  a.scale = 1 / std::sqrt(double(s.dim));
  a.global_index = at::zeros({1, 1}, at::kLong);
  return a;
}

// Two products per query and visible key; what lies outside the band or the sequence is not counted.
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
  const at::Tensor grad = at::randn(a.q.sizes()).to(s.dtype);
  const double backward = measure((std::string(name) + " backward").c_str(), 2.5 * flops,
                                  [&] { banded_attention_fused_cpu_backward(a, grad, f.out, f.lse); });
  if (forward > 0 && backward > 0) std::printf("%-44s %9.2f\n", "  backward / forward", backward / forward);
}

template <class Signature>
auto find(const char* name, const char* overload = "") {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

using Optional = c10::optional<at::Tensor>;

// Through the registered operator, into the same output every time.
void linear(const char* name, int64_t rows, int64_t inputs, int64_t outputs, at::ScalarType dtype,
            const char* activation, bool with_residual, bool packed) {
  const at::Tensor x = at::randn({rows, inputs}).to(dtype), w = at::randn({outputs, inputs}).to(dtype),
                   b = at::randn({outputs}).to(dtype);
  const Optional r = with_residual ? Optional(at::randn({rows, outputs}).to(dtype)) : Optional();
  const Optional p =
      packed ? Optional(find<at::Tensor(const at::Tensor&)>("longformer::linear_pack").call(w)) : Optional();
  at::Tensor out = at::empty({rows, outputs}, x.options());
  const auto op =
      find<at::Tensor&(const at::Tensor&, const at::Tensor&, const Optional&, const Optional&,
                       c10::string_view, const Optional&, at::Tensor&)>("longformer::linear", "out");
  measure(name, 2.0 * double(rows) * double(inputs) * double(outputs),
          [&] { op.call(x, w, b, p, activation, r, out); });
}

// What the global tokens of a layer cost besides their query's projection.
void global_attention(const char* name, int64_t globals, at::ScalarType dtype) {
  const at::Tensor q = at::randn({1, globals, 12, 64}).to(dtype), x = at::randn({4096, 768}).to(dtype),
                   w = at::randn({768, 768}).to(dtype), b = at::randn({768}).to(dtype);
  const at::Tensor index = at::arange(globals).view({1, globals});
  const std::vector<int64_t> offsets = {0, 4096};
  const auto op =
      find<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const Optional&,
                      const at::Tensor&, const Optional&, const at::Tensor&, const Optional&,
                      at::OptionalIntArrayRef, c10::optional<double>, double, int64_t)>(
          "longformer::folded_global_attention");
  measure(name, 4.0 * double(globals) * 12 * 768 * 4096,
          [&] { op.call(q, x, w, b, w, b, index, {}, offsets, {}, 0.0, 0); });
}

void layer_norm(const char* name, at::ScalarType dtype) {
  const at::Tensor x = at::randn({4096, 768}).to(dtype), r = at::randn({4096, 768}).to(dtype),
                   w = at::randn({768}).to(dtype), b = at::randn({768}).to(dtype);
  const auto op =
      find<at::Tensor(const at::Tensor&, const Optional&, const at::Tensor&, const at::Tensor&, double)>(
          "longformer::add_layer_norm");
  measure(name, 0, [&] { op.call(x, r, w, b, 1e-5); });
  measure((std::string(name) + ", ATen").c_str(), 0, [&] { at::layer_norm(x + r, {768}, w, b, 1e-5); });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) repetitions = std::max(1, std::atoi(argv[1]));
  if (argc > 2) filter = argv[2];
  const char* threads = std::getenv("OMP_NUM_THREADS");
  at::set_num_threads(threads != nullptr ? std::atoi(threads) : 2);
  std::printf("threads %d, kernels %s\n", at::get_num_threads(), cpu::name_of(cpu::active_isa()));
  for (int i = 0; i < 50; ++i) best_peak = std::max(best_peak, cpu::multiply_add_peak());
  attention("float32 T4096 window 512", {4096, 12, 64, 256, 1, at::kFloat});
  attention("float32 T4096 window 128", {4096, 12, 64, 64, 1, at::kFloat});
  attention("float32 T4096 window 512 dilation 4", {4096, 12, 64, 256, 4, at::kFloat});
  attention("float32 T4096 D32 window 512", {4096, 24, 32, 256, 1, at::kFloat});
  attention("float32 T4096 D128 window 512", {4096, 6, 128, 256, 1, at::kFloat});
  attention("float32 T4096 D80 window 512", {4096, 12, 80, 256, 1, at::kFloat});
  attention("float32 T64 window 512", {64, 12, 64, 256, 1, at::kFloat});
  attention("bfloat16 T4096 window 512", {4096, 12, 64, 256, 1, at::kBFloat16});
  attention("float16 T4096 window 512", {4096, 12, 64, 256, 1, at::kHalf});
  attention("float64 T4096 window 512", {4096, 12, 64, 256, 1, at::kDouble});
  linear("linear float32 4096 x 768 x 3072 gelu", 4096, 768, 3072, at::kFloat, "gelu", false, true);
  linear("linear float32 4096 x 768 x 3072", 4096, 768, 3072, at::kFloat, "none", false, true);
  linear("linear float32 4096 x 768 x 3072 unpacked", 4096, 768, 3072, at::kFloat, "none", false, false);
  linear("linear float32 4096 x 3072 x 768 residual", 4096, 3072, 768, at::kFloat, "none", true, true);
  linear("linear float32 4096 x 768 x 2304", 4096, 768, 2304, at::kFloat, "none", false, true);
  // As the layers behind the attention do it: a block of tokens at a time.
  linear("linear float32 512 x 768 x 3072 gelu", 512, 768, 3072, at::kFloat, "gelu", false, true);
  linear("linear float32 512 x 768 x 3072", 512, 768, 3072, at::kFloat, "none", false, true);
  linear("linear float32 512 x 3072 x 768", 512, 3072, 768, at::kFloat, "none", false, true);
  linear("linear float32 512 x 768 x 768", 512, 768, 768, at::kFloat, "none", false, true);
  linear("linear float32 1024 x 768 x 3072", 1024, 768, 3072, at::kFloat, "none", false, true);
  linear("linear float32 1024 x 3072 x 768", 1024, 3072, 768, at::kFloat, "none", false, true);
  linear("linear float32 256 x 768 x 3072", 256, 768, 3072, at::kFloat, "none", false, true);
  linear("linear float32 256 x 3072 x 768", 256, 3072, 768, at::kFloat, "none", false, true);
  linear("linear float32 64 x 768 x 768", 64, 768, 768, at::kFloat, "none", false, true);
  linear("linear bfloat16 4096 x 768 x 3072 gelu", 4096, 768, 3072, at::kBFloat16, "gelu", false, true);
  for (at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (int64_t globals : {1, 4, 32})
      global_attention(("global attention " + std::string(c10::toString(dtype)) + " 4096 x 768, " +
                        std::to_string(globals) + " global")
                           .c_str(),
                       globals, dtype);
  layer_norm("add_layer_norm float32 4096 x 768", at::kFloat);
  layer_norm("add_layer_norm bfloat16 4096 x 768", at::kBFloat16);
  return 0;
}
