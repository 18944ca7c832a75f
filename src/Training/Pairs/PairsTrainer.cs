using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Training.Pairs;

/// <summary>
/// Learns sentence vectors from pairs by the contrastive loss with in-batch negatives (InfoNCE, van den Oord et al., arXiv 1807.03748; both ways,
/// as CLIP has it). The encoder stays as it is, so that every text passes through it once; what is learnt is one dense layer over its pooled states.
/// The result is a folder as sentence-transformers writes it: pooling, Dense, Normalize.
/// </summary>
/// <example><code>
/// var trainer = new PairsTrainer(new PairsOptions { Checkpoint = "led", Data = ["pairs.jsonl"], EvaluationData = ["held-out.jsonl"], Output =
/// "encoder" }); TrainingResult result = trainer.Run();
/// </code></example>
public sealed class PairsTrainer
{
    private readonly PairsOptions _options;
    private double _first, _last;

    /// <summary>A run with some settings. Nothing is read or written yet.</summary>
    /// <exception cref="InputException">A number is outside its range.</exception>
    public PairsTrainer(PairsOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        string? unknown = options.Poolings.FirstOrDefault(p => !SentencePooling.Known.Contains(p));
        if (unknown is not null)
            throw new InputException("poolings", string.Join(", ", SentencePooling.Known), unknown);
        // The order in which a folder of sentence-transformers joins them.
        _options = options with { Poolings = [.. SentencePooling.Known.Where(options.Poolings.Contains)] };
    }

    /// <summary>Raised on the thread that trains.</summary>
    public event Action<TrainingEvent>? Reported;

    /// <summary>Computes the states, learns, measures and writes the folder.</summary>
    /// <param name="cancellation">Stops; states that are computed wait on the disk for <see cref="PairsOptions.Resume"/>.</param>
    /// <exception cref="InputException">The data hold no pairs, or the output folder is not empty.</exception>
    public TrainingResult Run(CancellationToken cancellation = default)
    {
        string states = Path.Combine(_options.Output, "states");
        CheckOutput(states);
        using TensorScope scope = new();
        using DocumentEncoder encoder = DocumentEncoder.Load(_options.Checkpoint, _options.Load);
        int most = Math.Min(_options.MaxTokens, encoder.MaxTokens);
        PooledTexts pooled = new(encoder, new SentencePooling(_options.Poolings, true), states);
        (Tensor queries, Tensor texts) = States(pooled, encoder, _options.Data, most, cancellation);
        (Tensor, Tensor)? held = _options.EvaluationData.Count == 0 ? null : States(pooled, encoder, _options.EvaluationData, most, cancellation);
        if (queries.Size(0) < 2)
            throw new InputException("data", "at least two pairs", $"{queries.Size(0)}");
        // Every column to mean 0 and deviation 1, which the layer takes over at the end.
        (Tensor mean, Tensor deviation) = Moments(texts);
        (Tensor weight, Tensor bias) = Learn((queries - mean) / deviation, (texts - mean) / deviation, cancellation);
        Tensor folded = weight / deviation, moved = bias - folded.MatMul(mean.Reshape(-1, 1)).Reshape(-1);
        Dictionary<string, double>? metrics = held is not var (q, t) ? null : PairsMetrics.Of(Vectors(q, folded, moved), Vectors(t, folded, moved));
        long steps = Steps((int)queries.Size(0)) * _options.Epochs;
        if (metrics is not null)
            Reported?.Invoke(new TrainingEvent(TrainingEventKind.Evaluated, steps, steps) { Epoch = _options.Epochs, Metrics = metrics });
        PairsFolder.Write(_options, most, folded, moved, Card(queries.Size(0), held?.Item1.Size(0), metrics));
        Directory.Delete(states, recursive: true);
        return new TrainingResult(_options.Output, steps, false, null, metrics);
    }

    private void CheckOutput(string states)
    {
        if (File.Exists(_options.Output))
            throw new InputException($"{_options.Output}: expected a folder for the output, given a file");
        bool used = Directory.Exists(_options.Output) && Directory.EnumerateFileSystemEntries(_options.Output).Any();
        if (used && !(_options.Resume && Directory.Exists(states)))
        {
            throw new InputException(Directory.Exists(states) ? $"{_options.Output}: a run was begun there; resume continues it"
                : $"{_options.Output}: expected a new or empty folder for the output");
        }
    }

    private (Tensor Queries, Tensor Texts) States(PooledTexts pooled, DocumentEncoder encoder, IReadOnlyList<string> names, int most,
        CancellationToken cancellation)
    {
        List<string> queries = [], texts = [];
        foreach (DataRow row in DataFiles.Read(DataFiles.Find(names), cancellation))
        {
            queries.Add(Cut(Text(row, "query", "question", "anchor", "summary", "sentence1"), encoder, most));
            texts.Add(Cut(Text(row, "text", "document", "passage", "positive", "context", "sentence2"), encoder, most));
        }
        long done = 0, tokens = 0;
        long started = Stopwatch.GetTimestamp();
        void Report(int more, long passed)
        {
            (done, tokens) = (done + more, tokens + passed);
            Reported?.Invoke(new TrainingEvent(TrainingEventKind.Preparing, 0, 0) { Examples = done / 2, Tokens = tokens,
                TokensPerSecond = tokens / Stopwatch.GetElapsedTime(started).TotalSeconds });
        }
        string settings = string.Create(CultureInfo.InvariantCulture, $"{encoder.Fingerprint} {most} ")
            + $"{string.Join(',', _options.Poolings)} {_options.Load.DType}";
        return (pooled.Of(queries, settings, Report, cancellation), pooled.Of(texts, settings, Report, cancellation));
    }

    private string Text(DataRow row, string purpose, params ReadOnlySpan<string> usual)
    {
        string? name = _options.Columns.GetValueOrDefault(purpose);
        if (name is null)
        {
            foreach (string known in (string[])[purpose, .. usual])
                name ??= row.Columns.Contains(known) ? known : null;
        }
        string text = row.Text(name ?? throw new InputException($"{row.Source}: no column for the {purpose}: expected {purpose}, "
            + $"{string.Join(", ", usual.ToArray())} or another by the setting column, {purpose}=NAME; there are {string.Join(", ", row.Columns)}"));
        return text.AsSpan().Trim().Length > 0 ? text : throw new InputException($"{row.Source}: the column \"{name}\" holds no text");
    }

    /// <summary>The part of a text that its first tokens are of.</summary>
    private static string Cut(string text, DocumentEncoder encoder, int most)
    {
        // A token has at least one character: what cannot be seen need not be tokenized.
        Tokenizers.Encoding encoding = encoder.Tokenizer.Encode(text.Length > most * 16 ? text[..(most * 16)] : text,
            options: new Tokenizers.EncodeOptions { MaxLength = most });
        int end = 0;
        foreach (Tokenizers.TextRange range in encoding.Offsets.Span)
            end = Math.Max(end, range.End);
        return end > 0 ? text[..end] : text;
    }

    private static (Tensor Mean, Tensor Deviation) Moments(Tensor states)
    {
        Tensor mean = states.Mean([0], keep: true), centred = states - mean;
        return (mean, ((centred * centred).Mean([0], keep: true) + 1e-6).Sqrt());
    }

    private int Steps(int pairs) => Math.Max(1, pairs / Math.Min(_options.BatchSize, pairs));

    private (Tensor Weight, Tensor Bias) Learn(Tensor queries, Tensor texts, CancellationToken cancellation)
    {
        int pairs = (int)queries.Size(0), width = (int)queries.Size(1), size = Math.Min(_options.BatchSize, pairs), steps = Steps(pairs);
        float[] start = new float[_options.Dimension * width];
        for (int i = 0; i < start.Length; i++)
            start[i] = (float)(((2 * Mixing.Unit(Mixing.Of(_options.Seed, 1, i))) - 1) / Math.Sqrt(width));
        Tensor weight = Tensor.From<float>(start, _options.Dimension, width), bias = Tensor.Zeros([_options.Dimension]);
        using AdamW optimizer = new();
        using GradientSet gradients = new(weight, bias);
        using TrainedParameter weights = new("linear.weight", weight, weightDecay: _options.WeightDecay), biases = new("linear.bias", bias);
        Tensor labels = Tensor.Arange(size);
        long total = (long)steps * _options.Epochs, step = 0;
        for (int epoch = 0; epoch < _options.Epochs; epoch++)
        {
            int[] order = [.. Enumerable.Range(0, pairs).OrderBy(i => Mixing.Of(_options.Seed, 2, epoch, i))];
            for (int s = 0; s < steps; s++, step++)
            {
                cancellation.ThrowIfCancellationRequested();
                using TensorScope scope = new();
                Tensor index = Tensor.From<long>([.. order.Skip(s * size).Take(size).Select(i => (long)i)]);
                double rate = _options.LearningRate * 0.5 * (1 + Math.Cos(Math.PI * step / total));
                double loss;
                using (GradientTape tape = new(gradients))
                {
                    Tensor Unit(Tensor states, int side) => Differentiable.NormalizeRows(Differentiable.Linear(
                        Dropped(states.IndexSelect(0, index), Mixing.Seed(_options.Seed, 3, step, side)), weight, bias));
                    (Tensor a, Tensor b) = (Unit(queries, 0), Unit(texts, 1));
                    Tensor Loss(Tensor from, Tensor to) => Differentiable.LabelLoss(Differentiable.Scale(Differentiable.Linear(from, to),
                        _options.Scale), labels);
                    Tensor sum = Differentiable.Scale(Differentiable.Add(Loss(a, b), Loss(b, a)), 0.5 / size);
                    loss = sum.ToDouble();
                    if (!double.IsFinite(loss))
                        throw new DivergedException($"step {step + 1}: the loss is {loss}");
                    tape.Backward(sum);
                }
                optimizer.Step([new ParameterGradient(weights, gradients[weight]!), new ParameterGradient(biases, gradients[bias]!)], rate);
                gradients.Clear();
                Reported?.Invoke(new TrainingEvent(TrainingEventKind.Step, step + 1, total) { Epoch = epoch + ((s + 1.0) / steps), Loss = loss,
                    LearningRate = rate });
                _last = loss;
                _first = step == 0 ? loss : _first;
            }
        }
        return (weight, bias);
    }

    private Tensor Dropped(Tensor states, long seed) => _options.Dropout == 0 ? states : LongformerOps.HiddenDropout(states, _options.Dropout, seed);

    private static Tensor Vectors(Tensor states, Tensor weight, Tensor bias) => Differentiable.NormalizeRows(LongformerOps.Linear(states, weight,
        bias));

    private string Card(long pairs, long? held, Dictionary<string, double>? metrics)
    {
        string source = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(_options.Checkpoint)));
        string text = string.Create(CultureInfo.InvariantCulture, $"""
            # {Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(_options.Output)))}

            Sentence vectors of {_options.Dimension} values: the encoder of `{source}`, which stayed as it was, its poolings {string.Join(", ",
                _options.Poolings)}
            joined, and a dense layer learnt with LongformerInterop from {pairs} pairs (InfoNCE with the other texts of a batch as negatives).

            Settings: batch size {_options.BatchSize}, epochs {_options.Epochs}, learning rate {_options.LearningRate}, scale {_options.Scale},
                dropout {_options.Dropout},
            weight decay {_options.WeightDecay}, most tokens {_options.MaxTokens},
                seed {_options.Seed}. The loss went from {_first:0.####} to {_last:0.####}.

            """);
        return metrics is null ? text : text + string.Create(CultureInfo.InvariantCulture,
            $"\nOf {held} held-out queries, each among the {held} texts:\n\n")
            + string.Concat(metrics.Select(m => string.Create(CultureInfo.InvariantCulture, $"- {m.Key.Replace('_', ' ')}: {m.Value:0.####}\n")));
    }
}
