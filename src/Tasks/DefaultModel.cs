using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>The model in the box: the LED that <see cref="Summarizer"/> loads where no folder is named.</summary>
public static class DefaultModel
{
    /// <summary>The environment variable that names its folder. Where it is set, nothing else is looked for.</summary>
    public const string FolderVariable = "LONGFORMER_DEFAULT_MODEL";

    /// <summary>
    /// Its folder: the one that <see cref="FolderVariable"/> names; else <c>models/default</c> beside the program (in a C library: beside the
    /// library, or in <c>share/longformer</c> of its prefix), or in the clone that holds the program.
    /// </summary>
    /// <exception cref="CheckpointException">There is none. The message lists where it was looked for.</exception>
    public static string Folder => Find(Environment.GetEnvironmentVariable(FolderVariable), TorchRuntime.ProgramFolders());

    /// <summary>The folder named, or the first of <c>models/default</c> below these folders with a configuration in it.</summary>
    internal static string Find(string? named, IReadOnlyList<string> roots)
    {
        if (!string.IsNullOrEmpty(named))
        {
            return IsModel(named) ? named : throw new CheckpointException(
                $"{FolderVariable}: expected a checkpoint folder with config.json, given {named}");
        }
        string[] places = [.. roots.Select(root => Path.GetFullPath(Path.Combine(root, "models", "default"))).Distinct()];
        return places.FirstOrDefault(IsModel) ?? throw new CheckpointException(
            $"no default model: looked for {string.Join(" and ", places)}. Name a checkpoint folder, set {FolderVariable} to "
            + "the model's folder, or make it in a clone (make default-model, which takes hours)");
    }

    private static bool IsModel(string folder) => File.Exists(Path.Combine(folder, "config.json"));
}
