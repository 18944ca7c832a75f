/* longformer.h: Longformer and LED for native programs.
 * No .NET runtime is needed; libtorch is.
 *
 * A whole program:
 *
 *     #include <longformer.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char** argv) {
 *       const char* documents[] = {"The first document.", "Another one, of any length up to the checkpoint's."};
 *       lf_document_encoder* encoder = NULL;
 *       lf_tensor* vectors = NULL;
 *       const void* values;
 *       const int64_t* shape;
 *       if (argc != 2 || lf_check_abi() != LF_OK
 *           || lf_document_encoder_load(argv[1], NULL, &encoder) != LF_OK
 *           || lf_document_encoder_encode(encoder, documents, NULL, 2, NULL, &vectors, NULL) != LF_OK
 *           || lf_tensor_data(vectors, &values) != LF_OK || lf_tensor_shape(vectors, &shape) != LF_OK) {
 *         fprintf(stderr, "%s\n", lf_last_error());
 *         return 1;
 *       }
 *       printf("%d vectors of %d floats, the first: %g\n", (int)shape[0], (int)shape[1], ((const float*)values)[0]);
 *       lf_tensor_free(vectors);
 *       lf_document_encoder_free(encoder);
 *       return 0;
 *     }
 *
 *     cc program.c $(pkg-config --cflags --libs longformer)
 *
 * Errors. A function returns LF_OK or the kind of failure; lf_last_error() then names the argument, what it may be and what it was given.
 * A failed function changes nothing and writes nothing to its outputs, except that an output handle is set to NULL.
 * Every function also returns LF_INVALID_ARGUMENT for a null pointer where none is allowed, for a handle of another type or
 *   one that was freed, and for text that is not UTF-8 (the message has the byte).
 *
 * Handles. `lf_x*` is a token, not an address: never read through it.
 * The caller owns a handle that an output parameter gave it, and frees it once with lf_x_free, which allows NULL.
 * Use of a freed handle, also a second free, returns LF_INVALID_ARGUMENT; it never crashes.
 * Handles are independent of one another: an encoder may be freed before its results, a model while another thread runs it (that call ends well).
 *
 * Results. Pointers (`const char**`, `const int64_t**` and the like) point into the handle that they were asked of, and stay valid until it is freed.
 * Their text is UTF-8, followed by a zero byte that the length does not count.
 *
 * Arguments. Text is UTF-8 and may hold any character, zero bytes too. Its length is in bytes; LF_TERMINATED means "up to the first zero byte".
 * An array of lengths may be NULL: all are terminated.
 * Names and paths are terminated.
 * A function reads its arguments during the call only, unless it says otherwise.
 *
 * Threads. Every function may be called from any thread at any time.
 * Models, tasks, tokenizers, tensors and results do not change, so any number of threads may use one at once; results are the same to the bit.
 * Options do change: do not set one while another thread uses it.
 * lf_last_error is per thread.
 * Callbacks come on the calling thread, those of lf_set_log and the release of lf_tensor_from_memory on any.
 * A callback may call this library; it must not throw a C++ exception or longjmp through it.
 *
 * Process. dlopen works; the library stays loaded after dlclose.
 * Signal handlers of the host stay its own: the library installs handlers for SIGSEGV and SIGFPE, which pass on signals that are
 *   not theirs, and one for a real-time signal.
 * liblongformer_ops.so is looked for beside liblongformer.so, or in the folder that the environment variable LONGFORMER_NATIVE_DIR names (an
 *   absolute path).
 * libtorch 2.10 or later is taken from the process where one is loaded already, else from the folder that LIBTORCH names, else from beside
 *   liblongformer.so.
 *
 * fork. A process that was forked after the first call has only one of its threads: there every function returns LF_FORKED, except lf_version,
 *   lf_abi_version and lf_last_error, and it may exit in any way.
 * Start workers by spawn, or make the first call in them.
 *
 * Shapes: B sequences, T tokens, N tokens of packed sequences one after the other, H heads, D head dimension, C hidden size, G global tokens.
 * Ranges are half-open.
 */
#ifndef LONGFORMER_H
#define LONGFORMER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LF_API __attribute__((visibility("default")))
#else
#define LF_API
#endif

/* The version of this interface. It changes when a program must be compiled again; additions do not change it. */
#define LF_ABI_VERSION 3

/* As a length: the text ends before its first zero byte. */
#define LF_TERMINATED ((size_t)-1)

#ifdef __cplusplus
extern "C" {
#endif

/* declarations begin (bindings read from here) */

typedef enum lf_status {
  LF_OK = 0,
  LF_INVALID_ARGUMENT = 1, /* the call itself is wrong: null, freed handle, bad UTF-8, unknown option, small buffer */
  LF_INVALID_INPUT = 2,    /* a value is wrong: an empty or too long document, a tensor's shape, an option's value */
  LF_CHECKPOINT = 3,       /* a checkpoint cannot be read or written, or does not serve what is asked of it */
  LF_TOKENIZER = 4,        /* a tokenizer's files are missing or malformed */
  LF_DEVICE = 5,           /* there is no such device here */
  LF_TORCH = 6,            /* libtorch is missing or failed */
  LF_CANCELLED = 7,        /* a callback asked to stop */
  LF_NOT_FOUND = 8,        /* no such item, name or property */
  LF_OUT_OF_MEMORY = 9,
  LF_INTERNAL = 10,        /* a defect of this library: please report the message */
  LF_ABI_MISMATCH = 11,    /* the program was compiled against another interface */
  LF_FORKED = 12           /* this process was forked after the library had been used: start workers by spawn */
} lf_status;

/* Types of elements; the numbers are libtorch's c10::ScalarType. */
typedef enum lf_dtype {
  LF_UINT8 = 0, LF_INT8 = 1, LF_INT16 = 2, LF_INT32 = 3, LF_INT64 = 4, LF_FLOAT16 = 5, LF_FLOAT32 = 6, LF_FLOAT64 = 7,
  LF_BOOL = 11, LF_BFLOAT16 = 15
} lf_dtype;

/* The unit in which text ranges count. */
typedef enum lf_offsets { LF_OFFSETS_BYTES = 0, LF_OFFSETS_CODE_POINTS = 1, LF_OFFSETS_UTF16 = 2 } lf_offsets;

typedef enum lf_log_level { LF_LOG_DEBUG = 1, LF_LOG_INFORMATION = 2, LF_LOG_WARNING = 3, LF_LOG_ERROR = 4, LF_LOG_NONE = 6 } lf_log_level;

typedef struct lf_load_options lf_load_options;
typedef struct lf_options lf_options;
typedef struct lf_tensor lf_tensor;
typedef struct lf_tensors lf_tensors;
typedef struct lf_model lf_model;
typedef struct lf_character_model lf_character_model;
typedef struct lf_task lf_task; /* any task: for what all of them have */
typedef lf_task lf_document_encoder;
typedef lf_task lf_question_answerer;
typedef lf_task lf_text_classifier;
typedef lf_task lf_token_classifier;
typedef lf_task lf_multiple_choice;
typedef lf_task lf_mask_filler;
typedef lf_task lf_span_classifier;
typedef lf_task lf_coreference_resolver;
typedef lf_task lf_summarizer;
typedef struct lf_answer lf_answer;
typedef struct lf_tokenizer lf_tokenizer;
typedef struct lf_encoding lf_encoding;
struct DLManagedTensor; /* of dlpack.h, the unversioned structure */

/* ---- The library -------------------------------------------------------------------------------------------------- */

/* Such as "0.1.0". A static string. Needs no libtorch. */
LF_API const char* lf_version(void);

/* LF_ABI_VERSION of the library. */
LF_API int32_t lf_abi_version(void);

/* LF_ABI_MISMATCH unless the library serves that interface. Use lf_check_abi(). */
LF_API lf_status lf_require_abi(int32_t abi_version);

/* The message of the last failure on this thread, one line or more; "" if there was none.
 * Valid until the next failure on this thread, or its end. */
LF_API const char* lf_last_error(void);

/* Which argument the last failure on this thread is about, what it may be and what it was given: the parts of a message "argument: expected ...,
 *   given ...".
 * index: the element's place in the argument (its first number where it has several), -1 for the argument as a whole.
 * A part that is not known is NULL (index: -1); an output that is NULL is not written.
 * The texts are valid as long as the message. */
LF_API lf_status lf_last_error_fields(const char** argument, int64_t* index, const char** expected, const char** given);

/* The version of the libtorch that is loaded, such as "1.13.0". A static string. LF_TORCH if none can be loaded. */
LF_API lf_status lf_torch_version(const char** version);

/* How many threads an operator may use, in the whole process; at first the cores that the process may run on, or OMP_NUM_THREADS.
 * LF_INVALID_INPUT below 1. */
LF_API lf_status lf_set_threads(int32_t threads);
LF_API lf_status lf_get_threads(int32_t* threads);

/* How many devices of a kind, "cpu" or "cuda", this libtorch and this machine have. */
LF_API lf_status lf_device_count(const char* kind, int32_t* count);

/* Sends log messages of this level and above to a callback, for the whole process; NULL, as at the start, sends them nowhere.
 * Examples: a warning for a truncated document, a debug line for each batch. */
typedef void (*lf_log_callback)(void* context, lf_log_level level, const char* message, size_t length);
LF_API lf_status lf_set_log(lf_log_callback callback, void* context, lf_log_level level);

/* How many handles, and how many tensors of libtorch held by this library, are alive: for leak checks.
 * Either may be NULL.
 * A model holds its weights. */
LF_API lf_status lf_live(int64_t* handles, int64_t* tensors);

/* Frees text that a function handed over as `char**`. NULL is allowed. */
LF_API lf_status lf_text_free(char* text);

/* ---- Options ------------------------------------------------------------------------------------------------------ */

/* How to load; NULL in place of options means the defaults.
 * lf_load_options_set takes:
 *   "device"     "cpu" (default), "cuda", or with a number such as "cuda:1"
 *   "dtype"      "float32", "bfloat16", "float16", "float64", "int8"; default: as stored. Weights that keep their dtype are
 *                used in the mapped file, without a copy
 *   "attention"  "fused" (default), "chunks", "loop": which implementation of the window attention
 *   "pack_weights" "true" (default), "false": pack the weights of products for the CPU at first use, in this process's memory
 *   "tf32"       "false", "true": whether a GPU may round float32 products to TF32; set when loading, for the whole process (off at first)
 *   "trainable"  "false" (default), "true": for lf_model_gradients
 * LF_INVALID_ARGUMENT for another name, LF_INVALID_INPUT for another value; both messages list what is allowed. */
LF_API lf_status lf_load_options_create(lf_load_options** options);
LF_API lf_status lf_load_options_set(lf_load_options* options, const char* name, const char* value);
LF_API lf_status lf_load_options_free(lf_load_options* options);

/* Options of a call, by name; NULL in place of options means the defaults.
 * Each function lists the names that it takes under "Options"; one that it does not take is refused by that function with LF_INVALID_ARGUMENT.
 * Values of the wrong kind or beyond their limits: LF_INVALID_INPUT.
 * An int is taken for a float; 0 and 1 are false and true; setting a name again replaces its value ("bad_words", "column" and "labels" add one).
 * The tasks all take:
 *   "truncate"          int, default 0: cut an input at the checkpoint's last position instead of refusing it
 *   "global"            text: "none", "first" or positions "0,5,17" of the global tokens; default: the task's own
 *   "tokens_per_batch"  int, default 8192: how many tokens go through the model at once (no padding is added) */
LF_API lf_status lf_options_create(lf_options** options);
LF_API lf_status lf_options_set_int(lf_options* options, const char* name, int64_t value);
LF_API lf_status lf_options_set_float(lf_options* options, const char* name, double value);
LF_API lf_status lf_options_set_text(lf_options* options, const char* name, const char* text, size_t length);
LF_API lf_status lf_options_set_ints(lf_options* options, const char* name, const int64_t* values, size_t count);
LF_API lf_status lf_options_set_tensor(lf_options* options, const char* name, const lf_tensor* tensor); /* keeps it alive */
LF_API lf_status lf_options_free(lf_options* options);

/* Callbacks of a call, NULL for none (the default).
 * One that returns nonzero stops the call, which returns LF_CANCELLED.
 *   cancel    is called at the start, before each batch (of documents, or windows of a long one), between the layers of the model but at most every
 *             20 milliseconds, and after each generated token.
 *             So a long document stops within a layer's time.
 *             An interval (default 0; below it LF_INVALID_INPUT) delays the first call by that time and keeps it between two calls: for
 *             callbacks that cost much.
 *   progress  is called after each batch (in generation after each token) with inputs done, inputs in all, tokens that went through so far.
 *   on_text   gets the next piece of text when it is settled, in the generation of one document.
 *             The pieces together are the result; no piece cuts a character.
 *             Training: see lf_train.
 *   on_token  gets each token that is settled, in generation.
 *             document: which of the inputs.
 *             sequence: which of its results (a beam search reports its best only).
 *             position: its place in lf_answer_tokens. */
typedef int32_t (*lf_cancel_callback)(void* context);
typedef int32_t (*lf_progress_callback)(void* context, int64_t done, int64_t total, int64_t tokens);
typedef int32_t (*lf_text_callback)(void* context, const char* text, size_t length);
typedef int32_t (*lf_token_callback)(void* context, int64_t document, int32_t sequence, int32_t position, int32_t token);
LF_API lf_status lf_options_set_cancel(lf_options* options, lf_cancel_callback callback, void* context);
LF_API lf_status lf_options_set_cancel_interval(lf_options* options, int32_t milliseconds);
LF_API lf_status lf_options_set_progress(lf_options* options, lf_progress_callback callback, void* context);
LF_API lf_status lf_options_set_on_text(lf_options* options, lf_text_callback callback, void* context);
LF_API lf_status lf_options_set_on_token(lf_options* options, lf_token_callback callback, void* context);

/* ---- Tensors ------------------------------------------------------------------------------------------------------ */

/* A tensor over the caller's memory, without a copy.
 * shape: rank sizes.
 * strides: rank distances between neighbors in elements, NULL for row-major.
 * device: the device of the memory, NULL for "cpu".
 * release(context) is called once when nothing uses the memory any more, which may be after lf_tensor_free and on another thread; NULL where the
 *   memory outlives the tensor and all that was made from it.
 * Not called if this function fails. */
LF_API lf_status lf_tensor_from_memory(void* data, lf_dtype dtype, const int64_t* shape, const int64_t* strides, int32_t rank,
                                       const char* device, void (*release)(void* context), void* context, lf_tensor** tensor);

/* A tensor with a copy of row-major values on the CPU. bytes: the size of the values, which must fit the shape. */
LF_API lf_status lf_tensor_copy(const void* data, size_t bytes, lf_dtype dtype, const int64_t* shape, int32_t rank, lf_tensor** tensor);

/* Takes over a DLPack tensor, without a copy: its deleter is called when nothing uses the memory any more.
 * If this fails the tensor stays the caller's.
 * lf_tensor_to_dlpack gives one, without a copy: the taker calls its deleter; it outlives the handle. */
LF_API lf_status lf_tensor_from_dlpack(struct DLManagedTensor* managed, lf_tensor** tensor);
LF_API lf_status lf_tensor_to_dlpack(const lf_tensor* tensor, struct DLManagedTensor** managed);

/* The same tensor as one of another user of this process's libtorch (Python's torch through torch.ops.longformer._to_handle), with its place in the
 *   autograd graph.
 * handle: the address of its c10::TensorImpl.
 * lf_tensor_from_torch adds a reference.
 * lf_tensor_to_torch lends its own, valid as long as the handle. */
LF_API lf_status lf_tensor_from_torch(int64_t handle, lf_tensor** tensor);
LF_API lf_status lf_tensor_to_torch(const lf_tensor* tensor, int64_t* handle);

/* Properties of a tensor.
 * data: the first element; NULL where there is none.
 * Row-major in memory if lf_tensor_contiguous says 1 (all results of this library are).
 * shape and strides point at rank values.
 * device: such as "cpu" or "cuda:0".
 * _describe writes all at once; an output that is NULL is not written. */
LF_API lf_status lf_tensor_data(const lf_tensor* tensor, const void** data);
LF_API lf_status lf_tensor_dtype(const lf_tensor* tensor, lf_dtype* dtype);
LF_API lf_status lf_tensor_rank(const lf_tensor* tensor, int32_t* rank);
LF_API lf_status lf_tensor_shape(const lf_tensor* tensor, const int64_t** shape);
LF_API lf_status lf_tensor_strides(const lf_tensor* tensor, const int64_t** strides);
LF_API lf_status lf_tensor_elements(const lf_tensor* tensor, int64_t* elements);
LF_API lf_status lf_tensor_contiguous(const lf_tensor* tensor, int32_t* contiguous);
LF_API lf_status lf_tensor_device(const lf_tensor* tensor, const char** device);
LF_API lf_status lf_tensor_describe(const lf_tensor* tensor, const void** data, lf_dtype* dtype, int32_t* rank, const int64_t** shape,
                                    const int64_t** strides, const char** device);

/* Copies the elements, row-major, from any device and layout. bytes: the room, at least the size of all elements. */
LF_API lf_status lf_tensor_read(const lf_tensor* tensor, void* destination, size_t bytes);

/* The tensor as another dtype and on another device (NULL: where it is), row-major. */
LF_API lf_status lf_tensor_convert(const lf_tensor* tensor, lf_dtype dtype, const char* device, lf_tensor** converted);
LF_API lf_status lf_tensor_free(lf_tensor* tensor);

/* Named tensors: the outputs of a model, or a safetensors file, whose tensors are used in the mapped file without a copy.
 * lf_tensors_get gives its own handle, LF_NOT_FOUND if there is none of the name; lf_tensors_at one by its place (name may be NULL). */
LF_API lf_status lf_tensors_open(const char* file, lf_tensors** tensors);
LF_API lf_status lf_tensors_write(const char* file, const char* const* names, const lf_tensor* const* tensors, size_t count);
LF_API lf_status lf_tensors_count(const lf_tensors* tensors, size_t* count);
LF_API lf_status lf_tensors_name(const lf_tensors* tensors, size_t index, const char** name);
LF_API lf_status lf_tensors_get(const lf_tensors* tensors, const char* name, lf_tensor** tensor);
LF_API lf_status lf_tensors_at(const lf_tensors* tensors, size_t index, const char** name, lf_tensor** tensor);
LF_API lf_status lf_tensors_free(lf_tensors* tensors);

/* ---- Models ------------------------------------------------------------------------------------------------------- */

/* The model class that the checkpoint folder's config.json names, Longformer or LED, with its head. */
LF_API lf_status lf_model_load(const char* folder, const lf_load_options* options, lf_model** model);
LF_API lf_status lf_model_free(lf_model* model);

/* HF's class name, such as "LongformerForQuestionAnswering". */
LF_API lf_status lf_model_architecture(const lf_model* model, const char** name);

/* Runs the model.
 * names, tensors: count inputs under HF's argument names, ids and masks on the CPU:
 *   Longformer  input_ids or inputs_embeds, attention_mask, global_attention_mask, token_type_ids, position_ids, labels,
 *               start_positions, end_positions, entity_start_positions, entity_end_positions
 *   LED         input_ids or inputs_embeds, attention_mask, global_attention_mask, decoder_input_ids or
 *               decoder_inputs_embeds, decoder_attention_mask, labels, start_positions, end_positions
 * outputs: under HF's names: last_hidden_state, pooler_output, logits, start_logits, end_logits, loss, encoder_last_hidden_state; with
 *   the options hidden_states.0..., attentions.0..., global_attentions.0..., and those of LED with their prefixes encoder_, decoder_, cross_.
 * Hidden states are [B, T, C] with no padding beyond the caller's own.
 * Options: "hidden_states" int, "attentions" int (costs far more than the model itself), default 0; and the callback cancel.
 * LF_INVALID_INPUT for an unknown name, a wrong shape, dtype or value. */
LF_API lf_status lf_model_run(const lf_model* model, const char* const* names, const lf_tensor* const* tensors, size_t count,
                              const lf_options* options, lf_tensors** outputs);

/* The loss for inputs with labels, and its gradients: "loss", "grad.<parameter>", and "grad_input_embeds" [B, T, C].
 * The model must have been loaded with "trainable". */
LF_API lf_status lf_model_gradients(const lf_model* model, const char* const* names, const lf_tensor* const* tensors, size_t count,
                                    lf_tensors** outputs);

/* The parameters under HF's names, without a copy. */
LF_API lf_status lf_model_parameters(const lf_model* model, lf_tensors** parameters);

/* Writes config.json and model.safetensors. */
LF_API lf_status lf_model_save(const lf_model* model, const char* folder);

/* Generates with an LED (LEDForConditionalGeneration) from input_ids [B, T], attention_mask, global_attention_mask (none: no token is global) and
 *   decoder_input_ids [B, S], as HF's generate.
 * The answer's items have tokens, token scores, score and group (the row).
 * Options: those of lf_summarizer_summarize without the tasks'; "keep_logits" int, for lf_answer_logits; no on_text. */
LF_API lf_status lf_model_generate(const lf_model* model, const char* const* names, const lf_tensor* const* tensors, size_t count,
                                   const lf_options* options, lf_answer** answer);

/* ---- Tasks -------------------------------------------------------------------------------------------------------- */

/* Functions for every task, with the handle of any.
 * max_tokens: the longest input in tokens, special tokens included.
 * A longer one is refused, cut or read in windows: see the options.
 * tokenizer: a new handle for the task's tokenizer.
 * label_count, label: the names of the classes 0..count-1; past the end LF_INVALID_ARGUMENT.
 * A task without labels has 0 of them.
 * lf_task_free is the same as the _free of the task's own class. */
LF_API lf_status lf_task_max_tokens(const lf_task* task, int32_t* tokens);
LF_API lf_status lf_task_tokenizer(const lf_task* task, lf_tokenizer** tokenizer);
LF_API lf_status lf_task_label_count(const lf_task* task, size_t* count);
LF_API lf_status lf_task_label(const lf_task* task, size_t index, const char** label);
LF_API lf_status lf_task_free(lf_task* task);

/* Documents to vectors.
 * embeddings: float32 [count, C]; with pooling "tokens" [N, C], all documents' tokens one after the other.
 * offsets (may be NULL): int64 [count + 1], document i has the tokens offsets[i]..offsets[i + 1].
 * Options: the tasks'; "pooling" text: "mean", "cls", "tokens", "sentence"; "normalize" int: scale vectors to length 1; "prompt_name" text.
 * Defaults: in a folder of sentence-transformers its own settings ("sentence": its poolings, dense layers and normalization; C is then the width
 *   of their result), else "mean" and 0.
 * The folder is a Longformer's or an LED's, whose encoder is used; NULL loads the model in the box, as lf_summarizer_load does. */
LF_API lf_status lf_document_encoder_load(const char* folder, const lf_load_options* options, lf_document_encoder** encoder);
LF_API lf_status lf_document_encoder_encode(const lf_document_encoder* encoder, const char* const* documents, const size_t* lengths,
                                            size_t count, const lf_options* options, lf_tensor** embeddings, lf_tensor** offsets);
/* The same into the caller's memory.
 * embeddings: room for `room` floats, of which the first count * C (with "tokens" offsets[count] * C) are written, row-major, all or none.
 * Too little room is refused with LF_INVALID_ARGUMENT before the model runs.
 * offsets (may be NULL): room for count + 1 numbers.
 * With embeddings NULL and room 0 only offsets is written, from the tokenizer alone: how much room "tokens" needs. */
LF_API lf_status lf_document_encoder_encode_into(const lf_document_encoder* encoder, const char* const* documents, const size_t* lengths,
                                                 size_t count, const lf_options* options, float* embeddings, size_t room, int64_t* offsets);
LF_API lf_status lf_document_encoder_hidden_size(const lf_document_encoder* encoder, int32_t* size);
LF_API lf_status lf_document_encoder_free(lf_document_encoder* encoder);

/* Extractive question answering.
 * A document longer than the checkpoint's positions is read in overlapping windows.
 * Items: text, range, score (probability), logit; best first.
 * Options: the tasks'; "top" int, default 1; "max_answer_tokens" int, 30; "overlap" int, 128. */
LF_API lf_status lf_question_answerer_load(const char* folder, const lf_load_options* options, lf_question_answerer** answerer);
LF_API lf_status lf_question_answerer_answer(const lf_question_answerer* answerer, const char* question, size_t question_length,
                                             const char* document, size_t document_length, const lf_options* options, lf_answer** answer);
LF_API lf_status lf_question_answerer_free(lf_question_answerer* answerer);

/* Classes of documents.
 * Items: label, score, logit, group (the document); for each document all labels, best first (regression: in order).
 * problem_type: "single_label_classification" (score: softmax), "multi_label_classification" (sigmoid) or "regression" (the value itself). */
LF_API lf_status lf_text_classifier_load(const char* folder, const lf_load_options* options, lf_text_classifier** classifier);
LF_API lf_status lf_text_classifier_classify(const lf_text_classifier* classifier, const char* const* documents, const size_t* lengths,
                                             size_t count, const lf_options* options, lf_answer** answer);
LF_API lf_status lf_text_classifier_problem_type(const lf_text_classifier* classifier, const char** type);
LF_API lf_status lf_text_classifier_free(lf_text_classifier* classifier);

/* Labeled stretches of a text.
 * Items: label, text, range, score; in the order of the text.
 * Options: the tasks'; "aggregation" text: "simple" (default), "none", "first", "average", "max". */
LF_API lf_status lf_token_classifier_load(const char* folder, const lf_load_options* options, lf_token_classifier** classifier);
LF_API lf_status lf_token_classifier_tag(const lf_token_classifier* classifier, const char* text, size_t length,
                                         const lf_options* options, lf_answer** answer);
LF_API lf_status lf_token_classifier_free(lf_token_classifier* classifier);

/* The best of at least two choices. question may be NULL. Items: text, id (which choice), score, logit; best first. */
LF_API lf_status lf_multiple_choice_load(const char* folder, const lf_load_options* options, lf_multiple_choice** model);
LF_API lf_status lf_multiple_choice_choose(const lf_multiple_choice* model, const char* document, size_t document_length,
                                           const char* question, size_t question_length, const char* const* choices,
                                           const size_t* choice_lengths, size_t choice_count, const lf_options* options, lf_answer** answer);
LF_API lf_status lf_multiple_choice_free(lf_multiple_choice* model);

/* Fills the masks of a text.
 * Items: text and id of a candidate token, score, group (which mask), range (of the mask); for each mask the likeliest first.
 * mask_text: how a mask is written, such as "<mask>".
 * Options: the tasks'; "top" int, default 5. */
LF_API lf_status lf_mask_filler_load(const char* folder, const lf_load_options* options, lf_mask_filler** filler);
LF_API lf_status lf_mask_filler_fill(const lf_mask_filler* filler, const char* text, size_t length, const lf_options* options, lf_answer** answer);
LF_API lf_status lf_mask_filler_mask_text(const lf_mask_filler* filler, const char** text);
LF_API lf_status lf_mask_filler_free(lf_mask_filler* filler);

/* Classes of given spans of a text.
 * spans: count pairs (start, end), half-open, in the unit said; each must hold text of a token.
 * Items: label, score, logit, group (which span), text and range (of the span); for each span all labels, best first.
 * Options: the tasks'. */
LF_API lf_status lf_span_classifier_load(const char* folder, const lf_load_options* options, lf_span_classifier** classifier);
LF_API lf_status lf_span_classifier_classify(const lf_span_classifier* classifier, const char* text, size_t length, const int64_t* spans,
                                             size_t count, lf_offsets unit, const lf_options* options, lf_answer** answer);
LF_API lf_status lf_span_classifier_free(lf_span_classifier* classifier);

/* Mentions of a text that mean the same, in clusters. A text of any length is read in one pass.
 * Items: text, range, group (the cluster); clusters in the order of their first mentions, mentions in that of the text.
 * Options: text "genre", one of the checkpoint's (default "nw"). */
LF_API lf_status lf_coreference_resolver_load(const char* folder, const lf_load_options* options, lf_coreference_resolver** resolver);
LF_API lf_status lf_coreference_resolver_resolve(const lf_coreference_resolver* resolver, const char* text, size_t length,
                                                 const lf_options* options, lf_answer** answer);
LF_API lf_status lf_coreference_resolver_free(lf_coreference_resolver* resolver);

/* Summaries by an LED. A NULL folder loads the model in the box: models/default beside the library or in share/longformer of its prefix,
 * or the folder that the environment variable LONGFORMER_DEFAULT_MODEL names.
 * Items: text, tokens, token scores, score, group (the document); for each document best first.
 * Options: the tasks'; defaults come from the checkpoint, else from HF (but "max_tokens" 256):
 *   int    "beams" "max_tokens" "min_tokens" "max_length" "min_length" "no_repeat_ngram" "forced_first_token" "sample" "top_k"
 *          "seed" "n_best" "decoder_start_token"
 *   float  "length_penalty" "repetition_penalty" "temperature" "top_p"
 *   text   "early_stopping": "false", "true", "never"; "generation_config": a JSON object in HF's names, under the others
 *   ints   "forced_last_tokens" "bad_words" "suppressed_tokens" "begin_suppressed_tokens" "decoder_prompt" "end_tokens"
 * and the callbacks on_text and on_token. */
LF_API lf_status lf_summarizer_load(const char* folder, const lf_load_options* options, lf_summarizer** summarizer);
LF_API lf_status lf_summarizer_summarize(const lf_summarizer* summarizer, const char* const* documents, const size_t* lengths,
                                         size_t count, const lf_options* options, lf_answer** answer);
LF_API lf_status lf_summarizer_free(lf_summarizer* summarizer);

/* A corpus to search: passages with vectors by an encoder and words, in one file (docs/search.md).
 * build makes the file at `path`, or brings an index by the same encoder up to date: documents whose text it has keep their vectors.
 *   encoder NULL: an index of words alone.
 *   sources: the documents' names, which results give. lengths (may be NULL): of the documents.
 *   result (may be NULL): items with label and score: "documents", "passages", "reused".
 *   Options: int "passage_tokens" (512; 0: as many as the encoder takes); text "prompt_name"; callbacks cancel and progress.
 * search: the encoder is the one of build; NULL: by words.
 *   Items: label (the document's name), text, range (of the passage in its document), score (the document's), logit (the passage's: cosine or BM25),
 *     group (rank from 0), id (the document's number); documents best first, of each its best passages.
 *   Options: int "top" (10 documents) "passages" (1 of each); text "by": "meaning", "words" (BM25), "both" (default where there are vectors) "prompt_name";
 *     float "meaning_weight" (0.5); callback cancel. */
LF_API lf_status lf_search_index_build(const char* path, const lf_document_encoder* encoder, const char* const* sources, const char* const* documents,
                                       const size_t* lengths, size_t count, const lf_options* options, lf_answer** result);
LF_API lf_status lf_search_index_search(const char* path, const lf_document_encoder* encoder, const char* question, size_t question_length,
                                        const lf_options* options, lf_answer** answer);

/* The answer of a task: items 0..count-1.
 * The task's comment lists the properties of an item; another property: LF_NOT_FOUND.
 * An index past the end: LF_INVALID_ARGUMENT.
 * Ranges count in the text that was given, in the unit asked for.
 * _item writes all at once; an output that is NULL is not written. */
LF_API lf_status lf_answer_count(const lf_answer* answer, size_t* count);
LF_API lf_status lf_answer_text(const lf_answer* answer, size_t item, const char** text, size_t* length); /* length may be NULL */
LF_API lf_status lf_answer_label(const lf_answer* answer, size_t item, const char** label, size_t* length);
LF_API lf_status lf_answer_range(const lf_answer* answer, size_t item, lf_offsets unit, int64_t* start, int64_t* end);
LF_API lf_status lf_answer_score(const lf_answer* answer, size_t item, double* score);
LF_API lf_status lf_answer_logit(const lf_answer* answer, size_t item, double* logit);
LF_API lf_status lf_answer_group(const lf_answer* answer, size_t item, int64_t* group);
LF_API lf_status lf_answer_id(const lf_answer* answer, size_t item, int64_t* id);
LF_API lf_status lf_answer_item(const lf_answer* answer, size_t item, lf_offsets unit, const char** text, size_t* text_length, const char** label,
                                size_t* label_length, int64_t* start, int64_t* end, double* score, double* logit, int64_t* group, int64_t* id);
LF_API lf_status lf_answer_tokens(const lf_answer* answer, size_t item, const int32_t** tokens, size_t* count);
LF_API lf_status lf_answer_prompt_length(const lf_answer* answer, size_t item, size_t* tokens); /* of lf_answer_tokens, how many were given */
LF_API lf_status lf_answer_token_scores(const lf_answer* answer, size_t item, const float** scores, size_t* count);
LF_API lf_status lf_answer_ended(const lf_answer* answer, size_t item, int32_t* ended); /* by an end token, not at the maximum */
LF_API lf_status lf_answer_logits(const lf_answer* answer, size_t item, lf_tensor** logits); /* [steps, vocabulary] */
LF_API lf_status lf_answer_free(lf_answer* answer);

/* ---- The character language model --------------------------------------------------------------------------------- */

/* Transformer-XL without memory, with causal windows that may differ from layer to layer (docs/charlm.md).
 * The folder has config.json, the weights under transformer-xl's names, and vocabulary.json. What works on texts needs the last: else LF_CHECKPOINT.
 * A character that is not in the vocabulary is LF_INVALID_INPUT, with its place.
 * lf_train and lf_evaluate do its training and evaluation from files, as the task "char-lm". */
LF_API lf_status lf_character_model_load(const char* folder, const lf_load_options* options, lf_character_model** model);
LF_API lf_status lf_character_model_free(lf_character_model* model);

/* The symbols in the order of their ids: bytes where `bytes` is 1, else Unicode code points. An output that is NULL is not written. */
LF_API lf_status lf_character_model_vocabulary(const lf_character_model* model, const int32_t** symbols, size_t* count, int32_t* bytes);

/* A text to ids, int64 [T]. */
LF_API lf_status lf_character_model_encode(const lf_character_model* model, const char* text, size_t length, lf_tensor** ids);

/* Ids to text; free it with lf_text_free. Bytes that are no UTF-8 become U+FFFD. length may be NULL. */
LF_API lf_status lf_character_model_decode(const lf_character_model* model, const int32_t* ids, size_t count, char** text, size_t* length);

/* Runs the model on sequences of one length; nothing is remembered between calls.
 * ids: int64 or int32 [B, T] on the CPU.
 * targets (may be NULL): as the ids, the symbol after each.
 * outputs: last_hidden_state [B, T, C]; with targets losses [B, T], the negative log-likelihoods in nats, and loss, their mean; with the options
 *   logits [B, T, V], hidden_states.0 (before the first layer), hidden_states.1... [B, T, C].
 * Options: "logits" int, "hidden_states" int, default 0; and the callback cancel. */
LF_API lf_status lf_character_model_run(const lf_character_model* model, const lf_tensor* ids, const lf_tensor* targets, const lf_options* options,
                                        lf_tensors** outputs);

/* The mean loss in nats and its gradients: "loss" and "grad.<parameter>". The model must have been loaded with "trainable". */
LF_API lf_status lf_character_model_gradients(const lf_character_model* model, const lf_tensor* ids, const lf_tensor* targets, lf_tensors** outputs);

/* The parameters under transformer-xl's names, without a copy; and the folder as it is loaded. */
LF_API lf_status lf_character_model_parameters(const lf_character_model* model, lf_tensors** parameters);
LF_API lf_status lf_character_model_save(const lf_character_model* model, const char* folder);

/* How well the model predicts a text of at least two symbols: the negative log-likelihood of each behind the first, in one pass in which a symbol sees
 *   all before it, as far as the windows reach. The memory does not grow with the text.
 * nats, bits: the sums.
 * count: how many symbols were predicted, one less than the text has; bits / count are the bits per character.
 * losses: float64 [count], in nats.
 * An output that is NULL is not written.
 * Options: none; and the callback cancel. */
LF_API lf_status lf_character_model_score(const lf_character_model* model, const char* text, size_t length, const lf_options* options, double* nats,
                                          double* bits, int64_t* count, lf_tensor** losses);

/* Continues a prompt of at least one symbol.
 * text (may be NULL where on_text hears it): what was written, without the prompt; free it with lf_text_free. text_length may be NULL.
 * Options: "characters" int, default 256, how many symbols; "greedy" int: the most probable one always; "temperature" float, 1; "top_k" int, 0 for all;
 *   "top_p" float, 1; "seed" int, 0: the same seed writes the same text.
 * Callbacks: cancel; progress: symbols written, in all, again written; on_text. */
LF_API lf_status lf_character_model_generate(const lf_character_model* model, const char* prompt, size_t prompt_length, const lf_options* options,
                                             char** text, size_t* text_length);

/* Bits per character of a text file.
 * metrics: items with label, score and group 1: "bits_per_character", "total_bits", "characters", and with "one_pass" "equals_overlapping": whether the
 *   number is that of overlapping sequences (1), or the layers reach further back than a sequence (0).
 * Options: "part" text: "train", "dev", "test" (default), "all"; "split" text, three lengths as "90000000,5000000,5000000" (default: 90, 5 and 5 percent);
 *   "length" int, 32256, and "step" int, 512: of the paper's overlapping sequences, whose last "step" predictions are counted; "one_pass" int: each symbol
 *   is computed once, and the same ones are counted; "every_character" int: with it, all are.
 * Callbacks: cancel; progress: characters counted, in all, that went through the model. */
LF_API lf_status lf_character_model_evaluate(const lf_character_model* model, const char* file, const lf_options* options, lf_answer** metrics);

/* ---- Tokenizers --------------------------------------------------------------------------------------------------- */

/* The tokenizer of a checkpoint folder, byte-level BPE or WordPiece. */
LF_API lf_status lf_tokenizer_load(const char* folder, lf_tokenizer** tokenizer);
LF_API lf_status lf_tokenizer_free(lf_tokenizer* tokenizer);

/* Text, or a pair (pair not NULL), to tokens.
 * The batch writes count handles, all or none, and works on all cores; pairs may be NULL.
 * Options: "add_special_tokens" int, default 1; "max_length" int; "stride" int; "overflow" text: "complete" (default: the parts cover the text),
 *   "up_to_limit" (as HF's tokenizers since 0.23, which reads each text only as far as max_length needs); "truncation" text:
 *   "longest_first" (default), "only_first", "only_second", "do_not_truncate"; "truncation_side" text: "right", "left"; "padding" text: "none"
 *   (default), "longest", "max_length"; "padding_side" text: "right", "left"; "pad_to_multiple_of" int; "add_prefix_space" int;
 *   "split_special_tokens" int.
 * The defaults of the sides and of the last two are the settings in the tokenizer's files.
 * Unused ids decode to nothing. */
LF_API lf_status lf_tokenizer_encode(const lf_tokenizer* tokenizer, const char* text, size_t length, const char* pair, size_t pair_length,
                                     const lf_options* options, lf_encoding** encoding);
LF_API lf_status lf_tokenizer_encode_batch(const lf_tokenizer* tokenizer, const char* const* texts, const size_t* lengths,
                                           const char* const* pairs, const size_t* pair_lengths, size_t count,
                                           const lf_options* options, lf_encoding** encodings);

/* Tokens to text; free it with lf_text_free. An unused id gives nothing; LF_INVALID_INPUT for a negative one. */
LF_API lf_status lf_tokenizer_decode(const lf_tokenizer* tokenizer, const int32_t* ids, size_t count, int32_t skip_special_tokens,
                                     char** text, size_t* length);

/* LF_NOT_FOUND where the vocabulary has no such token or id. Free the text with lf_text_free. */
LF_API lf_status lf_tokenizer_token_to_id(const lf_tokenizer* tokenizer, const char* token, size_t length, int32_t* id);
LF_API lf_status lf_tokenizer_id_to_token(const lf_tokenizer* tokenizer, int32_t id, char** token, size_t* length);
LF_API lf_status lf_tokenizer_vocabulary_size(const lf_tokenizer* tokenizer, int32_t* size);

/* role: "begin", "end", "classifier", "separator", "padding", "mask", "unknown"; LF_NOT_FOUND where there is none. */
LF_API lf_status lf_tokenizer_special_token(const lf_tokenizer* tokenizer, const char* role, int32_t* id);

/* count tokens, one value each.
 * kind: "ids", "type_ids", "attention_mask", "special_tokens_mask", "sequence_ids" (0, 1, or -1 for tokens of no text).
 * ranges: count pairs (start, end) in the token's text, (0, 0) for tokens of no text.
 * _describe writes all at once; an output that is NULL is not written. */
LF_API lf_status lf_encoding_count(const lf_encoding* encoding, size_t* count);
LF_API lf_status lf_encoding_values(const lf_encoding* encoding, const char* kind, const int32_t** values);
LF_API lf_status lf_encoding_ranges(const lf_encoding* encoding, lf_offsets unit, const int32_t** ranges);
LF_API lf_status lf_encoding_describe(const lf_encoding* encoding, lf_offsets unit, size_t* count, const int32_t** ids, const int32_t** ranges,
                                      const int32_t** sequence_ids, const int32_t** type_ids, const int32_t** special_tokens_mask,
                                      const int32_t** attention_mask, size_t* overflow_count);

/* The parts that truncation cut off. */
LF_API lf_status lf_encoding_overflow_count(const lf_encoding* encoding, size_t* count);
LF_API lf_status lf_encoding_overflow(const lf_encoding* encoding, size_t index, lf_encoding** part);
LF_API lf_status lf_encoding_free(lf_encoding* encoding);

/* ---- Operators ---------------------------------------------------------------------------------------------------- */

/* Window, dilated and global attention (Longformer, section 3.1).
 * query, key, value: [B, T, H, D], or packed [N, H, D].
 * A query at i sees the keys i + d*s for s = -window_left..window_right, d the dilation of its head, and the global positions of its sequence, each
 *   once.
 * Global queries come out as local ones: lf_global_attention computes theirs.
 * output: as the query.
 * log_sum_exp (may be NULL): [B, T, H] or [N, H].
 * Recorded for differentiation where the inputs are part of a graph (lf_tensor_from_torch).
 * Options: "dilation" ints (1 or H); "mask" tensor [B, T] or [N], nonzero: a visible key; "global_index" tensor int64 [B, G] of ascending positions
 *   padded with -1; "sequence_offsets" ints (packed; from 0 to N); "scale" float, default 1/sqrt(D); "dropout" float; "seed" int; "implementation"
 *   text: "fused" (default), "chunks", "loop". */
LF_API lf_status lf_banded_attention(const lf_tensor* query, const lf_tensor* key, const lf_tensor* value, int64_t window_left,
                                     int64_t window_right, const lf_options* options, lf_tensor** output, lf_tensor** log_sum_exp);

/* The same with relative positions (Transformer-XL) and without global tokens. The score of query i and key j is
 *   scale * ((query_i + content_bias) . key_j + (query_i + position_bias) . relative[relative_zero + i - j]), i and j in tokens whatever the dilation.
 * relative: [P, H, D], a row for every distance that a window reaches inside a sequence.
 * content_bias, position_bias: [H, D] (r_w_bias, r_r_bias), NULL for zeros.
 * Options: those of lf_banded_attention without "global_index"; "relative_zero" int, default 0: the row of distance 0. */
LF_API lf_status lf_relative_banded_attention(const lf_tensor* query, const lf_tensor* key, const lf_tensor* value, const lf_tensor* relative,
                                              const lf_tensor* content_bias, const lf_tensor* position_bias, int64_t window_left,
                                              int64_t window_right, const lf_options* options, lf_tensor** output, lf_tensor** log_sum_exp);

/* Its probabilities, float32 [B, T, H, G + window_left + 1 + window_right], globals first.
 * Options: as above, without the last three. */
LF_API lf_status lf_banded_attention_probabilities(const lf_tensor* query, const lf_tensor* key, int64_t window_left,
                                                   int64_t window_right, const lf_options* options, lf_tensor** probabilities);

/* Global queries [B, G, H, D] over all keys of their sequence.
 * global_index: int64 [B, G].
 * output: [B, G, H, D].
 * Options: "mask", "sequence_offsets", "scale", "dropout", "seed". */
LF_API lf_status lf_global_attention(const lf_tensor* query, const lf_tensor* key, const lf_tensor* value, const lf_tensor* global_index,
                                     const lf_options* options, lf_tensor** output);

/* ---- Checkpoints -------------------------------------------------------------------------------------------------- */

/* Converts a checkpoint folder or file into a new folder.
 * report (may be NULL): items with label "source", "note" or "file", and text.
 * Options: "to" text: "longformer" (default), "led", "safetensors"; "positions" int; "window" ints (one, or one per layer); "base_positions" int;
 *   "overwrite" int; "configuration_file" text (another than config.json beside the weights).
 * Their meaning: docs/checkpoints.md. */
LF_API lf_status lf_convert(const char* source, const char* output, const lf_options* options, lf_answer** report);

/* ---- Training ----------------------------------------------------------------------------------------------------- */

/* Pretraining by masked LM and fine-tuning of every head, from files to a folder that this library and HF load, as
 * `longformer train`.
 * docs/training.md describes data, settings and the folder.
 * task: "masked-lm", "classify", "tag", "answer", "choose", "summarize"; of the paper, from its official files: "wikihop", "triviaqa", "hotpotqa",
 * "coref", "imdb", "hyperpartisan", "arxiv"; "char-lm", the character model.
 * checkpoint: a Longformer or an LED, with the head or without; a RoBERTa, BERT or BART, which is made long on the way; or a folder with a
 *   configuration, a tokenizer and no weights. For "char-lm" a character model, or NULL for a new one.
 * data, evaluation: files, folders, patterns (JSON lines, JSON, CSV, TSV, Parquet, text); evaluation may be none.
 * output: a folder that is empty or absent, unless the run is resumed.
 * result (may be NULL): items with label, score and group.
 *   Group 0: "steps", "stopped" (1: a callback stopped the run), "best_step" where something was measured.
 *   Group 1: the metrics of that step on the evaluation data. With "seeds" their mean, group 2 their standard deviation (n - 1).
 * A run that is stopped saves the steps that are done, and the same call with the option "resume" continues it.
 * The weights are in the folder when the run has ended.
 * LF_CANCELLED only where it was stopped before the first step.
 * Options, as on the command line, with underscores; flags are 0 or 1:
 *   all tasks  float "learning_rate" "head_learning_rate" "layer_decay" "power" "warmup_ratio" "beta1" "beta2" "epsilon" "weight_decay"
 *              "max_grad_norm" "label_smoothing" "epochs"; int "warmup_steps" "steps" "batch_size" "tokens_per_step" "tokens_per_batch"
 *              "accumulate" "max_tokens" "eval_every" "save_every" "keep" "patience" "seed" "first_added_position" "recompute_layers"; text
 *              "schedule" "optimizer" "freeze" "preset" "dtype" "device" "attention" "cache" "column" (as "text=review"; each adds one); flags "resume" "no_shuffle"
 *              "no_dropout" "recompute" "tf32"
 *   masked-lm  float "mask_probability"; flag "join_texts"          classify, tag  text "labels" (each adds one); classify "problem"
 *   answer     int "stride" "max_answer_tokens"; flag "ignore_windows_without_answer"    summarize  int "max_target_tokens"; flag "loss_only"
 *   pairs      these alone: text "column" (as "query=line"; each adds one) "poolings" (each adds one) "device" "dtype" "attention"; int "dimension" "max_tokens"
 *              "batch_size" "epochs" "seed"; float "learning_rate" "weight_decay" "scale" "dropout"; flags "resume" "tf32" (docs/search.md)
 *   of the paper  all: text "seeds" ("1,2,3": a training for each, into output/seed-N), flag "no_global_attention"; their own, as docs/tasks/ has them:
 *              wikihop flag "first_chunk_only"; triviaqa text "evidence", int "stride" "max_document_tokens" "max_answer_tokens", flag
 *              "first_window_only"; hotpotqa int "max_answer_tokens"; coref int "max_training_segments"; imdb int "held_out"; hyperpartisan text
 *              "splits"; arxiv int "max_target_tokens" "beams", float "length_penalty", flag "loss_only"
 *   char-lm    these alone: text "preset" ("small", "large") or "schedule" (a file, or its JSON text) "split" "device" "dtype" "attention"; int "seed"
 *              "sequences_per_pass" "eval_every" "eval_characters" "save_every" "keep"; flags "resume" "characters" (not bytes) "recompute" "tf32".
 *              data is one text file, of which a part is measured: evaluation is none (docs/charlm.md)
 * Callbacks: cancel; progress after each step: steps done, steps in all, tokens so far; on_text: each event as one JSON object: "kind" ("preparing",
 *   "note", "step", "evaluating", "evaluated", "saved"), "step", "total_steps", and what its kind has: of a step "epoch", "loss", "learning_rate",
 *   "grad_norm", "tokens", "tokens_per_second", "remaining_seconds", of an evaluation "eval" with its metrics, else "examples" or "message". */
LF_API lf_status lf_train(const char* task, const char* checkpoint, const char* const* data, size_t data_count,
                          const char* const* evaluation, size_t evaluation_count, const char* output, const lf_options* options,
                          lf_answer** result);

/* Measures a checkpoint on data by the metric of its task. metrics: items with label, score and group 1, as lf_train gives them.
 * predictions (may be NULL): items with text, a JSON object for each example, and id, its place in the data.
 * Options: of those above "tokens_per_batch" "max_tokens" "column" "cache" "dtype" "device" "attention" "tf32" and the task's own; text "output", a file
 *   for the predictions as the task's official scorer reads them; "hotpotqa" text "shortened", flag "keep_gold_paragraphs"; "imdb", "hyperpartisan"
 *   text "part"; "arxiv" text "journal"; of "char-lm" those of lf_character_model_evaluate, "dtype", "device", "attention" and "tf32", and there are
 *   no predictions.
 * Callbacks: cancel, and progress: examples done and in all, tokens so far. */
LF_API lf_status lf_evaluate(const char* task, const char* checkpoint, const char* const* data, size_t data_count, const lf_options* options,
                             lf_answer** metrics, lf_answer** predictions);

/* declarations end */

/* First of all: does this program's header fit the library that was loaded? */
static inline lf_status lf_check_abi(void) { return lf_require_abi(LF_ABI_VERSION); }

#ifdef __cplusplus
}
#endif

#endif
