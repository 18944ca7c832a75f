using System.Text.Json;
using LongformerInterop.Tests;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Tests;

/// <summary>The options for devices, and what benchmarks/gpu.sh uses, here on the CPU.</summary>
[TestFixture]
[Parallelizable(ParallelScope.None)]
public class DeviceTests
{
    private static string Goldens => Repository.Goldens;

    [Test]
    public void A_missing_gpu_is_one_clear_line_for_every_verb()
    {
        Assume.That(TorchRuntime.CudaAvailable, Is.False, "this machine has a GPU");
        string model = Path.Combine(Goldens, "models", "masked_lm");
        foreach (string[] words in (string[][])[["parity", model], ["parity", "--operators"], ["bench", "--kernel"],
            ["encode", model, "--input", "-", "--output", "x.npy"]])
        {
            Assert.That(Longformer.Fails(1, [.. words, "--device", "cuda:0"]), Does.Contain("\"cuda\" is not available"), string.Join(' ', words));
        }
    }

    [Test]
    public void Operators_agree_with_the_reference_in_every_dtype()
    {
        JsonElement report = Longformer.Succeeds("parity", "--operators", "--threads", "2", "--json").Json;
        Assert.That(report.GetProperty("failed").GetInt32(), Is.Zero, report.ToString());
        // Eight shapes of four tensors, three shapes of global attention, four dense operators, each in three dtypes.
        Assert.That(report.GetProperty("passed").GetInt32(), Is.EqualTo(3 * ((8 * 4) + 8 + 6)));
    }

    [Test]
    public void Parity_takes_a_dtype_and_repeats_a_pass()
    {
        string folder = Path.Combine(Goldens, "models", "masked_lm");
        int passed = Longformer.Succeeds("parity", folder, "--repeat", "3", "--json").Json.GetProperty("passed").GetInt32();
        Assert.That(passed, Is.Positive);
        JsonElement half = Longformer.Run("parity", folder, "--dtype", "bfloat16", "--json").Json;
        double[] differences = [.. half.GetProperty("rows").EnumerateArray().Select(r => r.GetProperty("max_abs_difference").GetDouble())];
        Assert.That(differences, Has.Some.GreaterThan(1e-4).And.All.LessThan(1));
        Assert.That(Longformer.Fails(2, "parity"), Does.Contain("--operators"));
    }

    [Test]
    public void The_attention_kernel_is_measured_alone()
    {
        JsonElement result = Longformer.Succeeds("bench", "--kernel", "--tokens", "130", "--batch", "2", "--window", "64", "--dtype", "float32",
            "--runs", "1", "--threads", "1", "--json")
            .Json.GetProperty("results")[0];
        Assert.That((result.GetProperty("tokens").GetInt32(), result.GetProperty("window").GetInt32()), Is.EqualTo((130, 64)));
        foreach (string name in (string[])["forward_seconds", "backward_seconds", "forward_flop_per_second", "backward_flop_per_second"])
            Assert.That(result.GetProperty(name).GetDouble(), Is.Positive, name);
    }
}
