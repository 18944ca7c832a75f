using System.Runtime.CompilerServices;
using System.Threading.Channels;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>A generated text.</summary>
/// <param name="Text">The text, without special tokens.</param>
/// <param name="Sequence">Its tokens with their scores.</param>
public sealed record Summary(string Text, GeneratedSequence Sequence)
{
    /// <summary>The tokens of the document that were read.</summary>
    public int DocumentTokens { get; init; }
}

/// <summary>How far a summarizer is.</summary>
/// <param name="Done">Documents finished.</param>
/// <param name="Total">Documents in all.</param>
/// <param name="Step">Tokens generated so far for the documents that are worked on.</param>
/// <param name="MaxSteps">The most there can be.</param>
public readonly record struct SummaryProgress(int Done, int Total, int Step, int MaxSteps);

/// <summary>
/// Long documents in, text out: generation with an LED. Options that are not given come from the checkpoint. The first token is global
/// unless said otherwise. Thread-safe; dispose it to free the model.
/// </summary>
public sealed class Summarizer : TextTask
{
    private const int DefaultMaxTokens = 256;

    private readonly TextGenerator _generator;

    private Summarizer(LedForConditionalGeneration model, TextInputs inputs, GenerationOptions defaults)
        : base(model, inputs) => _generator = new TextGenerator(model, defaults, inputs.Tokenizer);

    /// <summary>Loads an LED checkpoint folder.</summary>
    /// <param name="folder">The folder; null for the model in the box (<see cref="DefaultModel"/>).</param>
    /// <param name="options">How to load it.</param>
    /// <exception cref="LongformerException">The folder is no LED checkpoint, or there is no model in the box.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static Summarizer Load(string? folder = null, LoadOptions? options = null) => LoadFolder(folder ?? DefaultModel.Folder, options);

    private static Summarizer LoadFolder(string folder, LoadOptions? options) =>
        Load(folder, options, LedForConditionalGeneration.Load, (model, inputs) =>
        {
            GenerationOptions defaults = GenerationOptions.FromCheckpoint(Checkpoint.FolderOf(folder, options?.BaseFolder));
            // HF's 20 tokens are no summary; this is the one default that is not HF's.
            if (defaults.MaxTokens is null && defaults.MaxLength is null)
                defaults = defaults with { MaxTokens = Math.Min(DefaultMaxTokens, model.Configuration.MaxDecoderPositionEmbeddings) };
            return new Summarizer(model, inputs, defaults);
        });

    /// <summary>The best text for one document.</summary>
    /// <param name="document">The document.</param>
    /// <param name="generation">How to generate (at most 256 tokens where neither this nor the checkpoint says).</param>
    /// <param name="options">Truncation and global tokens.</param>
    /// <param name="onText">Called with the text piece by piece, as soon as each is settled; the pieces together are the result.</param>
    /// <param name="cancellation">Stops between two layers of the encoder, or two tokens.</param>
    /// <exception cref="InputException">The document is empty or too long, or the options are impossible.</exception>
    public string Summarize(string document, GenerationOptions? generation = null, TaskOptions? options = null,
        Action<string>? onText = null, CancellationToken cancellation = default)
    {
        options ??= new TaskOptions();
        TextInput input = Encode([document], 0, options);
        TextStream text = new(Tokenizer, onText);
        string best = Generate([input], generation, options, token =>
        {
            if (token.Sequence == 0)
                text.Add(token.Id);
        }, null, cancellation)[0][0].Text;
        text.Finish(best);
        return best;
    }

    /// <summary>All results (<see cref="GenerationOptions.NBest"/>) for every document.</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="generation">How to generate (at most 256 tokens where neither this nor the checkpoint says).</param>
    /// <param name="options">Truncation, global tokens, batch size.</param>
    /// <param name="progress">Called after every token.</param>
    /// <param name="onToken">Called with each settled token and the number of its document among <paramref name="documents"/>.</param>
    /// <param name="cancellation">Stops between two layers of the encoder, or two tokens.</param>
    /// <returns>For each document its results as soon as its batch is done: of a beam search best first.</returns>
    /// <exception cref="InputException">A document is empty or too long (the message names it), or the options are impossible.</exception>
    public IEnumerable<IReadOnlyList<Summary>> Summarize(IReadOnlyList<string> documents, GenerationOptions? generation = null,
        TaskOptions? options = null, IProgress<SummaryProgress>? progress = null, Action<GeneratedToken>? onToken = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        _generator.Check(generation ?? new GenerationOptions());
        options ??= new TaskOptions();
        // Every document is checked before the first is worked on.
        TextInput[] inputs = [.. documents.Select((_, i) => Encode(documents, i, options))];
        return Batches(inputs, generation, options, progress, onToken, cancellation);
    }

    /// <summary>The options that a call has: the given ones, and the checkpoint's where none is given.</summary>
    public GenerationOptions WithDefaults(GenerationOptions? generation = null) => _generator.WithDefaults(generation);

    /// <summary>The text for one document as it comes into being, on a thread of the pool.</summary>
    /// <inheritdoc cref="Summarize(string, GenerationOptions?, TaskOptions?, Action{string}?, CancellationToken)"/>
    public async IAsyncEnumerable<string> SummarizeAsync(string document, GenerationOptions? generation = null, TaskOptions? options = null,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        // Leaving the enumeration early must end the work too.
        using CancellationTokenSource source = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Channel<string> pieces = Channel.CreateUnbounded<string>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
        Task work = Task.Run(() =>
        {
            try
            {
                Summarize(document, generation, options, piece => pieces.Writer.TryWrite(piece), source.Token);
            }
            finally
            {
                pieces.Writer.Complete();
            }
        }, CancellationToken.None);
        try
        {
            await foreach (string piece in pieces.Reader.ReadAllAsync(cancellation).ConfigureAwait(false))
                yield return piece;
        }
        finally
        {
            await source.CancelAsync().ConfigureAwait(false);
            await work.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        await work.ConfigureAwait(false);
    }

    private TextInput Encode(IReadOnlyList<string> documents, int index, TaskOptions options)
    {
        ArgumentName name = documents.Count == 1 ? "document" : new ArgumentName("documents", index);
        Encoding encoding = Inputs.Encode(documents[index], null, name, options);
        return new TextInput(encoding, options.Global.Resolve(encoding, Tokenizer, [0], name)) { Text = documents[index] };
    }

    private IEnumerable<IReadOnlyList<Summary>> Batches(TextInput[] inputs, GenerationOptions? generation, TaskOptions options,
        IProgress<SummaryProgress>? progress, Action<GeneratedToken>? onToken, CancellationToken cancellation)
    {
        int done = 0;
        foreach (List<TextInput> batch in TextInputs.Batches(inputs, options))
        {
            int before = done;
            IReadOnlyList<Summary>[] results = Generate(batch, generation, options,
                onToken is null ? null : token => onToken(token with { Document = before + token.Document }),
                progress is null ? null : new StepProgress(p => progress.Report(
                    new SummaryProgress(before + batch.Count - p.OpenDocuments, inputs.Length, p.Step, p.MaxSteps))), cancellation);
            done += batch.Count;
            foreach (IReadOnlyList<Summary> summaries in results)
                yield return summaries;
        }
    }

    private IReadOnlyList<Summary>[] Generate(List<TextInput> inputs, GenerationOptions? generation,
        TaskOptions options,
        Action<GeneratedToken>? onToken, IProgress<GenerationProgress>? progress, CancellationToken cancellation)
    {
        GenerationOptions merged = _generator.WithDefaults(generation);
        int wanted = merged.NBest ?? 1, found = Math.Max(wanted, merged.Beams ?? 1);
        bool chooses = merged.Rerank >= 0 && found > 1;
        IReadOnlyList<IReadOnlyList<GeneratedSequence>> sequences = _generator.Generate(
            [.. inputs.Select(i => new GenerationDocument(i.Encoding.Ids) { GlobalPositions = i.Globals })],
            merged with { Rerank = null, NBest = chooses ? found : merged.NBest }, chooses ? null : onToken, progress, cancellation);
        IReadOnlyList<Summary>[] results = [.. sequences.Select((of, i) => of.Select(s =>
            new Summary(Tokenizer.Decode([.. s.Ids], skipSpecialTokens: true), s) { DocumentTokens = inputs[i].Length }).ToArray())];
        if (!chooses)
            return results;
        for (int i = 0; i < results.Length; i++)
        {
            results[i] = [.. Reranking.Order(results[i], inputs[i].Text, merged.Rerank!.Value).Take(wanted)];
            GeneratedSequence best = results[i][0].Sequence;
            // Settled only now that the best is known.
            for (int position = best.PromptLength; position < best.Ids.Count && onToken is not null; position++)
                onToken(new GeneratedToken(i, 0, position, best.Ids[position]));
        }
        return results;
    }

    /// <summary>Progress on the thread that generates: <see cref="Progress{T}"/> would reorder it through the pool.</summary>
    private sealed class StepProgress(Action<GenerationProgress> report) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => report(value);
    }
}

/// <summary>
/// Tokens to text, piece by piece. A token may end inside a character; such a piece waits for the rest of it, so that no reported
/// text is taken back.
/// </summary>
internal sealed class TextStream(Tokenizer tokenizer, Action<string>? onText)
{
    private readonly List<int> _ids = [];
    private string _text = "";

    public void Add(int id)
    {
        if (onText is null)
            return;
        _ids.Add(id);
        string text = tokenizer.Decode([.. _ids], skipSpecialTokens: true);
        if (text.EndsWith('\uFFFD'))
            return;
        Tell(text);
    }

    /// <summary>Passes on the rest of the final text.</summary>
    public void Finish(string text) => Tell(text);

    private void Tell(string text)
    {
        if (onText is null || text.Length <= _text.Length || !text.StartsWith(_text, StringComparison.Ordinal))
            return;
        onText(text[_text.Length..]);
        _text = text;
    }
}
