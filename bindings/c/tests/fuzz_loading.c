/* A libFuzzer target: the first byte of an input chooses the file of a checkpoint, the rest is its content; the other files are whole. Loads the
 * model or the tokenizer, and uses what loads. The library is not built with coverage, so its answers replace it: each kind of message is
 * its own feature to the fuzzer. fuzz.c makes its changes by itself, for machines without clang's runtime.
 *
 *     SEEDS=FOLDER WORK=FOLDER fuzz_loading CORPUS_FOLDER...          SEEDS: whole files by the names below */
#include "support.h"

#include <sys/stat.h>

typedef struct kind {
  const char* name;
  const char* folder; /* below WORK */
  int model;
} kind;

static const kind kinds[] = {
    {"config.json", "model", 1},     {"model.safetensors", "model", 1},       {"vocab.json", "bpe", 0},
    {"merges.txt", "bpe", 0},        {"tokenizer.json", "tokenizer", 0},      {"vocab.txt", "wordpiece", 0},
    {"config.json", "led", 1},       {"generation_config.json", "led", 1},    {"tokenizer_config.json", "bpe", 0},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

__attribute__((section("__libfuzzer_extra_counters"))) static unsigned char features[1 << 14];

static void feature(const char* message) {
  unsigned hash = 2166136261u;
  for (; *message != 0; message++) {
    if ((*message >= '0' && *message <= '9') || *message < 0) continue; /* numbers are no new message */
    hash = (hash ^ (unsigned char)*message) * 16777619u;
  }
  features[hash % sizeof features] = 1;
}

static void expect(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "%s: %s\n", what, lf_last_error());
  abort();
}

static void write_whole(const char* name, const void* bytes, size_t length) {
  FILE* file = fopen(name, "wb");
  expect(file != NULL && fwrite(bytes, 1, length, file) == length, name);
  fclose(file);
}

static char* original[KINDS];
static size_t lengths[KINDS];

int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const char *seeds = getenv("SEEDS"), *work = getenv("WORK");
  size_t k;
  (void)argc;
  (void)argv;
  expect(seeds != NULL && work != NULL, "SEEDS and WORK name folders");
  expect(lf_check_abi() == LF_OK, "lf_check_abi");
  mkdir(work, 0777);
  for (k = 0; k < KINDS; k++) {
    char seed[4096], place[4096];
    snprintf(seed, sizeof seed, "%s/%s/%s", seeds, kinds[k].folder, kinds[k].name);
    snprintf(place, sizeof place, "%s/%s", work, kinds[k].folder);
    mkdir(place, 0777);
    original[k] = read_file(seed, &lengths[k]);
    expect(original[k] != NULL, seed);
    write_whole(path(place, kinds[k].name), original[k], lengths[k]);
  }
  {
    /* The LED's weights, which no input changes. */
    char seed[4096], place[4096];
    size_t length = 0;
    char* weights;
    snprintf(seed, sizeof seed, "%s/led/model.safetensors", seeds);
    snprintf(place, sizeof place, "%s/led/model.safetensors", work);
    weights = read_file(seed, &length);
    expect(weights != NULL, seed);
    write_whole(place, weights, length);
    free(weights);
  }
  return 0;
}

static void use_model(const char* folder) {
  lf_model* model = NULL;
  const lf_status status = lf_model_load(folder, NULL, &model);
  expect(status == LF_OK || status == LF_CHECKPOINT || status == LF_INVALID_INPUT || status == LF_TORCH || status == LF_OUT_OF_MEMORY, "lf_model_load");
  expect((status == LF_OK) == (model != NULL), "a handle with a failure, or none with a success");
  if (model != NULL) {
    const int64_t ids[4] = {0, 5, 6, 2}, shape[2] = {1, 4};
    const char* name = "input_ids";
    lf_tensor* input = NULL;
    lf_tensors* outputs = NULL;
    expect(lf_tensor_copy(ids, sizeof ids, LF_INT64, shape, 2, &input) == LF_OK, "lf_tensor_copy");
    expect(lf_model_run(model, &name, (const lf_tensor* const*)&input, 1, NULL, &outputs) != LF_INTERNAL, "lf_model_run");
    lf_tensors_free(outputs);
    lf_tensor_free(input);
  }
  expect(lf_model_free(model) == LF_OK, "lf_model_free");
}

static void use_tokenizer(const char* folder) {
  lf_tokenizer* tokenizer = NULL;
  const lf_status status = lf_tokenizer_load(folder, &tokenizer);
  expect(status == LF_OK || status == LF_TOKENIZER, "lf_tokenizer_load");
  if (tokenizer != NULL) {
    lf_encoding* encoding = NULL;
    const int32_t* ids = NULL;
    char* text = NULL;
    size_t count = 0;
    if (lf_tokenizer_encode(tokenizer, "Some text, caf\xc3\xa9 \xf0\x9f\x98\x80 </s>.", LF_TERMINATED, NULL, 0, NULL, &encoding) == LF_OK) {
      expect(lf_encoding_count(encoding, &count) == LF_OK && lf_encoding_values(encoding, "ids", &ids) == LF_OK, "lf_encoding_values");
      expect(lf_tokenizer_decode(tokenizer, ids, count, 0, &text, NULL) != LF_INTERNAL, "lf_tokenizer_decode");
      lf_text_free(text);
    } else {
      expect(strstr(lf_last_error(), "defect") == NULL, "lf_tokenizer_encode");
    }
    lf_encoding_free(encoding);
  }
  expect(lf_tokenizer_free(tokenizer) == LF_OK, "lf_tokenizer_free");
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char folder[4096], place[4096];
  const kind* chosen;
  size_t k;
  int64_t handles = -1, tensors = -1;
  if (size == 0) return 0;
  k = data[0] % KINDS;
  chosen = &kinds[k];
  snprintf(folder, sizeof folder, "%s/%s", getenv("WORK"), chosen->folder);
  snprintf(place, sizeof place, "%s/%s", folder, chosen->name);
  write_whole(place, data + 1, size - 1);
  if (chosen->model) {
    use_model(folder);
  } else {
    use_tokenizer(folder);
  }
  feature(lf_last_error());
  write_whole(place, original[k], lengths[k]);
  expect(lf_live(&handles, &tensors) == LF_OK && handles == 0 && tensors == 0, "handles or tensors are left");
  return 0;
}
