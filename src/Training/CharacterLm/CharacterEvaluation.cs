using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.CharacterLm;

/// <summary>The result of an evaluation.</summary>
/// <param name="TotalBits">Sum of -log2 of the probabilities of the counted characters.</param>
/// <param name="Count">Counted characters.</param>
public readonly record struct CharacterScore(double TotalBits, long Count)
{
    /// <summary>Bits per character.</summary>
    public double BitsPerCharacter => TotalBits / Count;
}

/// <summary>
/// The paper's evaluation of a character model: overlapping sequences, each counted at its last characters only, so that every counted character has
/// the longest possible context. And a single pass over the text that keeps what the windows reach.
/// </summary>
public static class CharacterEvaluation
{
    /// <summary>Characters of a sequence in the paper.</summary>
    public const int PaperLength = 32_256;

    /// <summary>Characters between two sequences in the paper, which are those that are counted.</summary>
    public const int PaperStep = 512;

    private const int Segment = 4096;

    /// <summary>
    /// Overlapping sequences: number i reads characters i * step to i * step + length and predicts the one after each; the last
    /// <paramref name="step"/> predictions are counted. So the first length - step predictions of the text are never counted, nor a rest at its end
    /// that no whole sequence ends with.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="text">The text.</param>
    /// <param name="length">Characters of a sequence.</param>
    /// <param name="step">Characters between two sequences.</param>
    /// <param name="bits">Is given the bits of the counted characters of each sequence.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <exception cref="InputException">The text is shorter than a sequence, or the step is longer than one.</exception>
    public static CharacterScore Overlapping(CharacterLanguageModel model, CharacterSpan text, int length = PaperLength, int step = PaperStep,
        Action<double[]>? bits = null, CancellationToken cancellation = default)
    {
        long sequences = SequencesOf(model, text, length, step);
        int[] ids = new int[length + 1];
        double total = 0;
        for (long i = 0; i < sequences; i++)
        {
            using TensorScope scope = new();
            text.Read(i * step, ids);
            Tensor input = Tensor.From<long>([.. ids.AsSpan(0, length).ToArray().Select(id => (long)id)], 1, length);
            Tensor hidden = model.Forward(input, cancellation: cancellation).Reshape(length, -1).Narrow(0, length - step, step);
            double[] counted = BitsOf(model, hidden, ids.AsSpan(length - step + 1));
            total += counted.Sum();
            bits?.Invoke(counted);
        }
        return new CharacterScore(total, sequences * step);
    }

    /// <summary>
    /// One pass over the same characters, with keys and values kept from piece to piece: each character is computed once instead of length / step
    /// times. The number is the same, up to rounding, where <see cref="CanBeOnePass"/>; else its characters have more context than in a sequence.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="text">The text.</param>
    /// <param name="skip">Predictions at the beginning that are not counted; those of <see cref="Overlapping"/> are length - step.</param>
    /// <param name="count">Counted predictions behind them; null: all.</param>
    /// <param name="bits">Is given the bits of the counted characters, some at a time.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <exception cref="InputException">The text is too short.</exception>
    public static CharacterScore OnePass(CharacterLanguageModel model, CharacterSpan text, long skip = 0, long? count = null,
        Action<double[]>? bits = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        long end = skip + (count ?? Math.Max(text.Length - 1 - skip, 0));
        if (skip < 0 || end <= skip || end > text.Length - 1)
        {
            throw new InputException(
                $"{text.Text.Path}: expected a part of more than {Math.Max(end, skip + 1)} characters, given one of {text.Length}");
        }
        using CharacterContext context = new(model);
        double total = 0;
        int[] ids = new int[Segment + 1];
        for (long from = 0; from < end; from += Segment)
        {
            using TensorScope scope = new();
            int now = (int)Math.Min(Segment, end - from);
            Span<int> piece = ids.AsSpan(0, now + 1);
            text.Read(from, piece);
            Tensor hidden = context.Read(piece[..now], cancellation);
            int first = (int)Math.Clamp(skip - from, 0, now);
            if (first == now)
                continue;
            double[] counted = BitsOf(model, hidden.Narrow(0, first, now - first), piece[(first + 1)..]);
            total += counted.Sum();
            bits?.Invoke(counted);
        }
        return new CharacterScore(total, end - skip);
    }

    /// <summary>The characters that <see cref="Overlapping"/> counts, in one pass.</summary>
    public static CharacterScore OverlappingInOnePass(CharacterLanguageModel model, CharacterSpan text, int length = PaperLength,
        int step = PaperStep,
        Action<double[]>? bits = null, CancellationToken cancellation = default) =>
        OnePass(model, text, length - step, SequencesOf(model, text, length, step) * step, bits, cancellation);

    /// <summary>Measures a part of a text file.</summary>
    /// <param name="model">The model.</param>
    /// <param name="vocabulary">Its symbols.</param>
    /// <param name="path">The file.</param>
    /// <param name="options">Which part, and how.</param>
    /// <param name="bits">Is given the bits of the counted characters, some at a time.</param>
    /// <param name="progress">Gets how many characters are counted, how many will be, and how many went through the model.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <exception cref="InputException">The text is too short, or holds a character outside the vocabulary.</exception>
    public static CharacterFileScore OfFile(CharacterLanguageModel model, CharacterVocabulary vocabulary, string path,
        CharacterEvaluationOptions options, Action<double[]>? bits = null, IProgress<TaskProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options is { EveryCharacter: true, OnePass: false })
            throw new InputException("every character is counted in one pass only");
        string work = Directory.CreateTempSubdirectory("longformer-char-lm-").FullName;
        try
        {
            using CharacterText text = CharacterText.Open(path, vocabulary, work);
            CharacterSpan span = options.Part == CharacterPart.All ? new(text, 0, text.Length)
                : CharacterSpan.Split(text, options.Split)[(int)options.Part];
            (int length, int step) = (options.Length, options.Step);
            long total = options.EveryCharacter ? span.Length - 1 : SequencesOf(model, span, length, step) * step, done = 0;
            void Count(double[] some)
            {
                bits?.Invoke(some);
                done += some.Length;
                long through = options.OnePass ? span.Length - 1 - total + done : done / step * length;
                progress?.Report(new TaskProgress((int)Math.Min(done, int.MaxValue), (int)Math.Min(total, int.MaxValue), through));
            }
            CharacterScore score = options.EveryCharacter ? OnePass(model, span, 0, null, Count, cancellation)
                : options.OnePass ? OverlappingInOnePass(model, span, length, step, Count, cancellation)
                : Overlapping(model, span, length, step, Count, cancellation);
            return new CharacterFileScore(score, options is { OnePass: true, EveryCharacter: false } ? CanBeOnePass(model, length, step) : null);
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    /// <summary>Whether no counted character of an overlapping evaluation lacks context that one pass gives it: the reach of all layers together ends
    /// inside the sequence.</summary>
    public static bool CanBeOnePass(CharacterLanguageModel model, int length = PaperLength, int step = PaperStep)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.Configuration.Reach <= length - step;
    }

    private static long SequencesOf(CharacterLanguageModel model, CharacterSpan text, int length, int step)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        if (step < 1 || step > length)
            throw new InputException($"step: expected 1 to {length}, the length of a sequence, given {step}");
        if (text.Length < length + 1)
        {
            throw new InputException(
                $"{text.Text.Path}: expected at least {length + 1} characters, a sequence and the one after it, given {text.Length}");
        }
        return ((text.Length - 1 - length) / step) + 1;
    }

    private static double[] BitsOf(CharacterLanguageModel model, Tensor hidden, ReadOnlySpan<int> targets)
    {
        using TensorScope scope = new();
        double[] nats = model.LossesOf(hidden, targets).To(Device.Cpu).To(DType.Float64).ToArray<double>();
        return Array.ConvertAll(nats, nat => nat / Math.Log(2));
    }
}
