using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// The same model in HF's safetensors format. With a configuration, names become HF's and duplicates of tied tensors go;
/// without one nothing is known of the model but its tensors, which keep their names.
/// </summary>
internal static class SafetensorsConversion
{
    internal static ConversionPlan Plan(SourceCheckpoint source)
    {
        if (source.Configuration is null)
            return Plain(source, source.Original, null);
        // allenai's configuration and its position tables go together: the one is rewritten with the other.
        if (source.Family == CheckpointFamily.Longformer && source.Configuration.Text("model_type") != "longformer")
            return LongformerConversion.Plan(source, new ConversionOptions());
        if (source.Family == CheckpointFamily.Led && source.Configuration.Text("model_type") != "led")
            return LedConversion.Plan(source, new ConversionOptions { To = ConversionTarget.Led });
        return Plain(source, source.Tensors, source.Configuration);
    }

    private static ConversionPlan Plain(SourceCheckpoint source, Checkpoint tensors, ConfigurationObject? configuration)
    {
        List<string> notes = [];
        if (configuration is null)
            notes.Add("no config.json next to the weights: names stay as they are");
        HashSet<string> duplicates = [.. Duplicates(tensors, configuration)];
        if (duplicates.Count > 0)
            notes.Add($"left out, since they are tied: {string.Join(", ", duplicates.Order(StringComparer.Ordinal))}");
        if (configuration is not null && source.Map.Dropped.Count > 0)
            notes.Add($"left out, since the model computes them itself: {string.Join(", ", source.Map.Dropped.Select(d => d.Source))}");
        string[] idle = [.. configuration is null
            ? []
            : tensors.Names.Where(n => n.Contains("pooler.dense.", StringComparison.Ordinal)
                && HasNoPooler(source.Family, configuration.Architecture()))];
        if (idle.Length > 0)
            notes.Add($"left out, since {configuration!.Architecture()} has no pooler: {string.Join(", ", idle.Order(StringComparer.Ordinal))}");
        return new ConversionPlan(configuration,
            [.. tensors.Names.Where(n => !duplicates.Contains(n) && !idle.Contains(n)).Select(n => TensorSource.From(n, tensors, n))],
            configuration?.Architecture(), null, new CompanionFiles(source.Folder), notes);
    }

    // Published files carry the pooler of pretraining into every class; transformers calls it unexpected where the class has none.
    private static bool HasNoPooler(CheckpointFamily family, string? architecture) => architecture is not null
        && family is CheckpointFamily.Longformer or CheckpointFamily.Roberta or CheckpointFamily.Bert
        && Architecture.Find(architecture.Replace("Bert", "Longformer", StringComparison.Ordinal),
            ModelFamily.Longformer) is { HasPooler: false } known
        // BERT's sequence classifier reads the pooler, RoBERTa's does not.
        && !(family == CheckpointFamily.Bert && known.Name.EndsWith("ForSequenceClassification", StringComparison.Ordinal));

    /// <summary>
    /// The names that a tied model saves once. A tensor that the file stores apart, with other values, is its own tensor and stays.
    /// </summary>
    private static IEnumerable<string> Duplicates(Checkpoint tensors, ConfigurationObject? configuration)
    {
        bool tied = configuration?.Flag("tie_word_embeddings", fallback: true) ?? true;
        // Tensors of equal shape whose names say that they are tied, and which kept name they belong to.
        foreach (string name in tensors.Names)
        {
            foreach (string kept in tied ? Originals(name) : [])
            {
                string? original = tensors.Names.FirstOrDefault(n => n != name && (n == kept || n.EndsWith("." + kept, StringComparison.Ordinal)));
                if (original is not null && tensors.AreEqual(name, original))
                {
                    yield return name;
                    break;
                }
            }
        }
    }

    // transformers' _tied_weights_keys of RoBERTa, Longformer, BERT, BART and LED.
    private static string[] Originals(string name)
    {
        static bool Ends(string name, string end) => name == end || name.EndsWith("." + end, StringComparison.Ordinal);
        return Ends(name, "lm_head.decoder.weight") || Ends(name, "cls.predictions.decoder.weight") ? ["embeddings.word_embeddings.weight"]
            : Ends(name, "lm_head.decoder.bias") ? ["lm_head.bias"]
            : Ends(name, "cls.predictions.decoder.bias") ? ["cls.predictions.bias"]

                : Ends(name, "encoder.embed_tokens.weight") || Ends(name, "decoder.embed_tokens.weight") || Ends(name, "lm_head.weight")
                ? ["shared.weight"]
            : [];
    }
}
