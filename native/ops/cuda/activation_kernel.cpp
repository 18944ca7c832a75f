#include "activation_kernel.h"

#include "banded_attention_kernel.h"
#include "kernels/parameters.h"

namespace longformer::cuda {
namespace {

constexpr int kThreads = 256, kChunkBytes = 16;  // each thread has a chunk

}  // namespace

bool activation_serves(const Tensor& input) {
  const ScalarType type = input.scalar_type();
  return (type == kFloat || type == kBFloat16 || type == kHalf) &&
         input.nbytes() / kChunkBytes < (int64_t{1} << 31) * kThreads;
}

KernelText activation_text(int type, cpu::Activation function, bool backward) {
  return {"activation.cu",
          {{"LF_TYPE", std::to_string(type)},
           {"LF_FUNCTION", std::to_string(static_cast<int>(function))},
           {"LF_BACKWARD", backward ? "1" : "0"}}};
}

Tensor activate(const Tensor& input, const Tensor& gradient, cpu::Activation function, Launcher& launcher) {
  const Tensor out = empty(input.sizes(), input.options());
  if (out.numel() == 0) return out;
  // Chunks are read at once, so they begin at whole ones.
  const auto dense = [](const Tensor& t) {
    const Tensor c = t.contiguous();
    return reinterpret_cast<uintptr_t>(c.data_ptr()) % kChunkBytes == 0 ? c : c.clone();
  };
  const Tensor x = dense(input), g = gradient.defined() ? dense(gradient) : Tensor();
  ActivationParameters p = {};
  p.input = launcher.reads(x, "input");
  p.gradient = g.defined() ? launcher.reads(g, "gradient") : nullptr;
  p.output = launcher.writes(out, "out");
  p.count = out.numel();
  const int64_t chunks = (out.nbytes() + kChunkBytes - 1) / kChunkBytes;
  const Grid grid = {static_cast<unsigned>((chunks + kThreads - 1) / kThreads), 1, kThreads, 0};
  launcher.launch(activation_text(type_of(input), function, g.defined()), grid, p);
  return out;
}

}  // namespace longformer::cuda
