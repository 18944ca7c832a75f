using System.Text;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// Makes checkpoints of random weights in HF's format, for tests, demonstrations and measurements where no published weights
/// are at hand. A value depends only on the seed, the parameter's name and its index, by integer arithmetic and exactly rounded
/// operations, so the same file comes out on every machine.
/// </summary>
public static class RandomCheckpoint
{
    /// <summary>Writes <c>config.json</c> and <c>model.safetensors</c>.</summary>
    /// <param name="folder">Created where it does not exist.</param>
    /// <param name="configuration">Sizes, of a Longformer or an LED; its architectures are replaced by <paramref name="architecture"/>.</param>
    /// <param name="seed">Another seed, other weights.</param>
    /// <param name="architecture">A name of <see cref="Architecture.All"/>; null: the bare Longformer, or the LED that generates.</param>
    /// <returns>The names and shapes that were written.</returns>
    /// <exception cref="ArgumentException">There is no such class in the configuration's family.</exception>
    /// <exception cref="CheckpointException">The configuration has problems, or the files cannot be written.</exception>
    public static IReadOnlyList<ParameterShape> Write(string folder, ModelConfiguration configuration, long seed, string? architecture = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(configuration);
        configuration.Check();
        ModelFamily family = configuration.Family;
        string name = architecture ?? (family == ModelFamily.Led ? "LEDForConditionalGeneration" : "LongformerModel");
        Architecture known = Architecture.Find(name, family)
            ?? throw new ArgumentException($"expected one of {string.Join(", ", Architecture.Of(family).Select(a => a.Name))}, given {name}",
                nameof(architecture));
        IReadOnlyList<ParameterShape> parameters = known.Parameters(configuration);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), (configuration with { Architectures = [known.Name] }).ToJson());
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), parameters.Select(parameter =>
            TensorSource.Deferred(parameter.Name, DType.Float32, parameter.Shape, () => Tensor.View(Values(parameter, seed), parameter.Shape))));
        return parameters;
    }

    /// <summary>The values of one parameter, nearly normal (the sum of four uniform ones), with the spread that <see cref="Spread"/> gives.</summary>
    internal static float[] Values(ParameterShape parameter, long seed)
    {
        (double mean, double deviation) = Spread(parameter);
        ulong start = Mix((ulong)seed + 0x9E3779B97F4A7C15UL);
        foreach (byte b in Encoding.UTF8.GetBytes(parameter.Name))
            start = Mix(start ^ b);
        float[] values = new float[parameter.Shape.Aggregate(1L, (product, size) => product * size)];
        double scale = deviation * 1.7320508075688772 / 65536;  // four uniform values of width 1 have variance 1/3
        for (int i = 0; i < values.Length; i++)
        {
            ulong bits = Mix(start + (ulong)i);
            long sum = (long)(bits & 0xFFFF) + (long)((bits >> 16) & 0xFFFF) + (long)((bits >> 32) & 0xFFFF) + (long)(bits >> 48) - 131070;
            values[i] = (float)(mean + (sum * scale));
        }
        return values;
    }

    /// <summary>
    /// Wide enough that attention is far from uniform (scores have a deviation of about 2) and every part of the model shows in the
    /// result, while hidden states keep their size from layer to layer.
    /// </summary>
    private static (double Mean, double Deviation) Spread(ParameterShape parameter)
    {
        string name = parameter.Name;
        bool bias = name.EndsWith("bias", StringComparison.Ordinal);
        if (name.Contains("norm", StringComparison.OrdinalIgnoreCase))
            return bias ? (0, 0.1) : (1, 0.2);
        if (bias)
            return (0, 0.1);
        if (name.Contains("embed", StringComparison.Ordinal) || name.EndsWith("shared.weight", StringComparison.Ordinal))
            return (0, 0.2);
        double width = 1 / Math.Sqrt(parameter.Shape[^1]);
        bool scores = ((string[])[".query", ".key", ".q_proj", ".k_proj"]).Any(part => name.Contains(part, StringComparison.Ordinal));
        return (0, scores ? 1.5 * width : width);
    }

    /// <summary>The finalizer of SplitMix64 on a counter.</summary>
    private static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15UL;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return x ^ (x >> 31);
    }
}
