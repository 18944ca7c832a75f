// Reads libtorch's message after a call failed. From 2.13 on a function returns it. Older versions print it
// to std::cerr, so this library replaces the buffer of std::cerr, keeps such lines, and passes on all others.
#include "../base/error.h"

#include "../base/cerr.h"
#include "internal.h"

namespace longformer::torch {
namespace {

thread_local std::string kept_words;

constexpr char kStart[] = "] Exception in aoti_torch: ";

bool keeps(std::string_view line) {
  // libtorch prints each message in one write.
  const size_t start = line.find(kStart);
  if (start == std::string_view::npos) return false;
  kept_words = line.substr(start + sizeof(kStart) - 1);
  return true;
}

}  // namespace

void keep_error_words() {
  // Never undone: libtorch may print as long as the process lives.
  if (torch_exception_get_what == nullptr) divert_cerr(keeps);
}

std::string take_error_words() {
  std::string words;
  if (torch_exception_get_what_without_backtrace != nullptr) {
    const char* said = torch_exception_get_what_without_backtrace();
    if (said != nullptr) words = said;
  } else {
    words.swap(kept_words);
  }
  for (const char* behind :
       {"\nException raised from", "\nC++ CapturedTraceback", "\nframe #0: ", "\n0000"}) {
    const size_t end = words.find(behind);
    if (end != std::string::npos) words.resize(end);
  }
  while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.pop_back();
  return words;
}

void throw_torch_error(const char* call) {
  std::string words = take_error_words();
  if (words.empty()) {
    const std::string_view whole(call);
    words = text("libtorch refused ", whole.substr(0, whole.find('(')));
  }
  throw TorchError(words);
}

}  // namespace longformer::torch
