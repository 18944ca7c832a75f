/* Training and evaluation: training MODELS WORK PARQUET, where PARQUET has the columns id and label. Data as JSON lines, CSV and Parquet; a run that is
 * stopped and resumed; the folder with its picture; refusals. */
#include "support.h"

#include <unistd.h>

/* A path that stays: path() has a few buffers only. */
static const char* kept(const char* dir, const char* file) { return strdup(path(dir, file)); }

typedef struct heard {
  int steps, evaluations, notes, saved; /* events */
  int64_t progress, total, stop_at;     /* stop_at: the step at which cancel says so; 0: never */
} heard;

static void write_file(const char* name, const char* text) {
  FILE* file = fopen(name, "wb");
  CHECK(file != NULL && fputs(text, file) >= 0);
  if (file != NULL) fclose(file);
}

static int holds(const char* name, const char* words) {
  char* text = read_file(name, NULL);
  int found = text != NULL && strstr(text, words) != NULL;
  free(text);
  return found;
}

static int same_bytes(const char* one, const char* other) {
  size_t n = 0, m = 1;
  char *a = read_file(one, &n), *b = read_file(other, &m);
  int same = a != NULL && b != NULL && n == m && memcmp(a, b, n) == 0;
  free(a);
  free(b);
  return same;
}

static int32_t hear(void* context, const char* json, size_t length) {
  heard* h = (heard*)context;
  CHECK(strlen(json) == length && json[0] == '{' && json[length - 1] == '}' && strstr(json, "\"total_steps\":") != NULL);
  if (strstr(json, "\"kind\":\"step\"") != NULL) {
    CHECK(strstr(json, "\"loss\":") != NULL && strstr(json, "\"learning_rate\":") != NULL && strstr(json, "\"tokens_per_second\":") != NULL);
    h->steps++;
  }
  if (strstr(json, "\"kind\":\"evaluated\"") != NULL) {
    CHECK(strstr(json, "\"eval\":{") != NULL && strstr(json, "\"accuracy\":") != NULL);
    h->evaluations++;
  }
  if (strstr(json, "\"kind\":\"note\"") != NULL) h->notes++;
  if (strstr(json, "\"kind\":\"saved\"") != NULL) h->saved++;
  return 0;
}

static int32_t count(void* context, int64_t done, int64_t total, int64_t tokens) {
  heard* h = (heard*)context;
  CHECK(done > h->progress && done <= total && tokens > 0);
  h->progress = done;
  h->total = total;
  return 0;
}

static int32_t stop(void* context) {
  heard* h = (heard*)context;
  return h->stop_at != 0 && h->steps >= h->stop_at;
}

static lf_options* settings(heard* h) {
  lf_options* options = NULL;
  OK(lf_options_create(&options));
  OK(lf_options_set_float(options, "learning_rate", 2e-3));
  OK(lf_options_set_int(options, "epochs", 6)); /* an int for a float */
  OK(lf_options_set_int(options, "batch_size", 8));
  OK(lf_options_set_int(options, "eval_every", 6));
  OK(lf_options_set_int(options, "max_tokens", 64));
  OK(lf_options_set_text(options, "schedule", "cosine", LF_TERMINATED));
  OK(lf_options_set_on_text(options, hear, h));
  OK(lf_options_set_progress(options, count, h));
  OK(lf_options_set_cancel(options, stop, h));
  return options;
}

/* The number under a name in a group; -1 if there is none. */
static double value_of(lf_answer* result, const char* wanted, int64_t wanted_group) {
  size_t n = 0, i;
  OK(lf_answer_count(result, &n));
  for (i = 0; i < n; i++) {
    const char* name = NULL;
    double value = 0;
    int64_t group = -1;
    if (lf_answer_label(result, i, &name, NULL) != LF_OK || strcmp(name, wanted) != 0) continue;
    OK(lf_answer_score(result, i, &value));
    OK(lf_answer_group(result, i, &group));
    if (group == wanted_group) return value;
  }
  return -1;
}

static void learns(const char* checkpoint, const char* work) {
  heard h = {0, 0, 0, 0, 0, 0, 0};
  lf_options* options = settings(&h);
  lf_answer *result = NULL, *labels = NULL;
  lf_text_classifier* classifier = NULL;
  const char *data[2], *held = kept(work, "held.csv"), *output = kept(work, "whole"), *text = "lovely fine great", *label = NULL;
  size_t n = 0, i;
  data[0] = kept(work, "train.jsonl");
  data[1] = kept(work, "more.tsv");
  OK(lf_train("classify", checkpoint, data, 2, &held, 1, output, options, &result));
  CHECK(value_of(result, "steps", 0) == 36 && value_of(result, "stopped", 0) == 0 && value_of(result, "best_step", 0) > 0);
  CHECK(value_of(result, "accuracy", 1) == 1 && value_of(result, "loss", 1) > 0);
  CHECK(h.steps == 36 && h.progress == 36 && h.total == 36 && h.evaluations == 6 && h.saved >= 6 && h.notes >= 1);
  CHECK(holds(path(output, "curves.svg"), "loss on held-out data") && holds(path(output, "curves.svg"), "</svg>"));
  CHECK(holds(path(output, "README.md"), "| accuracy | 1 |") && holds(path(output, "README.md"), "| schedule | Cosine |"));
  CHECK(holds(path(output, "log.jsonl"), "\"eval\":{"));
  OK(lf_answer_free(result));
  OK(lf_text_classifier_load(output, NULL, &classifier));
  OK(lf_text_classifier_classify(classifier, &text, NULL, 1, NULL, &labels));
  OK(lf_answer_label(labels, 0, &label, NULL));
  CHECK(label != NULL && strcmp(label, "good") == 0);
  OK(lf_answer_free(labels));
  OK(lf_text_classifier_free(classifier));
  OK(lf_options_free(options));

  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "max_tokens", 64));
  h.progress = 0;
  OK(lf_options_set_progress(options, count, &h));
  OK(lf_evaluate("classify", output, &held, 1, options, &result, &labels));
  CHECK(value_of(result, "accuracy", 1) == 1 && h.progress == 2 && h.total == 2);
  OK(lf_answer_count(labels, &n));
  CHECK(n == 2);
  for (i = 0; i < n; i++) {
    int64_t place = -1;
    const char* json = NULL;
    OK(lf_answer_text(labels, i, &json, NULL));
    OK(lf_answer_id(labels, i, &place));
    CHECK(json[0] == '{' && strstr(json, "\"labels\":[") != NULL && place == (int64_t)i);
  }
  OK(lf_answer_free(labels));
  REFUSED(LF_INVALID_ARGUMENT, "lf_evaluate takes no \"learning_rate\"",
          (lf_options_set_float(options, "learning_rate", 1), lf_evaluate("classify", output, &held, 1, options, &labels, NULL)));
  CHECK(labels == NULL);
  OK(lf_answer_free(result));
  OK(lf_options_free(options));
}

/* A run that a callback stopped resumes and ends with the bytes of one that was not stopped. */
static void resumes(const char* checkpoint, const char* work) {
  heard h = {0, 0, 0, 0, 0, 0, 7};
  lf_options* options = settings(&h);
  lf_answer* result = NULL;
  const char *data[2], *held = kept(work, "held.csv"), *output = kept(work, "parts");
  data[0] = kept(work, "train.jsonl");
  data[1] = kept(work, "more.tsv");
  OK(lf_train("classify", checkpoint, data, 2, &held, 1, output, options, &result));
  CHECK(value_of(result, "stopped", 0) == 1 && value_of(result, "steps", 0) >= 7 && value_of(result, "steps", 0) < 36);
  CHECK(!access_file(path(output, "model.safetensors")));
  OK(lf_answer_free(result));
  h.stop_at = h.progress = 0;
  REFUSED(LF_INVALID_INPUT, "resume", lf_train("classify", checkpoint, data, 2, &held, 1, output, options, NULL));
  OK(lf_options_set_int(options, "resume", 1));
  OK(lf_train("classify", checkpoint, data, 2, &held, 1, output, options, &result));
  CHECK(value_of(result, "stopped", 0) == 0 && value_of(result, "steps", 0) == 36);
  CHECK(same_bytes(path(output, "model.safetensors"), path(path(work, "whole"), "model.safetensors")));
  OK(lf_answer_free(result));
  /* Stopped before there is anything to save. */
  h.stop_at = 1;
  h.steps = 1;
  OK(lf_options_set_int(options, "resume", 0));
  REFUSED(LF_CANCELLED, "stop", lf_train("classify", checkpoint, data, 2, &held, 1, path(work, "early"), options, &result));
  CHECK(result == NULL && access(path(work, "early"), F_OK) != 0);
  OK(lf_options_free(options));
}

static void reads_parquet(const char* checkpoint, const char* work, const char* parquet) {
  heard h = {0, 0, 0, 0, 0, 0, 0};
  lf_options* options = NULL;
  lf_answer* result = NULL;
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "column", "text=id", LF_TERMINATED));
  OK(lf_options_set_text(options, "column", "label=label", LF_TERMINATED));
  OK(lf_options_set_text(options, "labels", "1", LF_TERMINATED));
  OK(lf_options_set_text(options, "labels", "2", LF_TERMINATED));
  OK(lf_options_set_text(options, "labels", "3", LF_TERMINATED));
  OK(lf_options_set_text(options, "cache", path(work, "cache"), LF_TERMINATED));
  OK(lf_options_set_int(options, "steps", 2));
  OK(lf_options_set_on_text(options, hear, &h));
  OK(lf_train("classify", checkpoint, &parquet, 1, &parquet, 1, path(work, "parquet"), options, &result));
  CHECK(h.steps == 2 && value_of(result, "steps", 0) == 2 && value_of(result, "accuracy", 1) >= 0);
  CHECK(holds(path(path(work, "parquet"), "README.md"), "3 examples"));
  OK(lf_answer_free(result));
  OK(lf_options_free(options));
  /* Lists of numbers and texts, and an empty value with its row. */
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "cache", path(work, "cache"), LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "row 3", lf_train("classify", checkpoint, &parquet, 1, NULL, 0, path(work, "refused"), options, NULL));
  OK(lf_options_set_int(options, "steps", 1));
  REFUSED(LF_INVALID_INPUT, "row 1: the tags are numbers",
          lf_train("tag", checkpoint, &parquet, 1, NULL, 0, path(work, "refused"), options, NULL));
  {
    static const char* const tags[] = {"O", "B-A", "I-A", "B-B", "I-B", "B-C", "I-C", "B-D"};
    int i;
    for (i = 0; i < 8; i++) OK(lf_options_set_text(options, "labels", tags[i], LF_TERMINATED));
  }
  REFUSED(LF_INVALID_INPUT, "row 1: expected a tag for each of 2 words, given 3",
          lf_train("tag", checkpoint, &parquet, 1, NULL, 0, path(work, "refused"), options, NULL));
  OK(lf_options_free(options));
}

static void refuses(const char* checkpoint, const char* work) {
  const char *data = kept(work, "train.jsonl"), *nowhere = kept(work, "nowhere.jsonl"), *output = kept(work, "refused");
  lf_options* options = NULL;
  lf_answer* result = NULL;
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "max_tokens", 64));
#define TRAIN(task) lf_train(task, checkpoint, &data, 1, NULL, 0, output, options, &result)
  REFUSED(LF_INVALID_INPUT, "task: expected masked-lm, classify", TRAIN("paint"));
  REFUSED(LF_INVALID_ARGUMENT, "checkpoint", lf_train("classify", NULL, &data, 1, NULL, 0, output, options, &result));
  REFUSED(LF_INVALID_INPUT, "output", lf_train("classify", checkpoint, &data, 1, NULL, 0, "", options, &result));
  REFUSED(LF_INVALID_INPUT, "data", lf_train("classify", checkpoint, NULL, 0, NULL, 0, output, options, &result));
  REFUSED(LF_INVALID_INPUT, "no such file", lf_train("classify", checkpoint, &nowhere, 1, NULL, 0, output, options, &result));
  REFUSED(LF_CHECKPOINT, "config.json", lf_train("classify", work, &data, 1, NULL, 0, output, options, &result));
  REFUSED(LF_INVALID_INPUT, "train.jsonl:1: no column", TRAIN("tag"));
  REFUSED(LF_CHECKPOINT, "an LED", (lf_options_set_text(options, "column", "document=text", LF_TERMINATED),
                                    lf_options_set_text(options, "column", "summary=label", LF_TERMINATED), TRAIN("summarize")));
  OK(lf_options_free(options));
  OK(lf_options_create(&options));
  REFUSED(LF_INVALID_ARGUMENT, "takes no \"mask_probability\"", (lf_options_set_float(options, "mask_probability", 0.5), TRAIN("classify")));
  OK(lf_options_free(options));
  OK(lf_options_create(&options));
  REFUSED(LF_INVALID_INPUT, "schedule: expected linear, cosine", (lf_options_set_text(options, "schedule", "steep", LF_TERMINATED), TRAIN("classify")));
  OK(lf_options_set_text(options, "schedule", "linear", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "preset: expected imdb", (lf_options_set_text(options, "preset", "arxiv", LF_TERMINATED), TRAIN("classify")));
  OK(lf_options_set_text(options, "preset", "imdb", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "learning_rate: expected a float", (lf_options_set_text(options, "learning_rate", "much", LF_TERMINATED), TRAIN("classify")));
  OK(lf_options_free(options));
  CHECK(result == NULL && access(output, F_OK) != 0);
}

/* A task of the paper with two seeds: mean and deviation, and a folder for each. Then its prediction file. */
static void repeats(const char* checkpoint, const char* work) {
  const char *data = path(work, "reviews"), *output = kept(work, "seeds"), *one = kept(work, "seeds/seed-2"), *written = kept(work, "written.jsonl");
  lf_options* options = NULL;
  lf_answer* result = NULL;
  char command[2400];
  double mean, deviation;
  snprintf(command, sizeof command,
           "mkdir -p '%s/pos' '%s/neg' && for i in 1 2 3; do echo lovely fine > '%s/pos/'${i}_9.txt; echo awful poor > '%s/neg/'${i}_2.txt; done", data, data,
           data, data);
  CHECK(system(command) == 0);
  data = kept(work, "reviews");
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "max_tokens", 64));
  OK(lf_options_set_int(options, "steps", 2));
  OK(lf_options_set_text(options, "seeds", "1,2", LF_TERMINATED));
  OK(lf_train("imdb", checkpoint, &data, 1, &data, 1, output, options, &result));
  mean = value_of(result, "loss", 1), deviation = value_of(result, "loss", 2);
  CHECK(value_of(result, "steps", 0) == 4 && mean > 0 && deviation >= 0 && deviation < mean);
  CHECK(access(path(output, "seeds.json"), F_OK) == 0 && access(path(output, "seed-1/model.safetensors"), F_OK) == 0);
  OK(lf_answer_free(result));
  result = NULL;
  REFUSED(LF_INVALID_INPUT, "seeds: expected integers", (lf_options_set_text(options, "seeds", "1,x", LF_TERMINATED),
                                                         lf_train("imdb", checkpoint, &data, 1, NULL, 0, path(work, "other"), options, &result)));
  OK(lf_options_free(options));
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "output", written, LF_TERMINATED));
  OK(lf_evaluate("imdb", one, &data, 1, options, &result, NULL));
  CHECK(value_of(result, "loss", 1) > 0 && access(written, F_OK) == 0);
  OK(lf_answer_free(result));
  OK(lf_options_free(options));
}

int main(int argc, char** argv) {
  const char *checkpoint, *work;
  char command[2400];
  int64_t handles = -1, tensors = -1;
  if (argc != 4) return 2;
  checkpoint = kept(argv[1], "masked_lm");
  work = argv[2];
  snprintf(command, sizeof command, "rm -rf '%s' && mkdir -p '%s'", work, work);
  if (system(command) != 0) return 3;
  {
    char text[8192] = "";
    int i;
    for (i = 0; i < 40; i++)
      sprintf(text + strlen(text), "{\"text\": \"%s %s\", \"label\": \"%s\"}\n", i % 2 ? "lovely fine" : "awful poor",
              i % 3 ? (i % 2 ? "great" : "sad") : "", i % 2 ? "good" : "bad");
    write_file(path(work, "train.jsonl"), text);
  }
  write_file(path(work, "more.tsv"), "text\tlabel\nlovely great\tgood\npoor sad awful\tbad\n\"fine\tlovely\"\tgood\nsad\tbad\ngreat fine\tgood\nawful\tbad\nfine\tgood\npoor\tbad\n");
  write_file(path(work, "held.csv"), "text,label\nlovely fine great,good\n\"poor, sad\",bad\n");
  OK(lf_set_threads(1));
  learns(checkpoint, work);
  resumes(checkpoint, work);
  reads_parquet(checkpoint, work, argv[3]);
  refuses(checkpoint, work);
  repeats(checkpoint, work);
  OK(lf_live(&handles, &tensors));
  CHECK(handles == 0 && tensors == 0);
  return finish();
}
