using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi;

/// <summary>lf_load_options: <see cref="LoadOptions"/> by names.</summary>
internal sealed class LoadSettings
{
    private static readonly (string Name, DType Type)[] Types =
        [("float32", DType.Float32), ("bfloat16", DType.BFloat16), ("float16", DType.Float16), ("float64", DType.Float64), ("int8", DType.Int8)];

    private volatile LoadOptions _options = Default;

    /// <summary>Options of a call that gives none.</summary>
    public static LoadOptions Default { get; } = new() { Logger = LogSink.Logger };

    /// <summary>The settings so far.</summary>
    public LoadOptions Options => _options;

    public void Set(string name, string value) => _options = name switch
    {
        "device" => _options with { Device = Device.Parse(value) },
        "dtype" => _options with { DType = DTypeOf(value) },
        "attention" => _options with { Attention = Attention(value, name) },
        "pack_weights" => _options with { PackWeights = Flag(value, name) },
        "tf32" => _options with { TF32 = Flag(value, name) },
        "base" => _options with { BaseFolder = value },
        "trainable" => _options with { Trainable = Flag(value, name) },
        _ => throw CallException.Argument($"\"{name}\" is no load option: expected device, dtype, attention, pack_weights, tf32, base or trainable"),
    };

    /// <summary>An implementation by its name.</summary>
    public static AttentionImplementation Attention(string value, string name) => value switch
    {
        "fused" => AttentionImplementation.Fused,
        "chunks" => AttentionImplementation.Chunks,
        "loop" => AttentionImplementation.Loop,
        _ => throw new InputException(name, "fused, chunks or loop", $"\"{value}\""),
    };

    private static bool Flag(string value, string name) => value switch
    {
        "true" or "1" => true,
        "false" or "0" => false,
        _ => throw new InputException(name, "true or false", $"\"{value}\""),
    };

    private static DType DTypeOf(string value)
    {
        foreach ((string name, DType type) in Types)
        {
            if (name == value)
                return type;
        }
        throw new InputException("dtype", $"{string.Join(", ", Types.Select(t => t.Name))}", $"\"{value}\"");
    }
}
