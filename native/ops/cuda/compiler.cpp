#include "compiler.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "activation_kernel.h"
#include "decode_attention_kernel.h"
#include "disk_cache.h"
#include "embed_kernel.h"
#include "layer_norm_kernel.h"
#include "libraries.h"
#include "pooled_tokens_kernel.h"

namespace longformer::cuda {
namespace {

std::vector<std::string> options_of(const KernelText& kernel, const Target& target) {
  std::vector<std::string> options = {"--gpu-architecture=" + target.name(), "--std=c++17",
                                      "-diag-suppress=128"};  // 128: loops of no iteration
  if (!target.ptx) options.push_back("--ptxas-options=-v");
  for (const auto& [name, value] : kernel.names) options.push_back(std::string("-D") + name + "=" + value);
  return options;
}

const char* text_of_file(const std::string& name) {
  for (const KernelFile& file : kernel_files())
    if (name == file.name) return file.text;
  throw std::logic_error("no kernel file " + name);
}

}  // namespace

std::vector<KernelText> all_other_kernels() {
  std::vector<KernelText> all = {{"store_integers.cu", {}}, {"list_globals.cu", {}}, {"merge_pools.cu", {}}};
  for (int type = 0; type < 3; ++type) {
    for (const bool aligned : {true, false}) all.push_back(decode_text("decode_attend", type, aligned));
    all.push_back(decode_text("decode_merge", type, true));
    for (int function = 1; function <= static_cast<int>(cpu::Activation::silu); ++function)
      for (const bool backward : {false, true})
        all.push_back(activation_text(type, static_cast<cpu::Activation>(function), backward));
    for (int64_t columns = 256; columns <= kMostNormColumns; columns += 256)
      for (const auto text_of : {norm_text, embed_text}) all.push_back(text_of(type, columns));
    for (int64_t columns = 128; columns <= kMostPoolColumns; columns += type == 0 ? 256 : 128)
      for (const bool aligned : {true, false}) all.push_back(pool_text(type, columns, aligned));
  }
  return all;
}

std::string Target::name() const {
  return (ptx ? "compute_" : "sm_") + std::to_string(architecture);
}

Compiled compile(const KernelText& kernel, const Target& target) {
  const Nvrtc& nvrtc = Nvrtc::get();
  std::vector<const char*> names, texts, options;
  for (const KernelFile& file : kernel_files()) {
    names.push_back(file.name);
    texts.push_back(file.text);
  }
  const std::vector<std::string> option_texts = options_of(kernel, target);
  for (const std::string& option : option_texts) options.push_back(option.c_str());

  void* program = nullptr;
  LONGFORMER_CHECK(nvrtc.create(&program, text_of_file(kernel.file), kernel.file,
                                static_cast<int>(names.size()), texts.data(), names.data()) == 0,
                   "longformer: NVRTC from ", nvrtc.path, " did not take ", kernel.file);
  const auto destroy = [&](void* p) { nvrtc.destroy(&p); };
  const std::unique_ptr<void, decltype(destroy)> owner(program, destroy);

  const int result = nvrtc.compile(program, static_cast<int>(options.size()), options.data());
  Compiled compiled;
  size_t size = 0;
  if (nvrtc.log_size(program, &size) == 0 && size > 1) {
    compiled.log.resize(size);
    nvrtc.log(program, compiled.log.data());
    compiled.log.resize(size - 1);  // its terminating zero
  }
  LONGFORMER_CHECK(result == 0, "longformer: NVRTC ", nvrtc.major, ".", nvrtc.minor, " (", nvrtc.path,
                   ") cannot compile ", kernel.describe(), " for ", target.name(), ":\n", compiled.log);
  const auto code_size = target.ptx ? nvrtc.ptx_size : nvrtc.cubin_size;
  const auto code = target.ptx ? nvrtc.ptx : nvrtc.cubin;
  LONGFORMER_CHECK(code_size(program, &size) == 0 && size > 0, "longformer: NVRTC gave no code for ",
                   kernel.describe());
  compiled.code.resize(size);  // of PTX with the zero at its end, which the driver looks for
  LONGFORMER_CHECK(code(program, compiled.code.data()) == 0, "longformer: NVRTC gave no code for ",
                   kernel.describe());
  return compiled;
}

Target target_for(int capability, const std::vector<int>& known) {
  Target best;
  int newest_before = 0;
  for (const int architecture : known) {
    if (architecture > capability) continue;
    if (architecture / 10 == capability / 10) best.architecture = std::max(best.architecture, architecture);
    newest_before = std::max(newest_before, architecture);
  }
  if (best.architecture == 0) best = {newest_before, true};
  std::string all;
  for (const int architecture : known) all += (all.empty() ? "" : ", ") + std::to_string(architecture);
  LONGFORMER_CHECK(best.architecture >= kOldestCapability,
                   "longformer: the CUDA kernels cannot be compiled for this GPU of compute capability ",
                   capability / 10, ".", capability % 10, ": NVRTC knows the architectures ", all,
                   ", of which the GPU runs none from ", kOldestCapability,
                   " on; another NVRTC can be named in LONGFORMER_NVRTC");
  return best;
}

std::string cache_key(const KernelText& kernel, const Target& target, int driver_version) {
  static const std::string texts = [] {
    std::string all;
    for (const KernelFile& file : kernel_files()) all += std::string(file.name) + "\n" + file.text + "\n";
    return std::to_string(hash_of(all)) + "-" + std::to_string(all.size());
  }();
  const Nvrtc& nvrtc = Nvrtc::get();
  std::string key = kernel.file + (" " + texts) + " nvrtc " + std::to_string(nvrtc.major) + "." +
                    std::to_string(nvrtc.minor) + " driver " + std::to_string(driver_version);
  for (const std::string& option : options_of(kernel, target)) key += " " + option;
  return key;
}

}  // namespace longformer::cuda
