using LongformerInterop.Models;
using LongformerInterop.Tasks.Tagging;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>
/// Labels the tokens of a text and joins them to entities. No token is global by default. Thread-safe; dispose it to free the
/// model.
/// </summary>
public sealed class TokenClassifier : TextTask
{
    private readonly LongformerForTokenClassification _model;

    private TokenClassifier(LongformerForTokenClassification model, TextInputs inputs)
        : base(model, inputs, model.Configuration.Id2Label) => _model = model;

    /// <summary>Loads a checkpoint folder with a token classification head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static TokenClassifier Load(string folder, LoadOptions? options = null) =>
        Load(folder, options, LongformerForTokenClassification.Load, (model, inputs) => new TokenClassifier(model, inputs));

    /// <summary>The entities of one text, in its order.</summary>
    /// <param name="text">The text.</param>
    /// <param name="options">How tokens become entities; truncation; global tokens.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">The text is empty or too long.</exception>
    public IReadOnlyList<Entity> Tag(string text, TagOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new TagOptions();
        Encoding encoding = Inputs.Encode(text, null, "text", options);
        TextInput input = new(encoding, options.Global.Resolve(encoding, Tokenizer, [], "text"));
        CancelPoll.ThrowIfStopped(cancellation);
        float[] logits;
        using (TensorScope scope = new())
            logits = TextInputs.ToFloats(_model.Forward(TextInputs.Pack([input]), cancellation).Logits);

        int labels = Labels.Count;
        List<TextRange> offsets = [];
        List<float[]> probabilities = [];
        List<bool> continues = [];
        for (int i = 0; i < encoding.Count; i++)
        {
            TextRange range = encoding.Offsets.Span[i];
            // Special tokens are none of the text; one that is only a space is, though it covers none.
            if (encoding.SequenceIds.Span[i] < 0)
                continue;
            offsets.Add(range);
            continues.Add(Continues(encoding.Ids.Span[i], text.AsSpan(range.Start, range.Length)));
            probabilities.Add(Scores.Softmax(logits.AsSpan(i * labels, labels)));
        }
        return EntityGrouper.Group(text, offsets, probabilities, Labels, options.Aggregation, Tokenizer.MarksContinuations ? continues : null);
    }

    /// <summary>As HF has it for WordPiece: a token longer than the text that it covers carries ##; an unknown word is a whole one.</summary>
    private bool Continues(int id, ReadOnlySpan<char> covered)
    {
        if (id == Tokenizer.SpecialTokens.Unknown || Tokenizer.IdToToken(id) is not { } token)
            return false;
        return CodePoints(token) != CodePoints(covered);
    }

    private static int CodePoints(ReadOnlySpan<char> text)
    {
        int count = 0;
        foreach (char c in text)
            count += char.IsLowSurrogate(c) ? 0 : 1;
        return count;
    }
}
