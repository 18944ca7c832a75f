/* The goldens of the tokenizers, every line of every file: parity_tokenizer FOLDER... Each has a vocabulary and the .jsonl files of what Hugging
 * Face's tokenizers give. Offsets are compared in all three units: those in bytes with what the ones in code points say. */
#include "support.h"

#include "json.h"

#include <dirent.h>

#define ROOM 20000

static lf_tokenizer* tokenizer;
static const char* file;
static int line;

static void differs(const char* what) {
  fprintf(stderr, "%s line %d: %s differs\n", file, line, what);
  failures++;
}

static void compare_ints(const char* row, const char* key, const int32_t* given, size_t count) {
  static int32_t wanted[ROOM];
  const char* list = json_get(row, key);
  if (list == NULL) return;
  if (json_ints(list, wanted, ROOM) != count || memcmp(wanted, given, count * sizeof *given) != 0) differs(key);
}

/* Where a code point begins. */
static size_t byte_of(const char* text, size_t length, int32_t point) {
  size_t at = 0;
  for (; at < length; at++)
    if (((unsigned char)text[at] & 0xC0) != 0x80 && point-- == 0) return at;
  return length;
}

/* Whatever of an encoding the row holds. text and pair: of the sequences 0 and 1. */
static void compare_encoding(const lf_encoding* encoding, const char* row, char* const* texts, const size_t* lengths) {
  static const char* const kinds[] = {"ids", "type_ids", "attention_mask", "special_tokens_mask", "sequence_ids"};
  const int32_t *values = NULL, *points = NULL, *units = NULL, *bytes = NULL, *sequences = NULL, *all[6] = {NULL};
  size_t count = 0, tokens = 0, i;
  OK(lf_encoding_count(encoding, &count));
  for (i = 0; i < 5; i++) {
    OK(lf_encoding_values(encoding, kinds[i], &values));
    compare_ints(row, kinds[i], values, count);
  }
  OK(lf_encoding_ranges(encoding, LF_OFFSETS_CODE_POINTS, &points));
  OK(lf_encoding_ranges(encoding, LF_OFFSETS_UTF16, &units));
  OK(lf_encoding_ranges(encoding, LF_OFFSETS_BYTES, &bytes));
  OK(lf_encoding_values(encoding, "sequence_ids", &sequences));
  OK(lf_encoding_describe(encoding, LF_OFFSETS_CODE_POINTS, &tokens, &all[0], &all[5], &all[4], &all[1], &all[3], &all[2], NULL));
  for (i = 0; i < 5; i++) {
    OK(lf_encoding_values(encoding, kinds[i], &values));
    CHECK(all[i] == values);
  }
  CHECK(tokens == count && all[5] == points);
  compare_ints(row, "offsets", points, 2 * count);
  compare_ints(row, "offsets_utf16", units, 2 * count);
  for (i = 0; i < 2 * count; i++) {
    const int sequence = sequences[i / 2];
    if (sequence >= 0 && (size_t)bytes[i] != byte_of(texts[sequence], lengths[sequence], points[i])) {
      differs("an offset in bytes");
      return;
    }
  }
}

static int number(const char* row, const char* key) {
  int32_t value = -1;
  const char* at = json_get(row, key);
  if (at == NULL || strncmp(at, "null", 4) == 0) return -1;
  value = (int32_t)strtol(at, NULL, 10);
  return value;
}

static void check_encoding(const char* row, const char* first, const char* second, lf_options* options) {
  char* texts[2] = {NULL, NULL};
  size_t lengths[2] = {0, 0}, parts = 0, counted = 0, i;
  lf_encoding* encoding = NULL;
  const int32_t* ranges = NULL;
  const char *overflowing = json_get(row, "overflowing"), *part = NULL;
  json_text(json_get(row, first), &texts[0], &lengths[0]);
  if (json_get(row, second) != NULL) json_text(json_get(row, second), &texts[1], &lengths[1]);
  OK(lf_tokenizer_encode(tokenizer, texts[0], lengths[0], texts[1], lengths[1], options, &encoding));
  if (encoding != NULL) {
    compare_encoding(encoding, row, texts, lengths);
    OK(lf_encoding_overflow_count(encoding, &parts));
    OK(lf_encoding_describe(encoding, (lf_offsets)7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &counted));
    CHECK(counted == parts);
    REFUSED(LF_INVALID_ARGUMENT, "unit", lf_encoding_describe(encoding, (lf_offsets)7, &counted, NULL, &ranges, NULL, NULL, NULL, NULL, NULL));
    CHECK(counted == parts && ranges == NULL);
    for (i = 0; overflowing != NULL && i < parts; i++) {
      lf_encoding* rest = NULL;
      part = json_next(i == 0 ? overflowing : part, i == 0);
      if (part == NULL) break;
      OK(lf_encoding_overflow(encoding, i, &rest));
      compare_encoding(rest, part, texts, lengths);
      OK(lf_encoding_free(rest));
    }
    if (overflowing != NULL && (i != parts || json_next(parts == 0 ? overflowing : part, parts == 0) != NULL)) differs("the number of overflowing parts");
  }
  OK(lf_encoding_free(encoding));
  free(texts[0]);
  free(texts[1]);
}

static void check_truncation(const char* row) {
  lf_options* options = NULL;
  char* strategy = NULL;
  size_t length = 0;
  json_text(json_get(row, "strategy"), &strategy, &length);
  OK(lf_options_create(&options));
  OK(lf_options_set_int(options, "max_length", number(row, "max_length")));
  OK(lf_options_set_int(options, "stride", number(row, "stride")));
  OK(lf_options_set_text(options, "truncation", strategy, length));
  OK(lf_options_set_text(options, "overflow", "up_to_limit", LF_TERMINATED));
  check_encoding(row, "a", "b", options);
  OK(lf_options_free(options));
  free(strategy);
}

static void check_padding(const char* row) {
  enum { MOST = 64 };
  char *texts[MOST], *side = NULL;
  size_t lengths[MOST], length = 0, count = 0, i;
  lf_encoding* encodings[MOST];
  lf_options* options = NULL;
  const char *at = json_get(row, "texts"), *ids = json_get(row, "ids"), *masks = json_get(row, "attention_mask");
  int first = 1;
  while ((at = json_next(at, first)) != NULL && count < MOST) {
    json_text(at, &texts[count], &lengths[count]);
    count++;
    first = 0;
  }
  json_text(json_get(row, "side"), &side, &length);
  OK(lf_options_create(&options));
  OK(lf_options_set_text(options, "padding", number(row, "length") < 0 ? "longest" : "max_length", LF_TERMINATED));
  OK(lf_options_set_text(options, "padding_side", side, length));
  if (number(row, "length") >= 0) OK(lf_options_set_int(options, "max_length", number(row, "length")));
  if (number(row, "pad_to_multiple_of") >= 0) OK(lf_options_set_int(options, "pad_to_multiple_of", number(row, "pad_to_multiple_of")));
  OK(lf_tokenizer_encode_batch(tokenizer, (const char* const*)texts, lengths, NULL, NULL, count, options, encodings));
  for (i = 0; i < count; i++) {
    static int32_t wanted[ROOM];
    const int32_t* values = NULL;
    size_t n = 0;
    ids = json_next(ids, i == 0);
    masks = json_next(masks, i == 0);
    OK(lf_encoding_count(encodings[i], &n));
    OK(lf_encoding_values(encodings[i], "ids", &values));
    if (json_ints(ids, wanted, ROOM) != n || memcmp(wanted, values, n * sizeof *values) != 0) differs("ids");
    OK(lf_encoding_values(encodings[i], "attention_mask", &values));
    if (json_ints(masks, wanted, ROOM) != n || memcmp(wanted, values, n * sizeof *values) != 0) differs("attention_mask");
    OK(lf_encoding_free(encodings[i]));
    free(texts[i]);
  }
  OK(lf_options_free(options));
  free(side);
}

static void check_decode(const char* row) {
  static int32_t ids[ROOM];
  static const char* const keys[] = {"text", "text_skip_special"};
  const size_t count = json_ints(json_get(row, "ids"), ids, ROOM);
  int skip;
  for (skip = 0; skip < 2; skip++) {
    char *given = NULL, *wanted = NULL;
    size_t length = 0, wanted_length = 0;
    json_text(json_get(row, keys[skip]), &wanted, &wanted_length);
    OK(lf_tokenizer_decode(tokenizer, ids, count, skip, &given, &length));
    if (given == NULL || length != wanted_length || memcmp(given, wanted, length) != 0) differs(keys[skip]);
    OK(lf_text_free(given));
    free(wanted);
  }
}

static void check_row(const char* name, const char* row) {
  if (strcmp(name, "decode.jsonl") == 0) {
    check_decode(row);
  } else if (strcmp(name, "pairs.jsonl") == 0) {
    check_encoding(row, "a", "b", NULL);
  } else if (strcmp(name, "truncation.jsonl") == 0) {
    check_truncation(row);
  } else if (strcmp(name, "padding.jsonl") == 0) {
    check_padding(row);
  } else {
    lf_options* options = NULL;
    OK(lf_options_create(&options));
    if (strcmp(name, "encode_prefix_space.jsonl") == 0) OK(lf_options_set_int(options, "add_prefix_space", 1));
    check_encoding(row, "text", "pair", options);
    OK(lf_options_free(options));
  }
}

static int run_file(const char* folder, const char* name) {
  char *text, *at, *end;
  const int before = failures;
  int64_t handles = -1;
  file = path(folder, name);
  text = read_file(file, NULL);
  CHECK(text != NULL);
  line = 0;
  for (at = text; at != NULL && *at != 0; at = end == NULL ? NULL : end + 1) {
    end = strchr(at, '\n');
    if (end != NULL) *end = 0;
    line++;
    if (*at != 0) check_row(name, at);
  }
  free(text);
  OK(lf_live(&handles, NULL));
  CHECK(handles == 1); /* the tokenizer */
  printf("%s: %d lines %s\n", file, line, failures == before ? "equal" : "FAIL");
  return line;
}

int main(int argc, char** argv) {
  int lines = 0, f;
  OK(lf_check_abi());
  for (f = 1; f < argc; f++) {
    DIR* entries = opendir(argv[f]);
    struct dirent* entry;
    CHECK(entries != NULL);
    OK(lf_tokenizer_load(argv[f], &tokenizer));
    while (entries != NULL && (entry = readdir(entries)) != NULL)
      if (strstr(entry->d_name, ".jsonl") != NULL) lines += run_file(argv[f], entry->d_name);
    if (entries != NULL) closedir(entries);
    OK(lf_tokenizer_free(tokenizer));
  }
  printf("%d lines\n", lines);
  CHECK(lines > 1000);
  return finish();
}
