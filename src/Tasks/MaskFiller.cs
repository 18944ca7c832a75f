using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>A token for a mask.</summary>
/// <param name="Id">Token id.</param>
/// <param name="Text">The token as text, with the space that it may begin with.</param>
/// <param name="Score">Probability over the vocabulary.</param>
public sealed record MaskCandidate(int Id, string Text, float Score);

/// <summary>One mask of a text.</summary>
/// <param name="Position">Token position.</param>
/// <param name="Start">First character of the mask in UTF-16 units (white space before it, which belongs to it, left out).</param>
/// <param name="End">One past the last character.</param>
/// <param name="Candidates">The likeliest tokens, best first.</param>
public sealed record FilledMask(int Position, int Start, int End, IReadOnlyList<MaskCandidate> Candidates);

/// <summary>
/// Fills the masks of a text; each on its own where there are several. No token is global by default. Thread-safe; dispose it to
/// free the model.
/// </summary>
public sealed class MaskFiller : TextTask
{
    private readonly LongformerForMaskedLM _model;
    private readonly int _mask;

    private MaskFiller(LongformerForMaskedLM model, TextInputs inputs, string folder)
        : base(model, inputs)
    {
        _model = model;
        _mask = inputs.Tokenizer.SpecialTokens.Mask ?? throw new InputException($"{folder}: the tokenizer has no mask token");
    }

    /// <summary>How the mask is written in a text, such as <c>&lt;mask&gt;</c>.</summary>
    public string MaskText => Tokenizer.IdToToken(_mask)!;

    /// <summary>Loads a checkpoint folder with a masked language modeling head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head or a mask token.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static MaskFiller Load(string folder, LoadOptions? options = null) =>
        Load(folder, options, LongformerForMaskedLM.Load, (model, inputs) => new MaskFiller(model, inputs, folder));

    /// <summary>The masks of one text, in its order.</summary>
    /// <param name="text">The text, with at least one mask.</param>
    /// <param name="top">How many candidates for each.</param>
    /// <param name="options">Truncation and global tokens.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">The text is empty, too long or holds no mask.</exception>
    public IReadOnlyList<FilledMask> Fill(string text, int top = 5, TaskOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new TaskOptions();
        if (top < 1)
            throw new InputException("top", "at least 1", $"{top}");
        Encoding encoding = Inputs.Encode(text, null, "text", options);
        long[] positions = [.. Enumerable.Range(0, encoding.Count).Where(i => encoding.Ids.Span[i] == _mask).Select(i => (long)i)];
        if (positions.Length == 0)
            throw new InputException("text", $"at least one {MaskText}{(options.Truncate ? $" in the first {encoding.Count} tokens" : "")}", "none");
        TextInput input = new(encoding, options.Global.Resolve(encoding, Tokenizer, [], "text"));
        CancelPoll.ThrowIfStopped(cancellation);

        float[] logits;
        using (TensorScope scope = new())
        {
            // The scores of the masks only: those of every token of a long document would take gigabytes.
            LongformerInputs packed = TextInputs.Pack([input]) with { LogitRows = Tensor.From<long>(positions, positions.Length) };
            logits = TextInputs.ToFloats(_model.Forward(packed, cancellation).Logits);
        }
        int vocabulary = logits.Length / positions.Length;
        List<FilledMask> masks = [];
        for (int m = 0; m < positions.Length; m++)
        {
            TextRange range = encoding.Offsets.Span[(int)positions[m]];
            masks.Add(new FilledMask((int)positions[m], TrimmedStart(text, range), range.End,
                Candidates(logits.AsSpan(m * vocabulary, vocabulary), top)));
        }
        return masks;
    }

    private static int TrimmedStart(string text, TextRange range)
    {
        int start = range.Start;
        while (start < range.End && char.IsWhiteSpace(text[start]))
            start++;
        return start;
    }

    private List<MaskCandidate> Candidates(ReadOnlySpan<float> logits, int top)
    {
        double normalizer = Scores.LogSumExp(logits);
        List<MaskCandidate> candidates = [];
        foreach (int id in Scores.Top(logits, top))
        {
            // A table may have more rows than the tokenizer has tokens.
            string text = id < Tokenizer.VocabularySize ? Tokenizer.Decode([id]) : $"[{id}]";
            candidates.Add(new MaskCandidate(id, text, (float)Math.Exp(logits[id] - normalizer)));
        }
        return candidates;
    }
}
