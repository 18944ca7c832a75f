using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>Checkpoint folders of modules, also of users' own that are made like one of HF's classes.</summary>
public static class CheckpointFolder
{
    /// <summary>
    /// Writes a module as a checkpoint folder that the command line and HF load. The names of its <c>state_dict</c> must be those of the class: a
    /// body in a field <c>longformer</c>, say, and a head with <c>classifier.dense</c> and <c>classifier.out_proj</c>.
    /// </summary>
    /// <param name="module">Any module.</param>
    /// <param name="configuration">The sizes, with the labels of the head (<c>Id2Label</c>).</param>
    /// <param name="architecture">A name of <see cref="Architecture.All"/>, for example <c>LongformerForSequenceClassification</c>.</param>
    /// <param name="folder">Made where it does not exist. A full disk leaves what was there.</param>
    /// <param name="tokenizer">A checkpoint folder whose tokenizer's files are copied; null: none are.</param>
    /// <exception cref="InputException">There is no such class.</exception>
    /// <exception cref="CheckpointException">The parameters are not those of the class: everything that does not fit is listed. Or the files cannot
    /// be written.</exception>
    public static void Save(torch.nn.Module module, ModelConfiguration configuration, string architecture, string folder, string? tokenizer = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(configuration);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        OneLibtorch.Ensure();
        Architecture known = Architecture.Find(architecture, configuration.Family) ?? throw new InputException("architecture",
            $"one of {string.Join(", ", Architecture.Of(configuration.Family).Select(a => a.Name))}", architecture);
        using TensorScope scope = new();
        Dictionary<string, Tensor> tensors = module.state_dict()
            .ToDictionary(p => p.Key, p => TensorExchange.Borrow(p.Value, p.Key), StringComparer.Ordinal);
        using (PretrainedModel model = ModelLoader.Over(known, configuration, tensors, new LoadOptions { Trainable = true, PackWeights = false }))
            model.Save(folder);
        if (tokenizer is null || Path.GetFullPath(tokenizer) == Path.GetFullPath(folder) || !Directory.Exists(tokenizer))
            return;
        foreach ((string name, byte[] content) in new CompanionFiles(tokenizer).Files())
        {
            string path = Path.Combine(folder, name);
            Directory.CreateDirectory(name.EndsWith('/') ? path : Path.GetDirectoryName(path)!);
            if (!name.EndsWith('/'))
                File.WriteAllBytes(path, content);
        }
    }
}
