// The border of the library (api.h) where all is well with libtorch: what it says of wrong calls and of what
// libtorch refuses, memory that is handed over, threads. Each test works in a child process of its own
// (child.h).
#include <atomic>
#include <cstdio>
#include <limits>
#include <thread>

#include "child.h"
#include "support.h"

namespace longformer::test {
namespace {

longformer_value tensor_value(const Tensor& t) {
  longformer_value value{};
  value.tag = t.defined() ? LONGFORMER_TENSOR : LONGFORMER_NONE;
  value.data.pointer = t.handle();
  return value;
}

longformer_value value_of_tag(int32_t tag) {
  longformer_value value{};
  value.tag = tag;
  return value;
}

TEST(Border, can_be_initialized_any_number_of_times_from_any_thread) {
  expect_nothing_said([]() -> std::string {
    open_libtorch();
    Lines lines;
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        for (int n = 0; n < 3; ++n) failures += api().initialize() != LONGFORMER_OK;
      });
    for (std::thread& t : threads) t.join();
    lines.expect_equal(failures.load(), 0, "failures");
    open_everything();
    const Tensor two = full({2, 2}, 1.0, kFloat);
    for (const Way way : {Way::direct, Way::dispatcher})
      lines.expect_equal(item(call<Tensor>(way, "linear", two, two, OptionalTensor(), OptionalTensor(),
                                           "none", OptionalTensor())
                                  .select(0, 0)
                                  .select(0, 1)),
                         2.0, "an element of the product");
    return lines;
  });
}

TEST(Border, finds_operators_and_refuses_unknown_ones) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    longformer_operator op = nullptr;
    int32_t arguments = 0, results = 0;
    lines.expect_equal(answer(api().find("banded_attention", &op, &arguments, &results)), "0",
                       "banded_attention");
    lines.expect_equal(arguments, 13, "arguments of banded_attention");
    lines.expect_equal(results, 2, "results of banded_attention");
    longformer_operator again = nullptr;
    lines.expect_equal(answer(api().find("banded_attention", &again, nullptr, nullptr)), "0", "once more");
    lines.expect(op == again, "the same operator is found at another place");
    lines.expect_equal(api().find("longest_attention", &op, nullptr, nullptr), LONGFORMER_NOT_FOUND,
                       "longest_attention");
    const std::string words = api().last_error();
    lines.expect(words.find("longest_attention") != std::string::npos, words);
    lines.expect_equal(api().find(nullptr, &op, nullptr, nullptr), LONGFORMER_ARGUMENT, "no name");
    lines.expect_equal(api().find("linear", nullptr, nullptr, nullptr), LONGFORMER_ARGUMENT,
                       "no place for the operator");
    lines.expect_equal(api().call(nullptr, nullptr, 0, nullptr), LONGFORMER_ARGUMENT, "no operator");
    return lines;
  });
}

TEST(Border, refuses_arguments_of_a_wrong_kind_or_number) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    longformer_operator op = nullptr;
    check_status(api().find("linear", &op, nullptr, nullptr));
    const Tensor x = ones({2, 3}, kFloat), w = ones({4, 3}, kFloat);
    longformer_value none = value_of_tag(LONGFORMER_NONE), activation = value_of_tag(LONGFORMER_STRING);
    activation.data.pointer = "none";
    activation.n = 4;
    const std::vector<longformer_value> right{tensor_value(x), tensor_value(w), none, none, activation, none};
    const auto call_with = [&](const std::vector<longformer_value>& arguments) {
      longformer_value result{};
      const longformer_status status =
          api().call(op, arguments.data(), static_cast<int32_t>(arguments.size()), &result);
      if (status == LONGFORMER_OK && result.tag == LONGFORMER_TENSOR) ResultOf<Tensor>::take(&result);
      return status;
    };
    lines.expect_equal(call_with(right), LONGFORMER_OK, "the right call");
    // Every kind at every place where another is expected, with nothing behind its pointer.
    for (size_t place = 0; place < right.size(); ++place)
      for (int32_t tag = -1; tag < 14; ++tag) {
        const bool tensor = place != 4, optional = place == 2 || place == 3 || place == 5;
        if (tag == LONGFORMER_TENSOR && tensor) continue;
        if (tag == LONGFORMER_NONE && optional) continue;
        if (tag == LONGFORMER_STRING && place == 4) continue;
        std::vector<longformer_value> wrong = right;
        wrong[place] = value_of_tag(tag);
        lines.expect_equal(call_with(wrong), LONGFORMER_ARGUMENT,
                           text("place ", place, ", tag ", tag).c_str());
      }
    std::vector<longformer_value> few(right.begin(), right.end() - 1), many = right;
    many.push_back(none);
    for (const auto& arguments : {few, many, std::vector<longformer_value>()}) {
      lines.expect_equal(call_with(arguments), LONGFORMER_ARGUMENT, "number of arguments");
      const std::string words = api().last_error();
      lines.expect(words.find("linear takes 6 arguments") != std::string::npos, words);
    }
    lines.expect_equal(api().call(op, nullptr, 6, nullptr), LONGFORMER_ARGUMENT,
                       "no arguments where some are promised");
    lines.expect_equal(api().call(op, right.data(), -1, nullptr), LONGFORMER_ARGUMENT,
                       "a negative number of arguments");
    longformer_value result{};
    std::vector<longformer_value> pointless = right;
    pointless[0].data.pointer = nullptr;
    lines.expect_equal(api().call(op, pointless.data(), 6, &result), LONGFORMER_ARGUMENT,
                       "a tensor without a handle");
    pointless = right;
    pointless[4].data.pointer = nullptr;
    lines.expect_equal(api().call(op, pointless.data(), 6, &result), LONGFORMER_ARGUMENT,
                       "a string without characters");
    pointless = right;
    pointless[4].n = -5;
    lines.expect_equal(api().call(op, pointless.data(), 6, &result), LONGFORMER_ARGUMENT,
                       "a string of negative length");
    return lines;
  });
}

TEST(Border, refuses_lists_that_point_nowhere) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    longformer_operator op = nullptr;
    check_status(api().find("_pooled_tokens", &op, nullptr, nullptr));
    const Tensor queries = ones({1, 1, 4}, kFloat), hidden = ones({3, 4}, kFloat);
    const int64_t offsets[] = {0, 3};
    longformer_value result{};
    const auto status = [&](const void* pointer, int32_t n) {
      longformer_value list = value_of_tag(LONGFORMER_INT_LIST);
      list.data.pointer = pointer;
      list.n = n;
      const longformer_value arguments[] = {tensor_value(queries), tensor_value(hidden),
                                            value_of_tag(LONGFORMER_NONE), list};
      const longformer_status given = api().call(op, arguments, 4, &result);
      if (given == LONGFORMER_OK) ResultOf<Tensor>::take(&result);
      return given;
    };
    lines.expect_equal(status(offsets, 2), LONGFORMER_OK, "the right list");
    lines.expect_equal(status(nullptr, 2), LONGFORMER_ARGUMENT, "null");
    lines.expect_equal(status(offsets, -2), LONGFORMER_ARGUMENT, "a negative length");
    lines.expect_equal(status(nullptr, 0), LONGFORMER_ARGUMENT,
                       "an empty list, which the operator itself refuses");
    check_status(api().find("decode_attention", &op, nullptr, nullptr));
    longformer_value keys = value_of_tag(LONGFORMER_TENSOR_LIST), rows = value_of_tag(LONGFORMER_INT_LIST);
    keys.n = 1;
    const int64_t one[] = {1};
    rows.data.pointer = one;
    rows.n = 1;
    const Tensor query = ones({1, 1, 4}, kFloat);
    const longformer_value empty_list = value_of_tag(LONGFORMER_TENSOR_LIST);
    const longformer_value arguments[] = {tensor_value(query),          keys, keys, rows, empty_list,
                                          value_of_tag(LONGFORMER_NONE)};
    lines.expect_equal(api().call(op, arguments, 6, &result), LONGFORMER_ARGUMENT, "tensors at null");
    return lines;
  });
}

TEST(Border, says_what_libtorch_said) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    // Of a call through the interface that this program makes itself; libtorch's words are the library's.
    const Tensor a = ones({2, 3}, kFloat), b = ones({4, 5}, kFloat);
    std::string words = any_error([&] { matmul(a, b); });
    lines.expect(words.find("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)") != std::string::npos,
                 "libtorch said: " + words);
    lines.expect(words.find("Exception raised from") == std::string::npos, "with a backtrace: " + words);
    // Each thread has its own.
    std::string of_thread = "-";
    any_error([&] { matmul(a, b); });
    std::thread([&] { of_thread = api().torch_error(); }).join();
    lines.expect_equal(of_thread, "", "words of another thread");
    // Through the dispatcher an operator's own refusal comes in its own words.
    words = any_error([&] {
      call<Tensor>(Way::dispatcher, "linear", a, a, OptionalTensor(), OptionalTensor(), "swish",
                   OptionalTensor());
    });
    lines.expect(words.find("longformer::linear: activation must be") != std::string::npos,
                 "the dispatcher said: " + words);
    // A device that libtorch has not, and memory that nobody has, through the library.
    const int64_t one = 1, many = int64_t{1} << 50;
    void* tensor = nullptr;
    lines.expect_equal(api().empty(&many, 1, 6, 0, 0, &tensor), LONGFORMER_OUT_OF_MEMORY, "4 PB");
    words = api().last_error();
    lines.expect(words.find("allocate") != std::string::npos, "4 PB: " + words);
    const longformer_status cuda = api().empty(&one, 1, 6, 1, 5000, &tensor);
    lines.expect(cuda == LONGFORMER_TORCH_ERROR || cuda == LONGFORMER_DEVICE,
                 text("the 5000th GPU: status ", cuda));
    lines.expect(!std::string(api().last_error()).empty(), "the 5000th GPU: no words");
    return lines;
  });
}

TEST(Border, makes_only_tensors_that_can_be) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    struct Wrong {
      std::vector<int64_t> sizes;
      int32_t rank, dtype, device;
      const char* words;
    };
    const int64_t big = int64_t{1} << 40;
    const Wrong all[] = {{{-1}, 1, 6, 0, "-1"},     {{2, -5}, 2, 6, 0, "-5"},
                         {{big, big}, 2, 6, 0, ""}, {{std::numeric_limits<int64_t>::max()}, 1, 6, 0, ""},
                         {{1}, -1, 6, 0, ""},       {{1}, 1, 99, 0, "99"},
                         {{1}, 1, -1, 0, "-1"},     {{1}, 1, 6, 77, "77"}};
    for (const Wrong& wrong : all) {
      void* tensor = nullptr;
      const longformer_status status =
          api().empty(wrong.sizes.data(), wrong.rank, wrong.dtype, wrong.device, 0, &tensor);
      const std::string what =
          text(IntList(wrong.sizes), " rank ", wrong.rank, " dtype ", wrong.dtype, " device ", wrong.device);
      const std::string words = api().last_error();
      lines.expect(status != LONGFORMER_OK, what + " was made");
      lines.expect(!words.empty() && words.find(wrong.words) != std::string::npos, what + ": " + words);
      lines.expect(tensor == nullptr, what + ": a tensor besides the error");
    }
    lines.expect_equal(api().empty(nullptr, 2, 6, 0, 0, nullptr), LONGFORMER_ARGUMENT, "no sizes");
    const int64_t three = 3;
    lines.expect_equal(api().empty(&three, 1, 6, 0, 0, nullptr), LONGFORMER_ARGUMENT,
                       "no place for the tensor");
    // And those that can: a number, nothing, and a block of the cache.
    for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{}, {0}, {3, 0}, {700, 1000}}) {
      void* tensor = nullptr;
      check_status(api().empty(sizes.data(), static_cast<int32_t>(sizes.size()), 6, 0, 0, &tensor));
      const Tensor t = Tensor::own(static_cast<torch::TensorHandle>(tensor));
      lines.expect_equal(t.sizes(), IntList(sizes), "sizes");
      lines.expect(t.is_contiguous() && t.scalar_type() == kFloat, "not as it was asked for");
      t.fill_(2.0);
    }
    return lines;
  });
}

TEST(Border, takes_memory_and_gives_it_back_once) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    std::atomic<int> released{0};
    const auto release = [](void* count) { ++*static_cast<std::atomic<int>*>(count); };
    float data[6] = {0, 1, 2, 3, 4, 5};
    const auto take = [&](void* memory, std::vector<int64_t> sizes, const int64_t* strides, int32_t dtype,
                          int32_t device, void (*function)(void*), void** tensor) {
      return api().from_memory(memory, sizes.data(), strides, static_cast<int32_t>(sizes.size()), dtype,
                               device, 0, function, &released, tensor);
    };
    void* handle = nullptr;
    check_status(take(data, {2, 3}, nullptr, 6, 0, release, &handle));
    {
      const Tensor t = Tensor::own(static_cast<torch::TensorHandle>(handle));
      lines.expect(t.data_ptr() == data && t.sizes() == IntList({2, 3}), "another place or shape");
      const Tensor row = t.select(0, 1);
      lines.expect_equal(item(row.select(0, 2)), 5.0, "an element of a view");
      data[5] = 7;
      lines.expect_equal(item(row.select(0, 2)), 7.0, "it after a change of the memory");
      lines.expect_equal(released.load(), 0, "released while it is used");
    }
    lines.expect_equal(released.load(), 1, "released with the tensor");
    const int64_t columns_first[] = {1, 2};
    check_status(take(data, {2, 3}, columns_first, 6, 0, release, &handle));
    {
      Tensor t = Tensor::own(static_cast<torch::TensorHandle>(handle));
      lines.expect_equal(item(t.select(0, 1).select(0, 1)), 3.0, "an element by strides");
      // The last reference ends on another thread.
      std::thread([owned = std::move(t)]() mutable { owned = Tensor(); }).join();
    }
    lines.expect_equal(released.load(), 2, "released on another thread");
    check_status(take(data, {0, 3}, nullptr, 6, 0, release, &handle));
    Tensor::own(static_cast<torch::TensorHandle>(handle));
    lines.expect_equal(released.load(), 3, "released without elements");
    check_status(take(data, {6}, nullptr, 6, 0, nullptr, &handle));
    Tensor::own(static_cast<torch::TensorHandle>(handle));
    lines.expect_equal(released.load(), 3, "released where nobody asked for it");
    // Every dtype that there is comes back as it was given.
    for (const ScalarType type : {kByte, ScalarType::int8, ScalarType::int16, kInt, kLong, kHalf, kFloat,
                                  kDouble, kBool, kBFloat16}) {
      check_status(take(data, {2}, nullptr, static_cast<int32_t>(type), 0, release, &handle));
      lines.expect_equal(Tensor::own(static_cast<torch::TensorHandle>(handle)).scalar_type(), type, "dtype");
    }
    lines.expect_equal(released.load(), 13, "released for each dtype");
    int expected = 13;
    const auto refused = [&](longformer_status status, const char* what) {
      lines.expect(status != LONGFORMER_OK, what);
      lines.expect_equal(released.load(), ++expected, what);
    };
    refused(take(data, {-2}, nullptr, 6, 0, release, &handle), "a negative size");
    refused(take(data, {2}, nullptr, 99, 0, release, &handle), "a dtype that there is not");
    refused(take(data, {2}, nullptr, 6, 77, release, &handle), "a device that there is not");
    refused(take(data, {2}, nullptr, 6, 0, release, nullptr), "no place for the tensor");
    refused(api().from_memory(data, nullptr, nullptr, 2, 6, 0, 0, release, &released, &handle), "no sizes");
    const int64_t negative[] = {-1};
    refused(take(data, {2}, negative, 6, 0, release, &handle), "a negative stride");
    refused(take(nullptr, {2}, nullptr, 6, 0, release, &handle), "no memory");
    lines.expect(take(data, {-2}, nullptr, 6, 0, nullptr, &handle) != LONGFORMER_OK,
                 "a negative size, without release");
    return lines;
  });
}

TEST(Border, gives_back_the_memory_of_what_it_makes) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    const auto resident = [] {
      long pages = 0, unused = 0;
      FILE* file = std::fopen("/proc/self/statm", "r");
      if (std::fscanf(file, "%ld %ld", &unused, &pages) != 2) pages = -1;
      std::fclose(file);
      return pages * 4096L;
    };
    const std::vector<int64_t> offsets{0, 100};
    const auto all = [&](int times) {
      Rng rng(1);
      const Tensor x = random_tensor(rng, {100, 64}, kFloat), w = random_tensor(rng, {64, 64}, kFloat);
      for (int i = 0; i < times; ++i)
        for (const Way way : {Way::direct, Way::dispatcher}) {
          // Fresh ones, so that a reference too many to any of them shows.
          const Tensor input = x.clone(), weight = w.clone(), bias = w.select(0, 0).clone();
          call<Tensor>(way, "linear", input, weight, OptionalTensor(bias), OptionalTensor(), "gelu",
                       OptionalTensor(input.clone()));
          const Tensor heads = input.view({100, 4, 16});
          call<std::tuple<Tensor, Tensor>>(
              way, "banded_attention", heads, heads, heads, 3, 3, OptionalIntList(), OptionalTensor(),
              OptionalTensor(), OptionalIntList(offsets), std::optional<double>(0.5), 0.0, 0, "fused");
          any_error([&] {
            call<Tensor>(way, "linear", input, weight, OptionalTensor(bias), OptionalTensor(), "swish",
                         OptionalTensor(input));
          });
        }
    };
    all(20);
    const long before = resident();
    all(400);
    const long more = resident() - before;
    // One tensor of 25 KB left behind at each of the 2,400 calls would be 60 MB.
    lines.expect(more < (8L << 20), text(more, " bytes more after 2,400 calls"));
    return lines;
  });
}

TEST(Border, sets_threads_for_every_thread) {
  expect_nothing_said([]() -> std::string {
    open_everything();
    Lines lines;
    const auto on_another = [] {
      int32_t threads = -1;
      std::thread([&] { threads = api().get_threads(); }).join();
      return threads;
    };
    const int32_t own = api().get_threads();
    lines.expect(own >= 1, text("libtorch has ", own));
    for (const int32_t wanted : {1, 3, 2}) {
      check_status(api().set_threads(wanted));
      lines.expect_equal(api().get_threads(), wanted, "here");
      lines.expect_equal(on_another(), wanted, "on another thread");
    }
    lines.expect_equal(api().set_threads(-1), LONGFORMER_ARGUMENT, "-1 threads");
    lines.expect_equal(api().get_threads(), 2, "after a refusal");
    check_status(api().set_threads(0));
    lines.expect_equal(api().get_threads(), own, "as libtorch has it, again");
    lines.expect_equal(on_another(), own, "as libtorch has it, on another thread");
    return lines;
  });
}

}  // namespace
}  // namespace longformer::test
