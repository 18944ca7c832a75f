using LongformerInterop.Models;
using LongformerInterop.Models.Led;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Generation;

/// <summary>A document to generate from, as tokens.</summary>
/// <param name="Ids">Its tokens, special tokens included.</param>
public sealed record GenerationDocument(ReadOnlyMemory<int> Ids)
{
    /// <summary>A document of an array of tokens, which is not copied.</summary>
    public GenerationDocument(int[] ids)
        : this((ReadOnlyMemory<int>)ids)
    {
    }

    /// <summary>Positions of the tokens with global attention. Null: the first token, as LED was trained; empty: none.</summary>
    public IReadOnlyList<int>? GlobalPositions { get; init; }

    /// <summary>For each token whether it may be seen. Null: all. Hidden tokens at the end are cut off, since they change nothing.</summary>
    public IReadOnlyList<bool>? Visible { get; init; }

    /// <summary>
    /// The document's own decoder prompt, in place of <see cref="GenerationOptions.DecoderPrompt"/>. Prompts of a batch may differ in
    /// length; nothing is padded.
    /// </summary>
    public IReadOnlyList<int>? DecoderPrompt { get; init; }
}

/// <summary>
/// Generates tokens from tokens with an LED: HF's <c>generate</c>. Documents of unequal length go through the encoder without padding; each
/// leaves the batch when it is done. Thread-safe, as the model is.
/// </summary>
/// <param name="model">The model; it stays the caller's.</param>
/// <param name="defaults">The checkpoint's settings for generation: <see cref="GenerationOptions.FromCheckpoint"/>.</param>
/// <param name="tokenizer">Needed for <see cref="GenerationOptions.StopStrings"/>; where it is null they are refused.</param>
public sealed class TextGenerator(LedForConditionalGeneration model, GenerationOptions? defaults = null, Tokenizer? tokenizer = null)
{
    private readonly GenerationOptions _defaults = defaults ?? new GenerationOptions();

    /// <summary>The special tokens and limits of the model.</summary>
    public GenerationVocabulary Vocabulary { get; } = new(model.Configuration.VocabSize, model.Configuration.MaxDecoderPositionEmbeddings,
        model.Configuration.DecoderStartTokenId, model.Configuration.PadTokenId, [model.Configuration.EosTokenId]);

    /// <summary>Refuses options that cannot be, before any work is done.</summary>
    /// <exception cref="InputException">A value or a combination is impossible; the message names the values.</exception>
    public void Check(GenerationOptions options) => GenerationPlan.Create(options.Over(_defaults), Vocabulary);

    /// <summary>Options with the checkpoint's in place of those that are null.</summary>
    internal GenerationOptions WithDefaults(GenerationOptions? options) => (options ?? new GenerationOptions()).Over(_defaults);

    /// <summary>Generates for every document.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="options">How; the checkpoint decides where one is null, else HF's defaults. Not with
    /// <see cref="GenerationOptions.Rerank"/>, which is for texts; the checkpoint's is passed over.</param>
    /// <param name="onToken">Called with each token as soon as it is settled.</param>
    /// <param name="progress">Called after each step.</param>
    /// <param name="cancellation">Checked before each layer of the encoder and each step.</param>
    /// <returns>[documents][n-best]: of a beam search best first, samples in the order of their numbers.</returns>
    /// <exception cref="InputException">Options are impossible, or a document is wrong or beyond the encoder's positions.</exception>
    public IReadOnlyList<IReadOnlyList<GeneratedSequence>> Generate(IReadOnlyList<GenerationDocument> documents, GenerationOptions? options = null,
        Action<GeneratedToken>? onToken = null, IProgress<GenerationProgress>? progress = null, CancellationToken cancellation = default) =>
        Generate(documents, options, useCache: true, onToken, progress, cancellation);

    internal GeneratedSequence[][] Generate(IReadOnlyList<GenerationDocument> documents, GenerationOptions? options, bool useCache,
        Action<GeneratedToken>? onToken = null, IProgress<GenerationProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        if (documents.Count == 0)
            return [];
        if (options?.Rerank >= 0)
            throw new InputException($"Rerank: expected a summarizer, which knows the words, given tokens (Rerank is {options.Rerank})");
        GenerationOptions merged = WithDefaults(options);
        GenerationPlan[] plans = [.. documents.Select(d => GenerationPlan.Create(
            d.DecoderPrompt is null ? merged : merged with { DecoderPrompt = d.DecoderPrompt }, Vocabulary, d.Ids.ToArray(), tokenizer))];
        if (merged.StopStrings is { Count: > 0 } && tokenizer is null)
            throw new InputException("StopStrings: expected a generator with a tokenizer, given one without.");
        using TensorScope scope = new();
        CancelPoll.ThrowIfStopped(cancellation);
        using LedEncodedDocuments encoded = model.Encode(new LedInputs { Documents = [.. documents.Select(Tokens)] }, cancellation);
        // The last token is never fed.
        using IDecodingSession session =
            model.StartDecoding(encoded, plans.Max(p => p.MaxLength) - 1, Math.Max(plans[0].Beams, plans[0].NBest), useCache);
        return GenerationLoop.Run(session, plans, onToken, progress, cancellation);
    }

    /// <summary>A document as the encoder takes it: without the hidden tokens at its end, which change nothing.</summary>
    private static DocumentTokens Tokens(GenerationDocument document, int index)
    {
        ArgumentName name = new("documents", index);
        int length = document.Ids.Length;
        if (document.Visible is { } mask)
        {
            if (mask.Count != length)
                throw new InputException(name, $"Visible for {length} tokens", $"{mask.Count} values");
            while (length > 0 && !mask[length - 1])
                length--;
        }
        if (length == 0)
            throw new InputException(name, "at least one visible token", "none");
        IReadOnlyList<int> globals = document.GlobalPositions ?? [0];
        foreach (int position in globals)
        {
            if (position < 0 || position >= document.Ids.Length)
                throw new InputException(name, $"global positions within its {document.Ids.Length} tokens", $"{position}");
        }
        return new DocumentTokens(document.Ids[..length], [.. globals.Where(p => p < length).Distinct().Order()])
        {
            Visible = document.Visible?.Contains(false) == true ? [.. document.Visible.Take(length)] : null,
        };
    }
}
