using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

public sealed class GenerationOptionsTests
{
    private static GenerationPlan Plan(GenerationOptions options) => GenerationPlan.Create(options, HashSession.Vocabulary(30, 16));

    private static readonly (GenerationOptions, string)[] Impossible =
    [
        (new() { Beams = 0 }, "Beams: expected at least 1, given 0"),
        (new() { NBest = 0 }, "NBest: expected at least 1, given 0"),
        (new() { Beams = 3, NBest = 4 }, "NBest: expected at most 3, as many as there are beams, or sampling without beams, given 4"),
        (new() { NBest = 2 }, "NBest: expected at most 1, as many as there are beams, or sampling without beams, given 2"),
        (new() { Beams = 3, NBest = 4, Sample = true }, "NBest: expected at most 3, as many as there are beams, or sampling without beams, given 4"),
        (new() { MinTokens = 9, MaxTokens = 8 }, "MinTokens: expected at most the maximum of 8 new tokens, given 9"),
        (new() { MinLength = 9, MaxLength = 8 }, "MinLength: expected at most the maximum length of 8, given 9"),
        (new() { MaxTokens = 0 }, "MaxTokens: expected at least 1, given 0"),
        (new() { MaxTokens = 5, MaxLength = 6 }, "MaxTokens: expected no MaxLength, which says the same, given 5 and MaxLength 6"),
        (new() { MinTokens = 5, MinLength = 6 }, "MinTokens: expected no MinLength, which says the same, given 5 and MinLength 6"),
        (new() { MaxLength = 1 }, "MaxLength: expected more than the 1 tokens of the decoder prompt with its start token, given 1"),
        (new() { MaxTokens = 17 },
            "MaxTokens: expected at most 16, since the checkpoint has 16 decoder positions and the prompt has 1 tokens, given 17"),
        (new() { DecoderPrompt = new int[17] }, "DecoderPrompt: expected at most 16 tokens, the positions of the decoder, given 18"),
        (new() { DecoderPrompt = [2, 30] }, "DecoderPrompt: expected a token of the vocabulary, 0..29, given 30"),
        (new() { Sample = true, TopP = 2 }, "TopP: expected above 0 and at most 1, given 2"),
        (new() { Sample = true, TopP = 0 }, "TopP: expected above 0 and at most 1, given 0"),
        (new() { Sample = true, TopP = double.NaN }, "TopP: expected above 0 and at most 1, given NaN"),
        (new() { Sample = true, TopK = -1 }, "TopK: expected at least 0, given -1"),
        (new() { Sample = true, Temperature = 0 }, "Temperature: expected above 0, given 0"),
        (new() { RepetitionPenalty = 0 }, "RepetitionPenalty: expected above 0, given 0"),
        (new() { NoRepeatNgram = -2 }, "NoRepeatNgram: expected at least 0, given -2"),
        (new() { LengthPenalty = double.PositiveInfinity }, "LengthPenalty: expected a finite number, given Infinity"),
        (new() { BadWords = [[3], []] }, "BadWords: expected sequences of at least one token, given an empty one"),
        (new() { BadWords = [[3, -1]] }, "BadWords: expected a token of the vocabulary, 0..29, given -1"),
        (new() { ForcedFirstToken = 77 }, "ForcedFirstToken: expected a token of the vocabulary, 0..29, given 77"),
        (new() { ForcedLastTokens = [77] }, "ForcedLastTokens: expected a token of the vocabulary, 0..29, given 77"),
        (new() { SuppressedTokens = [77] }, "SuppressedTokens: expected a token of the vocabulary, 0..29, given 77"),
        (new() { BeginSuppressedTokens = [77] }, "BeginSuppressedTokens: expected a token of the vocabulary, 0..29, given 77"),
        (new() { ForcedFirstToken = 5, SuppressedTokens = [4, 5] }, "ForcedFirstToken: expected a token that SuppressedTokens does not forbid"),
        (new() { ForcedLastTokens = [5, 6], SuppressedTokens = [4, 5, 6] },
            "ForcedLastTokens: expected a token that SuppressedTokens does not forbid"),
        (new() { KeepLogits = true, Beams = 2 }, "KeepLogits: expected one beam, given 2"),
    ];

    [Test]
    public void What_cannot_be_is_refused_with_its_values([ValueSource(nameof(Impossible))] (GenerationOptions Options, string Message) c) =>
        Assert.That(() => Plan(c.Options), Throws.InstanceOf<InputException>().With.Message.Contains(c.Message));

    [Test]
    public void Defaults_are_those_of_HF()
    {
        GenerationPlan plan = GenerationPlan.Create(new GenerationOptions(), HashSession.Vocabulary(30, 100));
        Assert.That((plan.Beams, plan.NBest, plan.MaxLength, plan.MinLength, plan.LengthPenalty, plan.Sample, plan.EarlyStopping),
            Is.EqualTo((1, 1, 21, 0, 1.0, false, EarlyStopping.Heuristic)));
        Assert.That(plan.Prompt, Is.EqualTo(new[] { 2 }));
        Assert.That(plan.Processors, Is.Empty);
    }

    [Test]
    public void The_default_length_ends_with_the_position_table() => Assert.That(Plan(new()).MaxLength, Is.EqualTo(17));

    [Test]
    public void The_start_token_is_put_before_a_prompt_that_lacks_it()
    {
        Assert.That(Plan(new() { DecoderPrompt = [5, 6] }).Prompt, Is.EqualTo(new[] { 2, 5, 6 }));
        Assert.That(Plan(new() { DecoderPrompt = [2, 6] }).Prompt, Is.EqualTo(new[] { 2, 6 }));
    }

    [Test]
    public void Both_ways_of_counting_lengths_meet()
    {
        GenerationPlan tokens = Plan(new() { MaxTokens = 7, MinTokens = 3, DecoderPrompt = [2, 5] });
        GenerationPlan length = Plan(new() { MaxLength = 9, MinLength = 5, DecoderPrompt = [2, 5] });
        Assert.That((tokens.MaxLength, tokens.MinLength), Is.EqualTo((length.MaxLength, length.MinLength)));
    }

    [Test]
    public void Processors_come_in_the_order_of_HF()
    {
        GenerationOptions options = new()
        {
            Sample = true, Temperature = 0.5, TopK = 3, TopP = 0.5, SuppressedTokens = [3], BeginSuppressedTokens = [1], ForcedFirstToken = 1,
            ForcedLastTokens = [1], MinTokens = 2, BadWords = [[1]], NoRepeatNgram = 2, RepetitionPenalty = 2,
        };
        Assert.That(Plan(options).Processors.Select(p => p.GetType()), Is.EqualTo(new[]
        {
            typeof(RepetitionPenalty), typeof(NoRepeatNgram), typeof(BadWords), typeof(MinimumLength), typeof(ForcedFirst), typeof(ForcedLast),
            typeof(Suppressed), typeof(BeginSuppressed), typeof(Temperature), typeof(TopK), typeof(TopP),
        }));
    }

    [Test]
    public void A_configuration_file_of_HF_is_read()
    {
        GenerationOptions o = GenerationOptions.Parse("""
            {"num_beams": 4, "max_length": 512, "min_length": 100, "length_penalty": 2.0, "early_stopping": true, "no_repeat_ngram_size": 3,
             "forced_bos_token_id": 0, "forced_eos_token_id": 2, "bad_words_ids": [[1, 2], [3]], "suppress_tokens": null, "eos_token_id": [2, 5],
             "do_sample": false, "top_p": 0.9, "d_model": 768}
            """);
        Assert.That((o.Beams, o.MaxLength, o.MinLength, o.LengthPenalty, o.EarlyStopping, o.NoRepeatNgram, o.ForcedFirstToken, o.Sample, o.TopP),
            Is.EqualTo((4, 512, 100, 2.0, EarlyStopping.AtBeamCount, 3, 0, false, 0.9)));
        Assert.That(o.ForcedLastTokens, Is.EqualTo(new[] { 2 }));
        Assert.That(o.EndTokens, Is.EqualTo(new[] { 2, 5 }));
        Assert.That(o.BadWords, Is.EqualTo(new[] { new[] { 1, 2 }, new[] { 3 } }));
        Assert.That(o.SuppressedTokens, Is.Null);
    }

    [TestCase("[]", "expected a JSON object, found Array")]
    [TestCase("{", "not valid JSON")]
    [TestCase("{\"num_beams\": \"four\"}", "num_beams must be a whole number, found \"four\"")]
    [TestCase("{\"num_beams\": 2.5}", "num_beams must be a whole number, found 2.5")]
    [TestCase("{\"early_stopping\": \"soon\"}", "early_stopping must be true, false or \"never\"")]
    [TestCase("{\"bad_words_ids\": [1]}", "bad_words_ids must be a list of lists of token ids")]
    [TestCase("{\"suppress_tokens\": [[1]]}", "suppress_tokens must be a list of token ids")]
    [TestCase("{\"do_sample\": 1}", "do_sample must be true or false")]
    [TestCase("{\"top_p\": []}", "top_p must be a number")]
    public void Malformed_options_are_named(string json, string message) =>
        Assert.That(() => GenerationOptions.Parse(json, "x.json"),
            Throws.InstanceOf<InputException>().With.Message.Contains("x.json").And.Message.Contains(message));

    [Test]
    public void Own_lengths_replace_the_checkpoints_in_either_counting()
    {
        GenerationOptions checkpoint = new() { MaxLength = 512, MinLength = 100, Beams = 4 };
        GenerationOptions merged = new GenerationOptions { MaxTokens = 20 }.Over(checkpoint);
        Assert.That((merged.MaxTokens, merged.MaxLength, merged.MinLength, merged.Beams), Is.EqualTo((20, (int?)null, 100, 4)));
    }
}
