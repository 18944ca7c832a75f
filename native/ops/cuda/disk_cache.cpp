#include "disk_cache.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#if defined(_WIN32)
#include <process.h>
#else
#include <unistd.h>
#endif

namespace longformer::cuda {
namespace {

namespace fs = std::filesystem;

// In front of a file: then the key and the data.
struct Header {
  char magic[8];
  uint64_t key_size, data_size, checksum;  // checksum: of key and data
};
constexpr char kMagic[8] = {'L', 'F', 'C', 'U', 'B', 'I', 'N', '1'};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

uint64_t hash_of(const std::string& text, uint64_t start) {
  uint64_t hash = start;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

std::string DiskCache::default_folder() {
  const std::string given = environment("LONGFORMER_CUDA_CACHE");
  if (given == "off") return "";
  if (!given.empty()) return given;
#if defined(_WIN32)
  const std::string base = environment("LOCALAPPDATA");
#else
  std::string base = environment("XDG_CACHE_HOME");
  if (base.empty() && !environment("HOME").empty()) base = environment("HOME") + "/.cache";
#endif
  return base.empty() ? "" : base + "/longformer-interop/cuda";
}

std::string DiskCache::file_of(const std::string& key) const {
  char name[48];
  std::snprintf(name, sizeof name, "%016llx%016llx.cubin", static_cast<unsigned long long>(hash_of(key)),
                static_cast<unsigned long long>(hash_of(key, 0x9E3779B97F4A7C15ull)));
  return folder_ + "/" + name;
}

std::optional<std::string> DiskCache::read(const std::string& key) const {
  if (folder_.empty()) return std::nullopt;
  std::ifstream file(file_of(key), std::ios::binary);
  if (!file) return std::nullopt;
  const std::string all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Header header;
  if (all.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, all.data(), sizeof header);
  const std::string rest = all.substr(sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.key_size != key.size() ||
      rest.size() < key.size() || rest.size() - key.size() != header.data_size ||
      rest.compare(0, key.size(), key) != 0 || hash_of(rest) != header.checksum)
    return std::nullopt;
  return rest.substr(key.size());
}

void DiskCache::write(const std::string& key, const std::string& data) const {
  if (folder_.empty()) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return;
  static std::atomic<unsigned> written{0};
  const std::string target = file_of(key), temporary = target + "." + std::to_string(getpid()) + "." +
                                                       std::to_string(written++) + ".tmp";
  Header header{{}, key.size(), data.size(), hash_of(key + data)};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  bool complete;
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file << key << data;
    complete = file.flush().good();
  }
  if (complete) fs::rename(temporary, target, error);
  if (!complete || error) fs::remove(temporary, error);
}

}  // namespace longformer::cuda
