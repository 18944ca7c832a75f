using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>One case folder of parity-tests/goldens: inputs, expected tensors and their tolerances.</summary>
internal sealed class Golden
{
    private readonly Dictionary<string, double> _tolerances = [];

    private Golden(string folder)
    {
        Folder = folder;
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "case.json")));
        double general = document.RootElement.GetProperty("tolerance").GetProperty("atol").GetDouble();
        foreach (JsonProperty tensor in document.RootElement.GetProperty("expected").EnumerateObject())
            _tolerances[tensor.Name] = tensor.Value.TryGetProperty("atol", out JsonElement atol) ? atol.GetDouble() : general;
    }

    public string Folder { get; }

    public static Golden Open(string group, string name) => new(Repository.Golden(group, name));

    public static IEnumerable<string> Names(string group) =>
        Directory.EnumerateDirectories(Repository.Golden(group)).Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal);

    /// <summary>The inputs, in the current scope.</summary>
    public Dictionary<string, Tensor> Inputs() => Read("inputs.safetensors");

    /// <summary>The expected tensors, in the current scope.</summary>
    public Dictionary<string, Tensor> Expected() => Read("expected.safetensors");

    /// <summary>Asserts |value - expected| at most atol + 1e-5 |expected| everywhere.</summary>
    public void AssertMatches(string name, Tensor actual, Tensor expected) =>
        AssertClose(actual, expected, _tolerances[name], 1e-5, $"{Path.GetFileName(Folder)}: {name}");

    public static void AssertClose(Tensor actual, Tensor expected, double absolute, double relative, string what)
    {
        Assert.That(actual.Shape, Is.EqualTo(expected.Shape), what + ": shape");
        float[] a = actual.ToArray<float>(), e = expected.ToArray<float>();
        (double worst, int at) = (double.NegativeInfinity, -1);
        for (int i = 0; i < a.Length; i++)
        {
            double excess = Math.Abs((double)a[i] - e[i]) - (absolute + (relative * Math.Abs((double)e[i])));
            if (excess > worst || double.IsNaN(excess))
                (worst, at) = (double.IsNaN(excess) ? double.PositiveInfinity : excess, i);
        }
        Assert.That(worst, Is.LessThanOrEqualTo(0), () => $"{what}: element {at} is {a[at]}, expected {e[at]} within {absolute}");
    }

    public static double MaxDifference(Tensor a, Tensor b)
    {
        (float[] x, float[] y) = (a.ToArray<float>(), b.ToArray<float>());
        double worst = 0;
        for (int i = 0; i < x.Length; i++)
            worst = Math.Max(worst, Math.Abs((double)x[i] - y[i]));
        return worst;
    }

    private Dictionary<string, Tensor> Read(string file)
    {
        using SafetensorsFile tensors = SafetensorsFile.Open(Path.Combine(Folder, file));
        return tensors.Entries.Keys.ToDictionary(name => name, tensors.Get);
    }
}
