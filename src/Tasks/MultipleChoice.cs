using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>A choice and how likely it is.</summary>
/// <param name="Index">Which choice, counted from 0.</param>
/// <param name="Choice">Its text.</param>
/// <param name="Score">Softmax over the choices.</param>
/// <param name="Logit">The model's number.</param>
public sealed record ChoiceScore(int Index, string Choice, float Score, float Logit);

/// <summary>
/// Multiple choice: each choice is read behind the document as <c>&lt;s&gt; document &lt;/s&gt;&lt;/s&gt; question choice
/// &lt;/s&gt;</c>, with everything after the document global by default. Thread-safe; dispose it to free the model.
/// </summary>
public sealed class MultipleChoice : TextTask
{
    private readonly LongformerForMultipleChoice _model;

    private MultipleChoice(LongformerForMultipleChoice model, TextInputs inputs)
        : base(model, inputs) => _model = model;

    /// <summary>Loads a checkpoint folder with a multiple choice head.</summary>
    /// <exception cref="LongformerException">The folder is no Longformer checkpoint, or lacks the head.</exception>
    /// <exception cref="TokenizerException">The tokenizer's files are missing or malformed.</exception>
    public static MultipleChoice Load(string folder, LoadOptions? options = null) =>
        Load(folder, options, LongformerForMultipleChoice.Load, (model, inputs) => new MultipleChoice(model, inputs));

    /// <summary>All choices, best first.</summary>
    /// <param name="document">The text that the choices are about.</param>
    /// <param name="choices">At least two.</param>
    /// <param name="question">Put in front of every choice, or null.</param>
    /// <param name="options">Truncation (of the document, never of a choice) and global tokens.</param>
    /// <param name="cancellation">Stops between two layers of the model.</param>
    /// <exception cref="InputException">A text is empty or too long, or there are fewer than two choices.</exception>
    public IReadOnlyList<ChoiceScore> Choose(string document, IReadOnlyList<string> choices, string? question = null,
        TaskOptions? options = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(choices);
        options ??= new TaskOptions();
        if (choices.Count < 2)
            throw new InputException("choices", "at least 2", $"{choices.Count}");
        List<TextInput> inputs = [];
        for (int i = 0; i < choices.Count; i++)
        {
            ArgumentName name = new("choices", i);
            if (string.IsNullOrEmpty(choices[i]))
                throw new InputException(name, "the text is empty");
            string second = question is null ? choices[i] : $"{question} {choices[i]}";
            Encoding encoding = Inputs.Encode(document, second, "document", options, TruncationStrategy.OnlyFirst);
            Inputs.CheckNotEmpty(encoding, 1, name);
            int length = encoding.Count;
            int begin = 0;
            while (begin < length && encoding.SequenceIds.Span[begin] != 1)
                begin++;
            inputs.Add(new TextInput(encoding, options.Global.Resolve(encoding, Tokenizer, [.. Enumerable.Range(begin, length - begin)], name)));
        }
        CancelPoll.ThrowIfStopped(cancellation);
        float[] logits;
        using (TensorScope scope = new())
            logits = TextInputs.ToFloats(_model.Forward(TextInputs.Pack(inputs) with { Choices = choices.Count }, cancellation).Logits);
        float[] scores = Scores.Softmax(logits);
        return [.. scores.Select((score, i) => new ChoiceScore(i, choices[i], score, logits[i])).OrderByDescending(c => c.Score)];
    }
}
