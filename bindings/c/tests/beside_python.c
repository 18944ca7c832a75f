/* The library in a process that runs Python with torch: beside_python LIBPYTHON LIBRARY ENCODER_FOLDER before|after. Python is started and imports
 * torch before the library is loaded, or after it worked already; both then compute in turn, on one libtorch, and end cleanly. */
#define _GNU_SOURCE
#include "support.h"

#include <dlfcn.h>

typedef lf_status (*load_function)(const char*, const lf_load_options*, lf_document_encoder**);
typedef lf_status (*encode_function)(const lf_document_encoder*, const char* const*, const size_t*, size_t, const lf_options*, lf_tensor**, lf_tensor**);
typedef lf_status (*read_function)(const lf_tensor*, void*, size_t);
typedef lf_status (*free_function)(void*);
typedef lf_status (*version_function)(const char**);
typedef const char* (*error_function)(void);
typedef void (*initialize_function)(int);
typedef int (*run_function)(const char*, void*);
typedef int (*end_function)(void);

static void* symbol(void* library, const char* name) {
  void* address = dlsym(library, name);
  if (address == NULL) {
    fprintf(stderr, "there is no %s\n", name);
    exit(1);
  }
  return address;
}

/* How many files of that name are mapped. */
static int mapped(const char* name) {
  char line[4096], last[4096] = "";
  int count = 0;
  FILE* maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    const char* file = strchr(line, '/');
    if (file == NULL || strstr(file, name) == NULL || strcmp(file, last) == 0) continue;
    strcpy(last, file);
    count++;
  }
  if (maps != NULL) fclose(maps);
  return count;
}

static void* python;
static run_function run;

static void start_python(const char* path_of_library) {
  initialize_function initialize;
  python = dlopen(path_of_library, RTLD_NOW | RTLD_GLOBAL);
  if (python == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  *(void**)&initialize = symbol(python, "Py_InitializeEx");
  *(void**)&run = symbol(python, "PyRun_SimpleStringFlags");
  initialize(0);
  CHECK(run("import torch\n"
            "torch.manual_seed(0)\n"
            "layer = torch.nn.Linear(64, 64)\n"
            "def work():\n"
            "    x = torch.ones(300, 64, requires_grad=True)\n"
            "    layer(x).square().sum().backward()\n"
            "    return float(x.grad.sum())\n"
            "first = work()\n", NULL) == 0);
}

int main(int argc, char** argv) {
  const int before = argc == 5 && strcmp(argv[4], "before") == 0;
  char* document = make_text(150, 1);
  const char *documents[1], *version = NULL;
  float first[64] = {0}, vector[64];
  char check[256];
  void* library;
  load_function load;
  encode_function encode;
  read_function read_tensor;
  free_function free_tensor, free_encoder;
  version_function torch_version;
  error_function last_error;
  end_function end;
  lf_document_encoder* encoder = NULL;
  int round;
  if (argc != 5) return 2;
  documents[0] = document;
  if (before) start_python(argv[1]);
  library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  *(void**)&load = symbol(library, "lf_document_encoder_load");
  *(void**)&encode = symbol(library, "lf_document_encoder_encode");
  *(void**)&free_encoder = symbol(library, "lf_document_encoder_free");
  *(void**)&read_tensor = symbol(library, "lf_tensor_read");
  *(void**)&free_tensor = symbol(library, "lf_tensor_free");
  *(void**)&torch_version = symbol(library, "lf_torch_version");
  *(void**)&last_error = symbol(library, "lf_last_error");
  if (load(argv[3], NULL, &encoder) != LF_OK) {
    fprintf(stderr, "%s\n", last_error());
    return 1;
  }
  for (round = 0; round < 6; round++) {
    lf_tensor* result = NULL;
    if (encode(encoder, documents, NULL, 1, NULL, &result, NULL) != LF_OK) {
      fprintf(stderr, "%s\n", last_error());
      return 1;
    }
    CHECK(read_tensor(result, vector, sizeof vector) == LF_OK);
    if (round == 0) memcpy(first, vector, sizeof first);
    CHECK(memcmp(first, vector, sizeof first) == 0);
    free_tensor(result);
    if (round == 2 && !before) start_python(argv[1]);
    if (python != NULL) CHECK(run("assert work() == first\n", NULL) == 0);
  }
  CHECK(torch_version(&version) == LF_OK);
  snprintf(check, sizeof check, "assert torch.__version__.split('+')[0].startswith('%s'), torch.__version__\n", version);
  CHECK(run(check, NULL) == 0);
  CHECK(mapped("/libtorch_cpu.so") == 1);
  CHECK(free_encoder(encoder) == LF_OK);
  *(void**)&end = symbol(python, "Py_FinalizeEx");
  CHECK(end() == 0);
  printf("libtorch %s, mapped once, serves both\n", version);
  free(document);
  return finish();
}
