using LongformerInterop.Models;
using LongformerInterop.Tasks.Tagging;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>
/// Labels the tokens of a text and joins them to entities. No token is global by default. Thread-safe; dispose it to free the
/// model.
/// </summary>
public sealed class TokenClassifier : IDisposable
{
    private readonly LongformerForTokenClassification _model;
    private readonly TextInputs _inputs;

    private TokenClassifier(LongformerForTokenClassification model, TextInputs inputs) => (_model, _inputs) = (model, inputs);

    /// <summary>The checkpoint's tokenizer.</summary>
    public Tokenizer Tokenizer => _inputs.Tokenizer;

    /// <summary>The longest text in tokens, special tokens included.</summary>
    public int MaxTokens => _inputs.MaxTokens;

    /// <summary>Label names in the order of their ids.</summary>
    public IReadOnlyList<string> Labels => _model.Configuration.Id2Label;

    /// <summary>Loads a checkpoint folder with a token classification head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static TokenClassifier Load(string folder, LoadOptions? options = null)
    {
        Task<Tokenizer> tokenizer = TextInputs.StartTokenizer(folder);
        LongformerForTokenClassification model = LongformerForTokenClassification.Load(folder, options);
        return Guard.DisposeOnError(model, m => new TokenClassifier(m, new TextInputs(tokenizer, m.Configuration)));
    }

    /// <summary>The entities of one text, in its order.</summary>
    /// <param name="text">The text.</param>
    /// <param name="options">How tokens become entities; truncation; global tokens.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">The text is empty or too long.</exception>
    public IReadOnlyList<Entity> Tag(string text, TagOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new TagOptions();
        Encoding encoding = _inputs.Encode(text, null, "text", options);
        TextInput input = new(encoding, options.Global.Resolve(encoding.Count, [], "text"));
        cancellation.ThrowIfCancellationRequested();
        float[] logits;
        using (TensorScope scope = new())
            logits = TextInputs.ToFloats(_model.Forward(TextInputs.Pack([input], options, cancellation)).Logits);

        int labels = Labels.Count;
        List<TextRange> offsets = [];
        List<float[]> probabilities = [];
        for (int i = 0; i < encoding.Count; i++)
        {
            TextRange range = encoding.Offsets.Span[i];
            // Special tokens, and tokens that are only a space, cover no text.
            if (encoding.SequenceIds.Span[i] < 0 || range.Length == 0)
                continue;
            offsets.Add(range);
            probabilities.Add(Scores.Softmax(logits.AsSpan(i * labels, labels)));
        }
        return EntityGrouper.Group(text, offsets, probabilities, Labels, options.Aggregation);
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => _model.Dispose();
}
