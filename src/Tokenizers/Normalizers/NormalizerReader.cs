using LongformerInterop.Tokenizers.Vocabularies;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.Normalizers;

/// <summary>Reads the normalizer of a tokenizer.json.</summary>
internal static class NormalizerReader
{
    /// <summary>The normalizer; null where the value names none, or a Sequence of none.</summary>
    /// <exception cref="TokenizerException">It is of a kind that is not supported; the message names it.</exception>
    public static TextNormalizer? Read(JsonValue value)
    {
        string type = value["type"].AsString();
        switch (type)
        {
            case "Sequence":
                TextNormalizer[] steps = [.. value["normalizers"].Items().Select(Read).OfType<TextNormalizer>()];
                return steps.Length switch { 0 => null, 1 => steps[0], _ => new NormalizerSequence(steps) };
            case "BertNormalizer":
                return new BertSteps(ReadBert(value));
            case "NFC" or "NFD" or "NFKC" or "NFKD":
                return new UnicodeForm(Compose: type[^1] == 'C', Compatible: type.Length == 4);
            case "Lowercase":
                return new Lowercase();
            case "StripAccents":
                return new StripAccents();
            case "Strip":
                return new Strip(value["strip_left"].AsBoolean(), value["strip_right"].AsBoolean());
            case "Prepend":
                return new Prepend(value["prepend"].AsString());
            case "Replace":
                JsonValue pattern = value["pattern"];
                return pattern.Optional("String") is { } text
                    ? new Replace(text.AsString(), value["content"].AsString())
                    : throw pattern.Expected("a String as pattern: regular expressions in normalizers are not supported");
            case "Nmt":
                return new Nmt();
            default:
                throw new TokenizerException(
                    $"{value.Where}: expected NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Nmt, BertNormalizer or "
                    + "a Sequence "
                    + $"of them, given {type}, which is not supported");
        }
    }

    /// <summary>The settings of a BertNormalizer.</summary>
    public static BertNormalizer ReadBert(JsonValue value)
    {
        bool lower = value.Boolean("lowercase", true);
        return new BertNormalizer(
            value.Boolean("clean_text", true), value.Boolean("handle_chinese_chars", true),
            value.Optional("strip_accents")?.AsBoolean() ?? lower, lower);
    }
}
