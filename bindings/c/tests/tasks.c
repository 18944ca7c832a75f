/* Every task: tasks MODELS_FOLDER, which holds encoder, question_answering, sequence_classification, token_classification, span_classification,
 * coreference, multiple_choice, masked_lm and led. Checks the promises of the interface: texts, ranges in three units, streams, callbacks. */
#include "support.h"

#include <math.h>

static const char document[] = "The caf\xc3\xa9 of \xe6\x96\x87 opened at nine. \xf0\x9f\x98\x80 Then everybody read a long document about attention.";
static const char* models;

/* The bytes, code points and UTF-16 units of an item's range must be the same place of the source. */
static void check_range(lf_answer* answer, size_t item, const char* source, const char* text) {
  int64_t start = -1, end = -1, points[2] = {-1, -1}, units[2] = {-1, -1}, p = 0, u = 0;
  const char* c;
  OK(lf_answer_range(answer, item, LF_OFFSETS_BYTES, &start, &end));
  OK(lf_answer_range(answer, item, LF_OFFSETS_CODE_POINTS, &points[0], &points[1]));
  OK(lf_answer_range(answer, item, LF_OFFSETS_UTF16, &units[0], &units[1]));
  CHECK(start >= 0 && start <= end && (size_t)end <= strlen(source));
  if (text != NULL) CHECK((size_t)(end - start) == strlen(text) && strncmp(source + start, text, strlen(text)) == 0);
  for (c = source; failures == 0 && c <= source + end; c++) {
    if (c - source == start) CHECK(p == points[0] && u == units[0]);
    if (c - source == end) CHECK(p == points[1] && u == units[1]);
    if (((unsigned char)*c & 0xc0) != 0x80) {
      p++;
      u += (unsigned char)*c >= 0xf0 ? 2 : 1;
    }
  }
  REFUSED(LF_INVALID_ARGUMENT, "unit", lf_answer_range(answer, item, (lf_offsets)7, &start, &end));
}

/* An item at once is what its properties are one by one. Of an answer to a question. */
static void check_item(lf_answer* answer, size_t item) {
  const char *text = NULL, *same = NULL, *label = NULL;
  int64_t start = -1, end = -1, from = -1, to = -1, group = 77;
  double score = -1, logit = -1, same_score = -2, same_logit = -2;
  size_t length = 0, same_length = 1;
  OK(lf_answer_text(answer, item, &text, &length));
  OK(lf_answer_range(answer, item, LF_OFFSETS_CODE_POINTS, &start, &end));
  OK(lf_answer_score(answer, item, &score));
  OK(lf_answer_logit(answer, item, &logit));
  OK(lf_answer_item(answer, item, LF_OFFSETS_CODE_POINTS, &same, &same_length, NULL, NULL, &from, &to, &same_score, &same_logit, NULL, NULL));
  CHECK(same == text && same_length == length && from == start && to == end && same_score == score && same_logit == logit);
  OK(lf_answer_item(answer, item, (lf_offsets)7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)); /* no range, no unit */
  OK(lf_answer_item(answer, item, LF_OFFSETS_BYTES, NULL, NULL, NULL, NULL, NULL, &to, NULL, NULL, NULL, NULL));
  CHECK(to >= end);
  /* Refused as a whole: the text that there is is not written, nor the score. */
  same = NULL;
  same_score = -2;
  REFUSED(LF_NOT_FOUND, "no group", lf_answer_item(answer, item, LF_OFFSETS_BYTES, &same, NULL, NULL, NULL, NULL, NULL, &same_score, NULL, &group, NULL));
  REFUSED(LF_NOT_FOUND, "no label", lf_answer_item(answer, item, LF_OFFSETS_BYTES, &same, NULL, &label, NULL, NULL, NULL, &same_score, NULL, NULL, NULL));
  REFUSED(LF_INVALID_ARGUMENT, "unit", lf_answer_item(answer, item, (lf_offsets)7, &same, NULL, NULL, NULL, &from, &to, NULL, NULL, NULL, NULL));
  REFUSED(LF_INVALID_ARGUMENT, "item", lf_answer_item(answer, 1000, LF_OFFSETS_BYTES, &same, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
  CHECK(same == NULL && same_score == -2 && group == 77 && label == NULL);
}

static int32_t count_calls(void* context, int64_t done, int64_t total, int64_t tokens) {
  CHECK(done >= 0 && done <= total && tokens >= 0);
  ++*(int*)context;
  return 0;
}

static void log_line(void* context, lf_log_level level, const char* message, size_t length) {
  CHECK(strlen(message) == length);
  if (level == LF_LOG_WARNING && strstr(message, "cut from") != NULL) ++*(int*)context;
}

/* The caller's memory gets what the tensors hold. The options say "tokens". */
static void into_memory(lf_document_encoder* task, char* const* texts, lf_options* options, lf_tensor* vectors, lf_tensor* tokens, lf_tensor* offsets) {
  enum { WIDTH = 64, CANARY = 7 };
  const char* const* documents = (const char* const*)texts;
  const void *pooled = NULL, *all = NULL, *ends = NULL;
  int64_t first[4] = {-1, -1, -1, -1}, again[4] = {-1, -1, -1, -1};
  float small[3 * WIDTH + 1], *large = NULL;
  size_t room, i;
  OK(lf_tensor_data(vectors, &pooled));
  OK(lf_tensor_data(tokens, &all));
  OK(lf_tensor_data(offsets, &ends));
  OK(lf_document_encoder_encode_into(task, documents, NULL, 3, options, NULL, 0, first));
  CHECK(memcmp(first, ends, sizeof first) == 0);
  room = (size_t)first[3] * WIDTH;
  large = (float*)malloc((room + 1) * sizeof(float));
  large[room] = CANARY;
  REFUSED(LF_INVALID_ARGUMENT, "room", lf_document_encoder_encode_into(task, documents, NULL, 3, options, large, room - 1, again));
  CHECK(again[0] == -1);
  OK(lf_document_encoder_encode_into(task, documents, NULL, 3, options, large, room, again));
  CHECK(memcmp(again, ends, sizeof again) == 0 && memcmp(large, all, room * sizeof(float)) == 0 && large[room] == CANARY);
  free(large);
  OK(lf_options_set_text(options, "pooling", "mean", LF_TERMINATED));
  for (i = 0; i <= 3 * WIDTH; i++) small[i] = CANARY;
  OK(lf_document_encoder_encode_into(task, documents, NULL, 3, options, small, 3 * WIDTH + 1, NULL)); /* more room than needed */
  CHECK(memcmp(small, pooled, 3 * WIDTH * sizeof(float)) == 0 && small[3 * WIDTH] == CANARY);
  again[0] = again[1] = -1;
  OK(lf_document_encoder_encode_into(task, NULL, NULL, 0, NULL, small, 0, again)); /* no documents, no vectors */
  CHECK(again[0] == 0 && again[1] == -1 && small[0] != CANARY);
  OK(lf_options_set_text(options, "pooling", "tokens", LF_TERMINATED));
}

static void encoder(void) {
  char* texts[3];
  lf_document_encoder* task = NULL;
  lf_options* options = NULL;
  lf_tensor *vectors = NULL, *one = NULL, *tokens = NULL, *offsets = NULL;
  const int64_t *shape = NULL, *ends = NULL;
  const void *all = NULL, *single = NULL, *data = NULL;
  int32_t width = 0, longest = 0;
  int calls = 0, warnings = 0, i;
  OK(lf_document_encoder_load(path(models, "encoder"), NULL, &task));
  OK(lf_document_encoder_hidden_size(task, &width));
  OK(lf_task_max_tokens(task, &longest));
  CHECK(width == 64 && longest == 512);
  for (i = 0; i < 3; i++) texts[i] = make_text(10 + 40 * i, (unsigned)i);
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "normalize", 1));
  OK(lf_options_set_int(options, "tokens_per_batch", 64));
  OK(lf_options_set_progress(options, count_calls, &calls));
  OK(lf_document_encoder_encode(task, (const char* const*)texts, NULL, 3, options, &vectors, &offsets));
  CHECK(calls == 3);
  OK(lf_tensor_shape(vectors, &shape));
  CHECK(shape[0] == 3 && shape[1] == width);
  OK(lf_tensor_data(vectors, &all));
  for (i = 0; i < 3; i++) {
    double length = 0;
    int j;
    OK(lf_document_encoder_encode(task, (const char* const*)&texts[i], NULL, 1, options, &one, NULL));
    OK(lf_tensor_data(one, &single));
    CHECK(memcmp(single, (const float*)all + i * width, (size_t)width * sizeof(float)) == 0); /* a batch is its documents */
    for (j = 0; j < width; j++) length += (double)((const float*)single)[j] * ((const float*)single)[j];
    CHECK(fabs(length - 1) < 1e-5);
    OK(lf_tensor_free(one));
  }
  OK(lf_tensor_free(offsets));
  OK(lf_options_set_text(options, "pooling", "tokens", LF_TERMINATED));
  OK(lf_document_encoder_encode(task, (const char* const*)texts, NULL, 3, options, &tokens, &offsets));
  OK(lf_tensor_shape(tokens, &shape));
  OK(lf_tensor_data(offsets, &data));
  ends = (const int64_t*)data;
  CHECK(ends[0] == 0 && ends[1] > 10 && ends[2] > ends[1] && ends[3] == shape[0] && shape[1] == width);
  into_memory(task, texts, options, vectors, tokens, offsets);
  OK(lf_tensor_free(vectors));
  OK(lf_tensor_free(tokens));
  OK(lf_tensor_free(offsets));
  free(texts[0]);
  texts[0] = make_text(2000, 5);
  REFUSED(LF_INVALID_INPUT, "512", lf_document_encoder_encode(task, (const char* const*)texts, NULL, 1, NULL, &one, NULL));
  OK(lf_set_log(log_line, &warnings, LF_LOG_WARNING));
  OK(lf_options_set_int(options, "truncate", 1));
  OK(lf_document_encoder_encode(task, (const char* const*)texts, NULL, 1, options, &one, NULL));
  OK(lf_set_log(NULL, NULL, LF_LOG_NONE));
  CHECK(warnings == 1);
  OK(lf_tensor_free(one));
  OK(lf_document_encoder_encode(task, NULL, NULL, 0, NULL, &one, NULL)); /* no documents, no vectors */
  OK(lf_tensor_shape(one, &shape));
  CHECK(shape[0] == 0 && shape[1] == width);
  OK(lf_tensor_free(one));
  OK(lf_options_free(options));
  OK(lf_document_encoder_free(task));
  for (i = 0; i < 3; i++) free(texts[i]);
}

static void answers(void) {
  lf_question_answerer* task = NULL;
  lf_options* options = NULL;
  lf_answer* answer = NULL;
  const char* text = NULL;
  double score = 0, before = 2;
  size_t count = 0, length = 0, i;
  OK(lf_question_answerer_load(path(models, "question_answering"), NULL, &task));
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "top", 5));
  OK(lf_question_answerer_answer(task, "When did it open?", LF_TERMINATED, document, sizeof document - 1, options, &answer));
  OK(lf_question_answerer_free(task)); /* answers do not need it */
  OK(lf_answer_count(answer, &count));
  CHECK(count == 5);
  for (i = 0; i < count; i++) {
    OK(lf_answer_text(answer, i, &text, &length));
    CHECK(strlen(text) == length);
    check_range(answer, i, document, text);
    OK(lf_answer_score(answer, i, &score));
    CHECK(score > 0 && score <= before);
    before = score;
    check_item(answer, i);
  }
  REFUSED(LF_INVALID_ARGUMENT, "expected 0..4, given 5", lf_answer_text(answer, 5, &text, NULL));
  REFUSED(LF_NOT_FOUND, "no label", lf_answer_label(answer, 0, &text, NULL));
  OK(lf_answer_free(answer));
  REFUSED(LF_INVALID_ARGUMENT, "was freed", lf_answer_count(answer, &count));
  OK(lf_options_free(options));
}

static void classes(void) {
  const char* documents[2] = {document, "Another one."};
  const char *label = NULL, *text = NULL, *choices[3] = {"A first choice", "a second", "the third"};
  lf_text_classifier* classifier = NULL;
  lf_token_classifier* tagger = NULL;
  lf_multiple_choice* chooser = NULL;
  lf_answer* answer = NULL;
  lf_options* options = NULL;
  size_t count = 0, i;
  double score = 0, sum = 0;
  int64_t group = -1, id = -1, seen = 0;
  OK(lf_text_classifier_load(path(models, "sequence_classification"), NULL, &classifier));
  OK(lf_text_classifier_classify(classifier, documents, NULL, 2, NULL, &answer));
  OK(lf_answer_count(answer, &count));
  CHECK(count == 6); /* three labels each */
  for (i = 0; i < count; i++) {
    OK(lf_answer_group(answer, i, &group));
    OK(lf_answer_score(answer, i, &score));
    OK(lf_answer_label(answer, i, &label, NULL));
    CHECK(group == (int64_t)(i / 3) && strlen(label) > 0);
    sum += score;
  }
  CHECK(fabs(sum - 2) < 1e-4);
  OK(lf_answer_free(answer));
  OK(lf_text_classifier_free(classifier));

  OK(lf_token_classifier_load(path(models, "token_classification"), NULL, &tagger));
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "aggregation", "none", LF_TERMINATED));
  OK(lf_token_classifier_tag(tagger, document, LF_TERMINATED, options, &answer));
  OK(lf_answer_count(answer, &count));
  CHECK(count > 10);
  for (i = 0; i < count; i++) {
    OK(lf_answer_text(answer, i, &text, NULL));
    check_range(answer, i, document, text);
  }
  OK(lf_answer_free(answer));
  OK(lf_options_free(options));
  OK(lf_token_classifier_free(tagger));

  OK(lf_multiple_choice_load(path(models, "multiple_choice"), NULL, &chooser));
  OK(lf_multiple_choice_choose(chooser, document, LF_TERMINATED, "Which?", LF_TERMINATED, choices, NULL, 3, NULL, &answer));
  sum = 0;
  for (i = 0; i < 3; i++) {
    OK(lf_answer_id(answer, i, &id));
    OK(lf_answer_text(answer, i, &text, NULL));
    OK(lf_answer_score(answer, i, &score));
    CHECK(id >= 0 && id < 3 && strcmp(text, choices[id]) == 0);
    seen |= INT64_C(1) << id;
    sum += score;
  }
  CHECK(seen == 7 && fabs(sum - 1) < 1e-5);
  OK(lf_answer_free(answer));
  REFUSED(LF_INVALID_INPUT, "at least 2", lf_multiple_choice_choose(chooser, document, LF_TERMINATED, NULL, 0, choices, NULL, 1, NULL, &answer));
  OK(lf_multiple_choice_free(chooser));
}

static void masks(void) {
  lf_mask_filler* filler = NULL;
  lf_options* options = NULL;
  lf_answer* answer = NULL;
  const char *mask = NULL, *text = NULL;
  char source[128];
  size_t count = 0, i;
  int64_t group = -1, id = -1;
  OK(lf_mask_filler_load(path(models, "masked_lm"), NULL, &filler));
  OK(lf_mask_filler_mask_text(filler, &mask));
  snprintf(source, sizeof source, "Caf\xc3\xa9 %s and %s.", mask, mask);
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "top", 4));
  OK(lf_mask_filler_fill(filler, source, LF_TERMINATED, options, &answer));
  OK(lf_answer_count(answer, &count));
  CHECK(count == 8);
  for (i = 0; i < count; i++) {
    OK(lf_answer_group(answer, i, &group));
    OK(lf_answer_id(answer, i, &id));
    OK(lf_answer_text(answer, i, &text, NULL));
    CHECK(group == (int64_t)(i / 4) && id >= 0);
    check_range(answer, i, source, mask);
  }
  OK(lf_answer_free(answer));
  OK(lf_options_free(options));
  OK(lf_mask_filler_free(filler));
}

static void coreference(void) {
  lf_coreference_resolver* resolver = NULL;
  lf_answer* answer = NULL;
  lf_options* options = NULL;
  const char* source = "Caf\xc3\xa9 Ada sang. She smiled. Then she sang with him, and he smiled.";
  size_t count = 0, i;
  int64_t group = -1, last = -1;
  OK(lf_coreference_resolver_load(path(models, "coreference"), NULL, &resolver));
  OK(lf_coreference_resolver_resolve(resolver, source, LF_TERMINATED, NULL, &answer));
  OK(lf_answer_count(answer, &count));
  for (i = 0; i < count; i++) {
    const char* text = NULL;
    OK(lf_answer_group(answer, i, &group));
    OK(lf_answer_text(answer, i, &text, NULL));
    CHECK(group == last || group == last + 1);
    last = group;
    check_range(answer, i, source, text);
  }
  CHECK(count == 0 || count >= 2 * (size_t)(last + 1));
  OK(lf_answer_free(answer));
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "genre", "xx", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "genre: expected one of", lf_coreference_resolver_resolve(resolver, source, LF_TERMINATED, options, &answer));
  OK(lf_options_free(options));
  REFUSED(LF_INVALID_INPUT, "at least one word", lf_coreference_resolver_resolve(resolver, " ", LF_TERMINATED, NULL, &answer));
  OK(lf_coreference_resolver_free(resolver));
}

static void spans(void) {
  static const int64_t given[] = {0, 3, 6, 12}, outside[] = {0, 99};
  lf_span_classifier* classifier = NULL;
  lf_answer* answer = NULL;
  const char* text = NULL;
  const char* source = "Caf\xc3\xa9 Ada Lovelace.";
  double score = 0, sum = 0;
  size_t count = 0, i;
  int64_t group = -1, index = 0, start = 0, end = 0;
  const char *argument = NULL, *expected = NULL, *got = NULL;
  OK(lf_span_classifier_load(path(models, "span_classification"), NULL, &classifier));
  OK(lf_span_classifier_classify(classifier, source, LF_TERMINATED, given, 2, LF_OFFSETS_BYTES, NULL, &answer));
  OK(lf_answer_count(answer, &count));
  CHECK(count == 4);
  for (i = 0; i < count; i++) {
    OK(lf_answer_group(answer, i, &group));
    OK(lf_answer_score(answer, i, &score));
    OK(lf_answer_range(answer, i, LF_OFFSETS_BYTES, &start, &end));
    OK(lf_answer_text(answer, i, &text, NULL));
    CHECK(group == (int64_t)(i / 2) && start == given[2 * group] && end == given[2 * group + 1]);
    CHECK(strcmp(text, group == 0 ? "Caf" : "Ada Lo") == 0);
    sum += score;
  }
  CHECK(fabs(sum - 2) < 1e-5);
  OK(lf_answer_free(answer));
  REFUSED(LF_INVALID_INPUT, "spans", lf_span_classifier_classify(classifier, source, LF_TERMINATED, outside, 1, LF_OFFSETS_BYTES, NULL, &answer));
  REFUSED(LF_INVALID_INPUT, "at least one", lf_span_classifier_classify(classifier, source, LF_TERMINATED, NULL, 0, LF_OFFSETS_BYTES, NULL, &answer));
  /* The parts of the message. */
  OK(lf_last_error_fields(&argument, &index, &expected, &got));
  CHECK(strcmp(argument, "spans") == 0 && index == -1 && strcmp(expected, "at least one") == 0 && strcmp(got, "none") == 0);
  REFUSED(LF_INVALID_ARGUMENT, "expected an lf_mask_filler, given an lf_span_classifier",
          lf_mask_filler_fill(classifier, source, LF_TERMINATED, NULL, &answer));
  OK(lf_last_error_fields(&argument, &index, NULL, NULL));
  CHECK(argument == NULL && index == -1);
  OK(lf_span_classifier_free(classifier));
}

struct stream {
  char text[4096];
  size_t length;
  int32_t tokens[256];
  int count, stop_after;
};

static int32_t take_text(void* context, const char* text, size_t length) {
  struct stream* stream = (struct stream*)context;
  CHECK(strlen(text) == length && stream->length + length < sizeof stream->text);
  memcpy(stream->text + stream->length, text, length + 1);
  stream->length += length;
  return 0;
}

static int32_t take_token(void* context, int64_t which, int32_t sequence, int32_t position, int32_t token) {
  struct stream* stream = (struct stream*)context;
  CHECK(which == 0 && sequence == 0 && position > 0);
  if (stream->count < 256) stream->tokens[stream->count++] = token;
  return stream->stop_after > 0 && stream->count >= stream->stop_after;
}

static struct sequence {
  int32_t tokens[64];
  size_t count;
} generated(const lf_summarizer* task, const lf_options* options) {
  struct sequence result;
  const char* text = document;
  lf_answer* answer = NULL;
  const int32_t* tokens = NULL;
  memset(&result, 0, sizeof result);
  OK(lf_summarizer_summarize(task, &text, NULL, 1, options, &answer));
  OK(lf_answer_tokens(answer, 0, &tokens, &result.count));
  CHECK(result.count <= 64);
  memcpy(result.tokens, tokens, result.count * sizeof *tokens);
  OK(lf_answer_free(answer));
  return result;
}

/* Each option by its own name does what the key of generation_config.json does, and changes something; a key that is not built is refused. */
static void generation_by_name(const lf_summarizer* task) {
  static const struct {
    const char *name, *text, *json, *extra; /* extra: what both have besides */
    double value;
  } same[] = {
      {"encoder_no_repeat_ngram", NULL, "{\"encoder_no_repeat_ngram_size\": 1}", NULL, 1},
      {"encoder_repetition_penalty", NULL, "{\"encoder_repetition_penalty\": 50.0}", NULL, 50},
      {"repetition_penalty", NULL, "{\"repetition_penalty\": 3.0}", NULL, 3},
      {"min_p", NULL, "{\"min_p\": 1.0, \"do_sample\": true, \"temperature\": 50.0}", "{\"do_sample\": true, \"temperature\": 50.0}", 1},
      {"typical_p", NULL, "{\"typical_p\": 0.05, \"do_sample\": true, \"temperature\": 50.0}", "{\"do_sample\": true, \"temperature\": 50.0}", 0.05},
      {"top_h", NULL, "{\"top_h\": 0.1, \"do_sample\": true, \"temperature\": 5.0}", "{\"do_sample\": true, \"temperature\": 5.0}", 0.1},
      {"max_time", NULL, "{\"max_time\": 0.0}", NULL, 0},
      {"rerank", NULL, "{\"rerank\": 50.0, \"num_beams\": 16}", "{\"num_beams\": 16}", 50},
  };
  static const char* const refused[] = {
      "{\"guidance_scale\": 1.5}", "{\"force_words_ids\": [[5]]}", "{\"num_beams\": 4, \"num_beam_groups\": 2}", "{\"dola_layers\": \"low\"}",
      "{\"penalty_alpha\": 0.5, \"top_k\": 4}",
  };
  static const char* const names[] = {"guidance_scale", "force_words_ids", "num_beam_groups", "dola_layers", "penalty_alpha"};
  const char* text = document;
  lf_options* options = NULL;
  lf_answer* answer = NULL;
  struct sequence own, by_json, plain;
  size_t i;
  for (i = 0; i < sizeof same / sizeof *same; i++) {
    OK(lf_options_create(&options));
    OK(lf_options_set_int(options, "max_tokens", 12));
    if (same[i].extra) OK(lf_options_set_text(options, "generation_config", same[i].extra, LF_TERMINATED));
    plain = generated(task, options);
    OK(lf_options_set_float(options, same[i].name, same[i].value));
    if (strcmp(same[i].name, "encoder_no_repeat_ngram") == 0) OK(lf_options_set_int(options, same[i].name, (int64_t)same[i].value));
    own = generated(task, options);
    OK(lf_options_free(options));
    OK(lf_options_create(&options));
    OK(lf_options_set_int(options, "max_tokens", 12));
    OK(lf_options_set_text(options, "generation_config", same[i].json, LF_TERMINATED));
    by_json = generated(task, options);
    OK(lf_options_free(options));
    CHECK(memcmp(&own, &by_json, sizeof own) == 0);
    /* A model of random weights does not repeat its document, nor has it words to choose by. */
    if (memcmp(&own, &plain, sizeof own) == 0 && strcmp(same[i].name, "encoder_no_repeat_ngram") != 0 && strcmp(same[i].name, "rerank") != 0) {
      fprintf(stderr, "%s changes nothing\n", same[i].name);
      CHECK(0);
    }
  }
  for (i = 0; i < sizeof refused / sizeof *refused; i++) {
    OK(lf_options_create(&options));
    OK(lf_options_set_text(options, "generation_config", refused[i], LF_TERMINATED));
    REFUSED(LF_INVALID_INPUT, names[i], lf_summarizer_summarize(task, &text, NULL, 1, options, &answer));
    OK(lf_options_free(options));
  }
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "guidance", 2));
  REFUSED(LF_INVALID_ARGUMENT, "guidance", lf_summarizer_summarize(task, &text, NULL, 1, options, &answer));
  OK(lf_options_free(options));
}

static void summaries(void) {
  static struct stream stream;
  const char *documents[2] = {document, "Another one."}, *text = NULL;
  lf_summarizer* task = NULL;
  lf_options* options = NULL;
  lf_answer* answer = NULL;
  const int32_t* tokens = NULL;
  const float* scores = NULL;
  size_t count = 0, n = 0, prompt = 0, length = 0, i;
  int64_t group = -1;
  int calls = 0;
  OK(lf_summarizer_load(path(models, "led"), NULL, &task));
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "max_tokens", 20));
  OK(lf_options_set_int(options, "min_tokens", 8));
  OK(lf_options_set_int(options, "no_repeat_ngram", 2));
  OK(lf_options_set_on_text(options, take_text, &stream));
  OK(lf_options_set_on_token(options, take_token, &stream));
  OK(lf_options_set_progress(options, count_calls, &calls));
  OK(lf_summarizer_summarize(task, documents, NULL, 1, options, &answer));
  OK(lf_answer_text(answer, 0, &text, &length));
  CHECK(strcmp(text, stream.text) == 0 && length == stream.length && calls > 0);
  OK(lf_answer_tokens(answer, 0, &tokens, &n));
  OK(lf_answer_prompt_length(answer, 0, &prompt));
  OK(lf_answer_token_scores(answer, 0, &scores, &count));
  CHECK(n - prompt == (size_t)stream.count && count == (size_t)stream.count && stream.count >= 8 && scores[0] <= 0);
  for (i = 0; i < (size_t)stream.count; i++) CHECK(tokens[prompt + i] == stream.tokens[i]);
  OK(lf_answer_free(answer));
  memset(&stream, 0, sizeof stream);
  stream.stop_after = 3;
  REFUSED(LF_CANCELLED, "asked to stop", lf_summarizer_summarize(task, documents, NULL, 1, options, &answer));
  CHECK(stream.count == 3);
  REFUSED(LF_INVALID_INPUT, "on_text", lf_summarizer_summarize(task, documents, NULL, 2, options, &answer));
  OK(lf_options_free(options));

  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "generation_config", "{\"num_beams\": 3, \"max_new_tokens\": 6, \"num_return_sequences\": 2}", LF_TERMINATED));
  OK(lf_options_set_int(options, "max_tokens", 5)); /* wins over the object */
  OK(lf_summarizer_summarize(task, documents, NULL, 2, options, &answer));
  OK(lf_answer_count(answer, &count));
  CHECK(count == 4);
  for (i = 0; i < count; i++) {
    OK(lf_answer_group(answer, i, &group));
    OK(lf_answer_tokens(answer, i, &tokens, &n));
    CHECK(group == (int64_t)(i / 2) && n <= 6);
  }
  OK(lf_answer_free(answer));
  generation_by_name(task);
  OK(lf_options_set_text(options, "early_stopping", "maybe", LF_TERMINATED));
  REFUSED(LF_INVALID_INPUT, "early_stopping: expected false, true, never", lf_summarizer_summarize(task, documents, NULL, 2, options, &answer));
  OK(lf_options_free(options));
  OK(lf_summarizer_free(task));
}

static void conversion(const char* work) {
  const char* output = path(work, "converted");
  lf_options* options = NULL;
  lf_answer* report = NULL;
  lf_model* model = NULL;
  const char* label = NULL;
  size_t count = 0;
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "to", "safetensors", LF_TERMINATED));
  OK(lf_options_set_int(options, "overwrite", 1));
  OK(lf_convert(path(models, "encoder"), output, options, &report));
  OK(lf_answer_count(report, &count));
  CHECK(count > 1);
  OK(lf_answer_label(report, count - 1, &label, NULL));
  CHECK(strcmp(label, "file") == 0);
  OK(lf_answer_free(report));
  OK(lf_options_free(options));
  REFUSED(LF_CHECKPOINT, output, lf_convert(path(models, "encoder"), output, NULL, NULL)); /* it is there already */
  OK(lf_model_load(output, NULL, &model));
  OK(lf_model_free(model));
}

static int32_t at_the_second_time(void* context) { return ++*(int*)context >= 2; }

/* One pass of a model stops between two of its layers: there is no batch and no token in between where it could be asked. */
static void stopping(void) {
  const int64_t shape[2] = {64, 512};
  const char* name = "input_ids";
  int64_t* ids = (int64_t*)malloc((size_t)(shape[0] * shape[1]) * sizeof *ids);
  lf_model* model = NULL;
  lf_options* options = NULL;
  lf_tensor* input = NULL;
  lf_tensors* outputs = NULL;
  int64_t i;
  int asked = 0, reported = 0;
  for (i = 0; i < shape[0] * shape[1]; i++) ids[i] = 5 + i % 1000;
  OK(lf_model_load(path(models, "encoder"), NULL, &model));
  OK(lf_tensor_from_memory(ids, LF_INT64, shape, NULL, 2, NULL, NULL, NULL, &input));
  OK(lf_options_create(&options));
  OK(lf_options_set_cancel(options, at_the_second_time, &asked));
  REFUSED(LF_CANCELLED, "asked to stop", lf_model_run(model, &name, (const lf_tensor* const*)&input, 1, options, &outputs));
  CHECK(asked == 2 && outputs == NULL);
  /* With an interval not at the start, and not before it has passed. */
  asked = 1;
  OK(lf_options_set_cancel_interval(options, 1));
  REFUSED(LF_CANCELLED, "asked to stop", lf_model_run(model, &name, (const lf_tensor* const*)&input, 1, options, &outputs));
  CHECK(asked == 2 && outputs == NULL);
  asked = 1;
  OK(lf_options_set_cancel_interval(options, 3600000));
  OK(lf_model_run(model, &name, (const lf_tensor* const*)&input, 1, options, &outputs));
  CHECK(asked == 1);
  OK(lf_tensors_free(outputs));
  OK(lf_options_set_progress(options, count_calls, &reported));
  REFUSED(LF_INVALID_ARGUMENT, "takes no progress", lf_model_run(model, &name, (const lf_tensor* const*)&input, 1, options, &outputs));
  OK(lf_options_free(options));
  OK(lf_tensor_free(input));
  OK(lf_model_free(model));
  free(ids);
}

/* The properties of tasks, and their tokenizers, which outlive them. */
#define TOKENS_AND_TOKENIZER(kind, handle)                           \
  do {                                                               \
    lf_tokenizer* tokenizer_ = NULL;                                 \
    int32_t tokens_ = 0, size_ = 0;                                  \
    OK(lf_task_max_tokens(handle, &tokens_));                        \
    CHECK(tokens_ == 512 || tokens_ == 1024);                        \
    OK(lf_task_tokenizer(handle, &tokenizer_));                      \
    OK(lf_##kind##_free(handle));                                    \
    OK(lf_tokenizer_vocabulary_size(tokenizer_, &size_));            \
    CHECK(size_ > 50000);                                            \
    OK(lf_tokenizer_free(tokenizer_));                               \
  } while (0)

static void properties(void) {
  static const char* const classes[] = {"a", "b", "c"};
  static const char* const tags[] = {"O", "B-PER", "I-PER"};
  lf_question_answerer* answerer = NULL;
  lf_text_classifier* classifier = NULL;
  lf_token_classifier* tagger = NULL;
  lf_multiple_choice* chooser = NULL;
  lf_mask_filler* filler = NULL;
  lf_summarizer* summarizer = NULL;
  const char *label = NULL, *type = NULL;
  size_t count = 0, i;
  OK(lf_question_answerer_load(path(models, "question_answering"), NULL, &answerer));
  TOKENS_AND_TOKENIZER(question_answerer, answerer);
  OK(lf_text_classifier_load(path(models, "sequence_classification"), NULL, &classifier));
  OK(lf_task_label_count(classifier, &count));
  CHECK(count == 3);
  for (i = 0; i < 3; i++) {
    OK(lf_task_label(classifier, i, &label));
    CHECK(strcmp(label, classes[i]) == 0);
  }
  REFUSED(LF_INVALID_ARGUMENT, "index", lf_task_label(classifier, 3, &label));
  OK(lf_text_classifier_problem_type(classifier, &type));
  CHECK(strcmp(type, "single_label_classification") == 0);
  TOKENS_AND_TOKENIZER(text_classifier, classifier);
  OK(lf_token_classifier_load(path(models, "token_classification"), NULL, &tagger));
  OK(lf_task_label_count(tagger, &count));
  CHECK(count == 3);
  for (i = 0; i < 3; i++) {
    OK(lf_task_label(tagger, i, &label));
    CHECK(strcmp(label, tags[i]) == 0);
  }
  TOKENS_AND_TOKENIZER(token_classifier, tagger);
  OK(lf_multiple_choice_load(path(models, "multiple_choice"), NULL, &chooser));
  TOKENS_AND_TOKENIZER(multiple_choice, chooser);
  OK(lf_mask_filler_load(path(models, "masked_lm"), NULL, &filler));
  TOKENS_AND_TOKENIZER(mask_filler, filler);
  OK(lf_summarizer_load(path(models, "led"), NULL, &summarizer));
  TOKENS_AND_TOKENIZER(summarizer, summarizer);
  /* NULL: the model in the box. */
  CHECK(setenv("LONGFORMER_DEFAULT_MODEL", path(models, "absent"), 1) == 0);
  REFUSED(LF_CHECKPOINT, "LONGFORMER_DEFAULT_MODEL", lf_summarizer_load(NULL, NULL, &summarizer));
  CHECK(setenv("LONGFORMER_DEFAULT_MODEL", path(models, "led"), 1) == 0);
  OK(lf_summarizer_load(NULL, NULL, &summarizer));
  OK(lf_summarizer_free(summarizer));
  REFUSED(LF_INVALID_ARGUMENT, "folder", lf_mask_filler_load(NULL, NULL, &filler));
}

int main(int argc, char** argv) {
  int64_t handles = -1, tensors = -1;
  if (argc != 3) return 2;
  models = argv[1];
  OK(lf_check_abi());
  encoder();
  answers();
  classes();
  masks();
  spans();
  coreference();
  summaries();
  conversion(argv[2]);
  stopping();
  properties();
  OK(lf_live(&handles, &tensors));
  CHECK(handles == 0 && tensors == 0);
  return finish();
}
