using LongformerInterop.Models;
using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Generation;

/// <summary>A document to generate from, as tokens.</summary>
/// <param name="Ids">Its tokens, special tokens included.</param>
public sealed record GenerationDocument(IReadOnlyList<int> Ids)
{
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
/// <param name="defaults">What the checkpoint says about generation: <see cref="GenerationOptions.FromCheckpoint"/>.</param>
public sealed class TextGenerator(LedForConditionalGeneration model, GenerationOptions? defaults = null)
{
    private readonly GenerationOptions _defaults = defaults ?? new GenerationOptions();

    /// <summary>The special tokens and limits of the model.</summary>
    public GenerationVocabulary Vocabulary { get; } = new(model.Configuration.VocabSize, model.Configuration.MaxDecoderPositionEmbeddings,
        model.Configuration.DecoderStartTokenId, model.Configuration.PadTokenId, [model.Configuration.EosTokenId]);

    /// <summary>Refuses options that cannot be, before any work is done.</summary>
    /// <exception cref="InputException">A value or a combination is impossible; the message names the values.</exception>
    public void Check(GenerationOptions options) => GenerationPlan.Create(options.Over(_defaults), Vocabulary);

    /// <summary>Generates for every document.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="options">How; what is null comes from the checkpoint, else from HF's defaults.</param>
    /// <param name="onToken">Told each token as soon as it is settled.</param>
    /// <param name="progress">Told after each step.</param>
    /// <param name="beforeLayer">Called before each layer of the encoder; what it throws ends the call.</param>
    /// <param name="cancellation">Checked before each layer of the encoder and each step.</param>
    /// <returns>[documents][n-best]: of a beam search best first, samples in the order of their numbers.</returns>
    /// <exception cref="InputException">Options are impossible, or a document is wrong or beyond the encoder's positions.</exception>
    public IReadOnlyList<IReadOnlyList<GeneratedSequence>> Generate(IReadOnlyList<GenerationDocument> documents, GenerationOptions? options = null,
        Action<GeneratedToken>? onToken = null, IProgress<GenerationProgress>? progress = null, Action? beforeLayer = null,
        CancellationToken cancellation = default) =>
        Generate(documents, options, useCache: true, onToken, progress, beforeLayer, cancellation);

    internal GeneratedSequence[][] Generate(IReadOnlyList<GenerationDocument> documents, GenerationOptions? options, bool useCache,
        Action<GeneratedToken>? onToken = null, IProgress<GenerationProgress>? progress = null, Action? beforeLayer = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        if (documents.Count == 0) return [];
        GenerationOptions merged = (options ?? new GenerationOptions()).Over(_defaults);
        GenerationPlan[] plans = [.. documents.Select(d => GenerationPlan.Create(d.DecoderPrompt is null ? merged : merged with { DecoderPrompt = d.DecoderPrompt }, Vocabulary))];
        using var scope = new TensorScope();
        cancellation.ThrowIfCancellationRequested();
        using LedEncodedDocuments encoded = model.Encode(Pack(documents) with { BeforeLayer = new TaskOptions { BeforeLayer = beforeLayer }.BeforeLayerOr(cancellation) });
        // The last token is never fed.
        using IDecodingSession session = model.StartDecoding(encoded, plans.Max(p => p.MaxLength) - 1, Math.Max(plans[0].Beams, plans[0].NBest), useCache);
        return GenerationLoop.Run(session, plans, onToken, progress, cancellation);
    }

    private static LedInputs Pack(IReadOnlyList<GenerationDocument> documents)
    {
        var ids = new List<long>();
        var globals = new List<byte>();
        var visible = new List<byte>();
        var offsets = new List<long> { 0 };
        for (int i = 0; i < documents.Count; i++)
        {
            GenerationDocument document = documents[i];
            int length = document.Ids.Count;
            if (document.Visible is { } mask)
            {
                if (mask.Count != length) throw new InputException($"documents[{i}]: expected Visible for {length} tokens, given {mask.Count} values");
                while (length > 0 && !mask[length - 1]) length--;
            }
            if (length == 0) throw new InputException($"documents[{i}]: expected at least one visible token, given none");
            var isGlobal = new byte[length];
            foreach (int position in document.GlobalPositions ?? [0])
            {
                if (position < 0 || position >= document.Ids.Count)
                    throw new InputException($"documents[{i}]: global position {position} is outside its {document.Ids.Count} tokens");
                if (position < length) isGlobal[position] = 1;
            }
            for (int t = 0; t < length; t++)
            {
                ids.Add(document.Ids[t]);
                visible.Add(document.Visible is null || document.Visible[t] ? (byte)1 : (byte)0);
            }
            globals.AddRange(isGlobal);
            offsets.Add(ids.Count);
        }
        return new LedInputs
        {
            InputIds = Tensor.From<long>([.. ids], ids.Count),
            GlobalAttentionMask = globals.Contains(1) ? Tensor.From<byte>([.. globals], ids.Count) : null,
            AttentionMask = visible.Contains(0) ? Tensor.From<byte>([.. visible], ids.Count) : null,
            SequenceOffsets = offsets,
        };
    }
}
