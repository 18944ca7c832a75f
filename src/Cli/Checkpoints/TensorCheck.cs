using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>Reads every tensor of a checkpoint: counts, dtypes, and whether all values are finite.</summary>
internal static class TensorCheck
{
    /// <summary>Adds the counts to the report, and a problem for every tensor with NaN or infinite values.</summary>
    internal static void Run(string folder, CheckpointReport report, CancellationToken cancellation)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        long parameters = 0, bytes = 0;
        SortedDictionary<string, int> types = new(StringComparer.Ordinal);
        foreach (string name in checkpoint.Names)
        {
            cancellation.ThrowIfCancellationRequested();
            TensorEntry entry = checkpoint.Entry(name);
            parameters += entry.ElementCount;
            bytes += entry.ByteCount;
            types[entry.Type.Name()] = types.GetValueOrDefault(entry.Type.Name()) + 1;
            if (NotFinite(checkpoint, name) is { } problem)
                report.Problems.Add($"{name}: {problem} ({entry.File})");
        }
        report.Facts.Add(("files", checkpoint.Files.Select(f => Path.GetFileName(f)!).ToList()));
        report.Facts.Add(("tensors", (long)checkpoint.Names.Count));
        report.Facts.Add(("parameters", parameters));
        report.Facts.Add(("bytes", bytes));
        report.Facts.Add(("dtypes", types.Select(t => $"{t.Key} ({t.Value})").ToList()));
    }

    private static string? NotFinite(Checkpoint checkpoint, string name)
    {
        using TensorScope scope = new();
        using IDisposable inference = TorchRuntime.InferenceMode();
        try
        {
            Tensor tensor = checkpoint.Get(name);
            if (tensor.DType is not (DType.Float16 or DType.BFloat16 or DType.Float32 or DType.Float64) || tensor.ElementCount == 0)
                return null;
            // The largest magnitude is NaN if any value is, and infinite if any value is.
            double largest = tensor.To(DType.Float32).Abs().Max().ToDouble();
            return double.IsNaN(largest) ? "holds NaN" : double.IsInfinity(largest) ? "holds infinite values" : null;
        }
        catch (LongformerException e)
        {
            return e.Message;
        }
    }
}
