// Errors of the operators and of libtorch. At the library's border (api.h) each becomes a status and a
// message.
// Where Python called through the dispatcher it becomes an exception: ValueError for std::invalid_argument,
// RuntimeError for others.
#pragma once
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace longformer {

// An argument is wrong: names the operator, the argument, what is expected and what was given.
struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
// A position that does not exist.
struct IndexError : std::out_of_range {
  using std::out_of_range::out_of_range;
};
// Not implemented for this device or dtype.
struct NotImplementedError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
namespace torch {
// libtorch refused a call. The message is libtorch's.
struct TorchError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// There is no usable libtorch.
struct LoadError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// The libtorch of the process is older than 2.10.
struct VersionError : LoadError {
  using LoadError::LoadError;
};
// The process was forked from one that used the operators.
struct ForkedError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Throws TorchError with libtorch's message.
[[noreturn]] void throw_torch_error(const char* call);  // call: its text, for where libtorch says nothing
inline void check(int32_t error, const char* call) {
  if (error != 0) throw_torch_error(call);
}
#define LONGFORMER_TORCH(call) ::longformer::torch::check((call), #call)
}  // namespace torch

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

// The parts of the message are evaluated only where the condition fails.
#define LONGFORMER_CHECK_VALUE(condition, ...)                                         \
  do {                                                                                 \
    if (!(condition)) throw ::longformer::ValueError(::longformer::text(__VA_ARGS__)); \
  } while (false)
#define LONGFORMER_CHECK_INDEX(condition, ...)                                         \
  do {                                                                                 \
    if (!(condition)) throw ::longformer::IndexError(::longformer::text(__VA_ARGS__)); \
  } while (false)
#define LONGFORMER_CHECK(condition, ...)                                         \
  do {                                                                           \
    if (!(condition)) throw std::runtime_error(::longformer::text(__VA_ARGS__)); \
  } while (false)
#define LONGFORMER_CHECK_IMPLEMENTED(condition, ...)                                            \
  do {                                                                                          \
    if (!(condition)) throw ::longformer::NotImplementedError(::longformer::text(__VA_ARGS__)); \
  } while (false)

}  // namespace longformer
