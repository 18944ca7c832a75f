/* Damaged checkpoints: fuzz FOLDER WORK_FOLDER ROUNDS. Changes bytes of the files of a checkpoint and loads it and its tokenizer: each
 * load succeeds or is refused with a message, and nothing else happens. The changes are the same every time. */
#include "support.h"

#include <sys/stat.h>

static const char* const files[] = {"config.json", "model.safetensors", "vocab.json", "merges.txt"};
#define FILES (sizeof files / sizeof files[0])

static unsigned long long state = 88172645463325252ull;

static unsigned next(unsigned below) { /* xorshift64 */
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state % below);
}

static void write_file(const char* name, const char* bytes, size_t length) {
  FILE* file = fopen(name, "wb");
  CHECK(file != NULL && fwrite(bytes, 1, length, file) == length);
  if (file != NULL) fclose(file);
}

/* Most changes go where the structure is: into the first bytes of a safetensors file, anywhere in a text. */
static size_t mutate(char* bytes, size_t length, int binary) {
  static const char* const words[] = {"-1", "0", "null", "{", "}", "[", "\"", "1e999", "99999999999999999999", "true", "\xff", "\\u0000", ",", ":"};
  unsigned changes = 1 + next(3), c;
  for (c = 0; c < changes && length > 16; c++) {
    const unsigned area = binary && next(8) != 0 && length > 4096 ? 4096 : (unsigned)length;
    const unsigned at = next(binary && next(4) == 0 ? 8 : area);
    const char* word = words[next(14)];
    const size_t width = strlen(word);
    switch (next(5)) {
      case 0: bytes[at] = (char)next(256); break;
      case 1: bytes[at] ^= (char)(1 << next(8)); break;
      case 2: if (at + width < length) memcpy(bytes + at, word, width); break;
      case 3: length = at; break; /* cut short */
      default: memmove(bytes + at, bytes + at + 1, length - at - 1); length--; break;
    }
  }
  return length;
}

int main(int argc, char** argv) {
  char* original[FILES];
  size_t lengths[FILES], f;
  long rounds, round, loaded = 0, refused = 0;
  int64_t handles = -1, tensors = -1;
  if (argc != 4) return 2;
  rounds = atol(argv[3]);
  mkdir(argv[2], 0777);
  OK(lf_check_abi());
  for (f = 0; f < FILES; f++) {
    original[f] = read_file(path(argv[1], files[f]), &lengths[f]);
    if (original[f] == NULL) return 2;
    write_file(path(argv[2], files[f]), original[f], lengths[f]);
  }
  for (round = 0; round < rounds && failures == 0; round++) {
    const size_t chosen = (size_t)round % FILES;
    char* bytes = (char*)malloc(lengths[chosen] + 1);
    lf_status model_status, tokenizer_status;
    lf_model* model = NULL;
    lf_tokenizer* tokenizer = NULL;
    memcpy(bytes, original[chosen], lengths[chosen]);
    write_file(path(argv[2], files[chosen]), bytes, mutate(bytes, lengths[chosen], chosen == 1));
    model_status = chosen < 2 ? lf_model_load(argv[2], NULL, &model) : LF_OK;
    CHECK(model_status == LF_OK || model_status == LF_CHECKPOINT || model_status == LF_INVALID_INPUT || model_status == LF_TORCH || model_status == LF_OUT_OF_MEMORY);
    if (model_status != LF_OK) CHECK(model == NULL && strlen(lf_last_error()) > 0);
    if (model_status == LF_OK && model != NULL) { /* and it runs, or refuses to */
      int64_t ids[4] = {0, 5, 6, 2}, shape[2] = {1, 4};
      const char* name = "input_ids";
      lf_tensor* input = NULL;
      lf_tensors* outputs = NULL;
      OK(lf_tensor_copy(ids, sizeof ids, LF_INT64, shape, 2, &input));
      CHECK(lf_model_run(model, &name, (const lf_tensor* const*)&input, 1, NULL, &outputs) != LF_INTERNAL);
      OK(lf_tensors_free(outputs));
      OK(lf_tensor_free(input));
    }
    tokenizer_status = chosen >= 2 ? lf_tokenizer_load(argv[2], &tokenizer) : LF_OK;
    CHECK(tokenizer_status == LF_OK || tokenizer_status == LF_TOKENIZER);
    if (tokenizer_status == LF_OK && tokenizer != NULL) {
      lf_encoding* encoding = NULL;
      OK(lf_tokenizer_encode(tokenizer, "Some text, caf\xc3\xa9 \xf0\x9f\x98\x80 </s>.", LF_TERMINATED, NULL, 0, NULL, &encoding));
      OK(lf_encoding_free(encoding));
    }
    if (failures != 0) fprintf(stderr, "round %ld, %s: %d %d %s\n", round, files[chosen], (int)model_status, (int)tokenizer_status, lf_last_error());
    loaded += model_status == LF_OK && tokenizer_status == LF_OK;
    refused += model_status != LF_OK || tokenizer_status != LF_OK;
    OK(lf_model_free(model));
    OK(lf_tokenizer_free(tokenizer));
    write_file(path(argv[2], files[chosen]), original[chosen], lengths[chosen]);
    free(bytes);
  }
  for (f = 0; f < FILES; f++) free(original[f]);
  OK(lf_live(&handles, &tensors));
  CHECK(handles == 0 && tensors == 0);
  printf("%ld rounds: %ld loaded, %ld refused\n", rounds, loaded, refused);
  CHECK(loaded > 0 && refused > 0);
  return finish();
}
