using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Extensions;

/// <summary>
/// How a checkpoint is loaded and run as a service. Bound from configuration: <c>{ "Folder": "longformer-base-4096", "Device": "cuda:0",
/// "DType": "BFloat16", "MaxConcurrency": 1 }</c>.
/// </summary>
public class LongformerOptions
{
    /// <summary>The checkpoint folder.</summary>
    public string Folder { get; set; } = "";

    /// <summary><c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
    public string Device { get; set; } = "cpu";

    /// <summary>Dtype of the weights; null: as stored.</summary>
    public DType? DType { get; set; }

    /// <summary>Whether weights are packed for the CPU: twice as fast, and no longer shared between processes.</summary>
    public bool PackWeights { get; set; } = true;

    /// <summary>Whether a text is cut at the checkpoint's last position; else a longer one is refused.</summary>
    public bool Truncate { get; set; }

    /// <summary>How many tokens go through the model at once.</summary>
    public int TokensPerBatch { get; set; } = 8192;

    /// <summary>How many calls run at once; the others wait. A call uses every core by itself, so more than 1 helps short texts alone.</summary>
    public int MaxConcurrency { get; set; } = 1;

    /// <summary>Returns the options of loading.</summary>
    /// <exception cref="InputException">The device's name is none.</exception>
    internal LoadOptions ForLoading() => new() { Device = Torch.Device.Parse(Device), DType = DType, PackWeights = PackWeights };

    /// <summary>Why these options cannot be; null: they can.</summary>
    internal string? Problem() =>
        string.IsNullOrWhiteSpace(Folder) ? "Folder: expected a checkpoint folder, given none"
        : !Directory.Exists(Folder) ? $"Folder: expected a checkpoint folder, given {Folder}, which does not exist"
        : MaxConcurrency < 1 ? $"MaxConcurrency: expected at least 1, given {MaxConcurrency}"
        : TokensPerBatch < 1 ? $"TokensPerBatch: expected at least 1, given {TokensPerBatch}"
        : null;
}

/// <summary>The same for embeddings.</summary>
public sealed class LongformerEmbeddingOptions : LongformerOptions
{
    /// <summary>How tokens become a vector; null: as a folder of sentence-transformers says, else the mean.</summary>
    public Pooling? Pooling { get; set; }

    /// <summary>Whether vectors are scaled to length 1; null: as a folder of sentence-transformers says.</summary>
    public bool? Normalize { get; set; }
}
