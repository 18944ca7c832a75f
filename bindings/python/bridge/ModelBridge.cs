using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.PythonNet;

/// <summary>Functions of bare models other than running, with types that pythonnet can pass.</summary>
public static class ModelBridge
{
    /// <summary>The loss and its gradients for named tensors, which are disposed.</summary>
    public static NamedTensors Gradients(PretrainedModel model, string[] names, Tensor[] tensors)
    {
        ArgumentNullException.ThrowIfNull(model);
        try
        {
            using TensorScope scope = new();
            return Kept(model.LossAndGradients(Named(names, tensors)));
        }
        finally
        {
            Dispose(tensors);
        }
    }

    /// <summary>The parameters, without a copy.</summary>
    public static NamedTensors Parameters(PretrainedModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        using TensorScope scope = new();
        return new NamedTensors([.. model.NamedParameters.Select(p => p.Name)], [.. model.NamedParameters.Select(p => p.Tensor.Alias().Keep())]);
    }

    /// <summary>Generates from named tensors, which are disposed: for each row its results.</summary>
    /// <param name="model">An LEDForConditionalGeneration.</param>
    /// <param name="folder">Its checkpoint, for the defaults.</param>
    /// <param name="names">HF's argument names.</param>
    /// <param name="tensors">As many.</param>
    /// <param name="generation">Options under HF's names, JSON.</param>
    /// <param name="seed">Of the sampling, or null.</param>
    /// <param name="watch">Gets progress and text, and stops the call.</param>
    public static GeneratedSequence[][] Generate(PretrainedModel model, string folder, string[] names, Tensor[] tensors,
        string generation, ulong? seed,
        PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(watch);
        try
        {
            if (model is not LedForConditionalGeneration led)
                throw new InputException($"generate: expected an LEDForConditionalGeneration, given {model.Architecture}");
            Dictionary<string, Tensor> inputs = Named(names, tensors);
            if (inputs.Keys.FirstOrDefault(n =>
                n is not ("input_ids" or "attention_mask" or "global_attention_mask" or "decoder_input_ids")) is { } unknown)
            {
                throw new InputException(
                    $"{unknown}: unknown argument; generate takes input_ids, attention_mask, global_attention_mask and decoder_input_ids");
            }
            if (!inputs.ContainsKey("input_ids"))
                throw new InputException("input_ids: expected the tokens of the documents, given none");
            GenerationOptions options = GenerationOptions.Parse(generation) with { Seed = seed };
            return [.. new TextGenerator(led, GenerationOptions.FromCheckpoint(folder))
                .Generate(Documents(inputs), options, cancellation: watch.Token)
                .Select(row => row.ToArray())];
        }
        finally
        {
            Dispose(tensors);
        }
    }

    /// <summary>Converts a checkpoint. Returns lines in pairs, a kind and its text.</summary>
    public static string[] Convert(string source, string output, string to, int? positions, int[]? window, int? basePositions, bool overwrite)
    {
        ConversionResult result = CheckpointConverter.Convert(source, output, new ConversionOptions
        {
            To = Enum.Parse<ConversionTarget>(to, ignoreCase: true),
            Positions = positions,
            Window = window,
            BasePositions = basePositions,
            Overwrite = overwrite,
        });
        return [.. result.Source.SelectMany(s => new[] { "source", s }), .. result.Notes.SelectMany(n => new[] { "note", n }),
            .. result.Files.SelectMany(f => new[] { "file", f })];
    }

    /// <summary>The tensors of a safetensors file, used in place in the mapped file.</summary>
    public static NamedTensors Open(string path)
    {
        using SafetensorsFile file = SafetensorsFile.Open(path);
        using TensorScope scope = new();
        string[] names = [.. file.Entries.Keys];
        return new NamedTensors(names, [.. names.Select(n => file.Get(n).Keep())]);
    }

    /// <summary>Writes a safetensors file of named tensors, which are disposed.</summary>
    public static void Write(string path, string[] names, Tensor[] tensors)
    {
        try
        {
            SafetensorsWriter.Write(path, Named(names, tensors));
        }
        finally
        {
            Dispose(tensors);
        }
    }

    private static GenerationDocument[] Documents(Dictionary<string, Tensor> inputs)
    {
        Tensor ids = inputs["input_ids"];
        if (ids.Rank != 2)
            throw new InputException($"input_ids: expected [B, T], given {ids}");
        (int rows, int length) = ((int)ids.Size(0), (int)ids.Size(1));
        long[] tokens = Values(ids);
        long[]? mask = Of("attention_mask"), global = Of("global_attention_mask");
        long[]? prompt = inputs.TryGetValue("decoder_input_ids", out Tensor? p) ? Values(p) : null;
        return [.. Enumerable.Range(0, rows).Select(row =>
        {
            Range range = (row * length)..((row + 1) * length);
            return new GenerationDocument(Array.ConvertAll(tokens[range], id => checked((int)id)))
            {
                Visible = mask is null ? null : Array.ConvertAll(mask[range], v => v != 0),
                GlobalPositions = global is null ? [] : [.. global[range].Index().Where(v => v.Item != 0).Select(v => v.Index)],
                DecoderPrompt = prompt is null ? null
                    : Array.ConvertAll(prompt[(row * prompt.Length / rows)..((row + 1) * prompt.Length / rows)], id => checked((int)id)),
            };
        })];

        long[]? Of(string name)
        {
            if (!inputs.TryGetValue(name, out Tensor? tensor))
                return null;
            if (!tensor.Shape.SequenceEqual(ids.Shape))
                throw new InputException($"{name}: expected the shape of input_ids, [{rows}, {length}], given {tensor}");
            return Values(tensor);
        }
    }

    private static long[] Values(Tensor tensor)
    {
        using Tensor converted = tensor.To(DType.Int64);
        return converted.ToArray<long>();
    }

    private static Dictionary<string, Tensor> Named(string[] names, Tensor[] tensors) =>
        names.Zip(tensors).ToDictionary(pair => pair.First, pair => pair.Second);

    private static NamedTensors Kept(IReadOnlyDictionary<string, Tensor> tensors)
    {
        foreach (Tensor tensor in tensors.Values)
            tensor.Keep();
        return new NamedTensors([.. tensors.Keys], [.. tensors.Values]);
    }

    private static void Dispose(Tensor[] tensors)
    {
        foreach (Tensor tensor in tensors)
            tensor.Dispose();
    }
}
