using System.Text.Json;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Generation;

/// <summary>When a beam search ends before the maximum length.</summary>
public enum EarlyStopping
{
    /// <summary>
    /// Stop when the best running beam, scored at its present length, falls behind the worst finished hypothesis. HF's <c>false</c>.
    /// </summary>
    Heuristic,

    /// <summary>Stop as soon as there are as many finished hypotheses as beams. HF's <c>true</c>.</summary>
    AtBeamCount,

    /// <summary>
    /// Stop only when no running beam can still win: with a positive length penalty it is scored at the maximum length. HF's <c>"never"</c>.
    /// </summary>
    Never,
}

/// <summary>
/// How to generate. A property left null takes the value of the checkpoint (<c>generation_config.json</c>, else the generation keys of
/// <c>config.json</c>), else HF's default, which each property names. Lengths are in tokens.
/// </summary>
public sealed record GenerationOptions
{
    /// <summary>Beams of the search; 1 is greedy (or plain sampling). Default 1. HF: num_beams.</summary>
    public int? Beams { get; init; }

    /// <summary>Most tokens to generate after the decoder prompt, <c>&lt;/s&gt;</c> included. Default 20. HF: max_new_tokens.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Fewest tokens to generate before <c>&lt;/s&gt;</c> is allowed. Default 0. HF: min_new_tokens.</summary>
    public int? MinTokens { get; init; }

    /// <summary>The maximum as HF's max_length counts it: with the decoder prompt and its start token. Instead of <see cref="MaxTokens"/>.</summary>
    public int? MaxLength { get; init; }

    /// <summary>The minimum as HF's min_length counts it: with the decoder prompt and its start token. Instead of <see cref="MinTokens"/>.</summary>
    public int? MinLength { get; init; }

    /// <summary>Exponent p of score = log-probability / length^p; above 0 favours long results. Default 1. HF: length_penalty.</summary>
    public double? LengthPenalty { get; init; }

    /// <summary>When a beam search ends. Default <see cref="EarlyStopping.Heuristic"/>. HF: early_stopping.</summary>
    public EarlyStopping? EarlyStopping { get; init; }

    /// <summary>No n-gram of this size occurs twice; 0 allows all. Default 0. HF: no_repeat_ngram_size.</summary>
    public int? NoRepeatNgram { get; init; }

    /// <summary>
    /// Scores of tokens that occurred before are divided by this (multiplied where negative); 1 changes nothing. Default 1.
    /// HF: repetition_penalty.
    /// </summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>The token that must follow the start token. Default none. HF: forced_bos_token_id.</summary>
    public int? ForcedFirstToken { get; init; }

    /// <summary>The tokens of which one must be the last when the maximum length is reached. Default none. HF: forced_eos_token_id.</summary>
    public IReadOnlyList<int>? ForcedLastTokens { get; init; }

    /// <summary>
    /// Token sequences that must not be generated. As in HF, a sequence of n &gt; 1 tokens is seen from the n-th decoder token on, and
    /// a lone end token is ignored. Default none. HF: bad_words_ids.
    /// </summary>
    public IReadOnlyList<IReadOnlyList<int>>? BadWords { get; init; }

    /// <summary>Tokens that must never be generated. Default none. HF: suppress_tokens.</summary>
    public IReadOnlyList<int>? SuppressedTokens { get; init; }

    /// <summary>Tokens that must not be the first generated (after a forced one). Default none. HF: begin_suppress_tokens.</summary>
    public IReadOnlyList<int>? BeginSuppressedTokens { get; init; }

    /// <summary>Draw tokens at random instead of taking the best. Default false. HF: do_sample.</summary>
    public bool? Sample { get; init; }

    /// <summary>Sampling: scores are divided by this; above 0. Default 1.</summary>
    public double? Temperature { get; init; }

    /// <summary>Sampling: only this many best tokens; 0 for all. Default 50, as in HF.</summary>
    public int? TopK { get; init; }

    /// <summary>Sampling: only the smallest set of best tokens whose probability reaches this; in (0, 1]. Default 1.</summary>
    public double? TopP { get; init; }

    /// <summary>
    /// Sampling: the seed. Draws depend on seed, sample number and step only (see <see cref="CounterRandom"/>), so that a document
    /// gives the same samples alone and in a batch. Default 0.
    /// </summary>
    public ulong? Seed { get; init; }

    /// <summary>Results per document, best first: at most as many as beams, or any number when sampling without beams. Default 1. HF: num_return_sequences.</summary>
    public int? NBest { get; init; }

    /// <summary>
    /// What the decoder is given to begin with, for every document. The start token is put in front where it is missing. Default: the
    /// start token alone. HF: decoder_input_ids.
    /// </summary>
    public IReadOnlyList<int>? DecoderPrompt { get; init; }

    /// <summary>The first decoder token. Default: the configuration's. HF: decoder_start_token_id.</summary>
    public int? DecoderStartToken { get; init; }

    /// <summary>The tokens that end a sequence. Default: the configuration's. HF: eos_token_id.</summary>
    public IReadOnlyList<int>? EndTokens { get; init; }

    /// <summary>
    /// Keep the raw logits of every step, for tests and analysis. As in HF, a finished sequence then goes on with padding ids until
    /// all have finished. Only without beams. Default false. HF: output_logits.
    /// </summary>
    public bool KeepLogits { get; init; }

    /// <summary>Refuses what no model can do; the limits of a model are checked when it generates.</summary>
    /// <exception cref="InputException">A value or a combination is impossible; the message names the values.</exception>
    public void Check() => GenerationPlan.Create(this, new GenerationVocabulary(int.MaxValue, int.MaxValue / 2, 0, 0, []));

    /// <summary>These options with the properties that are null taken from <paramref name="defaults"/>.</summary>
    /// <param name="defaults">For example <see cref="FromCheckpoint"/>.</param>
    public GenerationOptions Over(GenerationOptions defaults)
    {
        ArgumentNullException.ThrowIfNull(defaults);
        // A length given here in one way of counting replaces the default in either.
        bool ownMax = MaxTokens is not null || MaxLength is not null, ownMin = MinTokens is not null || MinLength is not null;
        return this with
        {
            Beams = Beams ?? defaults.Beams,
            MaxTokens = ownMax ? MaxTokens : defaults.MaxTokens,
            MaxLength = ownMax ? MaxLength : defaults.MaxLength,
            MinTokens = ownMin ? MinTokens : defaults.MinTokens,
            MinLength = ownMin ? MinLength : defaults.MinLength,
            LengthPenalty = LengthPenalty ?? defaults.LengthPenalty,
            EarlyStopping = EarlyStopping ?? defaults.EarlyStopping,
            NoRepeatNgram = NoRepeatNgram ?? defaults.NoRepeatNgram,
            RepetitionPenalty = RepetitionPenalty ?? defaults.RepetitionPenalty,
            ForcedFirstToken = ForcedFirstToken ?? defaults.ForcedFirstToken,
            ForcedLastTokens = ForcedLastTokens ?? defaults.ForcedLastTokens,
            BadWords = BadWords ?? defaults.BadWords,
            SuppressedTokens = SuppressedTokens ?? defaults.SuppressedTokens,
            BeginSuppressedTokens = BeginSuppressedTokens ?? defaults.BeginSuppressedTokens,
            Sample = Sample ?? defaults.Sample,
            Temperature = Temperature ?? defaults.Temperature,
            TopK = TopK ?? defaults.TopK,
            TopP = TopP ?? defaults.TopP,
            Seed = Seed ?? defaults.Seed,
            NBest = NBest ?? defaults.NBest,
            DecoderPrompt = DecoderPrompt ?? defaults.DecoderPrompt,
            DecoderStartToken = DecoderStartToken ?? defaults.DecoderStartToken,
            EndTokens = EndTokens ?? defaults.EndTokens,
        };
    }

    /// <summary>
    /// The defaults that a checkpoint folder states: those of <c>generation_config.json</c>, or where there is none, the generation keys
    /// of <c>config.json</c> (where BART's and allenai's checkpoints keep them).
    /// </summary>
    /// <param name="folder">Checkpoint folder.</param>
    /// <exception cref="InputException">A file is not JSON, or a key has a value of the wrong kind.</exception>
    public static GenerationOptions FromCheckpoint(string folder)
    {
        string path = Path.Combine(folder, "generation_config.json");
        if (!File.Exists(path)) path = Path.Combine(folder, "config.json");
        return File.Exists(path) ? Parse(File.ReadAllText(path), path) : new GenerationOptions();
    }

    /// <summary>Reads HF's names of the options (num_beams, max_length, ...) from a JSON object; keys of other purpose are ignored.</summary>
    /// <param name="json">A JSON object.</param>
    /// <param name="source">Where it comes from, for messages.</param>
    /// <exception cref="InputException">It is not a JSON object, or a key has a value of the wrong kind.</exception>
    public static GenerationOptions Parse(string json, string source = "generation options")
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(json);
        }
        catch (JsonException error)
        {
            throw new InputException($"{source}: not valid JSON: {error.Message}", error);
        }
        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new InputException($"{source}: expected a JSON object, found {document.RootElement.ValueKind}.");
            var keys = new OptionKeys(document.RootElement, source);
            return new GenerationOptions
            {
                Beams = keys.Int("num_beams"),
                MaxTokens = keys.Int("max_new_tokens"),
                // As in HF, max_new_tokens wins over max_length where a file has both.
                MaxLength = keys.Int("max_new_tokens") is null ? keys.Int("max_length") : null,
                MinTokens = keys.Int("min_new_tokens"),
                MinLength = keys.Int("min_new_tokens") is null ? keys.Int("min_length") : null,
                LengthPenalty = keys.Number("length_penalty"),
                EarlyStopping = keys.Stopping("early_stopping"),
                NoRepeatNgram = keys.Int("no_repeat_ngram_size"),
                RepetitionPenalty = keys.Number("repetition_penalty"),
                // The name that BART's oldest configurations (and allenai's) have for it.
                ForcedFirstToken = keys.Int("forced_bos_token_id")
                    ?? (keys.Flag("force_bos_token_to_be_generated") == true ? keys.Int("bos_token_id") : null),
                ForcedLastTokens = keys.Tokens("forced_eos_token_id"),
                BadWords = keys.Sequences("bad_words_ids"),
                SuppressedTokens = keys.Tokens("suppress_tokens"),
                BeginSuppressedTokens = keys.Tokens("begin_suppress_tokens"),
                Sample = keys.Flag("do_sample"),
                Temperature = keys.Number("temperature"),
                TopK = keys.Int("top_k"),
                TopP = keys.Number("top_p"),
                Seed = keys.Int("seed") is int seed ? (ulong)seed : null,
                NBest = keys.Int("num_return_sequences"),
                DecoderStartToken = keys.Int("decoder_start_token_id"),
                EndTokens = keys.Tokens("eos_token_id"),
            };
        }
    }

    /// <summary>Typed reading of one JSON object; null and absent are the same, as in HF.</summary>
    private readonly struct OptionKeys(JsonElement root, string source)
    {
        private bool Find(string key, out JsonElement value) => root.TryGetProperty(key, out value) && value.ValueKind != JsonValueKind.Null;

        private InputException Wrong(string key, string expected, JsonElement given) =>
            new($"{source}: {key} must be {expected}, found {given.GetRawText()}.");

        public int? Int(string key) => !Find(key, out JsonElement value) ? null
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number
            : throw Wrong(key, "a whole number", value);

        public double? Number(string key) => !Find(key, out JsonElement value) ? null
            : value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw Wrong(key, "a number", value);

        public bool? Flag(string key) => !Find(key, out JsonElement value) ? null
            : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key, "true or false", value);

        public EarlyStopping? Stopping(string key) => !Find(key, out JsonElement value) ? null : value.ValueKind switch
        {
            JsonValueKind.True => Generation.EarlyStopping.AtBeamCount,
            JsonValueKind.False => Generation.EarlyStopping.Heuristic,
            JsonValueKind.String when value.GetString() == "never" => Generation.EarlyStopping.Never,
            _ => throw Wrong(key, "true, false or \"never\"", value),
        };

        public int[]? Tokens(string key)
        {
            if (!Find(key, out JsonElement value)) return null;
            if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int one)) return [one];
            return value.ValueKind == JsonValueKind.Array ? List(key, value) : throw Wrong(key, "a token id or a list of them", value);
        }

        public int[][]? Sequences(string key)
        {
            if (!Find(key, out JsonElement value)) return null;
            if (value.ValueKind != JsonValueKind.Array) throw Wrong(key, "a list of lists of token ids", value);
            var result = new List<int[]>();
            foreach (JsonElement item in value.EnumerateArray())
                result.Add(item.ValueKind == JsonValueKind.Array ? List(key, item) : throw Wrong(key, "a list of lists of token ids", value));
            return [.. result];
        }

        private int[] List(string key, JsonElement value)
        {
            var result = new List<int>();
            foreach (JsonElement item in value.EnumerateArray())
            {
                result.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int id) ? id
                    : throw Wrong(key, "a list of token ids", value));
            }
            return [.. result];
        }
    }
}
