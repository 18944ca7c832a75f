using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tasks.Answering;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tasks.Tagging;
using LongformerInterop.Tests;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

/// <summary>Settings as users bring them, with the value of the reference.</summary>
[TestFixture]
public sealed class FieldTests
{
    private const string Text = "Ada Lovelace wrote the first program in London.";
    private TestFolder _folder = null!;

    [SetUp]
    public void Begin() => _folder = new TestFolder();

    [TearDown]
    public void End() => _folder.Dispose();

    // Written by parity-tests/generators/tag_aggregation.py with transformers' TokenClassificationPipeline.
    [Test]
    public void Entities_are_those_of_the_pipeline_of_transformers()
    {
        string file = Repository.Golden("tagging", "aggregate.json");
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(file));
        string[] labels = [.. json.RootElement.GetProperty("labels").EnumerateArray().Select(l => l.GetString()!)];
        int number = 0;
        foreach (JsonElement c in json.RootElement.GetProperty("cases").EnumerateArray())
        {
            TextRange[] offsets = [.. c.GetProperty("offsets").EnumerateArray().Select(o => new TextRange(o[0].GetInt32(), o[1].GetInt32()))];
            float[][] probabilities =
                [.. c.GetProperty("probabilities").EnumerateArray().Select(row => row.EnumerateArray().Select(p => p.GetSingle()).ToArray())];
            bool[]? continues = c.GetProperty("continues") is { ValueKind: JsonValueKind.Array } list
                ? [.. list.EnumerateArray().Select(x => x.GetBoolean())]
                : null;
            TagAggregation how = Enum.Parse<TagAggregation>(c.GetProperty("aggregation").GetString()!, ignoreCase: true);
            List<Entity> ours = EntityGrouper.Group(c.GetProperty("text").GetString()!, offsets, probabilities, labels, how, continues);
            JsonElement[] theirs = [.. c.GetProperty("entities").EnumerateArray()];
            Assert.That(ours.Select(e => (e.Label, e.Start, e.End)),
                Is.EqualTo(theirs.Select(e => (e[0].GetString()!, e[1].GetInt32(), e[2].GetInt32()))), $"case {number}, {how}");
            Assert.That(ours.Select(e => e.Score), Is.EqualTo(theirs.Select(e => e[3].GetSingle())).Within(1e-5), $"case {number}, {how}");
            number++;
        }
        Assert.That(number, Is.GreaterThanOrEqualTo(50));
    }

    // TopPLogitsWarper: ascending cumulative probabilities in float32, removed where they are at most 1 - p.
    [TestCase(0.4, 2)]
    [TestCase(0.2, 1)]
    [TestCase(0.8, 4)]
    [TestCase(1.0, 5)]
    public void Top_p_keeps_what_HF_keeps_of_equal_scores(double p, int kept)
    {
        float[] scores = [0, 0, 0, 0, 0];
        new TopP(p, 1).Apply([], scores);
        Assert.That(scores.Count(float.IsFinite), Is.EqualTo(kept));
    }

    [TestCase("""{"force_words_ids": [[5]]}""", "force_words_ids")]
    [TestCase("""{"constraints": [1]}""", "constraints")]
    [TestCase("""{"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0}""", "num_beam_groups")]
    [TestCase("""{"guidance_scale": 1.5}""", "guidance_scale")]
    [TestCase("""{"penalty_alpha": 0.6, "top_k": 4}""", "penalty_alpha")]
    [TestCase("""{"dola_layers": "low"}""", "dola_layers")]
    [TestCase("""{"watermarking_config": {"bias": 2.5}}""", "watermarking_config")]
    [TestCase("""{"token_healing": true}""", "token_healing")]
    public void A_way_of_generating_that_is_not_built_is_refused_by_name(string json, string key)
    {
        GenerationOptions options = GenerationOptions.Parse(json, "generation_config.json");
        Assert.That(() => GenerationPlan.Create(options, HashSession.Vocabulary(30, 100)),
            Throws.InstanceOf<InputException>().Or.InstanceOf<CheckpointException>().With.Message.Contains(key));
    }

    // transformers warns and continues; LEDs of the hub are saved so.
    [TestCase("""{"max_length": 4096}""", 64)]
    [TestCase("""{"max_length": 12, "min_length": 56}""", 12)]
    public void A_checkpoints_own_lengths_are_cut_to_what_can_be(string json, int maximum)
    {
        GenerationPlan plan = GenerationPlan.Create(new GenerationOptions().Over(Saved(json)), HashSession.Vocabulary(30, 63));
        Assert.That((plan.MaxLength, plan.MinLength),
            Is.EqualTo((maximum, Math.Min(json.Contains("56", StringComparison.Ordinal) ? 56 : 0, maximum))));
    }

    [Test]
    public void A_users_maximum_goes_before_the_checkpoints_minimum()
    {
        GenerationPlan plan = GenerationPlan.Create(new GenerationOptions { MaxTokens = 5 }.Over(Saved("""{"min_length": 56, "max_length": 142}""")),
            HashSession.Vocabulary(30, 200));
        Assert.That((plan.MaxLength, plan.MinLength), Is.EqualTo((6, 6)));
    }

    [Test]
    public void Settings_of_sampling_count_only_where_there_is_sampling() =>
        Assert.That(() => GenerationPlan.Create(Saved("""{"temperature": 0.0, "top_p": 0, "top_k": -3}"""), HashSession.Vocabulary(30, 64)),
            Throws.Nothing);

    [Test]
    public void A_stop_string_is_completed_by_the_token_in_which_it_ends()
    {
        Tokenizer tokenizer = Tokenizer.Load(TinyCheckpoints.TokenizerFolder);
        int[] ids = tokenizer.Encode(Text, options: new EncodeOptions { AddSpecialTokens = false }).Ids.ToArray();
        StopStrings stop = new(["the first"], tokenizer);
        int[] completed = [.. Enumerable.Range(1, ids.Length).Where(n => stop.IsCompleted(ids.AsSpan(0, n)))];
        Assert.That(completed, Has.Length.EqualTo(1));
        Assert.That(tokenizer.Decode(ids.AsSpan(0, completed[0])), Does.EndWith("the first"));
    }

    // models/Pooling.py of sentence-transformers 5: the concatenation is in the order of the flags.
    [TestCase("pooling_mode_cls_token", "cls")]
    [TestCase("pooling_mode_max_tokens", "max")]
    [TestCase("pooling_mode_mean_tokens", "mean")]
    [TestCase("pooling_mode_mean_sqrt_len_tokens", "sqrt")]
    [TestCase("pooling_mode_weightedmean_tokens", "weighted")]
    [TestCase("pooling_mode_lasttoken", "last")]
    public void Every_pooling_of_sentence_transformers_is_served(string flag, string name)
    {
        string folder = Sentence(
            $$"""{"word_embedding_dimension": 32, "{{flag}}": true{{(name == "mean" ? "" : ", \"pooling_mode_mean_tokens\": false")}}}""", "");
        using DocumentEncoder encoder = DocumentEncoder.Load(folder);
        float[] tokens = Hidden(encoder, Text);
        Assert.That(encoder.Encode([Text])[0], Is.EqualTo(Pool(tokens, name)).Within(1e-5));
    }

    [Test]
    public void Poolings_are_joined_and_go_through_dense_layers_and_normalization()
    {
        string folder = Sentence("""{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true}""",
            """, {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"}, """
            + """{"idx": 3, "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"}""");
        Directory.CreateDirectory(Path.Combine(folder, "2_Dense"));
        float[] weight = [.. Enumerable.Range(0, 3 * 96).Select(i => (float)Math.Sin(i))], bias = [0.5f, -0.25f, 1];
        File.WriteAllText(Path.Combine(folder, "2_Dense", "config.json"),
            """{"in_features": 96, "out_features": 3, "bias": true, "activation_function": "torch.nn.modules.activation.Tanh"}""");
        using (TensorScope scope = new())
        {
            SafetensorsWriter.Write(Path.Combine(folder, "2_Dense", "model.safetensors"), new Dictionary<string, Tensor>
            {
                ["linear.weight"] = Tensor.From(weight, 3, 96), ["linear.bias"] = Tensor.From(bias, 3),
            });
        }
        using DocumentEncoder encoder = DocumentEncoder.Load(folder);
        float[] hidden = Hidden(encoder, Text), pooled = [.. Pool(hidden, "cls"), .. Pool(hidden, "max"), .. Pool(hidden, "mean")];
        double[] dense = [.. Enumerable.Range(0, 3)
            .Select(o => Math.Tanh(bias[o] + Enumerable.Range(0, 96).Sum(i => (double)weight[(o * 96) + i] * pooled[i])))];
        double length = Math.Sqrt(dense.Sum(x => x * x));
        Assert.That(encoder.Encode([Text])[0], Is.EqualTo(dense.Select(x => (float)(x / length))).Within(1e-5));
    }

    [Test]
    public void Prompts_the_longest_text_and_lower_case_are_the_folders()
    {
        string folder = Sentence("""{"pooling_mode_mean_tokens": true}""", "");
        File.WriteAllText(Path.Combine(folder, "config_sentence_transformers.json"),
            """{"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": null}""");
        File.WriteAllText(Path.Combine(folder, "sentence_bert_config.json"), """{"max_seq_length": 8, "do_lower_case": true}""");
        using DocumentEncoder encoder = DocumentEncoder.Load(folder);
        float[] plain = encoder.Encode(["ada"])[0];
        Assert.That(encoder.Encode(["ADA"])[0], Is.EqualTo(plain));
        Assert.That(encoder.Encode(["ada"], encoder.DefaultPooling, new EmbeddingOptions { PromptName = "query" })[0],
            Is.EqualTo(encoder.Encode(["query: ada"])[0]));
        Assert.That(encoder.Encode([string.Join(' ', Enumerable.Repeat("a", 900))])[0], Has.Length.EqualTo(32),
            "a longer text is cut, as SentenceTransformer.encode does");
        Assert.That(() => encoder.Encode(["ada"], encoder.DefaultPooling, new EmbeddingOptions { PromptName = "passage" }),
            Throws.InstanceOf<InputException>().With.Message.Contains("query"));
    }

    // Transformer.tokenize strips every text; prompts are put in front before, so that the blank end of a prompt is stripped where the text is empty.
    [Test]
    public void White_space_around_a_text_is_stripped_where_sentence_transformers_strips_it()
    {
        using DocumentEncoder encoder = DocumentEncoder.Load(Sentence("""{"pooling_mode_mean_tokens": true}""", ""));
        Assert.That(encoder.Encode([" \u001c\u00a0ada\n"])[0], Is.EqualTo(encoder.Encode(["ada"])[0]));
        using DocumentEncoder plain = DocumentEncoder.Load(TinyCheckpoints.Base);
        Assert.That(plain.Encode([" ada"])[0], Is.Not.EqualTo(plain.Encode(["ada"])[0]), "a folder without modules takes texts as they are");
    }

    // str.lower of Python 3.
    [TestCase("\u0130stanbul ODEV", "i\u0307stanbul odev")]
    [TestCase("\u039F\u0394\u039F\u03A3 \u03A3 \u03A3\u0391\u03A3.", "\u03BF\u03B4\u03BF\u03C2 \u03C3 \u03C3\u03B1\u03C2.")]
    [TestCase("A\u03A3'B \U00010400\u03A3", "a\u03C3'b \U00010428\u03C2")]
    [TestCase("Stra\u00DFE", "stra\u00DFe")]
    public void Lower_case_is_Pythons(string text, string lower) => Assert.That(SentenceText.Lower(text), Is.EqualTo(lower));

    // Pooling.forward takes token_embeddings[:, 0] whatever include_prompt says, and masks the prompt for the others.
    [Test]
    public void Tokens_of_a_prompt_are_left_out_of_poolings_but_of_the_first_token()
    {
        string folder = Sentence("""{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true, "include_prompt": false}""", "");
        File.WriteAllText(Path.Combine(folder, "config_sentence_transformers.json"),
            """{"prompts": {"query": "query: "}, "default_prompt_name": "query"}""");
        using DocumentEncoder encoder = DocumentEncoder.Load(folder);
        float[] hidden = Hidden(encoder, Text);
        // The prompt's own tokens, without its blank, which is stripped, and without </s>.
        int prompt = encoder.Tokenizer.Encode("query:").Count - 1;
        Assert.That(encoder.Encode([Text])[0], Is.EqualTo((float[])[.. Pool(hidden, "cls"), .. Pool(hidden[(prompt * 32)..], "mean")]).Within(1e-5));
    }

    [Test]
    public void A_mean_is_pooled_where_a_file_does_not_say_that_it_is_not()
    {
        using DocumentEncoder encoder = DocumentEncoder.Load(Sentence("""{"pooling_mode_cls_token": true}""", ""));
        float[] hidden = Hidden(encoder, Text);
        Assert.That(encoder.Encode([Text])[0], Is.EqualTo((float[])[.. Pool(hidden, "cls"), .. Pool(hidden, "mean")]).Within(1e-5));
    }

    // SequenceBiasLogitsProcessor makes a dict of the list.
    [Test]
    public void Of_a_sequence_that_is_biased_twice_the_later_bias_holds()
    {
        float[] scores = [0, 0, 0, 0];
        new SequenceBiases([new([1], 8), new([2, 3], 4), new([1], 2.5), new([3], 1)]).Apply([0, 2], scores);
        Assert.That(scores, Is.EqualTo(new[] { 0, 2.5f, 0, 5 }));
    }

    // QuestionAnsweringPipeline: the smallest of the windows' P(start = 0) P(end = 0).
    [Test]
    public void No_answer_has_the_probability_of_the_first_token()
    {
        AnswerMerger merger = new();
        float[] start = [2, 0, 1, 0], end = [1, 0, 0, 2];
        merger.Add(start, end, [default, default, new(0, 3), new(4, 7)], [false, false, true, true], 1, 30);
        double total = (Math.Exp(2) + Math.E + 1) * (Math.E + 1 + Math.Exp(2));
        List<Answer> answers = merger.Finish("Ada Bob", 2, noAnswer: true);
        Assert.That(answers.Select(a => (a.Text, a.Start, a.End)),
            Is.EqualTo(new[] { ("", 0, 0), ("Ada Bob", 0, 7) }).Or.EqualTo(new[] { ("Ada Bob", 0, 7), ("", 0, 0) }));
        Assert.That(answers.Single(a => a.Text == "").Score, Is.EqualTo(Math.Exp(3) / total).Within(1e-6));
        Assert.That(answers.Single(a => a.Text != "").Score, Is.EqualTo(Math.Exp(3) / total).Within(1e-6));
        Assert.That(merger.Finish("Ada Bob", 2).Select(a => a.Text), Is.EqualTo(new[] { "Ada Bob" }));
    }

    [Test]
    public void Tokens_of_a_text_are_global()
    {
        Tokenizer tokenizer = Tokenizer.Load(TinyCheckpoints.TokenizerFolder);
        Tokenizers.Encoding encoding = tokenizer.Encode("a</s>b</s>c");
        int[] ends = [.. Enumerable.Range(0, encoding.Count).Where(i => encoding.Ids.Span[i] == tokenizer.TokenToId("</s>"))];
        Assert.That(ends, Has.Length.EqualTo(3));
        Assert.That(GlobalTokens.Parse("token:</s>").Resolve(encoding, tokenizer, [], "x"), Is.EqualTo(ends));
        Assert.That(GlobalTokens.Parse("first,token:</s>").Resolve(encoding, tokenizer, [], "x"), Is.EqualTo(ends.Prepend(0)));
        Assert.That(() => GlobalTokens.Parse("token:no such").Resolve(encoding, tokenizer, [], "x"),
            Throws.TypeOf<InputException>().With.Message.Contains("no such"));
    }

    private GenerationOptions Saved(string json)
    {
        string folder = _folder["saved"];
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), json);
        return GenerationOptions.FromCheckpoint(folder);
    }

    private string Sentence(string pooling, string more)
    {
        string folder = _folder["sentence"];
        Directory.CreateDirectory(Path.Combine(folder, "1_Pooling"));
        foreach (string file in Directory.EnumerateFiles(TinyCheckpoints.Base))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(folder, "1_Pooling", "config.json"), pooling);
        File.WriteAllText(Path.Combine(folder, "modules.json"), $$"""
            [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
             {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}{{more}}]
            """);
        return folder;
    }

    private static float[] Hidden(DocumentEncoder encoder, string text) =>
        encoder.Encode([text], Pooling.Tokens, new EmbeddingOptions { Global = GlobalTokens.None })[0];

    private static float[] Pool(float[] hidden, string how)
    {
        const int width = 32;
        int tokens = hidden.Length / width;
        float[] result = new float[width];
        for (int c = 0; c < width; c++)
        {
            double[] column = [.. Enumerable.Range(0, tokens).Select(t => (double)hidden[(t * width) + c])];
            result[c] = (float)(how switch
            {
                "cls" => column[0], "last" => column[^1], "max" => column.Max(), "mean" => column.Average(),
                "sqrt" => column.Sum() / Math.Sqrt(tokens),
                _ => column.Select((x, t) => x * (t + 1)).Sum() / (tokens * (tokens + 1) / 2),
            });
        }
        return result;
    }
}
