using LongformerInterop.Models;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>
/// Finds the mentions of a text that mean the same: clusters of character ranges. A text of any length is read in one pass, in segments that end with
/// a sentence. Thread-safe; dispose it to free the model.
/// </summary>
/// <example><code>
/// using CoreferenceResolver resolver = CoreferenceResolver.Load("longformer-coref");
/// foreach (CoreferenceCluster cluster in resolver.Resolve("Ada sang. She smiled."))
///     Console.WriteLine(string.Join(" = ", cluster.Mentions.Select(m => $"{m.Text} [{m.Start}..{m.End}]")));
/// </code></example>
public sealed class CoreferenceResolver : TextTask
{
    private readonly LongformerForCoreference _model;

    private CoreferenceResolver(LongformerForCoreference model, TextInputs inputs)
        : base(model, inputs) => _model = model;

    /// <summary>The genres that the model knows.</summary>
    public IReadOnlyList<string> Genres => _model.Configuration.Coreference.Genres;

    /// <summary>Loads a checkpoint folder with a coreference head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static CoreferenceResolver Load(string folder, LoadOptions? options = null) =>
        Load(folder, options, LongformerForCoreference.Load, (model, inputs) => new CoreferenceResolver(model, inputs));

    /// <summary>The clusters of a text, in the order of their first mentions. Words and sentences are found by rules for English.</summary>
    /// <param name="text">The text, of any length.</param>
    /// <param name="genre">One of <see cref="Genres"/>; null: <c>nw</c>, newswire, where the model has it, else its first.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">The text has no word, or the genre is unknown.</exception>
    public IReadOnlyList<CoreferenceCluster> Resolve(string text, string? genre = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<List<(int Start, int End)>> sentences = PlainText.Sentences(text);
        if (sentences.Count == 0)
            throw new InputException("text", "at least one word", "none");
        (int Start, int End)[] words = [.. sentences.SelectMany(s => s)];
        IReadOnlyList<IReadOnlyList<MentionSpan>> clusters = Resolve(new CoreferenceDocument
        {
            Sentences = [.. sentences.Select(s => (IReadOnlyList<string>)[.. s.Select(w => text[w.Start..w.End])])],
            Genre = genre ?? (Genres.Contains("nw") ? "nw" : Genres[0]),
        }, cancellation);
        return [.. clusters.Select(c => new CoreferenceCluster([.. c.Select(m =>
        {
            (int start, int end) = (words[m.First].Start, words[m.Last].End);
            return new CoreferenceMention(start, end, text[start..end]);
        })]))];
    }

    /// <summary>The clusters of a document of words: mentions by their words, counted over the document, in the order of the text.</summary>
    /// <param name="document">Sentences, speakers and genre.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">It has no word, or lists that do not fit it.</exception>
    public IReadOnlyList<IReadOnlyList<MentionSpan>> Resolve(CoreferenceDocument document, CancellationToken cancellation = default)
    {
        CoreferenceConfiguration c = _model.Configuration.Coreference;
        CoreferenceSegments segments = CoreferenceSegments.Of(document, Tokenizer, c.Genres, SegmentTokens(c, MaxTokens), "document");
        CancelPoll.ThrowIfStopped(cancellation);
        using TensorScope scope = new();
        CoreferenceOutputs outputs = _model.Forward(LongformerInputs.Pack(segments.Segments) with
        {
            Coreference = segments.Tokens with { Clusters = null },
        }, cancellation);
        return [.. CoreferenceSegments.ToWords(outputs.Clusters(), segments.Words).OrderBy(cluster => cluster[0])];
    }

    /// <summary>The most tokens of a segment.</summary>
    internal static int SegmentTokens(CoreferenceConfiguration configuration, int positions) =>
        configuration.MaxSegmentTokens > 0 ? Math.Min(configuration.MaxSegmentTokens, positions) : positions;
}
