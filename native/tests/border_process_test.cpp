// The library in processes that cannot use it: without a usable libtorch, and forked from one that used it.
// Each test works in a child process that starts with neither library loaded (child.h).
#include <dlfcn.h>

#include <filesystem>
#include <memory>

#include "child.h"
#include "support.h"

namespace longformer::test {
namespace {

// --- without a usable libtorch

TEST(WithoutLibtorch, every_call_says_so_and_a_later_one_is_found) {
  expect_nothing_said([]() -> std::string {
    Lines lines;
    lines.expect_equal(api().abi(), LONGFORMER_OPS_ABI, "abi");
    lines.expect_equal(api().torch_version(), 0, "version before libtorch is there");
    int released = 0;
    const auto release = [](void* count) { ++*static_cast<int*>(count); };
    const int64_t size = 4;
    float data[4] = {};
    void* tensor = nullptr;
    longformer_operator op = nullptr;
    const std::pair<const char*, longformer_status> calls[] = {
        {"initialize", api().initialize()},
        {"find", api().find("linear", &op, nullptr, nullptr)},
        {"empty", api().empty(&size, 1, 6, 0, 0, &tensor)},
        {"from_memory", api().from_memory(data, &size, nullptr, 1, 6, 0, 0, release, &released, &tensor)}};
    for (const auto& [name, status] : calls) {
      lines.expect_equal(status, LONGFORMER_NOT_FOUND, name);
      lines.expect(std::string(api().last_error()).find("libtorch") != std::string::npos,
                   text(name, " said ", api().last_error()));
    }
    lines.expect_equal(released, 1, "times that the memory was released");
    api().apply_threads();
    api().get_threads();
    lines.expect_equal(api().forked(), 0, "forked");
    open_libtorch();
    lines.expect_equal(answer(api().initialize()), "0", "initialize with libtorch");
    lines.expect_equal(answer(api().find("linear", &op, nullptr, nullptr)), "0", "find with libtorch");
    lines.expect(api().torch_version() >= 210, text("version ", api().torch_version()));
    return lines;
  });
}

std::string initialize_with(const std::vector<std::string>& impostors) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  for (const std::string& kind : impostors) {
    const std::string file = program.parent_path() / "impostors" / kind / "libtorch_cpu.so";
    if (dlopen(file.c_str(), RTLD_NOW) == nullptr) return dlerror();
  }
  return answer(api().initialize());
}

TEST(WithoutLibtorch, an_old_one_is_refused_by_its_version) {
  expect_said([] { return initialize_with({"old"}); },
              {"5: ", "old/libtorch_cpu.so", "2.9", "2.10 or later"});
  expect_said([] { return initialize_with({"ancient"}); },
              {"5: ", "ancient/libtorch_cpu.so", "older than 2.10"});
}

TEST(WithoutLibtorch, an_incomplete_one_is_refused_with_what_it_lacks) {
  expect_said([] { return initialize_with({"incomplete"}); },
              {"4: ", "incomplete/libtorch_cpu.so", "2.99", "lacks", "torch_"});
}

TEST(WithoutLibtorch, two_of_them_are_refused) {
  expect_said(
      [] {
        return initialize_with({"old", "incomplete"});
      },
      {"4: ", "two libtorch", "old/libtorch_cpu.so", "incomplete/libtorch_cpu.so"});
}

// --- fork

// The lines of every kind of call.
std::string calls_after_fork(const Tensor& x) {
  Lines lines;
  lines.expect_equal(api().forked(), 1, "forked");
  for (const Way way : {Way::direct, Way::dispatcher}) {
    const std::string words = any_error([&] {
      call<Tensor>(way, "linear", x, x, OptionalTensor(), OptionalTensor(), "none", OptionalTensor());
    });
    for (const char* word : {"fork", "spawn", "forkserver"})
      lines.expect(words.find(word) != std::string::npos, text("'", word, "' not in: ", words));
  }
  longformer_operator op = nullptr;
  void* tensor = nullptr;
  const int64_t size = 4;
  int released = 0;
  float data[4] = {};
  const auto release = [](void* count) { ++*static_cast<int*>(count); };
  const std::pair<const char*, longformer_status> calls[] = {
      {"initialize", api().initialize()},
      {"find", api().find("linear", &op, nullptr, nullptr)},
      {"empty", api().empty(&size, 1, 6, 0, 0, &tensor)},
      {"from_memory", api().from_memory(data, &size, nullptr, 1, 6, 0, 0, release, &released, &tensor)},
      {"set_threads", api().set_threads(1)}};
  for (const auto& [name, status] : calls) {
    lines.expect_equal(status, LONGFORMER_DEVICE, name);
    const std::string words = api().last_error();
    lines.expect(words.find("spawn") != std::string::npos && words.find("forkserver") != std::string::npos,
                 text(name, " said ", words));
  }
  lines.expect_equal(released, 1, "times that the memory was released");
  return lines;
}

TEST(Fork, of_a_process_that_worked_gives_one_clear_error_and_a_clean_exit) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    api().set_threads(2);
    Rng rng(1);
    const Tensor x = random_tensor(rng, {512, 512}, kFloat);
    const auto work = [&] {
      return call<Tensor>("linear", x, x, OptionalTensor(), OptionalTensor(), "gelu", OptionalTensor());
    };
    // Big enough for the cache of blocks, and given back in the grandchild too.
    auto result = std::make_unique<Tensor>(work());
    const std::string said = in_child([&]() -> std::string {
                               const std::string words = calls_after_fork(x);
                               result.reset();
                               return words;
                             }).said;
    // The parent works on as before.
    return said + (max_difference(work(), *result) == 0.0 ? "" : "the parent's result changed");
  });
}

TEST(Fork, of_a_process_that_only_found_the_operators_gives_the_same_error) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    return in_child([] { return calls_after_fork(ones({2, 2}, kFloat)); }).said;
  });
}

TEST(Fork, before_anything_is_loaded_changes_nothing) {
  expect_nothing_said([]() -> std::string {
    return in_child([]() -> std::string {
             open_everything();
             const Tensor x = ones({2, 2}, kFloat);
             call<Tensor>("linear", x, x, OptionalTensor(), OptionalTensor(), "none", OptionalTensor());
             return api().forked() == 0 ? "" : "forked";
           })
        .said;
  });
}

}  // namespace
}  // namespace longformer::test
