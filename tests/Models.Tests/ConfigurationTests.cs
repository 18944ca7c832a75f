using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Tests;

public class ConfigurationTests
{
    [Test]
    public void A_hugging_face_window_counts_both_sides()
    {
        LongformerConfiguration c =
            LongformerConfiguration.Parse("""{"model_type": "longformer", "attention_window": [8, 16], "num_hidden_layers": 2}""");
        Assert.That(c.Window(1), Is.EqualTo(new LayerWindow(8, 8, null)));
        Assert.That(c.LargestWindow, Is.EqualTo(16));
    }

    [Test]
    public void One_window_serves_all_layers()
    {
        LongformerConfiguration c = LongformerConfiguration.Parse("""{"model_type": "longformer", "attention_window": 32, "num_hidden_layers": 3}""");
        Assert.That(c.Window(2), Is.EqualTo(new LayerWindow(16, 16, null)));
    }

    [Test]
    public void An_allenai_window_counts_one_side_and_may_be_dilated_and_autoregressive()
    {
        LongformerConfiguration c = LongformerConfiguration.Parse(
            """{"attention_mode": "tvm", "attention_window": [4, 5], "attention_dilation": [1, [1, 2]], """
            + """ "autoregressive": true, "num_attention_heads": 2, "hidden_size": 8}""");
        Assert.That(c.NumHiddenLayers, Is.EqualTo(2));
        Assert.That((c.Window(0).Left, c.Window(0).Right, c.Window(0).Dilation), Is.EqualTo((4, 0, (IReadOnlyList<int>?)null)));
        Assert.That(c.Window(1).Dilation, Is.EqualTo([1, 2]));
    }

    // allenai/longformer-base-4096 on the hub has both: transformers reads model_type, whatever the keys of allenai's own package say.
    [TestCase("\"attention_mode\": \"longformer\"")]
    [TestCase("\"attention_mode\": \"sliding_chunks\", \"autoregressive\": true")]
    [TestCase("\"attention_mode\": \"tvm\", \"attention_dilation\": [2, 2]")]
    [TestCase("\"attention_mode\": null")]
    public void A_model_type_decides_about_keys_of_another_package(string keys)
    {
        LongformerConfiguration c =
            LongformerConfiguration.Parse($$"""{"model_type": "longformer", "attention_window": [8, 16], "num_hidden_layers": 2, {{keys}}}""");
        Assert.That((c.Window(0), c.Window(1)), Is.EqualTo((new LayerWindow(4, 4, null), new LayerWindow(8, 8, null))));
    }

    // PreTrainedConfig: num_labels is the number of entries; names need not be texts.
    [TestCase("""{"0": "A", "2": "C"}""", "A,1")]
    [TestCase("""{"0": 1, "1": 2.5, "2": true}""", "1,2.5,true")]
    [TestCase("""{"1": "B", "0": "A"}""", "A,B")]
    [TestCase("""["A", "B", "C"]""", "A,B,C")]
    [TestCase("""{}""", "LABEL_0,LABEL_1")]
    [TestCase("null", "LABEL_0,LABEL_1")]
    public void Labels_are_what_a_file_makes_of_them(string labels, string expected) =>
        Assert.That(LongformerConfiguration.Parse($$"""{"model_type": "longformer", "id2label": {{labels}}}""").Id2Label,
            Is.EqualTo(expected.Split(',')));

    [Test]
    public void Absent_keys_take_the_defaults_of_hugging_face()
    {
        LongformerConfiguration c = LongformerConfiguration.Parse("""{"model_type": "longformer", "pad_token_id": null}""");
        Assert.That((c.VocabSize, c.LayerNormEps, c.TypeVocabSize, c.PadTokenId, c.NumLabels), Is.EqualTo((30522, 1e-12, 2, 1, 2)));
    }

    [Test]
    public void A_position_table_serves_two_tokens_less_than_it_has_rows() =>
        Assert.That(new LongformerConfiguration().MaxTokens, Is.EqualTo(4096));

    [Test]
    public void One_message_lists_every_problem()
    {
        CheckpointException e = Assert.Throws<CheckpointException>(() => LongformerConfiguration.Parse(
            """
            {"model_type": "longformer", "attention_window": [7, 0], "num_hidden_layers": 3, "hidden_size": 10, "num_attention_heads": 4,
             "hidden_act": "swoosh", "vocab_size": "many", "problem_type": "guess", "hidden_dropout_prob": 1.5}
            """, "here/config.json"))!;
        Assert.That(e.Message, Does.StartWith("here/config.json has 8 problems")
            .And.Contain("attention_window of layer 0 counts both sides and must be even, given 7")
            .And.Contain("attention_window of layer 1 must be positive, given 0")
            .And.Contain("attention_window has 2 values for 3 layers")
            .And.Contain("hidden_size 10 is not a multiple of num_attention_heads 4")
            .And.Contain("hidden_act \"swoosh\" is unknown")
            .And.Contain("vocab_size must be an integer, given \"many\"")
            .And.Contain("problem_type \"guess\" is unknown")
            .And.Contain("hidden_dropout_prob must be a number from 0 to below 1, given 1.5"));
    }

    [TestCase("""{"attention_mode": "sliding_chunks"}""", "attention_window is missing")]
    [TestCase("""{"attention_mode": "wide", "attention_window": [4]}""", "attention_mode \"wide\" is unknown")]
    [TestCase("""{"attention_mode": "sliding_chunks", "attention_window": [4], "attention_dilation": [2]}""",
        "attention_dilation 2 of layer 0 needs attention_mode tvm")]
    [TestCase("""{"attention_mode": "sliding_chunks", "attention_window": [4], "autoregressive": true}""",
        "autoregressive attention needs attention_mode tvm")]
    [TestCase("""{"attention_mode": "tvm", "attention_window": [4], "attention_dilation": [[1, 2]]}""",
        "attention_dilation of layer 0 has 2 values for 12 heads")]
    [TestCase("""{"model_type": "longformer", "pad_token_id": 600, "vocab_size": 500}""", "pad_token_id 600 is outside the vocabulary of 500")]
    [TestCase("""{"model_type": "longformer", "max_position_embeddings": 2}""", "max_position_embeddings 2 leaves no position")]
    [TestCase("""{"model_type": "longformer", "id2label": "A"}""", "id2label must be an object")]
    [TestCase("""{"model_type": "roberta"}""", "convert it to a Longformer first")]
    [TestCase("""{"model_type": "bart"}""", "convert it to an LED first")]
    [TestCase("""{"model_type": "longt5"}""", "its attention is another one")]
    [TestCase("""{"model_type": "big_bird"}""", "its attention is another one")]
    [TestCase("""{"model_type": "longformer", "attention_window": "512"}""",
        "attention_window must be an integer or a list of integers, given \"512\"")]
    [TestCase("""{"model_type": "bert", "architectures": ["BertModel"]}""", "describes BertModel of model_type \"bert\"; expected a Longformer")]
    [TestCase("""{"model_type": "roberta"}""", "expected a Longformer")]
    [TestCase("[1]", "must hold a JSON object")]
    [TestCase("{", "is not valid JSON")]
    public void A_wrong_configuration_is_refused(string json, string message) =>
        Assert.That(() => LongformerConfiguration.Parse(json), Throws.TypeOf<CheckpointException>().With.Message.Contains(message));

    [Test]
    public void A_missing_file_is_named()
    {
        using TestFolder folder = new();
        Assert.That(() => LongformerConfiguration.Load(folder["absent"]),
            Throws.TypeOf<CheckpointException>().With.Message.Contains("cannot read config.json"));
    }

    [Test]
    public void Every_golden_configuration_survives_writing_and_reading()
    {
        foreach (string name in Golden.Names("models"))
        {
            LongformerConfiguration c = LongformerConfiguration.Load(Golden.Open("models", name).Folder);
            LongformerConfiguration again = LongformerConfiguration.Parse(c.ToJson());
            Assert.That(again.ToJson(), Is.EqualTo(c.ToJson()), name);
            Assert.That(Enumerable.Range(0, c.NumHiddenLayers).Select(c.Window),
                Is.EqualTo(Enumerable.Range(0, c.NumHiddenLayers).Select(again.Window)), name);
        }
    }
}
