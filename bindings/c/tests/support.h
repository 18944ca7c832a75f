/* Shared by the C tests. A test program prints every failed check and ends with 1 if there was one. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <longformer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
      failures++;                                                         \
    }                                                                     \
  } while (0)

/* A call that must succeed. */
#define OK(call)                                                                              \
  do {                                                                                        \
    lf_status status_ = (call);                                                               \
    if (status_ != LF_OK) {                                                                   \
      fprintf(stderr, "%s:%d: %s: status %d: %s\n", __FILE__, __LINE__, #call, (int)status_, lf_last_error()); \
      failures++;                                                                             \
    }                                                                                         \
  } while (0)

/* A call that must fail with a status and a message that holds some words. */
#define REFUSED(expected, words, call)                                                        \
  do {                                                                                        \
    lf_status status_ = (call);                                                               \
    if (status_ != (expected) || strstr(lf_last_error(), words) == NULL) {                    \
      fprintf(stderr, "%s:%d: %s: expected status %d with \"%s\", given %d: %s\n", __FILE__, __LINE__, #call, (int)(expected), words, \
              (int)status_, lf_last_error());                                                 \
      failures++;                                                                             \
    }                                                                                         \
  } while (0)

static inline int finish(void) {
  if (failures != 0) fprintf(stderr, "%d checks failed\n", failures);
  return failures != 0;
}

/* dir/file in one of a few static buffers. */
static inline const char* path(const char* dir, const char* file) {
  static char buffers[8][2300];
  static int next = 0;
  char* buffer = buffers[next = (next + 1) % 8];
  snprintf(buffer, sizeof buffers[0], "%s/%s", dir, file);
  return buffer;
}

/* A whole file with a zero behind it; NULL if it cannot be read. The caller frees it. */
static inline char* read_file(const char* name, size_t* length) {
  FILE* file = fopen(name, "rb");
  char* text = NULL;
  long size;
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  size = ftell(file);
  rewind(file);
  text = (char*)malloc((size_t)size + 1);
  if (text != NULL && fread(text, 1, (size_t)size, file) != (size_t)size) {
    free(text);
    text = NULL;
  }
  fclose(file);
  if (text != NULL) text[size] = 0;
  if (length != NULL) *length = (size_t)size;
  return text;
}

static inline int access_file(const char* name) {
  FILE* file = fopen(name, "rb");
  if (file != NULL) fclose(file);
  return file != NULL;
}

/* A text of about that many words, the same every time. */
static inline char* make_text(int words, unsigned seed) {
  static const char* const vocabulary[] = {"attention", "the", "long", "document", "window", "caf\xc3\xa9", "model", "of", "\xe6\x96\x87", "is", "\xf0\x9f\x98\x80", "read"};
  char* text = (char*)malloc((size_t)words * 16 + 1);
  size_t at = 0;
  int i;
  for (i = 0; i < words; i++) {
    seed = seed * 1103515245u + 12345u;
    at += (size_t)sprintf(text + at, "%s%s", i == 0 ? "" : " ", vocabulary[(seed >> 16) % 12]);
  }
  return text;
}

#endif
