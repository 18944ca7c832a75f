using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>Shared by the inputs of the paper's tasks.</summary>
internal static class PaperInputs
{
    /// <summary>Files that must be there, each named by itself.</summary>
    /// <exception cref="InputException">One is not there.</exception>
    public static IReadOnlyList<string> FindNamed(IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        foreach (string file in names)
        {
            if (!File.Exists(file))
                throw new InputException($"{file}: no such file");
        }
        return names.Count > 0 ? names : throw new InputException("data: expected at least one file, given none");
    }

    /// <summary>The ids of a text without special tokens; one that is spelled like a special token is plain text.</summary>
    public static int[] Plain(ExampleText text, string content, bool leadingSpace) => Encode(text, content, leadingSpace).Ids.ToArray();

    /// <summary>The same with the places of the tokens in the text.</summary>
    /// <exception cref="InputException">A token is beyond the model's vocabulary.</exception>
    public static Encoding Encode(ExampleText text, string content, bool leadingSpace)
    {
        Encoding encoding = text.Tokenizer.Encode(content, null, new EncodeOptions
        {
            AddSpecialTokens = false, AddPrefixSpace = leadingSpace, SplitSpecialTokens = true,
        });
        foreach (int id in encoding.Ids.Span)
        {
            if (id >= text.VocabSize)
                throw new InputException($"tokenizer: token {id} is beyond the model's vocabulary of {text.VocabSize}: it is another model's");
        }
        return encoding;
    }

    /// <summary>The id of a token that the tokenizer must have.</summary>
    /// <exception cref="InputException">It lacks it.</exception>
    public static int IdOf(ExampleText text, string token) => text.Tokenizer.TokenToId(token)
        ?? throw new InputException($"tokenizer: expected the token \"{token}\" in it");

    /// <summary>The ids of the tokens around a text, <c>&lt;s&gt;</c> and <c>&lt;/s&gt;</c>.</summary>
    /// <exception cref="InputException">The tokenizer has none.</exception>
    public static (int Begin, int End) Frame(ExampleText text)
    {
        SpecialTokenIds special = text.Tokenizer.SpecialTokens;
        return (special.Classifier ?? special.Begin) is { } begin && (special.Separator ?? special.End) is { } end ? (begin, end)
            : throw new InputException("tokenizer: expected one with tokens around a text (cls_token and sep_token)");
    }

    /// <summary>Global positions, or none where the ablation asks for none.</summary>
    public static int[] Globals(RecipeOptions options, IEnumerable<int> positions) => options.NoGlobalAttention ? [] : [.. positions];
}
