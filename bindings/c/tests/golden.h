/* Shared by the tests over the goldens: the case at hand, its tolerances, and the comparison of a tensor. Same tolerance as `longformer parity`:
 * |value - expected| <= atol + rtol |expected|, atol from case.json. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "support.h"

#include <dirent.h>
#include <math.h>

static const char* folder;
static char* description; /* case.json */

/* The number behind "key": after a place in case.json; missing if it is not within the object there. */
static double number_after(const char* place, const char* key, double missing) {
  char quoted[128];
  const char* found;
  const char* end = place == NULL ? NULL : strchr(place, '}');
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  found = place == NULL ? NULL : strstr(place, quoted);
  return found == NULL || (end != NULL && found > end) ? missing : strtod(found + strlen(quoted), NULL);
}

static double tolerance_of(const char* tensor) {
  char quoted[256];
  const char* expected = strstr(description, "\"expected\": {");
  const char* tolerance = strstr(description, "\"tolerance\": {");
  snprintf(quoted, sizeof quoted, "\"%s\": {", tensor);
  return number_after(expected == NULL ? NULL : strstr(expected, quoted), "atol", number_after(tolerance, "atol", -1));
}

static void compare(const char* name, lf_tensor* value, lf_tensor* expected) {
  const double atol = tolerance_of(name), rtol = number_after(strstr(description, "\"tolerance\": {"), "rtol", 1e-5);
  lf_tensor *a = NULL, *b = NULL;
  const void *x = NULL, *y = NULL;
  const int64_t *shape = NULL, *other = NULL;
  int64_t elements = 0, i;
  int32_t rank = 0, rank_expected = 0;
  double worst = 0;
  int bad = 0;
  CHECK(atol >= 0);
  OK(lf_tensor_convert(value, LF_FLOAT64, "cpu", &a));
  OK(lf_tensor_convert(expected, LF_FLOAT64, "cpu", &b));
  OK(lf_tensor_data(a, &x));
  OK(lf_tensor_data(b, &y));
  OK(lf_tensor_rank(a, &rank));
  OK(lf_tensor_rank(b, &rank_expected));
  OK(lf_tensor_shape(a, &shape));
  OK(lf_tensor_shape(b, &other));
  OK(lf_tensor_elements(b, &elements));
  if (rank != rank_expected || (rank > 0 && memcmp(shape, other, (size_t)rank * sizeof *shape) != 0)) {
    fprintf(stderr, "%s: %s: another shape than the reference's\n", folder, name);
    failures++;
  } else {
    for (i = 0; i < elements; i++) {
      const double v = ((const double*)x)[i], e = ((const double*)y)[i];
      if (isinf(e) && v == e) continue;
      if (!(fabs(v - e) <= atol + rtol * fabs(e))) bad = 1;
      if (fabs(v - e) > worst) worst = fabs(v - e);
    }
  }
  printf("%-60s %-40s %10.3g %10.3g %s\n", folder, name, worst, atol, bad ? "FAIL" : "pass");
  failures += bad;
  lf_tensor_free(a);
  lf_tensor_free(b);
}

static int by_name(const struct dirent** a, const struct dirent** b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* Runs a case for each folder of a group that has a file of that name; the case finds folder and description set. The number of cases. */
static int for_each_case(const char* group, const char* file, void (*run)(void)) {
  struct dirent** entries = NULL;
  int cases = 0, i, n = scandir(group, &entries, NULL, by_name);
  CHECK(n > 0);
  for (i = 0; i < n; i++) {
    static char name[1024];
    snprintf(name, sizeof name, "%s/%s", group, entries[i]->d_name);
    if (entries[i]->d_name[0] != '.' && access_file(path(name, file))) {
      int64_t handles = -1, tensors = -1;
      folder = name;
      description = read_file(path(name, "case.json"), NULL);
      CHECK(description != NULL);
      if (description != NULL) {
        run();
        cases++;
      }
      OK(lf_live(&handles, &tensors));
      if (handles != 0 || tensors != 0) {
        fprintf(stderr, "%s: %d handles and %d tensors are left\n", name, (int)handles, (int)tensors);
        failures++;
      }
      free(description);
    }
    free(entries[i]);
  }
  free(entries);
  return cases;
}

#endif
