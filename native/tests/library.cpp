#include "library.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "../torch/interface.h"

namespace longformer::test {
namespace {

namespace fs = std::filesystem;

std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

void* open(const std::string& file) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return library;
}

Api load_api() {
  Api result;
#ifdef LONGFORMER_OPS_LIBRARY
  void* library = open(library_file());
#define LONGFORMER_TEST_FIND(name)                                                                \
  result.name = reinterpret_cast<decltype(result.name)>(dlsym(library, "longformer_ops_" #name)); \
  if (result.name == nullptr) throw std::runtime_error("no longformer_ops_" #name " in " + library_file());
#else
#define LONGFORMER_TEST_FIND(name) result.name = &longformer_ops_##name;
#endif
  LONGFORMER_TEST_FUNCTIONS(LONGFORMER_TEST_FIND)
#undef LONGFORMER_TEST_FIND
  return result;
}

}  // namespace

const Api& api() {
  static const Api functions = load_api();
  return functions;
}

std::string libtorch_file() {
  const fs::path folder = from_environment("LIBTORCH", LONGFORMER_TEST_LIBTORCH);
  for (const fs::path& place : {folder, folder / "lib"}) {
    std::vector<std::string> found;
    std::error_code error;
    for (fs::directory_iterator entry(place, error), end; !error && entry != end; entry.increment(error))
      if (entry->path().filename().string().rfind("libtorch_cpu.so", 0) == 0) found.push_back(entry->path());
    // The shortest name: libtorch_cpu.so, else libtorch_cpu.so.2.14 before libtorch_cpu.so.2.14.1.
    const auto shorter = [](const std::string& a, const std::string& b) { return a.size() < b.size(); };
    if (!found.empty()) return *std::min_element(found.begin(), found.end(), shorter);
  }
  throw std::runtime_error("no libtorch_cpu.so in " + folder.string() +
                           " nor in its lib (LIBTORCH chooses the folder)");
}

void open_libtorch() {
  static void* const library = open(libtorch_file());
  (void)library;
}

std::string library_file() {
#ifdef LONGFORMER_OPS_LIBRARY
  return (fs::path(from_environment("LONGFORMER_NATIVE_DIR", LONGFORMER_OPS_LIBRARY)) /
          "liblongformer_ops.so")
      .string();
#else
  return "";
#endif
}

void open_everything() {
  open_libtorch();
  // First the pointers of this program, then the library: the words of a failing call go to who asked for
  // them last.
  torch::load();
  if (api().initialize() != LONGFORMER_OK) throw std::runtime_error(api().last_error());
}

}  // namespace longformer::test
