using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Recipes;

/// <summary>
/// Masked LM as BERT and RoBERTa have it: of the tokens 15% are to be found; 80% of these become the mask, 10% a random token, 10% stay. Other ones
/// in every pass. Special tokens are never hidden. An example in which chance hides nothing hides one token.
/// </summary>
public sealed class MaskedLanguageRecipe : Recipe
{
    private const double MaskPart = 0.8, RandomPart = 0.1;
    private const long EvaluationSeed = 20_200_410;  // the day of the paper: an evaluation hides the same tokens always

    internal MaskedLanguageRecipe(RecipeOptions options) : base(options)
    {
        if (options.MaskProbability is not (> 0 and < 1))
            throw new InputException($"mask probability: expected between 0 and 1, given {options.MaskProbability}");
    }

    /// <inheritdoc/>
    public override string Name => "masked-lm";

    /// <inheritdoc/>
    public override string Title => "Masked language modelling";

    /// <inheritdoc/>
    public override string Architecture => "LongformerForMaskedLM";

    /// <inheritdoc/>
    public override string BestMetric => "loss";

    /// <inheritdoc/>
    public override bool MoreIsBetter => false;

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(text);
        if (text.Tokenizer.SpecialTokens.Mask is null)
            throw new InputException("masked LM: expected a tokenizer with a mask token, given one without");
        return Options.JoinsTexts ? Joined(rows, text) : rows.SelectMany(row => text
            .Windows(row.Text(Column(row, "text", "document", "content", "article")), null, 0, row.Source)
            .Select(window => new TrainingExample { Ids = window.Ids.ToArray(), Source = row.Source }));
    }

    /// <inheritdoc/>
    public override TrainingExample ForPass(TrainingExample example, ExampleText text, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(example);
        ArgumentNullException.ThrowIfNull(text);
        int[] ids = [.. example.Ids], labels = new int[ids.Length];
        Array.Fill(labels, TrainingExample.Ignored);
        int[] candidates = [.. Enumerable.Range(0, ids.Length).Where(i => !text.IsSpecial(ids[i]))];
        bool any = false;
        foreach (int i in candidates)
        {
            if (Mixing.Unit(Mixing.Of((long)seed, i, 0)) >= Options.MaskProbability)
                continue;
            Hide(i);
            any = true;
        }
        if (!any && candidates.Length > 0)
            Hide(candidates[Mixing.Below(candidates.Length, Mixing.Of((long)seed, 3))]);
        return example with { Ids = ids, Labels = labels };

        void Hide(int i)
        {
            labels[i] = ids[i];
            double kind = Mixing.Unit(Mixing.Of((long)seed, i, 1));
            if (kind < MaskPart)
                ids[i] = text.Tokenizer.SpecialTokens.Mask!.Value;
            else if (kind < MaskPart + RandomPart)
                ids[i] = Mixing.Below(text.VocabSize, Mixing.Of((long)seed, i, 2));
        }
    }

    /// <inheritdoc/>
    public override Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels)
    {
        ArgumentNullException.ThrowIfNull(call);
        double nats = 0;
        long tokens = 0;
        int number = 0;
        List<string> predictions = [];
        foreach (TrainingExample[] batch in call.Batches())
        {
            TrainingExample[] hidden = Array.ConvertAll(batch, e => ForPass(e, text, Mixing.Of(EvaluationSeed, number++)));
            using TensorScope scope = new();
            double loss = call.Head.LossSum(hidden, null, call.Cancellation).ToDouble();
            long count = hidden.Sum(call.Head.LabelCount);
            nats += loss;
            tokens += count;
            predictions.Add(Json(json =>
            {
                json.WriteString("first", batch[0].Source);
                json.WriteNumber("examples", batch.Length);
                json.WriteNumber("hidden_tokens", count);
                json.WriteNumber("loss", loss / Math.Max(1, count));
            }));
        }
        LanguageScores scores = new(nats, tokens);
        return new Evaluation(new Dictionary<string, double>
        {
            ["loss"] = scores.Loss, ["perplexity"] = scores.Perplexity, ["bits_per_token"] = scores.BitsPerToken, ["hidden_tokens"] = tokens,
        }, predictions);
    }

    /// <summary>All texts behind one another with the end token between them, in pieces of the full length; the last piece is as long as it
    /// is.</summary>
    private IEnumerable<TrainingExample> Joined(IEnumerable<DataRow> rows, ExampleText text)
    {
        (int[] before, int[] after) = Frame(text.Tokenizer);
        int room = text.MaxTokens - before.Length - after.Length;
        if (room < 1)
            throw new InputException($"{text.MaxTokens} tokens leave no room for text after the special ones");
        List<int> waiting = [];
        string source = "";
        foreach (DataRow row in rows)
        {
            int[] ids = text.Tokenizer.Encode(row.Text(Column(row, "text", "document", "content", "article")), null,
                new EncodeOptions { AddSpecialTokens = false }).Ids.ToArray();
            if (ids.Length == 0)
                throw new InputException($"{row.Source}: expected a text with at least one token, given none");
            if (source.Length == 0)
                source = row.Source;
            if (waiting.Count > 0 && (text.Tokenizer.SpecialTokens.Separator ?? text.Tokenizer.SpecialTokens.End) is { } between)
                waiting.Add(between);
            waiting.AddRange(ids);
            for (; waiting.Count >= room; waiting.RemoveRange(0, room), source = row.Source)
                yield return new TrainingExample { Ids = [.. before, .. waiting.Take(room), .. after], Source = source };
        }
        if (waiting.Any(id => !text.IsSpecial(id)))
            yield return new TrainingExample { Ids = [.. before, .. waiting, .. after], Source = source };
    }

    /// <summary>The special tokens around a text.</summary>
    private static (int[] Before, int[] After) Frame(Tokenizer tokenizer)
    {
        Encoding framed = tokenizer.Encode("a");
        ReadOnlySpan<int> ids = framed.Ids.Span, sequences = framed.SequenceIds.Span;
        return (ids[..sequences.IndexOf(0)].ToArray(), ids[(sequences.LastIndexOf(0) + 1)..].ToArray());
    }
}
