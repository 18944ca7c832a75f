/* Loads and frees a model and its results 1,000 times: memory FOLDER. The resident memory of the second half must not grow. */
#include "support.h"

#include <unistd.h>

static long resident_kib(void) {
  long pages = 0, all = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file != NULL) {
    if (fscanf(file, "%ld %ld", &all, &pages) != 2) pages = 0;
    fclose(file);
  }
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char** argv) {
  const int rounds = 1000;
  long before = 0, after;
  int64_t ids[16] = {0}, shape[2] = {1, 16}, handles = -1, tensors = -1;
  const char* name = "input_ids";
  int round, i;
  if (argc != 2) return 2;
  for (i = 0; i < 16; i++) ids[i] = 3 + i;
  OK(lf_check_abi());
  for (round = 0; round < rounds && failures == 0; round++) {
    lf_model *model = NULL, *none = NULL;
    lf_tensor *input = NULL, *hidden = NULL;
    lf_tensors* outputs = NULL;
    const char* text = NULL;
    if (round == rounds / 2) before = resident_kib();
    OK(lf_model_load(argv[1], NULL, &model));
    OK(lf_model_architecture(model, &text));
    OK(lf_tensor_from_memory(ids, LF_INT64, shape, NULL, 2, NULL, NULL, NULL, &input));
    if (round % 10 == 0) {
      OK(lf_model_run(model, &name, (const lf_tensor* const*)&input, 1, NULL, &outputs));
      OK(lf_tensors_get(outputs, "last_hidden_state", &hidden));
    }
    CHECK(lf_model_load("no such folder", NULL, &none) == LF_CHECKPOINT);
    OK(lf_tensor_free(hidden));
    OK(lf_tensors_free(outputs));
    OK(lf_tensor_free(input));
    OK(lf_model_free(model));
  }
  after = resident_kib();
  printf("resident %ld KiB half way, %ld KiB at the end\n", before, after);
  CHECK(after - before < 4096);
  OK(lf_live(&handles, &tensors));
  CHECK(handles == 0 && tensors == 0);
  return finish();
}
