using System.Globalization;
using System.Text.Json.Nodes;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Conversion;

namespace LongformerInterop.Cli.Bench;

/// <summary>
/// The checkpoint that is measured: the user's own, or variants of it in a temporary folder with another window, fewer layers, or a
/// position table that was tiled to serve a longer document; without a user's own, seeded random weights. Deleted at the end.
/// </summary>
internal sealed class BenchFolder : IDisposable
{
    private static readonly string[] LayerCounts = ["num_hidden_layers", "encoder_layers", "decoder_layers"],
        PerLayer = ["attention_window", "attention_dilation"];

    private readonly string _root = Directory.CreateTempSubdirectory("longformer-bench-").FullName;
    private readonly string _weights;

    /// <summary>Prepares a folder whose position table serves <paramref name="tokens"/>.</summary>
    /// <param name="source">The user's folder, or null for random weights of base size.</param>
    /// <param name="led">Whether the random weights are those of an LED.</param>
    /// <param name="layers">How many layers to keep; null: all.</param>
    /// <param name="tokens">The longest document that will be measured.</param>
    /// <param name="architecture">The class that random weights are made for; null: the usual one.</param>
    public BenchFolder(string? source, bool led, int? layers, int tokens, string? architecture = null)
    {
        try
        {
            _weights = source is null ? Random(led, layers, tokens, architecture) : Prepare(source, layers, tokens);
            IsLed = LedConfiguration.IsIn(_weights);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether the checkpoint is an LED.</summary>
    public bool IsLed { get; }

    /// <summary>The folder to load with this window on both sides together (null: as it is).</summary>
    public string WithWindow(int? window)
    {
        if (window is not { } width)
            return _weights;
        string folder = Path.Combine(_root, "window-" + width.ToString(CultureInfo.InvariantCulture));
        if (Directory.Exists(folder))
            return folder;
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.EnumerateFiles(_weights))
        {
            if (Path.GetFileName(file) != "config.json")
                File.CreateSymbolicLink(Path.Combine(folder, Path.GetFileName(file)), Path.GetFullPath(file));
        }
        JsonObject configuration = ReadConfiguration(_weights);
        bool oneSided = configuration.ContainsKey("attention_mode") || (IsLed && configuration["model_type"]?.GetValue<string>() != "led");
        int layers = (configuration["num_hidden_layers"] ?? configuration["encoder_layers"])!.GetValue<int>();
        configuration["attention_window"] =
            new JsonArray([.. Enumerable.Repeat(oneSided ? width / 2 : width, layers).Select(w => JsonValue.Create(w))]);
        File.WriteAllText(Path.Combine(folder, "config.json"), configuration.ToJsonString());
        return folder;
    }

    /// <summary>Deletes what was made.</summary>
    public void Dispose()
    {
        if (Directory.Exists(_root))
            Directory.Delete(_root, recursive: true);
    }

    private string Random(bool led, int? layers, int tokens, string? architecture)
    {
        string folder = Path.Combine(_root, "random");
        if (led)
        {
            LedConfiguration c = new();
            RandomCheckpoint.Write(folder, c with
            {
                EncoderLayers = layers ?? c.EncoderLayers,
                DecoderLayers = layers ?? c.DecoderLayers,
                MaxEncoderPositionEmbeddings = Math.Max(tokens, c.MaxEncoderPositionEmbeddings),
            }, seed: 0, architecture);
        }
        else
        {
            LongformerConfiguration c = new();
            RandomCheckpoint.Write(folder, c with
            {
                NumHiddenLayers = layers ?? c.NumHiddenLayers,
                MaxPositionEmbeddings = Math.Max(tokens + c.PadTokenId + 1, c.MaxPositionEmbeddings),
            }, seed: 0, architecture);
        }
        return folder;
    }

    private string Prepare(string source, int? layers, int tokens)
    {
        bool led = LedConfiguration.IsIn(source);
        int positions = led ? LedConfiguration.Load(source).MaxEncoderPositionEmbeddings : LongformerConfiguration.Load(source).MaxTokens;
        string folder = Path.GetFullPath(source);
        if (tokens > positions)
        {
            folder = Path.Combine(_root, "longer");
            CheckpointConverter.Convert(source, folder,
                new ConversionOptions { To = led ? ConversionTarget.Led : ConversionTarget.Longformer, Positions = tokens });
        }
        return layers is { } n ? KeepLayers(folder, n) : folder;
    }

    private string KeepLayers(string source, int layers)
    {
        JsonObject configuration = ReadConfiguration(source);
        string[] counts = [.. LayerCounts.Where(configuration.ContainsKey)];
        int has = counts.Min(name => configuration[name]!.GetValue<int>());
        if (layers > has)
            throw new UsageException($"--layers: {source} has {has} layers, given {layers}");
        foreach (string name in counts)
            configuration[name] = layers;
        foreach (string name in PerLayer)
        {
            if (configuration[name] is JsonArray list)
            {
                while (list.Count > layers)
                    list.RemoveAt(list.Count - 1);
            }
        }
        string folder = Path.Combine(_root, "layers");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), configuration.ToJsonString());
        using Checkpoint checkpoint = Checkpoint.Open(source);
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"),
            checkpoint.Names.Where(n => LayerOf(n) < layers).Select(n => TensorSource.From(n, checkpoint, n)));
        return folder;
    }

    /// <summary>The number behind "layer." or "layers." of a parameter's name; -1 where there is none.</summary>
    private static int LayerOf(string name)
    {
        string[] parts = name.Split('.');
        for (int i = 0; i + 1 < parts.Length; i++)
        {
            if (parts[i] is "layer" or "layers" && int.TryParse(parts[i + 1], CultureInfo.InvariantCulture, out int layer))
                return layer;
        }
        return -1;
    }

    private static JsonObject ReadConfiguration(string folder) =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json"))) as JsonObject
        ?? throw new CheckpointException($"{Path.Combine(folder, "config.json")} must hold a JSON object");
}
