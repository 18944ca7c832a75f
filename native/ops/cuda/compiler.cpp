#include "compiler.h"

#include <c10/util/Exception.h>

#include <memory>

#include "decode.h"
#include "disk_cache.h"
#include "layer_norm.h"
#include "libraries.h"

namespace longformer::cuda {
namespace {

std::vector<std::string> options_of(const KernelText& kernel, int architecture) {
  std::vector<std::string> options = {"--gpu-architecture=sm_" + std::to_string(architecture), "--std=c++17",
                                      "--ptxas-options=-v",
                                      "-diag-suppress=128"};  // 128: loops of no iteration
  for (const auto& [name, value] : kernel.names) options.push_back(std::string("-D") + name + "=" + value);
  return options;
}

const char* text_of_file(const std::string& name) {
  for (const KernelFile& file : kernel_files())
    if (name == file.name) return file.text;
  TORCH_INTERNAL_ASSERT(false, "no kernel file ", name);
}

}  // namespace

std::vector<KernelText> all_other_kernels() {
  std::vector<KernelText> all = {{"store_integers.cu", {}}, {"list_globals.cu", {}}};
  for (int type = 0; type < 3; ++type) {
    for (const bool aligned : {true, false}) all.push_back(decode_text("decode_attend", type, aligned));
    all.push_back(decode_text("decode_merge", type, true));
    for (int64_t columns = 256; columns <= kMostNormColumns; columns += 256)
      all.push_back(norm_text(type, columns));
  }
  return all;
}

Compiled compile(const KernelText& kernel, int architecture) {
  const Nvrtc& nvrtc = Nvrtc::get();
  std::vector<const char*> names, texts, options;
  for (const KernelFile& file : kernel_files()) {
    names.push_back(file.name);
    texts.push_back(file.text);
  }
  const std::vector<std::string> option_texts = options_of(kernel, architecture);
  for (const std::string& option : option_texts) options.push_back(option.c_str());

  void* program = nullptr;
  TORCH_CHECK(nvrtc.create(&program, text_of_file(kernel.file), kernel.file, static_cast<int>(names.size()),
                           texts.data(), names.data()) == 0,
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
  TORCH_CHECK(result == 0, "longformer: NVRTC ", nvrtc.major, ".", nvrtc.minor, " (", nvrtc.path,
              ") cannot compile ", kernel.describe(), " for sm_", architecture, ":\n", compiled.log);
  TORCH_CHECK(nvrtc.cubin_size(program, &size) == 0 && size > 0, "longformer: NVRTC gave no code for ",
              kernel.describe());
  compiled.cubin.resize(size);
  nvrtc.cubin(program, compiled.cubin.data());
  return compiled;
}

int architecture_for(int capability, const std::vector<int>& known) {
  int best = 0;
  for (const int architecture : known)
    if (architecture / 10 == capability / 10 && architecture <= capability && architecture > best)
      best = architecture;
  TORCH_CHECK(best > 0, "longformer: NVRTC ", Nvrtc::get().major, ".", Nvrtc::get().minor, " (",
              Nvrtc::get().path, ") is too old for this GPU of compute capability ", capability / 10, ".",
              capability % 10);
  return best;
}

std::string cache_key(const KernelText& kernel, int architecture, int driver_version) {
  static const std::string texts = [] {
    std::string all;
    for (const KernelFile& file : kernel_files()) all += std::string(file.name) + "\n" + file.text + "\n";
    return std::to_string(hash_of(all)) + "-" + std::to_string(all.size());
  }();
  const Nvrtc& nvrtc = Nvrtc::get();
  std::string key = kernel.file + (" " + texts) + " nvrtc " + std::to_string(nvrtc.major) + "." +
                    std::to_string(nvrtc.minor) + " driver " + std::to_string(driver_version);
  for (const std::string& option : options_of(kernel, architecture)) key += " " + option;
  return key;
}

}  // namespace longformer::cuda
