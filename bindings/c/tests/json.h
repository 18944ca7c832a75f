/* Enough JSON for the golden files: a line is walked with a cursor, and malformed JSON ends the program. */
#ifndef JSON_H
#define JSON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void json_fail(const char* at) {
  fprintf(stderr, "malformed JSON at: %.40s\n", at);
  exit(3);
}

static const char* json_space(const char* at) { return at + strspn(at, " \t\r\n"); }

static const char* json_expect(const char* at, char character) {
  at = json_space(at);
  if (*at != character) json_fail(at);
  return at + 1;
}

static size_t json_utf8(uint32_t point, char* out) {
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  if (point < 0x800) {
    out[0] = (char)(0xC0 | point >> 6);
    out[1] = (char)(0x80 | (point & 0x3F));
    return 2;
  }
  if (point < 0x10000) {
    out[0] = (char)(0xE0 | point >> 12);
    out[1] = (char)(0x80 | (point >> 6 & 0x3F));
    out[2] = (char)(0x80 | (point & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | point >> 18);
  out[1] = (char)(0x80 | (point >> 12 & 0x3F));
  out[2] = (char)(0x80 | (point >> 6 & 0x3F));
  out[3] = (char)(0x80 | (point & 0x3F));
  return 4;
}

static uint32_t json_hex(const char* at) {
  char digits[5] = {0};
  memcpy(digits, at, 4);
  return (uint32_t)strtoul(digits, NULL, 16);
}

/* A string as UTF-8, with its length, since it may hold zero bytes; the caller frees it. null gives NULL. */
static const char* json_text(const char* at, char** text, size_t* length) {
  size_t n = 0;
  char* out;
  at = json_space(at);
  *text = NULL;
  *length = 0;
  if (strncmp(at, "null", 4) == 0) return at + 4;
  at = json_expect(at, '"');
  out = (char*)malloc(strlen(at) + 1);
  while (*at != '"') {
    uint32_t point;
    if (*at == 0) json_fail(at);
    if (*at != '\\') {
      out[n++] = *at++;
      continue;
    }
    at += 2;
    switch (at[-1]) {
      case 'n': out[n++] = '\n'; break;
      case 't': out[n++] = '\t'; break;
      case 'r': out[n++] = '\r'; break;
      case 'b': out[n++] = '\b'; break;
      case 'f': out[n++] = '\f'; break;
      case 'u':
        point = json_hex(at);
        at += 4;
        if (point >= 0xD800 && point < 0xDC00 && at[0] == '\\' && at[1] == 'u') {
          point = 0x10000 + ((point - 0xD800) << 10) + (json_hex(at + 2) - 0xDC00);
          at += 6;
        }
        n += json_utf8(point, out + n);
        break;
      default: out[n++] = at[-1];
    }
  }
  out[n] = 0;
  *text = out;
  *length = n;
  return at + 1;
}

/* Behind a value of any kind. */
static const char* json_skip(const char* at) {
  char* text;
  size_t length;
  at = json_space(at);
  if (*at == '"') {
    at = json_text(at, &text, &length);
    free(text);
    return at;
  }
  if (*at != '[' && *at != '{') return at + strcspn(at, ",]} \n");
  for (at = json_space(at + 1); *at != ']' && *at != '}'; at = json_space(at)) {
    if (*at == 0) json_fail(at);
    at = *at == ',' || *at == ':' ? at + 1 : json_skip(at);
  }
  return at + 1;
}

/* The value of a key of the object at a place; NULL if it has none. */
static const char* json_get(const char* object, const char* key) {
  const char* at = json_space(json_expect(object, '{'));
  while (*at != '}') {
    char* name;
    size_t length;
    int found;
    at = json_expect(json_text(at, &name, &length), ':');
    found = name != NULL && strcmp(name, key) == 0;
    free(name);
    if (found) return json_space(at);
    at = json_space(json_skip(at));
    if (*at == ',') at = json_space(at + 1);
  }
  return NULL;
}

/* All whole numbers of a list, those of lists inside it too, one after the other; null counts as -1. How many. */
static size_t json_ints(const char* list, int32_t* values, size_t room) {
  const char* end = json_skip(list);
  size_t count = 0;
  for (; list < end; list++) {
    char* behind;
    if (strncmp(list, "null", 4) == 0) {
      if (count == room) json_fail(list);
      values[count++] = -1;
      list += 3;
      continue;
    }
    if ((*list < '0' || *list > '9') && *list != '-') continue;
    if (count == room) json_fail(list);
    values[count++] = (int32_t)strtol(list, &behind, 10);
    list = behind - 1;
  }
  return count;
}

/* The next element of a list: at is the list first, then what this gave; NULL behind the last. */
static const char* json_next(const char* at, int first) {
  at = json_space(first ? json_expect(at, '[') : json_skip(at));
  if (*at == ',') at = json_space(at + 1);
  return *at == ']' ? NULL : at;
}

#endif
