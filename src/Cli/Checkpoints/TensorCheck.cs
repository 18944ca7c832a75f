using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>Reads every tensor of a checkpoint: counts, dtypes, and whether all values are finite.</summary>
internal static class TensorCheck
{
    /// <summary>Adds the counts to the report, and a problem for every tensor with NaN or infinite values.</summary>
    internal static void Run(string path, CheckpointReport report, CancellationToken cancellation)
    {
        try
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            Read(checkpoint, report, cancellation);
        }
        catch (CheckpointException e)
        {
            report.Add(e);
        }
    }

    private static void Read(Checkpoint checkpoint, CheckpointReport report, CancellationToken cancellation)
    {
        long parameters = 0, bytes = 0;
        List<TensorEntry> counted = [];
        SortedDictionary<string, int> types = new(StringComparer.Ordinal);
        foreach (string name in checkpoint.Names)
        {
            cancellation.ThrowIfCancellationRequested();
            TensorEntry entry = checkpoint.Entry(name);
            // A torch file stores tied tensors once.
            if (!counted.Any(entry.SharesBytesWith))
            {
                parameters += entry.ElementCount;
                bytes += entry.ByteCount;
                counted.Add(entry);
            }
            types[entry.Type.Name()] = types.GetValueOrDefault(entry.Type.Name()) + 1;
            if (NotFinite(checkpoint, name) is { } problem)
                report.Problems.Add($"{name}: {problem} ({entry.File})");
        }
        report.Set("files", checkpoint.Files.Select(f => Path.GetFileName(f)!).ToList());
        report.Set("tensors", (long)checkpoint.Names.Count);
        // A model that loads has counted its own, without buffers and duplicates.
        if (!report.Has("parameters"))
            report.Set("parameters", parameters);
        report.Set("bytes", bytes);
        report.Set("dtypes", types.Select(t => $"{t.Key} ({t.Value})").ToList());
    }

    private static string? NotFinite(Checkpoint checkpoint, string name)
    {
        using TensorScope scope = new();
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
