// What libtorch says when a call fails. From 2.13 on a function tells it. Before, libtorch writes it to std::cerr and returns a number:
// there this library stands in for std::cerr's buffer, keeps those lines for each thread and passes on all others.
#include "../base/error.h"

#include <iostream>
#include <streambuf>

#include "internal.h"

namespace longformer::torch {
namespace {

thread_local std::string kept_words;

#if !defined(_WIN32)
constexpr char kStart[] = "] Exception in aoti_torch: ";

class KeptWords : public std::streambuf {
 public:
  explicit KeptWords(std::streambuf* real) : real_(real) {}

 protected:
  int overflow(int c) override { return c == traits_type::eof() ? c : real_->sputc(static_cast<char>(c)); }
  std::streamsize xsputn(const char* s, std::streamsize n) override {
    // libtorch writes each such message at once.
    const std::string_view line(s, static_cast<size_t>(n));
    const size_t start = line.find(kStart);
    if (start == std::string_view::npos) return real_->sputn(s, n);
    kept_words = line.substr(start + sizeof(kStart) - 1);
    return n;
  }
  int sync() override { return real_->pubsync(); }

 private:
  std::streambuf* real_;
};
#endif

}  // namespace

void keep_error_words() {
#if !defined(_WIN32)
  // Never taken away again: libtorch may write for as long as the process lives.
  if (torch_exception_get_what == nullptr) std::cerr.rdbuf(new KeptWords(std::cerr.rdbuf()));
#endif
}

std::string take_error_words() {
  std::string words;
  if (torch_exception_get_what_without_backtrace != nullptr) {
    const char* said = torch_exception_get_what_without_backtrace();
    if (said != nullptr) words = said;
  } else {
    words.swap(kept_words);
  }
  for (const char* behind : {"\nException raised from", "\nC++ CapturedTraceback", "\nframe #0: "}) {
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
