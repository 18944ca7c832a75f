using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Generation;

/// <summary>The special tokens and limits of a model that generation needs to know.</summary>
/// <param name="VocabularySize">Number of logits per step.</param>
/// <param name="Positions">Rows of the decoder's position table: the most tokens that can be fed.</param>
/// <param name="StartToken">decoder_start_token_id.</param>
/// <param name="PaddingToken">pad_token_id, which fills rows behind their end.</param>
/// <param name="EndTokens">eos_token_id; may be empty.</param>
public sealed record GenerationVocabulary(int VocabularySize, int Positions, int StartToken, int PaddingToken, IReadOnlyList<int> EndTokens);

/// <summary>Checked options in which nothing is open any more: every length counts the prompt, as HF's max_length does.</summary>
internal sealed record GenerationPlan
{
    public required int Beams { get; init; }
    public required int NBest { get; init; }
    public required int[] Prompt { get; init; }
    public required int MaxLength { get; init; }
    public required int MinLength { get; init; }
    public required double LengthPenalty { get; init; }
    public required EarlyStopping EarlyStopping { get; init; }
    public required bool Sample { get; init; }
    public required ulong Seed { get; init; }
    public required bool KeepLogits { get; init; }
    public required int[] EndTokens { get; init; }
    public required int PaddingToken { get; init; }
    public required int VocabularySize { get; init; }

    /// <summary>Seconds after which every sequence ends.</summary>
    public double? MaxTime { get; init; }

    /// <summary>Conditions that end a sequence, beside its tokens.</summary>
    public StopStrings? StopStrings { get; init; }

    /// <summary>In HF's order, which decides the result where one undoes another.</summary>
    public required LogitsProcessor[] Processors { get; init; }

    public bool Ends(int token) => Array.IndexOf(EndTokens, token) >= 0;

    /// <summary>Whether a sequence is complete with its last token: by that token, by its length, by its text or by the time.</summary>
    /// <param name="ids">The sequence, prompt included.</param>
    /// <param name="elapsed">Seconds since the first token was asked for.</param>
    public bool IsComplete(ReadOnlySpan<int> ids, double elapsed) =>
        Ends(ids[^1]) || ids.Length >= MaxLength || elapsed > MaxTime || StopStrings?.IsCompleted(ids) == true;

    /// <summary>Fills in HF's defaults and refuses what cannot be.</summary>
    /// <exception cref="InputException">A value or a combination is impossible; the message names the values.</exception>
    public static GenerationPlan Create(GenerationOptions options, GenerationVocabulary model, int[]? document = null, Tokenizer? tokenizer = null)
    {
        if (options.Refusal is { } refusal)
            throw new InputException(refusal);
        int beams = AtLeast(options.Beams ?? 1, 1, nameof(options.Beams));
        int best = AtLeast(options.NBest ?? 1, 1, nameof(options.NBest));
        bool sample = options.Sample ?? false;
        if (best > beams && !(sample && beams == 1))
            throw new InputException(nameof(options.NBest), $"at most {beams}, as many as there are beams, or sampling without beams", $"{best}");
        if (options.KeepLogits && beams > 1)
            throw new InputException(nameof(options.KeepLogits), "one beam", $"{beams}");

        int start = Token(options.DecoderStartToken ?? model.StartToken, nameof(options.DecoderStartToken), model);
        int[] prompt = [.. options.DecoderPrompt ?? []];
        foreach (int id in prompt)
            Token(id, nameof(options.DecoderPrompt), model);
        if (prompt.Length == 0 || prompt[0] != start)
            prompt = [start, .. prompt];
        if (prompt.Length > model.Positions)
        {
            throw new InputException(nameof(options.DecoderPrompt), $"at most {model.Positions} tokens, the positions of the decoder",
                $"{prompt.Length}");
        }
        int[] ends = [.. options.EndTokens ?? model.EndTokens];
        foreach (int id in ends)
            Token(id, nameof(options.EndTokens), model);

        (int min, int max) = Lengths(options, prompt.Length, model.Positions);
        GenerationPlan plan = new()
        {
            Beams = beams,
            NBest = best,
            Prompt = prompt,
            MaxLength = max,
            MinLength = min,
            LengthPenalty = Finite(options.LengthPenalty ?? 1.0, nameof(options.LengthPenalty)),
            EarlyStopping = options.EarlyStopping ?? EarlyStopping.Heuristic,
            Sample = sample,
            Seed = options.Seed ?? 0,
            KeepLogits = options.KeepLogits,
            EndTokens = ends,
            PaddingToken = model.PaddingToken,
            VocabularySize = model.VocabularySize,
            Processors = [],
        };
        return plan with
        {
            Processors = Build(options, plan, model, document ?? []),
            MaxTime = options.MaxTime is { } seconds ? Finite(seconds, nameof(options.MaxTime)) : null,
            StopStrings = Stopping(options, tokenizer),
        };
    }

    private static (int Min, int Max) Lengths(GenerationOptions options, int prompt, int positions)
    {
        if (options.MaxTokens is not null && options.MaxLength is not null)
        {
            throw new InputException(nameof(options.MaxTokens), "no MaxLength, which says the same",
                $"{options.MaxTokens} and MaxLength {options.MaxLength}");
        }
        if (options.MinTokens is not null && options.MinLength is not null)
        {
            throw new InputException(nameof(options.MinTokens), "no MinLength, which says the same",
                $"{options.MinTokens} and MinLength {options.MinLength}");
        }
        // The last token is never fed, so a table of P positions reaches length P + 1.
        int limit = positions + 1, max;
        if (options.MaxLength is int length)
        {
            if (length <= prompt)
            {
                throw new InputException(nameof(options.MaxLength),
                    $"more than the {prompt} tokens of the decoder prompt with its start token", $"{length}");
            }
            max = length;
        }
        else if (options.MaxTokens is int tokens)
        {
            max = prompt + AtLeast(tokens, 1, nameof(options.MaxTokens));
        }
        else
        {
            max = Math.Min(prompt + 20, limit);
        }
        // The checkpoint's own length gives way to its positions, a caller's does not.
        if (options.MaxIsDefault)
            max = Math.Min(max, limit);
        if (max > limit)
        {
            throw new InputException(options.MaxLength is null ? nameof(options.MaxTokens) : nameof(options.MaxLength),
                $"at most {limit - (options.MaxLength is null ? prompt : 0)}, since the checkpoint has {positions} decoder positions and the "
                + "prompt has "
                + $"{prompt} tokens", $"{max - (options.MaxLength is null ? prompt : 0)}");
        }
        int min = options.MinLength is int least ? AtLeast(least, 0, nameof(options.MinLength))
            : options.MinTokens is int tokensLeast ? prompt + AtLeast(tokensLeast, 0, nameof(options.MinTokens)) : 0;
        // The least length of the checkpoint gives way to a greatest that the caller chose.
        if (options.MinIsDefault)
            min = Math.Min(min, max);
        if (min > max)
        {
            throw options.MinTokens is int minTokens
                ? new InputException(nameof(options.MinTokens), $"at most the maximum of {max - prompt} new tokens", $"{minTokens}")
                : new InputException(nameof(options.MinLength), $"at most the maximum length of {max}", $"{min}");
        }
        return (min, max);
    }

    private static StopStrings? Stopping(GenerationOptions options, Tokenizer? tokenizer)
    {
        if (options.StopStrings is not { Count: > 0 } strings)
            return null;
        if (strings.Any(string.IsNullOrEmpty))
            throw new InputException("StopStrings must be texts of at least one character, given an empty one.");
        // Checked before a tokenizer is at hand, they are only looked at.
        return tokenizer is null ? null : new StopStrings(strings, tokenizer);
    }

    private static LogitsProcessor[] Build(GenerationOptions options, GenerationPlan plan, GenerationVocabulary model, int[] document)
    {
        List<LogitsProcessor> list = new();
        if (options.SequenceBias is { Count: > 0 } biases)
        {
            foreach (SequenceBias bias in biases)
            {
                if (bias.Tokens.Count == 0 || !double.IsFinite(bias.Bias))
                    throw new InputException("SequenceBias must be finite biases of sequences of at least one token.");
                foreach (int id in bias.Tokens)
                    Token(id, nameof(options.SequenceBias), model);
            }
            list.Add(new SequenceBiases(biases));
        }
        if (options.Rerank is { } rerank && !double.IsFinite(rerank))
            throw Bad(nameof(options.Rerank), "a finite number", rerank);
        double encoder = options.EncoderRepetitionPenalty ?? 1.0;
        if (!(encoder > 0 && double.IsFinite(encoder)))
            throw Bad(nameof(options.EncoderRepetitionPenalty), "above 0", encoder);
        if (encoder != 1.0)
            list.Add(new EncoderRepetitionPenalty(encoder, document));
        double repetition = options.RepetitionPenalty ?? 1.0;
        if (!(repetition > 0 && double.IsFinite(repetition)))
            throw Bad(nameof(options.RepetitionPenalty), "above 0", repetition);
        if (repetition != 1.0)
            list.Add(new RepetitionPenalty((float)repetition));

        int ngram = AtLeast(options.NoRepeatNgram ?? 0, 0, nameof(options.NoRepeatNgram));
        if (ngram > 0)
            list.Add(new NoRepeatNgram(ngram));
        int encoderNgram = AtLeast(options.EncoderNoRepeatNgram ?? 0, 0, nameof(options.EncoderNoRepeatNgram));
        if (encoderNgram > 0)
            list.Add(new EncoderNoRepeatNgram(encoderNgram, document));

        if (options.BadWords is { Count: > 0 } words)
        {
            foreach (IReadOnlyList<int> word in words)
            {
                if (word.Count == 0)
                    throw new InputException(nameof(options.BadWords), "sequences of at least one token", "an empty one");
                foreach (int id in word)
                    Token(id, nameof(options.BadWords), model);
            }
            list.Add(new BadWords(words, plan.EndTokens));
        }
        if (plan.MinLength > plan.Prompt.Length && plan.EndTokens.Length > 0)
            list.Add(new MinimumLength(plan.MinLength, plan.EndTokens));
        if (options.ForcedFirstToken is int first)
            list.Add(new ForcedFirst(Token(first, nameof(options.ForcedFirstToken), model)));
        if (options.ForcedLastTokens is { Count: > 0 } last)
        {
            foreach (int id in last)
                Token(id, nameof(options.ForcedLastTokens), model);
            list.Add(new ForcedLast(plan.MaxLength, [.. last]));
        }
        if (options.RemoveInvalid == true)
            list.Add(new RemoveInvalid());
        if (options.LengthDecay is { } decay)
        {
            int start = plan.Prompt.Length + AtLeast(decay.Start, 0, nameof(options.LengthDecay));
            list.Add(new ExponentialDecay(start, Finite(decay.Factor, nameof(options.LengthDecay)), plan.EndTokens));
        }
        if (options.SuppressedTokens is { Count: > 0 } never)
        {
            foreach (int id in never)
                Token(id, nameof(options.SuppressedTokens), model);
            if (options.ForcedFirstToken is int forced && never.Contains(forced))
            {
                throw new InputException(nameof(options.ForcedFirstToken),
                    "a token that SuppressedTokens does not forbid, so that a sequence can begin", $"{forced}");
            }
            if (options.ForcedLastTokens is { Count: > 0 } ending && ending.All(never.Contains))
            {
                throw new InputException(nameof(options.ForcedLastTokens),
                    "a token that SuppressedTokens does not forbid, so that a sequence can end at the maximum length", string.Join(", ", ending));
            }
            list.Add(new Suppressed([.. never]));
        }
        if (options.BeginSuppressedTokens is { Count: > 0 } begin)
        {
            foreach (int id in begin)
                Token(id, nameof(options.BeginSuppressedTokens), model);
            // Behind a forced first token the suppression moves to the next one.
            int at = plan.Prompt.Length > 1 || options.ForcedFirstToken is null ? plan.Prompt.Length : plan.Prompt.Length + 1;
            list.Add(new BeginSuppressed([.. begin], at));
        }

        // Settings that only sampling uses are read only when sampling.
        if (plan.Sample)
            AddSampling(options, plan, list);
        if (options.Renormalize == true)
            list.Add(new Renormalize());
        return [.. list];
    }

    private static void AddSampling(GenerationOptions options, GenerationPlan plan, List<LogitsProcessor> list)
    {
        double temperature = options.Temperature ?? 1.0, topP = options.TopP ?? 1.0;
        int topK = AtLeast(options.TopK ?? 50, 0, nameof(options.TopK));
        if (!(temperature > 0 && double.IsFinite(temperature)))
            throw Bad(nameof(options.Temperature), "above 0", temperature);
        if (!(topP > 0 && topP <= 1))
            throw Bad(nameof(options.TopP), "above 0 and at most 1", topP);
        // With beams, at least one token that does not end the sequence must stay.
        int keep = plan.Beams > 1 ? plan.EndTokens.Length + 1 : 1;
        if (temperature != 1.0)
            list.Add(new Temperature((float)temperature));
        if (options.TopH is { } topH)
            list.Add(topH is > 0 and <= 1 ? new TopH(topH) : throw Bad(nameof(options.TopH), "above 0 and at most 1", topH));
        if (topK > 0)
            list.Add(new TopK(Math.Max(topK, keep)));
        if (topP < 1.0)
            list.Add(new TopP(topP, keep));
        if (options.MinP is { } minP)
            list.Add(minP is >= 0 and <= 1 ? new MinP(minP, keep) : throw Bad(nameof(options.MinP), "from 0 to 1", minP));
        if (options.TypicalP is { } typical and not 1)
            list.Add(typical is > 0 and < 1 ? new TypicalP(typical, keep) : throw Bad(nameof(options.TypicalP), "above 0 and at most 1", typical));
        if (options.EpsilonCutoff is { } epsilon and not 0)
            list.Add(epsilon is > 0 and < 1 ? new Epsilon(epsilon, keep) : throw Bad(nameof(options.EpsilonCutoff), "from 0 to below 1", epsilon));
        if (options.EtaCutoff is { } eta and not 0)
            list.Add(eta is > 0 and < 1 ? new Eta(eta, keep) : throw Bad(nameof(options.EtaCutoff), "from 0 to below 1", eta));
    }

    private static int AtLeast(int value, int least, string name) =>
        value >= least ? value : throw new InputException(name, $"at least {least}", $"{value}");

    private static double Finite(double value, string name) =>
        double.IsFinite(value) ? value : throw new InputException(name, "a finite number", FormattableString.Invariant($"{value}"));

    private static InputException Bad(string name, string expected, double given) => new(name, expected, FormattableString.Invariant($"{given}"));

    private static int Token(int id, string name, GenerationVocabulary model) =>
        (uint)id < (uint)model.VocabularySize ? id
            : throw new InputException(name, $"a token of the vocabulary, 0..{model.VocabularySize - 1}", $"{id}");
}
