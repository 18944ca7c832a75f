using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>An open checkpoint under HF's names, its tensors divided into the body and the heads.</summary>
internal sealed class SourceCheckpoint : IDisposable
{
    // HF's names for the body inside a model with a head.
    private static readonly string[] Backbones = ["longformer.", "led.", "roberta.", "bert.", "model."];
    private static readonly string[] BodyParts = ["embeddings", "encoder", "decoder", "shared", "pooler"];

    private readonly Checkpoint _files;

    private SourceCheckpoint(Checkpoint files, ConfigurationObject? configuration, NameMap map)
    {
        _files = files;
        Configuration = configuration;
        Map = map;
        Tensors = files.Rename(map);
        bool bare = map.Entries.Keys.All(n => !Backbones.Any(b => n.StartsWith(b, StringComparison.Ordinal)));
        foreach (string name in Tensors.Names)
        {
            string? backbone = Backbones.FirstOrDefault(b => name.StartsWith(b, StringComparison.Ordinal));
            if (backbone is not null)
                Body.Add(name[backbone.Length..], name);
            else if (bare && BodyParts.Contains(name.Split('.')[0]))
                Body.Add(name, name);
            else
                Heads.Add(name, name);
        }
        IsBare = bare;
    }

    /// <summary>The tensors as the file has them.</summary>
    internal Checkpoint Original => _files;

    /// <summary>The tensors under HF's names.</summary>
    internal Checkpoint Tensors { get; }

    internal NameMap Map { get; }

    internal CheckpointFamily Family => Map.Family;

    /// <summary>Whether the names have no prefix, as those of a model without a head.</summary>
    internal bool IsBare { get; }

    internal string Path => _files.Path;

    internal string Folder => _files.Folder;

    internal ConfigurationObject? Configuration { get; }

    /// <summary>The body's tensors: their name in the body, and in <see cref="Tensors"/>.</summary>
    internal Dictionary<string, string> Body { get; } = new(StringComparer.Ordinal);

    /// <summary>All other tensors, likewise.</summary>
    internal Dictionary<string, string> Heads { get; } = new(StringComparer.Ordinal);

    /// <exception cref="CheckpointException">No weights, or a malformed file.</exception>
    internal static SourceCheckpoint Open(string path, string? configurationFile)
    {
        Checkpoint files = Checkpoint.Open(path);
        try
        {
            string beside = System.IO.Path.Combine(files.Folder, "config.json");
            string? file = configurationFile ?? (File.Exists(beside) ? beside : null);
            ConfigurationObject? configuration = file is null ? null : ConfigurationObject.Read(file);
            return new SourceCheckpoint(files, configuration, NameMap.Recognize(files, configuration?.ToJson()));
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <summary>The configuration, which a conversion of the model (not only of its files) needs.</summary>
    /// <exception cref="CheckpointException">There is none.</exception>
    internal ConfigurationObject RequireConfiguration() => Configuration
        ?? throw new CheckpointException(
            $"{Folder}: no config.json next to {System.IO.Path.GetFileName(Path)}: weights alone do not give heads, windows and padding");

    internal CheckpointException RefuseInt8(string reason) => new($"{Path}: no checkpoint of eight bits can be made of it: {reason}");

    /// <summary>The shape of a tensor of the body.</summary>
    /// <exception cref="CheckpointException">It is missing.</exception>
    internal TensorEntry BodyEntry(string name) => Body.TryGetValue(name, out string? full)
        ? Tensors.Entry(full)
        : throw new CheckpointException($"{Path}: no tensor {name} in the model's body");

    public void Dispose() => _files.Dispose();
}
