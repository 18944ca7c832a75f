using System.Globalization;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Conversion;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>A RoBERTa, BERT, BART or mBART: nothing here runs it, but it can become long.</summary>
internal static class ShortModelInfo
{
    // Facts and the keys of the configurations that hold them.
    private static readonly (string Fact, string[] Keys)[] Sizes =
    [
        ("hidden_size", ["hidden_size", "d_model"]), ("layers", ["num_hidden_layers"]), ("encoder_layers", ["encoder_layers"]),
        ("decoder_layers", ["decoder_layers"]),
        ("heads", ["num_attention_heads", "encoder_attention_heads"]), ("intermediate_size", ["intermediate_size", "encoder_ffn_dim"]),
        ("vocabulary", ["vocab_size"]), ("position_rows", ["max_position_embeddings"]),
    ];

    /// <summary>Reports the facts, and the model that the checkpoint can become: planned to the last tensor, not written.</summary>
    /// <returns>Entries of the embedding table, where the configuration says them.</returns>
    internal static int? Describe(string path, JsonElement configuration, CheckpointFamily family, CheckpointReport report)
    {
        if (configuration.TryGetProperty("architectures", out JsonElement names) && names.ValueKind == JsonValueKind.Array
            && names.GetArrayLength() > 0 && names[0].ValueKind == JsonValueKind.String)
        {
            report.Set("architecture", names[0].GetString()!);
        }
        int? vocabulary = null;
        foreach ((string fact, string[] keys) in Sizes)
        {
            // BART's files call its encoder's layers num_hidden_layers too.
            if (fact == "layers" && family is CheckpointFamily.Bart or CheckpointFamily.MBart
                && configuration.TryGetProperty("encoder_layers", out _))
            {
                continue;
            }
            foreach (string key in keys)
            {
                if (!configuration.TryGetProperty(key, out JsonElement value) || value.ValueKind != JsonValueKind.Number
                    || !value.TryGetInt32(out int number))
                {
                    continue;
                }
                report.Set(fact, (long)number);
                vocabulary = fact == "vocabulary" ? number : vocabulary;
                break;
            }
        }
        report.Set("windows", "none: every token attends to every other");
        bool sequences = family is CheckpointFamily.Bart or CheckpointFamily.MBart;
        try
        {
            ConversionResult plan = CheckpointConverter.Preview(path,
                new ConversionOptions { To = sequences ? ConversionTarget.Led : ConversionTarget.Longformer });
            report.Set("becomes", string.Create(CultureInfo.InvariantCulture,
                $"{plan.Architecture}, {plan.Positions:N0} tokens, by longformer convert --to {(sequences ? "led" : "longformer")}"));
            if (plan.Notes.Count > 0)
                report.Set("notes", plan.Notes.ToList());
        }
        catch (CheckpointException e)
        {
            report.Add(e);
        }
        return vocabulary;
    }
}
