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
public sealed partial record GenerationOptions
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

    /// <summary>No n-gram of this size of the document occurs in the text; 0 allows all. Default 0. HF: encoder_no_repeat_ngram_size.</summary>
    public int? EncoderNoRepeatNgram { get; init; }

    /// <summary>
    /// Scores of the document's tokens are multiplied by this (divided where negative): above 1 the text keeps to the document. Default 1.
    /// HF: encoder_repetition_penalty.
    /// </summary>
    public double? EncoderRepetitionPenalty { get; init; }

    /// <summary>Numbers added to the scores of tokens that follow certain others. Default none. HF: sequence_bias.</summary>
    public IReadOnlyList<SequenceBias>? SequenceBias { get; init; }

    /// <summary>From a number of new tokens on, end tokens grow likelier by a factor a token. Default none. HF:
    /// exponential_decay_length_penalty.</summary>
    public LengthDecay? LengthDecay { get; init; }

    /// <summary>Whether scores are made log-probabilities again after all that changes them. Default false. HF: renormalize_logits.</summary>
    public bool? Renormalize { get; init; }

    /// <summary>Whether NaN and infinite scores are made numbers. Default false. HF: remove_invalid_values.</summary>
    public bool? RemoveInvalid { get; init; }

    /// <summary>Texts that end a sequence as soon as a token completes one; they stay in the text. Default none. HF: stop_strings.</summary>
    public IReadOnlyList<string>? StopStrings { get; init; }

    /// <summary>Seconds after which all sequences end with the current token, counted from the first. Default none. HF: max_time.</summary>
    public double? MaxTime { get; init; }

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

    /// <summary>Sampling: only tokens at least this times as probable as the best; from 0 to 1. Default none. HF: min_p.</summary>
    public double? MinP { get; init; }

    /// <summary>Sampling: only the most typical tokens up to this probability; above 0, 1 for all. Default 1. HF: typical_p.</summary>
    public double? TypicalP { get; init; }

    /// <summary>Sampling: only tokens at least this probable; 0 for all, below 1. Default 0. HF: epsilon_cutoff.</summary>
    public double? EpsilonCutoff { get; init; }

    /// <summary>Sampling: the same with a bound that falls with the entropy. Default 0. HF: eta_cutoff.</summary>
    public double? EtaCutoff { get; init; }

    /// <summary>Sampling: only the best tokens up to this share of the entropy; above 0, at most 1. Default none. HF: top_h.</summary>
    public double? TopH { get; init; }

    /// <summary>
    /// Sampling: the seed. Draws depend on seed, sample number and step only (see <see cref="CounterRandom"/>), so that a document
    /// gives the same samples alone and in a batch. Default 0.
    /// </summary>
    public ulong? Seed { get; init; }

    /// <summary>Results per document, best first: at most as many as beams, or any number when sampling without beams. Default 1. HF:
    /// num_return_sequences.</summary>
    public int? NBest { get; init; }

    /// <summary>
    /// A <see cref="Summarizer"/> orders all beams (or samples) by log-probability per word plus this times the share of words that the document
    /// has, and gives the first of them; below 0 the order stays the search's. A text is streamed only when it is chosen. Default none. HF has no
    /// such option; in generation_config.json it is rerank, which HF passes over.
    /// </summary>
    public double? Rerank { get; init; }

    /// <summary>
    /// The decoder's first tokens, for every document. The start token is put in front where it is missing. Default: the
    /// start token alone. HF: decoder_input_ids.
    /// </summary>
    public IReadOnlyList<int>? DecoderPrompt { get; init; }

    /// <summary>The first decoder token. Default: the configuration's. HF: decoder_start_token_id.</summary>
    public int? DecoderStartToken { get; init; }

    /// <summary>The tokens that end a sequence. Default: the configuration's. HF: eos_token_id.</summary>
    public IReadOnlyList<int>? EndTokens { get; init; }

    /// <summary>
    /// Keep the raw logits of every step, for tests and analysis. As in HF, a finished sequence then gets padding ids until
    /// all have finished. Only without beams. Default false. HF: output_logits.
    /// </summary>
    public bool KeepLogits { get; init; }

    /// <summary>A setting of a file that this library does not support, as the reason to refuse it; null where there is none.</summary>
    internal string? Refusal { get; init; }

    /// <summary>Whether the greatest length is the checkpoint's, which gives way to the limits of the model.</summary>
    internal bool MaxIsDefault { get; init; }

    /// <summary>Whether the least length is the checkpoint's, which gives way to the greatest.</summary>
    internal bool MinIsDefault { get; init; }

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
            MaxIsDefault = ownMax ? MaxIsDefault : defaults.MaxIsDefault,
            MinIsDefault = ownMin ? MinIsDefault : defaults.MinIsDefault,
            Refusal = Refusal ?? defaults.Refusal,
            LengthPenalty = LengthPenalty ?? defaults.LengthPenalty,
            EarlyStopping = EarlyStopping ?? defaults.EarlyStopping,
            NoRepeatNgram = NoRepeatNgram ?? defaults.NoRepeatNgram,
            RepetitionPenalty = RepetitionPenalty ?? defaults.RepetitionPenalty,
            EncoderNoRepeatNgram = EncoderNoRepeatNgram ?? defaults.EncoderNoRepeatNgram,
            EncoderRepetitionPenalty = EncoderRepetitionPenalty ?? defaults.EncoderRepetitionPenalty,
            SequenceBias = SequenceBias ?? defaults.SequenceBias,
            LengthDecay = LengthDecay ?? defaults.LengthDecay,
            Renormalize = Renormalize ?? defaults.Renormalize,
            RemoveInvalid = RemoveInvalid ?? defaults.RemoveInvalid,
            StopStrings = StopStrings ?? defaults.StopStrings,
            MaxTime = MaxTime ?? defaults.MaxTime,
            ForcedFirstToken = ForcedFirstToken ?? defaults.ForcedFirstToken,
            ForcedLastTokens = ForcedLastTokens ?? defaults.ForcedLastTokens,
            BadWords = BadWords ?? defaults.BadWords,
            SuppressedTokens = SuppressedTokens ?? defaults.SuppressedTokens,
            BeginSuppressedTokens = BeginSuppressedTokens ?? defaults.BeginSuppressedTokens,
            Sample = Sample ?? defaults.Sample,
            Temperature = Temperature ?? defaults.Temperature,
            TopK = TopK ?? defaults.TopK,
            TopP = TopP ?? defaults.TopP,
            MinP = MinP ?? defaults.MinP,
            TypicalP = TypicalP ?? defaults.TypicalP,
            EpsilonCutoff = EpsilonCutoff ?? defaults.EpsilonCutoff,
            EtaCutoff = EtaCutoff ?? defaults.EtaCutoff,
            TopH = TopH ?? defaults.TopH,
            Seed = Seed ?? defaults.Seed,
            NBest = NBest ?? defaults.NBest,
            Rerank = Rerank ?? defaults.Rerank,
            DecoderPrompt = DecoderPrompt ?? defaults.DecoderPrompt,
            DecoderStartToken = DecoderStartToken ?? defaults.DecoderStartToken,
            EndTokens = EndTokens ?? defaults.EndTokens,
        };
    }
}

/// <summary>A bias on the last token of a sequence where the others are before it.</summary>
/// <param name="Tokens">The sequence, at least one token.</param>
/// <param name="Bias">The number that is added to the score.</param>
public sealed record SequenceBias(IReadOnlyList<int> Tokens, double Bias);

/// <summary>How end tokens grow likelier.</summary>
/// <param name="Start">After how many new tokens.</param>
/// <param name="Factor">The factor a token.</param>
public sealed record LengthDecay(int Start, double Factor);
