using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using Microsoft.Extensions.Logging;

namespace LongformerInterop.Tasks;

/// <summary>One input ready for the model.</summary>
/// <param name="Encoding">The tokens with their character ranges.</param>
/// <param name="Globals">Positions of the global tokens, ascending.</param>
internal sealed record TextInput(Encoding Encoding, int[] Globals)
{
    /// <summary>The text itself, where the task looks at its words.</summary>
    internal string Text { get; init; } = "";

    internal int Length => Encoding.Count;
}

/// <summary>Turns texts into checked, packed model inputs, for all tasks.</summary>
internal sealed partial class TextInputs
{
    private readonly int[] _special;

    internal TextInputs(Task<Tokenizer> tokenizer, ModelConfiguration configuration)
    {
        Tokenizer = tokenizer.GetAwaiter().GetResult();
        MaxTokens = configuration.Limits.MaxTokens;
        // A text of nothing but the tokens that frame one is empty. <mask> is something to work on.
        SpecialTokenIds special = Tokenizer.SpecialTokens;
        _special = [.. new[] { special.Begin, special.End, special.Separator, special.Classifier, special.Padding }.OfType<int>().Distinct()];
    }

    internal Tokenizer Tokenizer { get; }

    /// <summary>Loads a folder's tokenizer on a thread of the pool, while the caller loads libtorch and the model: each takes a good part of a
    /// second's start.</summary>
    internal static Task<Tokenizer> StartTokenizer(string folder, LoadOptions? options = null) =>
        Task.Run(() => Tokenizer.Load(Checkpoint.TokenizerFolderOf(folder, options?.BaseFolder)));

    /// <summary>How many tokens the checkpoint has positions for.</summary>
    internal int MaxTokens { get; }

    /// <summary>Encodes one text, or a pair.</summary>
    /// <param name="text">The text.</param>
    /// <param name="pair">Second part, or null.</param>
    /// <param name="name">The name of the text in messages, such as "documents[3]".</param>
    /// <param name="options">Truncation and logging.</param>
    /// <param name="truncation">Which part gives way.</param>
    /// <param name="limit">Tokens at which the checkpoint's own files cut a text, with any options; null: none.</param>
    /// <exception cref="InputException">The text is empty, consists of special tokens, or is too long.</exception>
    internal Encoding Encode(string text, string? pair, ArgumentName name, TaskOptions options,
        TruncationStrategy truncation = TruncationStrategy.LongestFirst, int? limit = null)
    {
        if (text is null)
            throw new InputException(name, "a text", "null");
        Encoding encoding = Tokenizer.Encode(text, pair);
        int length = encoding.Count;
        CheckNotEmpty(encoding, 0, name);
        int most = Math.Min(MaxTokens, limit ?? MaxTokens);
        // --truncate cuts where the tokenizer's own limit is lower, as transformers does.
        if (options.Truncate && Tokenizer.ModelMaxLength is { } own)
            most = Math.Min(most, own);
        if (length <= most)
            return encoding;
        if (!options.Truncate && !(limit < MaxTokens))
        {
            throw new InputException(name,
                $"{length} tokens, but the checkpoint has positions for {MaxTokens}; truncation would cut the last {length - MaxTokens}")
            {
                Expected = $"at most {MaxTokens} tokens",
                Given = $"{length} tokens",
            };
        }
        if (options.Logger is not null)
            LogTruncated(options.Logger, name.ToString(), length, most);
        return Tokenizer.Encode(text, pair, new EncodeOptions { MaxLength = most, Truncation = truncation });
    }

    /// <summary>Refuses a part of an input that has no token.</summary>
    internal void CheckNotEmpty(Encoding encoding, int sequence, ArgumentName name)
    {
        ReadOnlySpan<int> ids = encoding.Ids.Span, sequences = encoding.SequenceIds.Span;
        bool any = false;
        for (int i = 0; i < ids.Length; i++)
        {
            if (sequences[i] != sequence)
                continue;
            any = true;
            if (Array.IndexOf(_special, ids[i]) < 0)
                return;
        }
        throw new InputException(name, any ? "the text consists of special tokens only" : "the text is empty");
    }

    /// <summary>Packs inputs behind one another, without padding; nothing is copied yet.</summary>
    internal static LongformerInputs Pack(IReadOnlyList<TextInput> inputs) =>
        new() { Documents = [.. inputs.Select(input => new DocumentTokens(input.Encoding.Ids, input.Globals))] };

    /// <summary>
    /// Cuts a sequence of inputs into batches of at most <see cref="TaskOptions.TokensPerBatch"/> tokens, an input longer than that alone.
    /// </summary>
    internal static IEnumerable<List<TextInput>> Batches(IEnumerable<TextInput> inputs, TaskOptions options)
    {
        List<TextInput> batch = [];
        long tokens = 0;
        foreach (TextInput input in inputs)
        {
            if (batch.Count > 0 && tokens + input.Length > options.TokensPerBatch)
            {
                Log();
                yield return batch;
                batch = [];
                tokens = 0;
            }
            batch.Add(input);
            tokens += input.Length;
        }
        if (batch.Count == 0)
            yield break;
        Log();
        yield return batch;

        void Log()
        {
            if (options.Logger is not null)
                LogBatch(options.Logger, batch.Count, tokens);
        }
    }

    /// <summary>Reads a floating tensor on the host as float32.</summary>
    internal static float[] ToFloats(Tensor tensor) => tensor.To(DType.Float32).To(Device.Cpu).Contiguous().ToArray<float>();

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name}: cut from {Length} to {MaxTokens} tokens, the positions of the checkpoint")]
    private static partial void LogTruncated(ILogger logger, string name, int length, int maxTokens);

    [LoggerMessage(Level = LogLevel.Debug, Message = "a batch of {Inputs} inputs, {Tokens} tokens")]
    private static partial void LogBatch(ILogger logger, int inputs, long tokens);
}
