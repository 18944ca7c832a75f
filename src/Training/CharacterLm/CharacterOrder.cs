using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;

namespace LongformerInterop.Training.CharacterLm;

/// <summary>
/// Which sequences a step gets: the text is cut into sequences of the phase's length from an offset that changes with every epoch, and they come in
/// the epoch's order; all of it a function of the seed.
/// </summary>
internal sealed class CharacterOrder(CharacterSpan text, long seed)
{
    private (int Phase, long Epoch, int[] Order)? _held;

    /// <summary>Epochs done after so many sequences of a phase.</summary>
    public double Epoch(int length, long sequences) => (double)sequences / CountOf(length);

    /// <summary>Ids and targets [count, length] of sequences, counted from the beginning of a phase; they join the current scope.</summary>
    public (Tensor Ids, Tensor Targets) Batch(int phase, int length, long first, int count)
    {
        long[] ids = new long[count * length], targets = new long[count * length];
        int[] characters = new int[length + 1];
        for (int row = 0; row < count; row++)
        {
            text.Read(PlaceOf(phase, length, first + row), characters);
            for (int i = 0; i < length; i++)
                (ids[(row * length) + i], targets[(row * length) + i]) = (characters[i], characters[i + 1]);
        }
        return (Tensor.From<long>(ids, count, length), Tensor.From<long>(targets, count, length));
    }

    /// <summary>Where a sequence begins.</summary>
    internal long PlaceOf(int phase, int length, long sequence)
    {
        int count = CountOf(length);
        (long epoch, int place) = (sequence / count, (int)(sequence % count));
        if (_held is not { } held || held.Phase != phase || held.Epoch != epoch)
            _held = held = (phase, epoch, Mixing.Order(count, Mixing.Seed(seed, phase, 5), epoch));
        long spare = text.Length - 1 - ((long)count * length);
        return Mixing.Below((int)Math.Min(spare + 1, int.MaxValue), Mixing.Of(seed, phase, epoch, 6)) + ((long)held.Order[place] * length);
    }

    // One sequence fewer than fit leaves room for the offset.
    private int CountOf(int length) => (int)Math.Max(1, ((text.Length - 1) / length) - 1);
}

/// <summary>Random weights for a new model, drawn as transformer-xl's training script draws them.</summary>
internal static class CharacterWeights
{
    private const double Deviation = 0.02;

    /// <summary>Writes a folder with <c>config.json</c> and weights, which are a function of the seed and their names.</summary>
    public static void Write(string folder, CharacterLanguageModelConfiguration configuration, long seed)
    {
        Directory.CreateDirectory(folder);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"),
            [.. CharacterLanguageModel.ParametersOf(configuration).Select(p => TensorSource.From(p.Name, ValuesOf(p, seed)))]);
        File.WriteAllText(Path.Combine(folder, "config.json"), configuration.ToJson());
    }

    private static Tensor ValuesOf(ParameterShape shape, long seed)
    {
        float[] values = new float[shape.Shape.Aggregate(1L, (a, b) => a * b)];
        bool isNorm = shape.Name.Contains("layer_norm", StringComparison.Ordinal);
        // Biases are 0, but for the two of the attention's scores.
        bool isZero = shape.Name.EndsWith(".bias", StringComparison.Ordinal);
        long name = shape.Name.Aggregate(0L, (hash, c) => (long)Mixing.Of(hash, c));
        for (int i = 0; i < values.Length && !isZero; i++)
        {
            double radius = Math.Sqrt(-2 * Math.Log(1 - Mixing.Unit(Mixing.Of(seed, name, i, 0))));
            values[i] = (float)((isNorm ? 1 : 0) + (Deviation * radius * Math.Cos(2 * Math.PI * Mixing.Unit(Mixing.Of(seed, name, i, 1)))));
        }
        return Tensor.From<float>(values, shape.Shape);
    }
}
