// The options of the attention operators. One table makes the schemas' text, the struct that a kernel gets,
// and the code that reads its values from the dispatcher's stack and from a direct call. To add an option,
// add it here and check its values in check_attention.cpp.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "../base/library.h"

namespace longformer {

// Sets of operators: banded_attention and its backward operator, banded_attention_probabilities,
// global_attention (plain, folded, and their backward operators), global_attention_probabilities,
// relative_banded_attention and its backward operator.
enum : int { kBanded = 1, kBandedProbabilities = 2, kGlobal = 4, kGlobalProbabilities = 8, kRelative = 16 };

// (type, name, default in the schema's words or "", operators), in the order of the schemas.
#define LONGFORMER_ATTENTION_OPTIONS(X)                                                                      \
  /* Keys on either side, in steps of the dilation. */                                                       \
  X(int64_t, window_left, "", kBanded | kBandedProbabilities | kRelative)                                    \
  X(int64_t, window_right, "", kBanded | kBandedProbabilities | kRelative)                                   \
  /* One value, or H values; none: 1. */                                                                     \
  X(OptionalIntList, dilation, "None", kBanded | kBandedProbabilities | kRelative)                           \
  /* bool, uint8 or int64 [B, T] or [N], nonzero: visible. Rows of invisible queries are zeros. */           \
  X(OptionalTensor, mask, "None",                                                                            \
    kBanded | kBandedProbabilities | kGlobal | kGlobalProbabilities | kRelative)                             \
  /* int64 [B, G] or [S, G]: positions inside the sequence, ascending, then -1. */                           \
  X(OptionalTensor, global_index, "None", kBanded | kBandedProbabilities)                                    \
  /* [S+1], ascending from 0 to N: the sequences of packed tokens [N, ...]. */                               \
  X(OptionalIntList, sequence_offsets, "None",                                                               \
    kBanded | kBandedProbabilities | kGlobal | kGlobalProbabilities | kRelative)                             \
  /* Multiplies query . key; none: 1/sqrt(D). */                                                             \
  X(std::optional<double>, scale, "None",                                                                    \
    kBanded | kBandedProbabilities | kGlobal | kGlobalProbabilities | kRelative)                             \
  /* Probability of dropping an attention probability, which depends on the seed and the positions alone. */ \
  X(double, dropout, "0.0", kBanded | kGlobal | kRelative)                                                   \
  X(int64_t, seed, "0", kBanded | kGlobal | kRelative)                                                       \
  /* "fused", "chunks" or "loop". */                                                                         \
  X(std::string_view, implementation, "\"fused\"", kBanded | kRelative)

// The values of a call, not checked yet. Options that an operator lacks have their default value.
struct AttentionOptions {
#define LONGFORMER_MEMBER(type, name, standard, operators) type name{};
  LONGFORMER_ATTENTION_OPTIONS(LONGFORMER_MEMBER)
#undef LONGFORMER_MEMBER
};

// The options of one set of operators, as the parameter of a kernel.
template <int operators>
struct OptionsOf : AttentionOptions {};
using BandedOptions = OptionsOf<kBanded>;
using BandedProbabilityOptions = OptionsOf<kBandedProbabilities>;
using GlobalOptions = OptionsOf<kGlobal>;
using GlobalProbabilityOptions = OptionsOf<kGlobalProbabilities>;
using RelativeOptions = OptionsOf<kRelative>;

namespace options {

template <class T>
struct Option {
  using Type = T;
  const char* name;
  const char* standard;
  int operators;
  T AttentionOptions::*member;
};

#define LONGFORMER_OPTION(type, name, standard, operators) \
  , Option<type> {                                         \
#name, standard, operators, &AttentionOptions::name    \
  }
#define LONGFORMER_FIRST_OF(first, ...) __VA_ARGS__
#define LONGFORMER_TABLE(...) std::make_tuple(LONGFORMER_FIRST_OF(__VA_ARGS__))
constexpr auto kTable = LONGFORMER_TABLE(0 LONGFORMER_ATTENTION_OPTIONS(LONGFORMER_OPTION));
#undef LONGFORMER_TABLE
#undef LONGFORMER_FIRST_OF
#undef LONGFORMER_OPTION

constexpr size_t kCount = std::tuple_size_v<decltype(kTable)>;
using All = std::make_index_sequence<kCount>;
template <size_t i>
using TypeOf = typename std::tuple_element_t<i, decltype(kTable)>::Type;

template <size_t i>
constexpr bool taken(int operators) {
  return (std::get<i>(kTable).operators & operators) != 0;
}

template <size_t... i>
constexpr size_t count([[maybe_unused]] int operators, std::index_sequence<i...>) {
  return (size_t{taken<i>(operators)} + ... + 0);
}

// How many of the operators' options precede number i.
template <size_t i>
constexpr size_t place(int operators) {
  return count(operators, std::make_index_sequence<i>());
}

template <class T>
constexpr const char* kSchemaType = nullptr;
template <>
inline constexpr const char* kSchemaType<int64_t> = "int";
template <>
inline constexpr const char* kSchemaType<double> = "float";
template <>
inline constexpr const char* kSchemaType<std::optional<double>> = "float?";
template <>
inline constexpr const char* kSchemaType<std::string_view> = "str";
template <>
inline constexpr const char* kSchemaType<OptionalTensor> = "Tensor?";
template <>
inline constexpr const char* kSchemaType<OptionalIntList> = "int[]?";

}  // namespace options

// Returns "int window_left, int window_right, int[]? dilation=None, ...", the end of a schema's arguments.
template <int operators>
std::string schema_of_options() {
  std::string schema;
  const auto add = [&](const char* type, const auto& option) {
    if ((option.operators & operators) == 0) return;
    schema += text(schema.empty() ? "" : ", ", type, " ", option.name, option.standard[0] == '\0' ? "" : "=",
                   option.standard);
  };
  std::apply(
      [&](const auto&... each) {
        (add(options::kSchemaType<typename std::decay_t<decltype(each)>::Type>, each), ...);
      },
      options::kTable);
  return schema;
}

namespace torch {

// Reads a parameter that takes the place of as many arguments as its operators have options.
template <int operators>
struct Argument<OptionsOf<operators>> {
  static constexpr size_t slots = options::count(operators, options::All());

  template <size_t i>
  using StoredAt = decltype(Argument<options::TypeOf<i>>::from_stack(0));
  template <size_t... i>
  static std::tuple<StoredAt<i>...> stored(std::index_sequence<i...>);

  // Owns what the options refer to while the kernel runs. Converts once, since it moves its tensors out.
  struct Stored {
    decltype(stored(options::All())) values;
    operator OptionsOf<operators>() { return convert(options::All()); }

   private:
    template <size_t... i>
    OptionsOf<operators> convert(std::index_sequence<i...>) {
      OptionsOf<operators> result;
      ((result.*std::get<i>(options::kTable).member = std::move(std::get<i>(values))), ...);
      return result;
    }
  };

  static Stored from_stack(const Value* values) {
    return read([&](auto i, size_t place) {
      return Argument<options::TypeOf<decltype(i)::value>>::from_stack(values[place]);
    });
  }
  static Stored from_call(const longformer_value* values) {
    return read([&](auto i, size_t place) {
      return Argument<options::TypeOf<decltype(i)::value>>::from_call(values[place]);
    });
  }

 private:
  template <class Read>
  static Stored read(const Read& read_one) {
    return read_all(read_one, options::All());
  }
  template <class Read, size_t... i>
  static Stored read_all(const Read& read_one, std::index_sequence<i...>) {
    return {{read_if<i>(read_one)...}};
  }
  template <size_t i, class Read>
  static StoredAt<i> read_if(const Read& read_one) {
    if constexpr (options::taken<i>(operators))
      return read_one(std::integral_constant<size_t, i>(), options::place<i>(operators));
    else
      return {};
  }
};

}  // namespace torch
}  // namespace longformer
