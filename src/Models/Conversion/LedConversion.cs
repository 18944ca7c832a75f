using System.Globalization;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// BART, mBART or an LED as an LED under HF's names: the encoder's positions copied over and over, its self-attention's projections
/// taken for local and global attention, the decoder as it is. Source: allenai/longformer,
/// scripts/convert_bart_to_longformerencoderdecoder.py (create_long_model); Longformer, section 7.
/// </summary>
internal static class LedConversion
{
    private const int DefaultWindow = 1024;
    private const int Copies = 16;
    private const string EncoderPositions = "encoder.embed_positions.weight";
    private const string DecoderPositions = "decoder.embed_positions.weight";

    // BART's position tables begin with two rows that are never used; LED's do not have them.
    private const int BartOffset = 2;

    private static readonly string[] EmbeddingTables = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

    // Keys of BART and of allenai's code, and aliases of LED's own keys, which would overrule them.
    private static readonly string[] Foreign =
    [
        "max_position_embeddings", "scale_embedding", "normalize_before", "add_final_layer_norm", "normalize_embedding", "static_position_embeddings",
        "extra_pos_embeddings", "add_bias_logits", "is_decoder", "add_cross_attention", "gradient_checkpointing", "force_bos_token_to_be_generated",
        "attention_mode", "attention_dilation", "autoregressive", "num_hidden_layers", "num_attention_heads", "hidden_size", "initializer_range",
        "attention_probs_dropout_prob", "output_past", "auto_map",
    ];

    // Keys that HF keeps in generation_config.json now, and kept in config.json before.
    private static readonly string[] Generation =
    [
        "max_length", "max_new_tokens", "min_length", "min_new_tokens", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
        "diversity_penalty",
        "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
        "bad_words_ids", "num_return_sequences", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
        "exponential_decay_length_penalty",
        "suppress_tokens", "begin_suppress_tokens",
    ];

    internal static ConversionPlan Plan(SourceCheckpoint source, ConversionOptions options)
    {
        if (source.Family is not (CheckpointFamily.Bart or CheckpointFamily.MBart or CheckpointFamily.Led))
            throw new CheckpointException($"{source.Path}: an LED can be made of BART, mBART or an LED; {source.Map.Findings[0]}");
        ConfigurationObject c = source.RequireConfiguration().Copy();
        List<string> notes = [];
        Architecture architecture = ClassOf(source, c);
        RefuseVariants(c);
        (List<RowRange> encoder, List<RowRange> decoder) = PositionRows(source, options, c);
        (int positions, int outputs) = ((int)encoder.Sum(r => r.Count), (int)decoder.Sum(r => r.Count));
        ConfigurationObject generation = MoveGeneration(source, c);
        bool variant = Configure(source, options, c, architecture.Name, positions, outputs);

        LedConfiguration configuration = LedConfiguration.Parse(c.ToJson(), "the new configuration");
        int largest = configuration.AttentionWindow.Max();
        if (positions % largest != 0)
        {
            notes.Add(string.Create(CultureInfo.InvariantCulture,
                $"{positions} positions are no multiple of the window {largest}, to which HF pads a document: there the longest "
                + $"have no room"));
        }
        TensorMapping mapping = new(source);
        string prefix = architecture.IsBare ? "" : "led.";
        OfferBody(source, mapping, prefix, encoder, decoder);
        OfferHead(source, mapping, prefix, configuration);
        List<TensorSource> tensors = mapping.Choose(architecture.Parameters(configuration), architecture.Name);
        if (variant)
        {
            notes.Add("made of mBART, with LayerNorm before the layers or scaled word vectors: HF's LED knows neither, and computes "
                + "something else "
                + "with such a checkpoint; this library reads it");
        }
        notes.AddRange(mapping.DescribeUnused(configuration.TieWordEmbeddings ? Ties(source) : []));
        CompanionFiles files = new(source.Folder) { MaxLength = positions, TokenizerClass = "LEDTokenizer", Generation = generation };
        return new ConversionPlan(c, tensors, architecture.Name, positions, files, notes);
    }

    private static Architecture ClassOf(SourceCheckpoint source, ConfigurationObject c)
    {
        Architecture headed = Architecture.Recognize(ModelFamily.Led, source.Heads.ContainsKey)[0];
        if (!headed.IsBare || source.IsBare || c.Architecture()?.EndsWith("Model", StringComparison.Ordinal) == true)
            return headed;
        // A model that generates may have no tensors for its head, which is the embedding table.
        return Architecture.Find("LEDForConditionalGeneration", ModelFamily.Led)!;
    }

    private static void RefuseVariants(ConfigurationObject c)
    {
        foreach (string name in (string[])["static_position_embeddings", "autoregressive"])
        {
            if (c.Flag(name))
                throw c.Refuse($"{name} is true, which no LED has");
        }
        if (!c.Flag("normalize_embedding", fallback: true))
            throw c.Refuse("normalize_embedding is false, which no LED has");
        if (c.Integers("attention_dilation")?.Any(d => d != 1) == true)
            throw c.Refuse("attention_dilation has no place in HF's LED");
    }

    private static (List<RowRange> Encoder, List<RowRange> Decoder) PositionRows(SourceCheckpoint source, ConversionOptions options,
        ConfigurationObject c)
    {
        int offset = source.Family == CheckpointFamily.Led ? 0 : BartOffset;
        TensorEntry encoder = source.BodyEntry(EncoderPositions), decoder = source.BodyEntry(DecoderPositions);
        (long rows, long outputs) = (Rows(encoder), Rows(decoder));
        if (offset > 0 && c.Integer("max_position_embeddings") is { } said && rows != said + offset)
        {
            throw c.Refuse($"max_position_embeddings is {said}, so that {encoder.Name} must have {said + offset} rows with BART's two unused ones, "
            + $"found {rows}");
        }
        int? positions = options.Positions ?? (offset > 0 ? (int)(Copies * (rows - offset)) : null);
        return (PositionTable.Tile(rows, offset, [], positions, options.BasePositions, $"{source.Path}: {encoder.Name}"),
            PositionTable.Tile(outputs, offset, [], null, null, $"{source.Path}: {decoder.Name}"));
    }

    private static long Rows(TensorEntry table) => table.Shape.Length == 2 ? table.Shape[0] : 0;

    /// <summary>Rewrites the configuration; whether the result is of a kind that HF's LED does not know.</summary>
    private static bool Configure(SourceCheckpoint source, ConversionOptions options, ConfigurationObject c, string architecture,
        int positions, int outputs)
    {
        // In HF's mBART the first two go without saying; older files, and allenai's, say them.
        bool mbart = source.Family == CheckpointFamily.MBart;
        (string Name, bool Value)[] variants =
        [
            ("normalize_before", c.Flag("normalize_before", mbart)), ("add_final_layer_norm", c.Flag("add_final_layer_norm", mbart)),
            ("scale_embedding", c.Flag("scale_embedding")),
        ];
        bool oneSided = c.Text("model_type") != "led";
        IReadOnlyList<int> windows = options.Window
            ?? (source.Family == CheckpointFamily.Led ? c.Integers("attention_window")?.Select(w => oneSided ? 2 * w : w).ToArray() : null)
            ?? [DefaultWindow];
        // Old BART's switch of the classification head has another name in LED.
        if (!c.Has("classifier_dropout") && c.Has("classif_dropout"))
            c.Rename("classif_dropout", "classifier_dropout");
        c.Remove("classif_dropout");
        c.Remove(Foreign);
        foreach ((string name, bool value) in variants)
        {
            if (value)
                c.Set(name, value);
        }
        c.Set("model_type", "led");
        c.Set("architectures", [architecture]);
        c.Set("is_encoder_decoder", true);
        c.Set("max_encoder_position_embeddings", positions);
        c.Set("max_decoder_position_embeddings", outputs);
        TensorEntry words = source.BodyEntry(EmbeddingTables.FirstOrDefault(source.Body.ContainsKey, EmbeddingTables[0]));
        if (words.Shape.Length == 2)
        {
            c.Default("vocab_size", (int)words.Shape[0]);
            c.Default("d_model", (int)words.Shape[1]);
        }
        foreach ((string key, int value) in ((string, int)[])[("bos_token_id", 0), ("pad_token_id", 1), ("eos_token_id", 2),
            ("decoder_start_token_id", 2),
            ("encoder_layers", LayerCount(source, "encoder")), ("decoder_layers", LayerCount(source, "decoder"))])
        {
            c.Default(key, value);
        }
        int layers = c.Integer("encoder_layers")!.Value;
        c.Set("attention_window", windows.Count == 1 ? Enumerable.Repeat(windows[0], layers) : windows);
        return variants.Any(v => v.Value);
    }

    private static int LayerCount(SourceCheckpoint source, string side) => source.Body.Keys.Select(n => n.Split('.'))
        .Where(p => p is [_, "layers", _, ..] && p[0] == side).Select(p => p[2]).Distinct().Count();

    private static ConfigurationObject MoveGeneration(SourceCheckpoint source, ConfigurationObject c)
    {
        string file = Path.Combine(source.Folder, "generation_config.json");
        ConfigurationObject generation = File.Exists(file) ? ConfigurationObject.Read(file) : ConfigurationObject.Empty(file);
        foreach (string name in Generation)
        {
            if (generation.Has(name))
                c.Remove(name);
            else
                c.Move(name, generation);
        }
        foreach ((string name, int value) in ((string, int)[])[("bos_token_id", 0), ("pad_token_id", 1), ("eos_token_id", 2),
            ("decoder_start_token_id", 2)])
        {
            generation.Default(name, c.Integer(name) ?? value);
        }
        if (c.Flag("force_bos_token_to_be_generated"))
            generation.Default("forced_bos_token_id", c.Integer("bos_token_id") ?? 0);
        // HF's BART does this unless its configuration says otherwise; its LED does not.
        if (source.Family != CheckpointFamily.Led)
            generation.Default("forced_eos_token_id", c.Integer("eos_token_id") ?? 2);
        generation.Remove("_from_model_config");
        return generation;
    }

    private static void OfferBody(SourceCheckpoint source, TensorMapping mapping, string prefix, List<RowRange> encoder, List<RowRange> decoder)
    {
        foreach ((string name, string from) in source.Body)
        {
            string[] parts = name.Split('.');
            if (name == EncoderPositions)
            {
                mapping.Offer(prefix + name, from, encoder);
            }
            else if (name == DecoderPositions)
            {
                mapping.Offer(prefix + name, from, decoder);
            }
            else if (parts is ["encoder", "layers", _, "self_attn", "q_proj" or "k_proj" or "v_proj", _])
            {
                string start = $"{prefix}encoder.layers.{parts[2]}.self_attn.longformer_self_attn.",
                    local = parts[4][0] switch { 'q' => "query", 'k' => "key", _ => "value" };
                mapping.Offer($"{start}{local}.{parts[5]}", from);
                mapping.Offer($"{start}{local}_global.{parts[5]}", from);
            }
            else if (parts is ["encoder", "layers", _, "self_attn", "out_proj", _])
            {
                mapping.Offer($"{prefix}encoder.layers.{parts[2]}.self_attn.output.{parts[5]}", from);
            }
            else
            {
                mapping.Offer(prefix + name, from);
            }
        }
        // Each table may be the only one that the file has.
        string words = EmbeddingTables.FirstOrDefault(source.Body.ContainsKey, EmbeddingTables[0]);
        foreach (string table in EmbeddingTables.Where(t => !mapping.Has(prefix + t) && source.Body.ContainsKey(words)))
            mapping.Offer(prefix + table, source.Body[words]);
    }

    private static void OfferHead(SourceCheckpoint source, TensorMapping mapping, string prefix, LedConfiguration configuration)
    {
        foreach ((string name, string from) in source.Heads)
            mapping.Offer(name, from);
        string words = EmbeddingTables.FirstOrDefault(source.Body.ContainsKey, EmbeddingTables[0]);
        if (!mapping.Has("lm_head.weight") && source.Body.TryGetValue(words, out string? table))
            mapping.Offer("lm_head.weight", table);
        // A buffer of zeros in every published model; old files may lack it.
        if (!mapping.Has("final_logits_bias") && mapping.Has(prefix + "shared.weight"))
        {
            DType type = source.Tensors.Entry(source.Body[words]).Type.ToDType() ?? DType.Float32;
            long[] shape = [1, configuration.VocabSize];
            mapping.Offer(TensorSource.Deferred("final_logits_bias", type, shape, () => Tensor.Zeros(shape, type)));
        }
    }

    private static IEnumerable<(string, string)> Ties(SourceCheckpoint source)
    {
        string words = source.Body[EmbeddingTables.First(source.Body.ContainsKey)];
        return [.. EmbeddingTables.Where(source.Body.ContainsKey).Select(t => (source.Body[t], words)), ("lm_head.weight", words)];
    }
}
