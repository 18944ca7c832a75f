using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>A label and how likely it is.</summary>
/// <param name="Label">Name, from the checkpoint's <c>id2label</c>.</param>
/// <param name="Score">Single label: softmax; multi label: sigmoid; regression: the value itself.</param>
/// <param name="Logit">The model's number.</param>
public sealed record LabelScore(string Label, float Score, float Logit);

/// <summary>
/// Classifies documents. The first token is global by default. Thread-safe; dispose it to free the model.
/// </summary>
public sealed class TextClassifier : TextTask
{
    private readonly LongformerForSequenceClassification _model;

    private TextClassifier(LongformerForSequenceClassification model, TextInputs inputs)
        : base(model, inputs, model.Configuration.Id2Label) => _model = model;

    /// <summary>
    /// <c>single_label_classification</c>, <c>multi_label_classification</c> or <c>regression</c>: what the checkpoint says, else, as HF's pipeline
    /// has it, the sigmoid of <c>multi_label_classification</c> for one label and single label for more.
    /// </summary>
    public string ProblemType => ProblemTypeOf(_model.Configuration);

    /// <summary>Loads a checkpoint folder with a sequence classification head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static TextClassifier Load(string folder, LoadOptions? options = null) =>
        Load(folder, options, LongformerForSequenceClassification.Load, (model, inputs) => new TextClassifier(model, inputs));

    /// <summary>All labels of one document, best first (regression: in the checkpoint's order).</summary>
    /// <exception cref="InputException">The document is empty or too long.</exception>
    public IReadOnlyList<LabelScore> Classify(string document, TaskOptions? options = null, CancellationToken cancellation = default) =>
        Classify([document], options, null, cancellation)[0];

    /// <summary>All labels of every document, best first (regression: in the checkpoint's order).</summary>
    /// <param name="documents">The documents.</param>
    /// <param name="options">Truncation, global tokens, batch size.</param>
    /// <param name="progress">Called after every batch.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">A document is empty or too long; the message names it.</exception>
    public IReadOnlyList<IReadOnlyList<LabelScore>> Classify(IReadOnlyList<string> documents, TaskOptions? options = null,
        IProgress<TaskProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        options ??= new TaskOptions();
        IEnumerable<TextInput> inputs = documents.Select((document, i) =>
        {
            ArgumentName name = documents.Count == 1 ? "document" : new ArgumentName("documents", i);
            Encoding encoding = Inputs.Encode(document, null, name, options);
            return new TextInput(encoding, options.Global.Resolve(encoding, Tokenizer, [0], name));
        });
        List<IReadOnlyList<LabelScore>> results = [];
        long tokens = 0;
        foreach (List<TextInput> batch in TextInputs.Batches(inputs, options))
        {
            CancelPoll.ThrowIfStopped(cancellation);
            float[] logits = Run(batch, options, cancellation);
            int labels = logits.Length / batch.Count;
            for (int i = 0; i < batch.Count; i++)
                results.Add(Score(logits.AsSpan(i * labels, labels), ProblemType, Labels));
            tokens += batch.Sum(b => (long)b.Length);
            progress?.Report(new TaskProgress(results.Count, documents.Count, tokens));
        }
        return results;
    }

    internal static string ProblemTypeOf(ModelConfiguration configuration) =>
        configuration.ProblemType ?? (configuration.NumLabels == 1 ? "multi_label_classification" : "single_label_classification");

    internal static List<LabelScore> Score(ReadOnlySpan<float> logits, string problemType, IReadOnlyList<string> labels)
    {
        float[] scores = problemType switch
        {
            "regression" => logits.ToArray(),
            "multi_label_classification" or "single_label_classification" when labels.Count == 1 || problemType[0] == 'm' =>
                Array.ConvertAll(logits.ToArray(), Scores.Sigmoid),
            _ => Scores.Softmax(logits),
        };
        List<LabelScore> result = [];
        for (int i = 0; i < scores.Length; i++)
            result.Add(new LabelScore(labels[i], scores[i], logits[i]));
        return problemType == "regression" ? result : [.. result.OrderByDescending(l => l.Score)];
    }

    private float[] Run(List<TextInput> batch, TaskOptions options, CancellationToken cancellation)
    {
        using TensorScope scope = new();
        return TextInputs.ToFloats(_model.Forward(TextInputs.Pack(batch), cancellation).Logits);
    }
}
