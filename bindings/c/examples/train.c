/* Fine-tuning a classifier: train FOLDER DATA EVALUATION OUTPUT   shows the loss of every step, then the metrics on the evaluation data.
 * DATA and EVALUATION: files with the columns text and label. Ctrl-C saves; a second call resumes the run. */
#include <longformer.h>

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static volatile sig_atomic_t interrupted = 0;

static void interrupt(int number) {
  (void)number;
  interrupted = 1;
}

static int32_t asked(void* context) {
  (void)context;
  return interrupted;
}

/* A JSON object for each event: a program with a JSON reader has them as values. */
static int32_t print_event(void* context, const char* json, size_t length) {
  (void)context;
  fprintf(stderr, "%.*s\n", (int)length, json);
  return 0;
}

int main(int argc, char** argv) {
  lf_options* options = NULL;
  lf_answer* result = NULL;
  size_t count = 0, i;
  int status = 1;
  char checkpoints[4096];
  struct stat there;

  if (argc != 5) {
    fprintf(stderr, "usage: train FOLDER DATA EVALUATION OUTPUT\n");
    return 2;
  }
  signal(SIGINT, interrupt);
  snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", argv[4]);
  if (lf_check_abi() == LF_OK
      && lf_options_create(&options) == LF_OK
      && lf_options_set_float(options, "learning_rate", 2e-3) == LF_OK
      && lf_options_set_float(options, "epochs", 4) == LF_OK
      && lf_options_set_int(options, "batch_size", 8) == LF_OK
      && lf_options_set_int(options, "resume", stat(checkpoints, &there) == 0) == LF_OK
      && lf_options_set_cancel(options, asked, NULL) == LF_OK
      && lf_options_set_on_text(options, print_event, NULL) == LF_OK
      && lf_train("classify", argv[1], (const char* const*)&argv[2], 1, (const char* const*)&argv[3], 1, argv[4], options, &result) == LF_OK
      && lf_answer_count(result, &count) == LF_OK)
    status = 0;
  for (i = 0; status == 0 && i < count; i++) {
    const char* name;
    double value;
    if (lf_answer_label(result, i, &name, NULL) != LF_OK || lf_answer_score(result, i, &value) != LF_OK)
      status = 1;
    else
      printf("%-12s %g\n", name, value);
  }
  if (status != 0) fprintf(stderr, "train: %s\n", lf_last_error());
  lf_answer_free(result);
  lf_options_free(options);
  return status;
}
