using System.Security.Cryptography;

using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training;

/// <summary>Opens the tokenized form of data files, or makes it.</summary>
/// <param name="cache">Where it is kept; null: beside the data.</param>
/// <param name="output">Where it is kept if that cannot be written.</param>
/// <param name="tokenizer">The folder of the tokenizer.</param>
internal sealed class PreparedData(string? cache, string output, string tokenizer)
{
    private const int Version = 1;

    /// <summary>The tokenizer of a checkpoint with the room for an example.</summary>
    /// <exception cref="InputException">More tokens are asked for than there are positions.</exception>
    public static ExampleText TextOf(StartingPoint start, RecipeOptions options, Recipe recipe)
    {
        if (options.MaxTokens is { } most && (most < 3 || most > start.MaxTokens))
            throw new InputException($"most tokens: expected 3 to {start.MaxTokens}, the positions of the checkpoint, given {most}");
        if (start.Led is { } led && recipe is SummarizeRecipe && options.MaxTargetTokens > led.MaxDecoderPositionEmbeddings)
        {
            throw new InputException($"most tokens of a target: expected at most {led.MaxDecoderPositionEmbeddings}, the decoder's positions, "
                + $"given {options.MaxTargetTokens}");
        }
        return new ExampleText(Tokenizer.Load(start.TokenizerFolder), options.MaxTokens ?? start.MaxTokens, start.VocabSize);
    }

    /// <summary>The examples of some files.</summary>
    public TokenizedData Open(Recipe recipe, ExampleText text, LabelSet? labels, IReadOnlyList<string> files, DataPart part, bool forEvaluation,
        Action<long>? report, CancellationToken cancellation)
    {
        string fingerprint = Fingerprint(recipe, text, labels, files, part, forEvaluation), name = $"{recipe.Name}-{fingerprint[..16]}.lfdata";
        string beside = cache ?? Path.Combine(Path.GetDirectoryName(Path.GetFullPath(files[0]))!, ".longformer-cache");
        IEnumerable<TrainingExample> Examples() => recipe.Examples(recipe.ReadFiles(files, part, cancellation), text, labels, forEvaluation);
        if (cache is null && !IsWritable(beside))
            beside = Path.Combine(output, "cache");
        return TokenizedData.OpenOrMake(Path.Combine(beside, name), fingerprint, Examples, report);
    }

    private static bool IsWritable(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            string probe = Path.Combine(folder, Path.GetRandomFileName());
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private string Fingerprint(Recipe recipe, ExampleText text, LabelSet? labels, IReadOnlyList<string> files, DataPart part, bool forEvaluation)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(object? value) => hash.AppendData(System.Text.Encoding.UTF8.GetBytes(FormattableString.Invariant($"{value}\n")));
        RecipeOptions options = recipe.Options;
        foreach (object? value in (object?[])[Version, recipe.Name, text.MaxTokens, text.VocabSize, forEvaluation, options.Stride,
            options.FirstTokenIsNoAnswer, options.MaxTargetTokens, options.JoinsTexts, part, .. recipe.DataSettings])
        {
            Add(value);
        }
        foreach ((string purpose, string column) in options.Columns.OrderBy(c => c.Key, StringComparer.Ordinal))
            Add($"{purpose}={column}");
        Add(labels?.ProblemType);
        foreach (string label in labels?.Names ?? [])
            Add(label);
        foreach (byte[] file in TokenizerFiles.Contents(tokenizer))
            hash.AppendData(SHA256.HashData(file));
        foreach (string file in files)
        {
            FileInfo info = new(file);
            Add(info.FullName);
            Add(info.Length);
            Add(info.LastWriteTimeUtc.Ticks);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
