using System.Text;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Generation;

/// <summary>How a <see cref="CharacterGenerator"/> writes.</summary>
public sealed record CharacterGenerationOptions
{
    /// <summary>Characters to write.</summary>
    public int MaxCharacters { get; init; } = 256;

    /// <summary>Whether characters are drawn; else the most probable one is taken.</summary>
    public bool Sample { get; init; } = true;

    /// <summary>Divides the scores: below 1 the probable ones become more so.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only so many of the most probable characters are drawn from; 0: all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the most probable characters that together have this probability are drawn from; 1: all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>The same seed writes the same text.</summary>
    public ulong Seed { get; init; }

    /// <exception cref="InputException">A number is outside its range.</exception>
    internal void Check()
    {
        if (MaxCharacters < 1)
            throw new InputException($"characters: expected 1 or more, given {MaxCharacters}");
        if (!(Temperature > 0) || !double.IsFinite(Temperature))
            throw new InputException($"temperature: expected more than 0, given {Temperature}");
        if (TopK < 0)
            throw new InputException($"top-k: expected 0 or more, given {TopK}");
        if (TopP is not (> 0 and <= 1))
            throw new InputException($"top-p: expected more than 0 and at most 1, given {TopP}");
    }
}

/// <summary>
/// Writes text with a character model, one character after the other. It keeps the part of the text that the widest window reaches, so that
/// the hundred-thousandth character takes no longer than the thousandth.
/// </summary>
/// <example><code>
/// using var generator = CharacterGenerator.Load("text8-small");
/// foreach (string piece in generator.Write("anarchism ", new CharacterGenerationOptions { MaxCharacters = 500, Temperature = 0.8 }))
///     Console.Write(piece);
/// </code></example>
public sealed class CharacterGenerator : IDisposable
{
    private const int PromptBlock = 4096;
    private readonly bool _ownsModel;

    /// <summary>A generator of a model, which stays the caller's.</summary>
    public CharacterGenerator(CharacterLanguageModel model, CharacterVocabulary vocabulary)
        : this(model, vocabulary, ownsModel: false)
    {
    }

    private CharacterGenerator(CharacterLanguageModel model, CharacterVocabulary vocabulary, bool ownsModel)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(vocabulary);
        if (vocabulary.Count != model.Configuration.VocabularySize)
        {
            throw new InputException(
                $"the vocabulary: expected {model.Configuration.VocabularySize} symbols, those of the model, given {vocabulary.Count}");
        }
        (Model, Vocabulary, _ownsModel) = (model, vocabulary, ownsModel);
    }

    /// <summary>The model.</summary>
    public CharacterLanguageModel Model { get; }

    /// <summary>Its symbols.</summary>
    public CharacterVocabulary Vocabulary { get; }

    /// <summary>Loads a folder with a character model and its <c>vocabulary.json</c>.</summary>
    /// <exception cref="CheckpointException">The folder is none, or has no vocabulary.</exception>
    public static CharacterGenerator Load(string folder, LoadOptions? options = null)
    {
        CharacterVocabulary vocabulary = CharacterVocabulary.In(folder)
            ?? throw new CheckpointException($"{folder}: no vocabulary.json; it says which byte or character each id is");
        CharacterLanguageModel model = CharacterLanguageModel.Load(folder, options);
        try
        {
            return new CharacterGenerator(model, vocabulary, ownsModel: true);
        }
        catch (InputException e)
        {
            model.Dispose();
            throw new CheckpointException($"{folder}: {e.Message}", e);
        }
    }

    /// <summary>
    /// Continues a text. Pieces come as they are written: a character each, a whole one where several bytes are one. The call may be ended at any
    /// piece.
    /// </summary>
    /// <param name="prompt">The text to continue; at least one character.</param>
    /// <param name="options">How.</param>
    /// <param name="cancellation">Looked at before every character.</param>
    /// <exception cref="InputException">An option is outside its range, the prompt is empty, or a character of it is none of the
    /// vocabulary.</exception>
    public IEnumerable<string> Write(string prompt, CharacterGenerationOptions? options = null, CancellationToken cancellation = default) =>
        Write(prompt, options, null, cancellation);

    /// <summary>The same, which reports how many symbols are written, after each.</summary>
    public IEnumerable<string> Write(string prompt, CharacterGenerationOptions? options, Action<int>? written,
        CancellationToken cancellation = default)
    {
        CharacterGenerationOptions used = options ?? new();
        used.Check();
        int[] ids = Vocabulary.Encode(prompt);
        if (ids.Length == 0)
            throw new InputException("prompt: expected at least one character, given none");
        return Pieces(ids, used, written, cancellation);
    }

    /// <summary>The same as ids, without the prompt's.</summary>
    public IEnumerable<int> WriteIds(ReadOnlySpan<int> prompt, CharacterGenerationOptions? options = null, CancellationToken cancellation = default)
    {
        CharacterGenerationOptions used = options ?? new();
        used.Check();
        if (prompt.Length == 0)
            throw new InputException("prompt: expected at least one character, given none");
        return Ids(prompt.ToArray(), used, cancellation);
    }

    /// <summary>Frees the model, where it was loaded here.</summary>
    public void Dispose()
    {
        if (_ownsModel)
            Model.Dispose();
    }

    private IEnumerable<string> Pieces(int[] prompt, CharacterGenerationOptions options, Action<int>? written, CancellationToken cancellation)
    {
        int symbols = 0;
        Decoder? utf8 = Vocabulary.IsBytes ? Encoding.UTF8.GetDecoder() : null;
        char[] buffer = new char[8];
        foreach (int id in Ids(prompt, options, cancellation))
        {
            written?.Invoke(++symbols);
            if (utf8 is null)
            {
                yield return new Rune(Vocabulary.Symbols[id]).ToString();
                continue;
            }
            int count = utf8.GetChars([(byte)Vocabulary.Symbols[id]], buffer, flush: false);
            if (count > 0)
                yield return new string(buffer, 0, count);
        }
        int left = utf8?.GetChars([], buffer, flush: true) ?? 0;
        if (left > 0)
            yield return new string(buffer, 0, left);
    }

    private IEnumerable<int> Ids(int[] prompt, CharacterGenerationOptions options, CancellationToken cancellation)
    {
        using CharacterContext context = new(Model);
        float[] scores = [];
        for (int from = 0; from < prompt.Length; from += PromptBlock)
            scores = Scores(context, prompt.AsSpan(from, Math.Min(PromptBlock, prompt.Length - from)), cancellation);
        List<LogitsProcessor> processors = new();
        if (options.Temperature != 1)
            processors.Add(new Temperature((float)options.Temperature));
        if (options.TopK > 0)
            processors.Add(new TopK(options.TopK));
        if (options.TopP < 1)
            processors.Add(new TopP(options.TopP, 1));
        for (int i = 0; i < options.MaxCharacters; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            int next;
            if (options.Sample)
            {
                foreach (LogitsProcessor processor in processors)
                    processor.Apply([], scores);
                next = Draw(scores, CounterRandom.Uniform(options.Seed, 0, i, 0));
            }
            else
            {
                next = RowMath.Best(scores).Index;
            }
            if (next < 0)
                throw new InputException("the model's scores are no numbers");
            yield return next;
            if (i + 1 < options.MaxCharacters)
                scores = Scores(context, [next], cancellation);
        }
    }

    private float[] Scores(CharacterContext context, ReadOnlySpan<int> ids, CancellationToken cancellation)
    {
        using TensorScope scope = new();
        Tensor hidden = context.Read(ids, cancellation);
        return Model.Logits(hidden.Narrow(0, hidden.Size(0) - 1, 1)).To(DType.Float32).To(Device.Cpu).Reshape(-1).ToArray<float>();
    }

    /// <summary>The character at a place of the cumulated probabilities.</summary>
    private static int Draw(ReadOnlySpan<float> scores, double place)
    {
        double normaliser = RowMath.LogSumExp(scores), sum = 0;
        int last = -1;
        for (int i = 0; i < scores.Length; i++)
        {
            if (float.IsNegativeInfinity(scores[i]))
                continue;
            double probability = Math.Exp(scores[i] - normaliser);
            if (double.IsNaN(probability))
                return -1;
            (last, sum) = (i, sum + probability);
            if (place < sum)
                return i;
        }
        return last;
    }
}
