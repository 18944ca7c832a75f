#include "cerr.h"

#if defined(_WIN32)
#include <windows.h>

#include <algorithm>
#include <cstdint>
#else
#include <iostream>
#include <streambuf>
#endif

namespace longformer::torch {
namespace {

bool (*keeps_words)(std::string_view written) = nullptr;

#if defined(_WIN32)
// libtorch's std::cerr belongs to Microsoft's library, whose classes this compiler does not know. Its buffer
// gets a copy of its table of virtual functions with another function for writing several characters. The
// library's symbols say which entry that is.
constexpr int kFunctions = 15, kBefore = 1;  // before them: its type
constexpr char kLibrary[] = "msvcp140.dll",
               kCerr[] = "?cerr@std@@3V?$basic_ostream@DU?$char_traits@D@std@@@1@A",
               kBuffer[] =
                   "?rdbuf@?$basic_ios@DU?$char_traits@D@std@@@std@@QEBAPEAV?$basic_streambuf@DU?$char_"
                   "traits@D@std@@@2@XZ",
               kTable[] = "??_7?$basic_streambuf@DU?$char_traits@D@std@@@std@@6B@",
               kWrite[] = "?xsputn@?$basic_streambuf@DU?$char_traits@D@std@@@std@@MEAA_JPEBD_J@Z";

using Write = int64_t (*)(void* buffer, const char* text, int64_t n);
Write real_write = nullptr;

int64_t write(void* buffer, const char* text, int64_t n) {
  if (n > 0 && keeps_words({text, static_cast<size_t>(n)})) return n;
  return real_write(buffer, text, n);
}

template <class T>
T find(const char* name) {
  return reinterpret_cast<T>(reinterpret_cast<void*>(GetProcAddress(GetModuleHandleA(kLibrary), name)));
}

void stand_in() {
  auto* const cerr = find<char*>(kCerr);
  const auto buffer_of = find<void** (*)(const void* ios)>(kBuffer);
  void* const* const base = find<void**>(kTable);
  void* const base_write = find<void*>(kWrite);
  if (cerr == nullptr || buffer_of == nullptr || base == nullptr || base_write == nullptr) return;
  const int64_t index = std::find(base, base + kFunctions, base_write) - base;
  // The offset of the part that has the buffer is the second number of the table at the object's start.
  void** const buffer = buffer_of(cerr + (*reinterpret_cast<const int32_t* const*>(cerr))[1]);
  HMODULE self = nullptr;
  // The table has to stay for as long as the process lives.
  if (index == kFunctions || buffer == nullptr ||
      !GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                          reinterpret_cast<const char*>(&write), &self))
    return;
  static void* table[kBefore + kFunctions];
  void* const* const own = static_cast<void**>(*buffer);
  std::copy(own - kBefore, own + kFunctions, table);
  real_write = reinterpret_cast<Write>(table[kBefore + index]);
  table[kBefore + index] = reinterpret_cast<void*>(&write);
  *buffer = table + kBefore;
}
#else
class KeptWords : public std::streambuf {
 public:
  explicit KeptWords(std::streambuf* real) : real_(real) {}

 protected:
  int overflow(int c) override { return c == traits_type::eof() ? c : real_->sputc(static_cast<char>(c)); }
  std::streamsize xsputn(const char* s, std::streamsize n) override {
    return keeps_words({s, static_cast<size_t>(n)}) ? n : real_->sputn(s, n);
  }
  int sync() override { return real_->pubsync(); }

 private:
  std::streambuf* real_;
};

void stand_in() {
  std::cerr.rdbuf(new KeptWords(std::cerr.rdbuf()));
}
#endif

}  // namespace

void divert_cerr(bool (*keeps)(std::string_view written)) {
  keeps_words = keeps;
  stand_in();
}

}  // namespace longformer::torch
