/* Start and overhead through C: start ENCODER_FOLDER. Prints the milliseconds from the start of the process to the first embedding of a text of
 * about 500 tokens, and what a call costs beside the model's own time. */
#define _POSIX_C_SOURCE 200809L
#include "../../bindings/c/tests/support.h"

#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* When this process started, on the clock of now(). */
static double process_start(void) {
  char* stat = (char*)malloc(4096);
  unsigned long long ticks = 0;
  FILE* file = fopen("/proc/self/stat", "r");
  size_t n = file == NULL ? 0 : fread(stat, 1, 4095, file);
  char* at;
  int field;
  stat[n] = 0;
  if (file != NULL) fclose(file);
  at = strrchr(stat, ')');
  for (field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  if (at != NULL) ticks = strtoull(at, NULL, 10);
  free(stat);
  return (double)ticks * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

/* A whole call with four handles in and one out over one token: the overhead is the time that is not the operator's. */
static double attention_of_one_token(void) {
  float values[8] = {0};
  int64_t shape[4] = {1, 1, 1, 8};
  lf_tensor *input = NULL, *output = NULL;
  lf_options* options = NULL;
  double best = 1e9, start;
  int repeat, i;
  OK(lf_options_create(&options));
  OK(lf_options_set_float(options, "scale", 1));
  OK(lf_tensor_copy(values, sizeof values, LF_FLOAT32, shape, 4, &input));
  for (repeat = 0; repeat < 50; repeat++) {
    start = now();
    for (i = 0; i < 100; i++) {
      if (lf_banded_attention(input, input, input, 1, 1, options, &output, NULL) != LF_OK) failures++;
      lf_tensor_free(output);
    }
    if (now() - start < best) best = now() - start;
  }
  OK(lf_tensor_free(input));
  OK(lf_options_free(options));
  return best * 10; /* milliseconds of 100 calls to microseconds of one */
}

int main(int argc, char** argv) {
  char* text = make_text(420, 3);
  const char* document = text;
  lf_document_encoder* encoder = NULL;
  lf_options* options = NULL;
  lf_tensor *vector = NULL, *tokens = NULL;
  const int64_t* shape = NULL;
  int32_t size = 0;
  double start, first, best = 1e9;
  int i, repeat;
  if (argc != 2) return 2;
  OK(lf_check_abi());
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "truncate", 1));
  OK(lf_document_encoder_load(argv[1], NULL, &encoder));
  OK(lf_document_encoder_encode(encoder, &document, NULL, 1, options, &vector, NULL));
  first = now() - process_start();
  OK(lf_tensor_free(vector));
  OK(lf_options_set_text(options, "pooling", "tokens", LF_TERMINATED));
  OK(lf_document_encoder_encode(encoder, &document, NULL, 1, options, &tokens, NULL));
  OK(lf_tensor_shape(tokens, &shape));
  for (repeat = 0; repeat < 50; repeat++) {
    start = now();
    for (i = 0; i < 1000; i++) lf_document_encoder_hidden_size(encoder, &size);
    if (now() - start < best) best = now() - start;
  }
  printf("start to first embedding of %d tokens: %.0f ms; a call: %.3f microseconds; attention of one token with its tensors: %.1f microseconds\n",
         (int)shape[0], first, best, attention_of_one_token());
  OK(lf_tensor_free(tokens));
  OK(lf_document_encoder_free(encoder));
  OK(lf_options_free(options));
  free(text);
  return finish();
}
