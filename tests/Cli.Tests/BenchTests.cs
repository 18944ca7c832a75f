using System.Text.Json;
using LongformerInterop.Cli.Bench;
using LongformerInterop.Models;
using LongformerInterop.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Tests;

[TestFixture]
[Parallelizable(ParallelScope.None)]
public class BenchTests
{
    private static readonly string[] Numbers =
        ["seconds", "tokens_per_second", "gflop", "gflop_per_second", "fraction_of_peak", "peak_bytes", "weight_bytes"];

    [Test]
    public void Every_length_window_and_batch_is_measured_against_the_machines_own_peak()
    {
        string folder = Random("tiny");
        // 600 tokens are more than the checkpoint's 512 positions.
        JsonElement report = Longformer.Succeeds("bench", folder, "--tokens", "40,600", "--window", "8,32", "--batch", "1,2", "--threads", "1",
            "--runs", "1", "--json").Json;
        JsonElement[] results = [.. report.GetProperty("results").EnumerateArray()];
        Assert.That(results.Select(r => (r.GetProperty("tokens").GetInt32(), r.GetProperty("batch").GetInt32(), r.GetProperty("window").GetInt32())),
            Is.EquivalentTo(
            from tokens in (int[])[40, 600] from batch in (int[])[1, 2] from window in (int[])[8, 32] select (tokens, batch, window)));
        foreach (JsonElement result in results)
        {
            foreach (string name in Numbers)
                Assert.That(result.GetProperty(name).GetDouble(), Is.Positive, name);
            Assert.That(result.GetProperty("stages").EnumerateArray().Sum(s => s.GetProperty("share").GetDouble()), Is.EqualTo(1).Within(1e-9));
            Assert.That(result.GetProperty("stages").EnumerateArray().Select(s => s.GetProperty("name").GetString()),
                Does.Contain("window attention").And.Contain("behind the attention"));
            Assert.That(result.GetProperty("machine").GetProperty("matrix_product_gflop_per_second").GetDouble(), Is.Positive);
        }
    }

    [Test]
    public void Memory_beyond_the_weights_grows_with_the_length_and_no_faster()
    {
        string folder = Random("tiny");
        double Beyond(int tokens) => Longformer.Succeeds(
            "bench", folder, "--tokens", $"{tokens}", "--window", "32", "--threads", "2", "--runs", "1", "--json").Json
            .GetProperty("results")[0].GetProperty("beyond_weights_bytes").GetDouble();
        (double shorter, double longer) = (Beyond(16384), Beyond(65536));
        Assert.That(longer, Is.LessThan(4.4 * shorter));
        // Hidden states, query, key, value and context, five times [N, C] of float32, and workspace of a fixed size.
        Assert.That(longer, Is.LessThan((5 * 65536 * 64 * sizeof(float)) + (24 << 20)));
    }

    [Test]
    public void Cancelling_ends_the_pass_that_runs_and_not_only_those_behind_it()
    {
        using CancellationTokenSource cancellation = new();
        cancellation.Cancel();
        EncodeCase measured = new([40], null, DType.Float32, 1);
        Assert.That(() => EncodeBenchmark.Run(Random("tiny"), new LoadOptions(), measured, runs: 0, cancellation.Token),
            Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void Useful_arithmetic_is_counted_by_hand()
    {
        string folder = Random("tiny");
        JsonElement report = Longformer.Succeeds("bench", folder, "--tokens", "3", "--window", "2", "--layers", "1", "--threads", "1", "--runs",
            "1", "--json").Json;
        // One layer of 64 with 128 inside, 3 tokens; pairs of window 1 on each side: 2 + 3 + 2, in 4 heads of 16.
        double expected = (2 * 3 * 64 * ((4 * 64) + (2 * 128))) + (4 * 64 * 7);
        Assert.That(report.GetProperty("results")[0].GetProperty("gflop").GetDouble() * 1e9, Is.EqualTo(expected).Within(1e-3));
    }

    [Test]
    public void Documents_of_unequal_lengths_go_through_together_and_one_by_one()
    {
        string folder = Random("tiny");
        JsonElement result = Longformer.Succeeds("bench", folder, "--packed", "3,40,90", "--window", "2", "--layers", "1", "--threads", "1", "--runs",
            "1", "--json").Json.GetProperty("results")[0];
        Assert.That(result.GetProperty("lengths").EnumerateArray().Select(l => l.GetInt32()), Is.EqualTo((int[])[3, 40, 90]));
        Assert.That(result.GetProperty("seconds_apart").GetDouble(), Is.Positive);
        // As by hand above: a document of n tokens has 3n - 2 pairs.
        double expected = (2 * 133 * 64 * ((4 * 64) + (2 * 128))) + (4 * 64 * ((3 * 133) - (3 * 2)));
        Assert.That(result.GetProperty("gflop").GetDouble() * 1e9, Is.EqualTo(expected).Within(1e-3));
    }

    [Test]
    public void An_led_is_measured_by_generating()
    {
        string folder = Random("led-tiny");
        JsonElement result = Longformer.Succeeds("bench", folder, "--tokens", "100", "--generate", "5", "--beams", "2", "--threads", "1", "--runs",
            "1", "--json").Json.GetProperty("results")[0];
        Assert.That(result.GetProperty("new_tokens").GetInt32(), Is.EqualTo(5));
        foreach (string name in (string[])["seconds", "encode_seconds", "step_seconds", "step_bytes", "fraction_of_copy"])
            Assert.That(result.GetProperty(name).GetDouble(), Is.Positive, name);
        Assert.That(Longformer.Fails(2, "bench", folder), Does.Contain("--generate"));
    }

    [TestCase("--tokens", "0", "whole numbers")]
    [TestCase("--tokens", "12,x", "12,x")]
    [TestCase("--window", "3", "even numbers")]
    [TestCase("--dtype", "int4", "int4")]
    [TestCase("--packed", "12,0", "whole numbers")]
    [TestCase("--layers", "9", "has 2 layers, given 9")]
    [TestCase("--generate", "5", "needs an LED")]
    public void Impossible_wishes_are_refused(string option, string value, string message)
    {
        string folder = Random("tiny");
        Assert.That(Longformer.Fails(2, "bench", folder, option, value), Does.Contain(message));
    }

    private static string Random(string size)
    {
        string folder = Path.Combine(TinyCheckpoints.Root, Path.GetRandomFileName());
        Longformer.Succeeds("random", folder, "--size", size);
        return folder;
    }
}
