/* Run with AddressSanitizer by leak.sh: leak FOLDER ROUNDS. Tokenizers, options, tensors and errors; the memory of a round is freed
 * in it. */
#include "support.h"

int main(int argc, char** argv) {
  float values[4] = {1, 2, 3, 4};
  int64_t shape[2] = {2, 2};
  const int64_t* given = NULL;
  const char *device = NULL, *name = NULL;
  const int32_t *ids = NULL, *ranges = NULL;
  lf_options* options = NULL;
  lf_tokenizer* tokenizer = NULL;
  lf_encoding* encoding = NULL;
  lf_tensor* tensor = NULL;
  lf_tensors* tensors = NULL;
  char* text = NULL;
  size_t count = 0;
  int round, rounds;
  if (argc != 3) return 2;
  rounds = atoi(argv[2]);
  OK(lf_check_abi());
  for (round = 0; round < rounds; round++) {
    OK(lf_tokenizer_load(argv[1], &tokenizer));
    OK(lf_options_create(&options));
    OK(lf_options_set_text(options, "padding", "longest", LF_TERMINATED));
    OK(lf_tokenizer_encode(tokenizer, "Some text, caf\xc3\xa9.", LF_TERMINATED, NULL, 0, options, &encoding));
    OK(lf_encoding_count(encoding, &count));
    OK(lf_encoding_values(encoding, "ids", &ids));
    OK(lf_encoding_ranges(encoding, LF_OFFSETS_BYTES, &ranges));
    OK(lf_tokenizer_decode(tokenizer, ids, count, 1, &text, NULL));
    CHECK(strcmp(text, "Some text, caf\xc3\xa9.") == 0);
    OK(lf_text_free(text));
    OK(lf_encoding_free(encoding));
    OK(lf_options_free(options));
    OK(lf_tensor_copy(values, sizeof values, LF_FLOAT32, shape, 2, &tensor));
    OK(lf_tensor_shape(tensor, &given));
    OK(lf_tensor_device(tensor, &device));
    OK(lf_tensor_free(tensor));
    OK(lf_tensors_open(path(argv[1], "model.safetensors"), &tensors));
    OK(lf_tensors_name(tensors, 0, &name));
    OK(lf_tensors_at(tensors, 0, &name, &tensor));
    OK(lf_tensor_describe(tensor, NULL, NULL, NULL, &given, NULL, &device));
    OK(lf_tensor_free(tensor));
    OK(lf_tensors_free(tensors));
    CHECK(lf_tensors_open("no such file", &tensors) == LF_CHECKPOINT);
    OK(lf_tokenizer_free(tokenizer));
  }
  return finish();
}
