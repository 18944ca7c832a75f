// The cosine similarity of two documents, in C++: similarity FOLDER DOCUMENT DOCUMENT
#include <longformer.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace {

void check(lf_status status) {
  if (status != LF_OK) throw std::runtime_error(lf_last_error());
}

// Handles free themselves.
struct Free {
  void operator()(lf_document_encoder* p) const { lf_document_encoder_free(p); }
  void operator()(lf_options* p) const { lf_options_free(p); }
  void operator()(lf_tensor* p) const { lf_tensor_free(p); }
};
template <class T>
using Handle = std::unique_ptr<T, Free>;

Handle<lf_document_encoder> load(const char* folder) {
  lf_document_encoder* encoder = nullptr;
  check(lf_document_encoder_load(folder, nullptr, &encoder));
  return Handle<lf_document_encoder>(encoder);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) throw std::runtime_error("usage: similarity FOLDER DOCUMENT DOCUMENT");
  check(lf_check_abi());
  const Handle<lf_document_encoder> encoder = load(argv[1]);
  lf_options* raw = nullptr;
  check(lf_options_create(&raw));
  const Handle<lf_options> options(raw);
  check(lf_options_set_int(options.get(), "normalize", 1));
  lf_tensor* made = nullptr;
  check(lf_document_encoder_encode(encoder.get(), argv + 2, nullptr, 2, options.get(), &made, nullptr));
  const Handle<lf_tensor> vectors(made);
  const void* data = nullptr;
  const int64_t* shape = nullptr;
  check(lf_tensor_data(vectors.get(), &data));
  check(lf_tensor_shape(vectors.get(), &shape));
  const float* a = static_cast<const float*>(data);
  double product = 0;
  for (int64_t i = 0; i < shape[1]; i++) product += static_cast<double>(a[i]) * a[shape[1] + i];
  std::printf("%.4f\n", product);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "similarity: %s\n", e.what());
  return 1;
}
