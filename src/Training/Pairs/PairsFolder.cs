using System.Globalization;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Pairs;

/// <summary>The folder of an encoder with a dense layer, as sentence-transformers writes it.</summary>
internal static class PairsFolder
{
    private static readonly string[] Weights = ["model*.safetensors", "model*.safetensors.index.json", "pytorch_model*.bin*"];

    /// <summary>Copies the checkpoint and writes the modules; the list of them comes last, so that a folder is an encoder when it is whole.</summary>
    public static void Write(PairsOptions options, int most, Tensor weight, Tensor bias, string card)
    {
        string source = Checkpoint.FolderOf(options.Checkpoint);
        if (Checkpoint.IsAdapter(options.Checkpoint))
            throw new InputException("checkpoint", "a whole checkpoint", $"the adapter {options.Checkpoint}: save it with its base first");
        Directory.CreateDirectory(options.Output);
        TokenizerFiles.Copy(source, options.Output);
        foreach (string file in Weights.SelectMany(pattern => Directory.EnumerateFiles(source, pattern)).Append(Path.Combine(source, "config.json")))
            File.Copy(file, Path.Combine(options.Output, Path.GetFileName(file)), overwrite: true);
        File.WriteAllText(Path.Combine(options.Output, "README.md"), card);
        WriteModules(options.Output, options.Poolings, most, weight, bias);
    }

    /// <summary>Writes <c>1_Pooling</c>, <c>2_Dense</c>, <c>sentence_bert_config.json</c> and <c>modules.json</c>.</summary>
    private static void WriteModules(string folder, IReadOnlyList<string> poolings, int most, Tensor weight, Tensor bias)
    {
        string pooling = Path.Combine(folder, "1_Pooling"), dense = Path.Combine(folder, "2_Dense");
        Directory.CreateDirectory(pooling);
        Directory.CreateDirectory(dense);
        int hidden = (int)weight.Size(1) / poolings.Count;
        string[] flags = ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"];
        Json(Path.Combine(pooling, "config.json"), json =>
        {
            json.WriteNumber("word_embedding_dimension", hidden);
            for (int i = 0; i < flags.Length; i++)
                json.WriteBoolean($"pooling_mode_{flags[i]}", poolings.Contains(SentencePooling.Known[i]));
        });
        using TensorScope scope = new();
        SafetensorsWriter.Write(Path.Combine(dense, "model.safetensors"), new Dictionary<string, Tensor> { ["linear.weight"] = weight,
            ["linear.bias"] = bias });
        Json(Path.Combine(dense, "config.json"), json =>
        {
            json.WriteNumber("in_features", weight.Size(1));
            json.WriteNumber("out_features", weight.Size(0));
            json.WriteBoolean("bias", true);
            json.WriteString("activation_function", "torch.nn.modules.linear.Identity");
        });
        Json(Path.Combine(folder, "sentence_bert_config.json"), json =>
        {
            json.WriteNumber("max_seq_length", most);
            json.WriteBoolean("do_lower_case", false);
        });
        string modules = string.Join(",\n", new[] { ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize",
            "Normalize") }
            .Select((m, i) => string.Create(CultureInfo.InvariantCulture,
                $"  {{\"idx\": {i}, \"name\": \"{i}\", \"path\": \"{m.Item1}\", \"type\": \"sentence_transformers.models.{m.Item2}\"}}")));
        File.WriteAllText(Path.Combine(folder, "modules.json"), $"[\n{modules}\n]\n");
    }

    private static void Json(string file, Action<Utf8JsonWriter> properties)
    {
        using FileStream stream = File.Create(file);
        using Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        properties(json);
        json.WriteEndObject();
    }
}
