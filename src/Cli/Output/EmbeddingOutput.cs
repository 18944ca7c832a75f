using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Output;

/// <summary>The file formats of <c>encode --output</c>.</summary>
internal enum EmbeddingFormat
{
    /// <summary>A safetensors file: <c>embeddings</c> [N, C]; with pooling tokens [sum of T, C] and <c>offsets</c> [N + 1].</summary>
    Safetensors,

    /// <summary>NumPy's format: one float32 matrix [N, C], or [T, C] with pooling tokens.</summary>
    Npy,

    /// <summary>One JSON object per document: index, source, tokens, embedding.</summary>
    JsonLines,
}

/// <summary>Writes embeddings to a file that appears only when complete.</summary>
internal sealed class EmbeddingOutput : IDisposable
{
    private readonly OutputFile _file;
    private readonly EmbeddingFormat _format;
    private readonly Pooling _pooling;
    private readonly int _hidden;
    private readonly NpyWriter? _npy;
    private readonly List<float[]> _vectors = [];

    private EmbeddingOutput(string path, EmbeddingFormat format, Pooling pooling, int hidden)
    {
        _file = new OutputFile(path);
        _format = format;
        _pooling = pooling;
        _hidden = hidden;
        _npy = format == EmbeddingFormat.Npy ? new NpyWriter(_file.Stream, hidden) : null;
    }

    /// <exception cref="UsageException">The extension is none of the three.</exception>
    internal static EmbeddingFormat FormatOf(string path) => Path.GetExtension(path).ToLowerInvariant() switch
    {
        ".safetensors" => EmbeddingFormat.Safetensors,
        ".npy" => EmbeddingFormat.Npy,
        ".jsonl" => EmbeddingFormat.JsonLines,
        _ => throw new UsageException($"--output {path}: the name must end in .safetensors, .npy or .jsonl"),
    };

    internal static EmbeddingOutput Create(string path, EmbeddingFormat format, Pooling pooling, int hidden) => new(path, format, pooling, hidden);

    internal void Add(string source, DocumentEmbedding embedding)
    {
        switch (_format)
        {
            case EmbeddingFormat.Npy:
                _npy!.Append(embedding.Values);
                break;
            case EmbeddingFormat.JsonLines:
                JsonOutput.WriteLine(_file.Stream, json => WriteJson(json, source, embedding, _pooling, _hidden, withValues: true));
                break;
            default:
                _vectors.Add(embedding.Values);
                break;
        }
    }

    internal void Commit()
    {
        _npy?.Finish();
        if (_format == EmbeddingFormat.Safetensors)
            WriteSafetensors();
        _file.Commit();
    }

    public void Dispose() => _file.Dispose();

    /// <summary>The properties of one document.</summary>
    internal static void WriteJson(Utf8JsonWriter json, string source, DocumentEmbedding embedding, Pooling pooling, int hidden, bool withValues)
    {
        json.WriteNumber("index", embedding.Index);
        json.WriteString("source", source);
        json.WriteNumber("tokens", embedding.Tokens);
        if (!withValues)
            return;
        json.WritePropertyName("embedding");
        if (pooling != Pooling.Tokens)
        {
            json.WriteNumbers(embedding.Values);
            return;
        }
        json.WriteStartArray();
        for (int row = 0; row < embedding.Values.Length; row += hidden)
            json.WriteNumbers(embedding.Values.AsSpan(row, hidden));
        json.WriteEndArray();
    }

    private void WriteSafetensors()
    {
        // The writer makes its own file; the empty one that held the name gives way.
        _file.Stream.Dispose();
        long rows = _vectors.Sum(v => (long)v.Length) / _hidden;
        using TensorScope scope = new();
        float[] values = new float[rows * _hidden];
        long[] offsets = new long[_vectors.Count + 1];
        for (int i = 0; i < _vectors.Count; i++)
        {
            _vectors[i].CopyTo(values, offsets[i] * _hidden);
            offsets[i + 1] = offsets[i] + _vectors[i].Length / _hidden;
        }
        Dictionary<string, Tensor> tensors = new() { ["embeddings"] = Tensor.View(values, rows, _hidden) };
        if (_pooling == Pooling.Tokens)
            tensors["offsets"] = Tensor.From<long>(offsets, offsets.Length);
        SafetensorsWriter.Write(_file.TemporaryPath, tensors,
            new Dictionary<string, string> { ["pooling"] = _pooling.ToString().ToLowerInvariant() });
    }
}
