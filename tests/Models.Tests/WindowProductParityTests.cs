using System.Text.Json;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>The golden cases of allenai's raw window products.</summary>
public class WindowProductParityTests
{
    private static readonly string[] Kinds = ["sliding_chunks", "no_overlap", "dilated_columns"];

    private static IEnumerable<string> Products() =>
        Golden.Names("attention").Where(name => Kinds.Any(kind => name.StartsWith(kind, StringComparison.Ordinal)));

    [TestCaseSource(nameof(Products))]
    public void A_window_product_gives_the_expected_scores_and_context(string name)
    {
        Golden golden = Golden.Open("attention", name);
        using JsonDocument configuration = Configuration(golden);
        using TensorScope scope = new();
        Dictionary<string, Tensor> inputs = golden.Inputs(), actual = [];
        (Tensor q, Tensor k, Tensor v) = (inputs["q"], inputs["k"], inputs["v"]);
        if (name.StartsWith("sliding_chunks", StringComparison.Ordinal))
        {
            int window = configuration.RootElement.GetProperty("window_one_side").GetInt32();
            actual["scores"] = WindowProducts.SlidingChunksScores(q, k, window);
            actual["probs"] = actual["scores"].Softmax(-1);
            actual["context"] = WindowProducts.SlidingChunksContext(actual["probs"], v, window);
        }
        else if (name.StartsWith("no_overlap", StringComparison.Ordinal))
        {
            int block = configuration.RootElement.GetProperty("block").GetInt32();
            actual["scores"] = WindowProducts.NoOverlapScores(q, k, block);
            actual["scores_masked"] = WindowProducts.MaskInvalidLocations(actual["scores"], block, [1], autoregressive: false);
            actual["probs"] = actual["scores_masked"].Softmax(-1);
            actual["context"] = WindowProducts.NoOverlapContext(actual["probs"], v, block);
        }
        else
        {
            int window = configuration.RootElement.GetProperty("window_one_side").GetInt32();
            int dilation = configuration.RootElement.GetProperty("dilation").GetInt32();
            actual["scores"] = WindowProducts.DilatedScores(q, k, window, window, [dilation]);
            actual["scores_masked"] = WindowProducts.MaskInvalidLocations(actual["scores"], window, [dilation], autoregressive: false);
            actual["probs"] = actual["scores_masked"].Softmax(-1);
            actual["context"] = WindowProducts.DilatedContext(actual["probs"], v, window, window, [dilation]);
        }
        Dictionary<string, Tensor> expected = golden.Expected();
        Assert.That(actual.Keys, Is.EquivalentTo(expected.Keys));
        foreach ((string output, Tensor tensor) in expected)
            golden.AssertMatches(output, Finite(actual[output]), Finite(tensor));
    }

    [Test]
    public void Invalid_locations_are_those_of_the_reference()
    {
        Golden golden = Golden.Open("attention", "mask_invalid_locations");
        using JsonDocument configuration = Configuration(golden);
        using TensorScope scope = new();
        Dictionary<string, Tensor> inputs = golden.Inputs();
        foreach ((string name, Tensor expected) in golden.Expected())
        {
            JsonElement options = configuration.RootElement.GetProperty(name);
            JsonElement dilation = options.GetProperty("dilation");
            int[] perHead = dilation.ValueKind == JsonValueKind.Array
                ? [.. dilation.EnumerateArray().Select(d => d.GetInt32())]
                : [dilation.GetInt32()];
            Tensor masked = WindowProducts.MaskInvalidLocations(
                inputs[name], options.GetProperty("window_one_side").GetInt32(), perHead, options.GetProperty("autoregressive").GetBoolean());
            golden.AssertMatches(name, Finite(masked), Finite(expected));
        }
    }

    [Test]
    public void Padding_to_the_window_is_that_of_the_reference()
    {
        Golden golden = Golden.Open("attention", "pad_to_window_size");
        using JsonDocument configuration = Configuration(golden);
        using TensorScope scope = new();
        (Dictionary<string, Tensor> inputs, Dictionary<string, Tensor> expected) = (golden.Inputs(), golden.Expected());
        foreach (JsonProperty options in configuration.RootElement.EnumerateObject())
        {
            (Tensor ids, Tensor mask) = WindowProducts.PadToWindowSize(
                inputs["ids" + options.Name], inputs["mask" + options.Name], options.Value.GetProperty("window_one_side").GetInt32(),
                options.Value.GetProperty("pad_token_id").GetInt64());
            Assert.That(ids.ToArray<long>(), Is.EqualTo(expected["ids" + options.Name].ToArray<long>()));
            Assert.That(mask.ToArray<long>(), Is.EqualTo(expected["mask" + options.Name].ToArray<long>()));
        }
    }

    /// <summary>-inf as a number that only itself is near.</summary>
    private static Tensor Finite(Tensor scores) => scores.Clamp(minimum: -1e6);

    private static JsonDocument Configuration(Golden golden) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(golden.Folder, "config.json")));
}
