// Compiled kernels on disk, a file for each. A file carries its key and a checksum: one that was damaged, or
// whose name belongs to another key, counts as missing and is written again. Files appear whole (written
// under a temporary name, then renamed), so any number of processes may share a folder.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace longformer::cuda {

class DiskCache {
 public:
  // An empty folder: nothing is kept.
  explicit DiskCache(std::string folder) : folder_(std::move(folder)) {}

  // LONGFORMER_CUDA_CACHE (a folder, or "off"), else longformer-interop/cuda in XDG_CACHE_HOME or ~/.cache;
  // on Windows in LOCALAPPDATA.
  static std::string default_folder();

  std::optional<std::string> read(const std::string& key) const;
  // A folder that cannot be written to is no error: the kernel is compiled again next time.
  void write(const std::string& key, const std::string& data) const;

  std::string file_of(const std::string& key) const;

 private:
  std::string folder_;
};

// FNV-1a, 64 bits.
uint64_t hash_of(const std::string& text, uint64_t start = 0xCBF29CE484222325ull);

}  // namespace longformer::cuda
