// The CUDA kernels without a GPU: compiled by NVRTC for the GPUs that they are meant for, with no register
// spilled; their cache on disk; what is said where the driver is missing.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "../ops/cuda/compiler.h"
#include "../ops/cuda/configuration.h"
#include "../ops/cuda/disk_cache.h"
#include "../ops/cuda/libraries.h"
#include "../ops/cuda/pooled_tokens_kernel.h"

using namespace longformer::cuda;

namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    path = testing::TempDir() + "longformer-cache-XXXXXX";
    mkdtemp(path.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string path;
};

bool nvrtc_is_here(std::string& why) {
  try {
    Nvrtc::get();
    return true;
  } catch (const std::exception& e) {
    why = e.what();
    return false;
  }
}

#define SKIP_WITHOUT_NVRTC() \
  std::string why;           \
  if (!nvrtc_is_here(why)) GTEST_SKIP() << "no kernel was compiled, because NVRTC is missing: " << why

// The GPUs of data centres, and the newest that this NVRTC knows.
std::vector<int> targets() {
  std::vector<int> all = {80, 90};
  const std::vector<int>& known = Nvrtc::get().known;
  for (int newer : {100, 120})
    if (std::find(known.begin(), known.end(), newer) != known.end()) all.push_back(newer);
  const int newest = *std::max_element(known.begin(), known.end());
  if (std::find(all.begin(), all.end(), newest) == all.end()) all.push_back(newest);
  return all;
}

std::vector<KernelText> all_kernels() {
  std::vector<KernelText> all = all_attention_kernels();
  for (KernelText& text : all_other_kernels()) all.push_back(std::move(text));
  return all;
}

// The assembler's report: registers used, and that nothing was spilled or put on a stack.
void expect_no_spills(const KernelText& kernel, int architecture) {
  const std::string log = compile(kernel, {architecture}).log;
  const size_t used = log.find("Used ");
  ASSERT_NE(used, std::string::npos) << log;
  const int registers = std::atoi(log.c_str() + used + 5);
  const size_t end = log.find(" bytes stack frame");
  ASSERT_NE(end, std::string::npos) << log;
  const int stack = std::atoi(log.c_str() + log.find_last_not_of("0123456789", end - 1) + 1);
  EXPECT_TRUE(stack == 0 && registers > 0 && registers <= 255)
      << kernel.describe() << " for sm_" << architecture << ": " << log;
  std::printf("sm_%d %3d registers, %2d bytes of stack  %s\n", architecture, registers, stack,
              kernel.describe().c_str());
}

// Of every kernel and type the text that needs most registers of each head dimension that models have; all of
// them where LONGFORMER_ALL_CUDA_KERNELS is set (some minutes).
TEST(CudaCompile, kernels_spill_no_registers) {
  SKIP_WITHOUT_NVRTC();
  const bool all = std::getenv("LONGFORMER_ALL_CUDA_KERNELS") != nullptr;
  std::printf("NVRTC %d.%d from %s\n", Nvrtc::get().major, Nvrtc::get().minor, Nvrtc::get().path.c_str());
  std::vector<KernelText> kernels = all_kernels();
  if (!all) {
    kernels.clear();
    using K = AttentionKernel;
    for (K k : {K::forward, K::backward_query, K::backward_key})
      for (const Shape& shape :
           {Shape{1, 64, true, false, true, false}, Shape{1, 64, true, true, true, false}})
        kernels.push_back(text_of(k, choose(k, shape)));
    for (K k : {K::relative_forward, K::relative_query, K::relative_key, K::relative_sums})
      for (const Shape& shape :
           {Shape{1, 64, true, true, true, false}, Shape{0, 64, false, false, true, false}})
        kernels.push_back(text_of(k, choose(k, shape)));
    kernels.push_back(
        text_of(K::relative_query, choose(K::relative_query, {1, 128, true, true, true, false})));
    kernels.push_back(text_of(K::forward, choose(K::forward, {0, 64, true, false, true, false})));
    kernels.push_back(
        text_of(K::global_key_sums, choose(K::global_key_sums, {0, 128, true, true, true, false})));
    for (KernelText& text : all_other_kernels())
      if (text.names.empty() || (text.names[0].second == "1" && std::string(text.file) != "pool.cu"))
        kernels.push_back(std::move(text));
    kernels.push_back(pool_text(1, 768, true));
    kernels.push_back(pool_text(0, 1024, true));
  }
  for (const int architecture : all ? targets() : std::vector<int>{90})
    for (const KernelText& kernel : kernels) expect_no_spills(kernel, architecture);
  // The other targets: that the instructions exist there, and the kernel that first spilled.
  const Shape wide{1, 128, true, false, true, false};
  const KernelText widest =
      text_of(AttentionKernel::relative_query, choose(AttentionKernel::relative_query, wide));
  if (!all)
    for (const int architecture : targets())
      if (architecture != 90)
        for (const KernelText& kernel : {kernels[0], widest}) expect_no_spills(kernel, architecture);
}

// A launch that asks for more fails; there is no other configuration to fall back to.
TEST(CudaCompile, no_kernel_takes_more_shared_memory_than_every_gpu_has) {
  constexpr size_t least = 99 << 10;  // of a block on compute capability 8.6, 8.9 and 12.0
  for (AttentionKernel kernel : kAttentionKernels)
    for (int type = 0; type < 3; ++type)
      for (int dim = 32; dim <= (is_relative(kernel) ? largest_relative_dim(type) : kLargestDim); dim += 32)
        for (int bits = 0; bits < 16; ++bits) {
          const Shape shape{type, dim, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) == 0, (bits & 8) != 0};
          const Configuration c = choose(kernel, shape);
          EXPECT_LE(shared_bytes(kernel, c), least) << text_of(kernel, c).describe();
        }
  for (int type = 0; type < 3; ++type)
    for (int64_t columns = 1; columns <= kMostPoolColumns; ++columns)
      EXPECT_LE(pool_shared_bytes(type, columns), least) << "type " << type << " columns " << columns;
}

TEST(CudaCompile, a_mistake_in_a_kernel_is_told_with_the_compilers_words) {
  SKIP_WITHOUT_NVRTC();
  try {
    compile({"attention.cu", {{"LF_KERNEL", "no_such_kernel"}}}, {90});
    ADD_FAILURE() << "no error";
  } catch (const std::exception& e) {
    const std::string message = e.what();
    EXPECT_NE(message.find("LF_TYPE"), std::string::npos) << message;
    EXPECT_NE(message.find("for sm_90"), std::string::npos) << message;
  }
}

TEST(CudaCompile, the_newest_architecture_of_the_same_generation_is_taken) {
  EXPECT_EQ(target_for(90, {70, 75, 80, 86, 89, 90}).name(), "sm_90");
  EXPECT_EQ(target_for(87, {70, 75, 80, 86, 89, 90}).name(), "sm_86");
  EXPECT_EQ(target_for(121, {90, 100, 120}).name(), "sm_120");
}

TEST(CudaCompile, a_gpu_newer_than_nvrtc_gets_ptx_and_one_that_it_forgot_a_message) {
  EXPECT_EQ(target_for(120, {70, 80, 86, 89, 90}).name(), "compute_90");
  EXPECT_EQ(target_for(120, {90, 100, 103}).name(), "compute_103");
  for (const std::vector<int>& known : {std::vector<int>{90, 100}, std::vector<int>{70, 75}, {}}) try {
      target_for(86, known);
      ADD_FAILURE() << "no error";
    } catch (const std::exception& e) {
      const std::string message = e.what();
      EXPECT_NE(message.find("compute capability 8.6"), std::string::npos) << message;
      EXPECT_NE(message.find("LONGFORMER_NVRTC"), std::string::npos) << message;
    }
}

TEST(CudaCompile, ptx_for_a_gpu_of_tomorrow_names_the_newest_architecture) {
  SKIP_WITHOUT_NVRTC();
  const std::vector<int>& known = Nvrtc::get().known;
  const int newest = *std::max_element(known.begin(), known.end());
  const Target target = target_for(990, known);
  ASSERT_TRUE(target.ptx);
  const KernelText kernel =
      text_of(AttentionKernel::forward, choose(AttentionKernel::forward, {1, 64, false, false, true, false}));
  const std::string code = compile(kernel, target).code;
  EXPECT_NE(code.find(".target sm_" + std::to_string(newest)), std::string::npos) << code.substr(0, 300);
  EXPECT_NE(code.find(".entry longformer_kernel"), std::string::npos);
  EXPECT_NE(code.find("mma.sync.aligned.m16n8k16"), std::string::npos);
  EXPECT_EQ(code.find('\0'), code.size() - 1) << "the driver looks for a zero at the end";
  EXPECT_NE(cache_key(kernel, target, 12040), cache_key(kernel, {newest}, 12040));
}

TEST(CudaCompile, the_key_of_a_kernel_names_everything_that_it_depends_on) {
  SKIP_WITHOUT_NVRTC();
  const KernelText a =
      text_of(AttentionKernel::forward, choose(AttentionKernel::forward, {1, 64, false, false, true, false}));
  KernelText b = a;
  b.names.back().second = "0";
  EXPECT_EQ(cache_key(a, {90}, 12040), cache_key(a, {90}, 12040));
  EXPECT_NE(cache_key(a, {90}, 12040), cache_key(b, {90}, 12040));
  EXPECT_NE(cache_key(a, {90}, 12040), cache_key(a, {80}, 12040));
  EXPECT_NE(cache_key(a, {90}, 12040), cache_key(a, {90}, 12050));
  EXPECT_NE(cache_key(a, {90}, 12040).find("nvrtc " + std::to_string(Nvrtc::get().major)), std::string::npos);
}

TEST(CudaCache, gives_back_what_was_written_under_its_key_only) {
  const Folder folder;
  const DiskCache cache(folder.path + "/made/on/demand");
  EXPECT_FALSE(cache.read("key").has_value());
  const std::string data("\0binary\n\xFF", 9);
  cache.write("key", data);
  EXPECT_EQ(cache.read("key").value(), data);
  EXPECT_FALSE(cache.read("another key").has_value());
  // A file under the right name that is of another key (two hashes that collide).
  fs::copy_file(cache.file_of("key"), cache.file_of("another key"));
  EXPECT_FALSE(cache.read("another key").has_value());
}

TEST(CudaCache, a_damaged_file_counts_as_missing_and_is_replaced) {
  const Folder folder;
  const DiskCache cache(folder.path);
  const std::string data(1000, 'x');
  cache.write("key", data);
  const std::string file = cache.file_of("key");
  const auto size = fs::file_size(file);
  for (const auto place :
       {uintmax_t{0}, uintmax_t{9}, uintmax_t{20}, uintmax_t{30}, uintmax_t{33}, size / 2, size - 1}) {
    std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(static_cast<std::streamoff>(place));
    f.put('!');
    f.close();
    EXPECT_FALSE(cache.read("key").has_value()) << place;
    cache.write("key", data);
    EXPECT_EQ(cache.read("key").value(), data);
  }
  for (const auto shorter : {size - 1, size / 2, uintmax_t{5}, uintmax_t{0}}) {
    fs::resize_file(file, shorter);
    EXPECT_FALSE(cache.read("key").has_value()) << shorter;
    cache.write("key", data);
  }
  EXPECT_EQ(cache.read("key").value(), data);
}

TEST(CudaCache, processes_that_write_at_the_same_time_leave_whole_files) {
  const Folder folder;
  const DiskCache cache(folder.path);
  const auto data_of = [](int writer) { return std::string(200000, static_cast<char>('a' + writer)); };
  std::vector<pid_t> children;
  for (int writer = 0; writer < 4; ++writer) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      bool whole = true;
      for (int i = 0; i < 50; ++i) {
        cache.write("key", data_of(writer));
        const auto seen = cache.read("key");
        whole = whole && seen.has_value() && *seen == data_of((*seen)[0] - 'a');
      }
      _exit(whole ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_TRUE(cache.read("key").has_value());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()), 1)
      << "temporary files are left";
}

TEST(CudaCache, a_folder_that_cannot_be_written_to_is_no_error) {
  const Folder folder;
  std::ofstream(folder.path + "/file") << "in the way";
  const DiskCache cache(folder.path + "/file/below");
  cache.write("key", "data");
  EXPECT_FALSE(cache.read("key").has_value());
  DiskCache("").write("key", "data");
  EXPECT_FALSE(DiskCache("").read("key").has_value());
}

class Variable {  // of the environment, as long as it lives
 public:
  Variable(const char* name, const char* value)
      : name_(name), had_(std::getenv(name) != nullptr), before_(had_ ? std::getenv(name) : "") {
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Variable() { had_ ? setenv(name_, before_.c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  bool had_;
  std::string before_;
};

TEST(CudaCache, its_folder_follows_the_environment) {
  {
    const Variable own("LONGFORMER_CUDA_CACHE", nullptr), xdg("XDG_CACHE_HOME", "/x"), home("HOME", "/h");
    EXPECT_EQ(DiskCache::default_folder(), "/x/longformer-interop/cuda");
  }
  {
    const Variable own("LONGFORMER_CUDA_CACHE", nullptr), xdg("XDG_CACHE_HOME", nullptr), home("HOME", "/h");
    EXPECT_EQ(DiskCache::default_folder(), "/h/.cache/longformer-interop/cuda");
  }
  const Variable own("LONGFORMER_CUDA_CACHE", "/elsewhere");
  EXPECT_EQ(DiskCache::default_folder(), "/elsewhere");
  const Variable off("LONGFORMER_CUDA_CACHE", "off");
  EXPECT_EQ(DiskCache::default_folder(), "");
}

TEST(CudaLibraries, without_a_driver_the_error_says_so) {
  try {
    Driver::get();
    GTEST_SKIP() << "there is a CUDA driver here";
  } catch (const std::exception& e) {
    const std::string message = e.what();
    EXPECT_NE(message.find("libcuda.so.1"), std::string::npos) << message;
    EXPECT_NE(message.find("NVIDIA"), std::string::npos) << message;
  }
}

TEST(CudaLibraries, nvrtc_is_looked_for_beside_libtorch_and_its_python_packages) {
  const Folder folder;
  for (const char* file : {"torch/lib/libnvrtc-0123abcd.so.12", "torch/lib/libnvrtc-builtins.so.12.4",
                           "torch/lib/libc10.so", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
                           "nvidia/cu13/lib/libnvrtc.so.13", "nvidia/cu13/lib/libnvrtc-builtins.so.13.0"}) {
    fs::create_directories(fs::path(folder.path + "/" + file).parent_path());
    std::ofstream(folder.path + "/" + file) << "";
  }
  const std::vector<std::string> found = nvrtc_candidates(folder.path + "/torch/lib");
  const std::vector<std::string> expected = {folder.path + "/torch/lib/libnvrtc-0123abcd.so.12",
                                             folder.path + "/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
                                             folder.path + "/nvidia/cu13/lib/libnvrtc.so.13",
                                             "libnvrtc.so.13",
                                             "libnvrtc.so.12",
                                             "libnvrtc.so.11.2",
                                             "libnvrtc.so"};
  EXPECT_EQ(found, expected);
}

}  // namespace
