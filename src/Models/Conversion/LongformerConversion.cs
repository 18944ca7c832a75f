using System.Globalization;
using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>
/// RoBERTa, BERT or a Longformer as a Longformer under HF's names: positions copied over and over, every layer's global
/// projections copied from its local ones, windows chosen, the head kept. Source: allenai/longformer, scripts/convert_model_to_long.ipynb
/// (create_long_model, copy_proj_layers); Longformer, section 5.
/// </summary>
internal static class LongformerConversion
{
    internal const int DefaultPositions = 4096;
    private const int DefaultWindow = 512;
    private const string Positions = "embeddings.position_embeddings.weight";
    private const string Words = "embeddings.word_embeddings.weight";

    // Keys of other models and of allenai's code that a Longformer of HF's does not have.
    private static readonly string[] Foreign =
    [
        "position_embedding_type", "is_decoder", "add_cross_attention", "use_cache", "gradient_checkpointing", "attention_mode", "attention_dilation",
        "autoregressive", "ignore_attention_mask", "output_past", "auto_map",
    ];

    internal static ConversionPlan Plan(SourceCheckpoint source, ConversionOptions options)
    {
        if (source.Family is not (CheckpointFamily.Longformer or CheckpointFamily.Roberta or CheckpointFamily.Bert))
            throw new CheckpointException($"{source.Path}: a Longformer can be made of RoBERTa, BERT or a Longformer; {source.Map.Findings[0]}");
        ConfigurationObject c = source.RequireConfiguration().Copy();
        List<string> notes = [];
        Architecture architecture = ClassOf(source, c);
        int padding = c.Integer("pad_token_id") ?? (source.Family == CheckpointFamily.Bert ? 0 : 1);
        List<RowRange> rows = PositionRows(source, options, padding);
        int positions = (int)(rows.Sum(r => r.Count) - padding - 1);
        Configure(source, options, c, architecture.Name, padding, positions, notes);

        LongformerConfiguration configuration = LongformerConfiguration.Parse(c.ToJson(), "the new configuration");
        TensorMapping mapping = new(source);
        OfferBody(source, mapping, architecture.IsBare ? "" : "longformer.", rows);
        OfferHead(source, mapping, architecture.Name);
        if (architecture.IsBare && !mapping.HasAny("pooler"))
            notes.Add("the source has no pooler, so the result has none: HF will make one up");
        List<TensorSource> tensors = mapping.Choose(architecture.Parameters(configuration, mapping.HasAny), architecture.Name);
        notes.AddRange(mapping.DescribeUnused(configuration.TieWordEmbeddings ? Ties(source) : []));
        return new ConversionPlan(c, tensors, architecture.Name, positions,
            new CompanionFiles(source.Folder) { MaxLength = positions, TokenizerClass = TokenizerClass(source) }, notes);
    }

    private static Architecture ClassOf(SourceCheckpoint source, ConfigurationObject c)
    {
        string given = c.Architecture() ?? "";
        if (c.Flag("is_decoder") || c.Flag("add_cross_attention") || given.EndsWith("CausalLM", StringComparison.Ordinal))
            throw c.Refuse("describes a decoder; a Longformer is an encoder");
        bool bert = source.Family == CheckpointFamily.Bert;
        // BERT's own names of the head that RoBERTa and Longformer call lm_head.
        if (bert && source.Heads.ContainsKey("cls.predictions.transform.dense.weight"))
            return Architecture.Find("LongformerForMaskedLM", ModelFamily.Longformer)!;
        IReadOnlyList<Architecture> fitting = Architecture.Recognize(ModelFamily.Longformer, source.Heads.ContainsKey);
        if (fitting.Count == 1)
            return fitting[0];
        // One matrix behind the pooler is BERT's sequence classifier; RoBERTa's has two.
        IEnumerable<Architecture> candidates = bert
            ? fitting.Append(Architecture.Find("LongformerForSequenceClassification", ModelFamily.Longformer)!)
            : fitting;
        return candidates.FirstOrDefault(a => given.EndsWith(Task(a), StringComparison.Ordinal)) ?? throw c.Refuse(
            $"architectures must name the class of {fitting[0].Marks[0]} ({string.Join(", ", fitting.Select(a => $"...{Task(a)}"))}), given "
            + $"{(given.Length == 0 ? "none" : given)}");

        static string Task(Architecture a) => a.Name["Longformer".Length..];
    }

    private static List<RowRange> PositionRows(SourceCheckpoint source, ConversionOptions options, int padding)
    {
        TensorEntry table = source.BodyEntry(Positions);
        bool bert = source.Family == CheckpointFamily.Bert;
        int? positions = options.Positions ?? (source.Family == CheckpointFamily.Longformer ? null : DefaultPositions);
        // RoBERTa's positions begin behind padding_idx, as a Longformer's do; BERT's begin at 0.
        return PositionTable.Tile(table.Shape.Length == 2 ? table.Shape[0] : 0, bert ? 0 : padding + 1, [new RowRange(bert ? -1 : 0, padding + 1)],
            positions, options.BasePositions,
            $"{source.Path}: {table.Name}");
    }

    private static void Configure(SourceCheckpoint source, ConversionOptions options, ConfigurationObject c, string architecture,
        int padding, int positions,
        List<string> notes)
    {
        if (c.Text("position_embedding_type") is { } kind && kind != "absolute")
            throw c.Refuse($"position_embedding_type is {kind}; only absolute positions can be copied");
        if (architecture == "LongformerForMaskedLM" && source.Family == CheckpointFamily.Bert && c.Text("hidden_act") is not (null or "gelu"))
            notes.Add($"BERT's masked language model head uses {c.Text("hidden_act")}, a Longformer's always gelu: its scores will differ");
        int layers = c.Integer("num_hidden_layers") ?? LayerCount(source);
        IReadOnlyList<int> windows = options.Window ?? OldWindows(c) ?? [DefaultWindow];
        if (windows.Count == 1)
            windows = [.. Enumerable.Repeat(windows[0], layers)];
        c.Remove(Foreign);
        c.Set("model_type", "longformer");
        c.Set("architectures", [architecture]);
        c.Set("attention_window", windows);
        c.Set("max_position_embeddings", positions + padding + 1);
        c.Set("num_hidden_layers", layers);
        c.Set("pad_token_id", padding);
        foreach ((string key, string tensor, int dimension) in ((string, string, int)[])[("vocab_size", Words, 0), ("hidden_size", Words, 1),
            ("type_vocab_size", "embeddings.token_type_embeddings.weight", 0), ("intermediate_size", "encoder.layer.0.intermediate.dense.weight", 0)])
        {
            TensorEntry entry = source.BodyEntry(tensor);
            if (entry.Shape.Length == 2)
                c.Default(key, (int)entry.Shape[dimension]);
        }
        SetSpecialTokens(source, c, notes);
    }

    private static void SetSpecialTokens(SourceCheckpoint source, ConfigurationObject c, List<string> notes)
    {
        if (source.Family != CheckpointFamily.Bert)
        {
            c.Default("bos_token_id", 0);
            c.Default("eos_token_id", 2);
            c.Default("sep_token_id", c.Integer("eos_token_id") ?? 2);
            return;
        }
        // BERT's configuration does not say them; a Longformer's needs the separator, and the other two keep the defaults of RoBERTa away.
        CompanionFiles files = new(source.Folder);
        foreach ((string role, string token, int usual, string[] keys) in ((string, string, int, string[])[])
            [("cls_token", "[CLS]", 101, ["bos_token_id"]), ("sep_token", "[SEP]", 102, ["eos_token_id", "sep_token_id"])])
        {
            if (keys.All(c.Has))
                continue;
            int? id = files.FindToken(role, token);
            if (id is null)
            {
                notes.Add(string.Create(CultureInfo.InvariantCulture,
                    $"no tokenizer says the id of {token}: {string.Join(" and ", keys)} set to {usual}, as in BERT's own vocabularies"));
            }
            foreach (string key in keys)
                c.Default(key, id ?? usual);
        }
    }

    /// <summary>The windows of a model that has some, both sides together; allenai counts one side.</summary>
    private static IReadOnlyList<int>? OldWindows(ConfigurationObject c)
    {
        if (c.Integers("attention_window") is not { } windows)
            return null;
        // The hub's own checkpoints carry allenai's key with windows that count both sides: model_type decides.
        if (!c.Has("attention_mode") || c.Text("model_type") == "longformer")
            return windows;
        LongformerConfiguration allenai = LongformerConfiguration.Parse(c.ToJson(), "config.json");
        if (allenai.Autoregressive || allenai.AttentionDilation.Any(layer => layer.Any(d => d != 1)))
            throw c.Refuse("a dilated or autoregressive window has no place in HF's Longformer; load the checkpoint as it is");
        if (allenai.AttentionMode == AttentionMode.SlidingChunksNoOverlap)
            throw c.Refuse("attention_mode sliding_chunks_no_overlap has no place in HF's Longformer; load the checkpoint as it is");
        return [.. windows.Select(w => 2 * w)];
    }

    private static int LayerCount(SourceCheckpoint source) =>
        source.Body.Keys.Select(n => n.Split('.')).Where(p => p is ["encoder", "layer", _, ..] && int.TryParse(p[2], out _))
            .Select(p => int.Parse(p[2], CultureInfo.InvariantCulture)).DefaultIfEmpty(-1).Max() + 1;

    private static void OfferBody(SourceCheckpoint source, TensorMapping mapping, string prefix, List<RowRange> rows)
    {
        foreach ((string name, string from) in source.Body)
        {
            if (name == Positions)
                mapping.Offer(prefix + name, from, rows);
            else
                mapping.Offer(prefix + name, from);
            string[] parts = name.Split('.');
            if (parts is ["encoder", "layer", _, "attention", "self", "query" or "key" or "value", _])
            {
                parts[5] += "_global";
                string global = string.Join('.', parts);
                if (!source.Body.ContainsKey(global))
                    mapping.Offer(prefix + global, from);
            }
        }
    }

    private static void OfferHead(SourceCheckpoint source, TensorMapping mapping, string architecture)
    {
        bool bert = source.Family == CheckpointFamily.Bert;
        foreach ((string name, string from) in source.Heads)
        {
            mapping.Offer((bert, architecture) switch
            {
                (true, "LongformerForMaskedLM") => name.Replace("cls.predictions.transform.dense.", "lm_head.dense.", StringComparison.Ordinal)
                    .Replace("cls.predictions.transform.LayerNorm.", "lm_head.layer_norm.", StringComparison.Ordinal)
                    .Replace("cls.predictions.", "lm_head.", StringComparison.Ordinal),
                (true, "LongformerForSequenceClassification") => name.Replace("classifier.", "classifier.out_proj.", StringComparison.Ordinal),
                _ => name,
            }, from);
        }
        // tanh of the pooler's product, then the classifier, as a Longformer's head computes.
        if (bert && architecture == "LongformerForSequenceClassification")
        {
            foreach (string part in (string[])["weight", "bias"])
            {
                if (source.Body.TryGetValue($"pooler.dense.{part}", out string? from))
                    mapping.Offer($"classifier.dense.{part}", from);
            }
        }
        // Old files have only one of the two biases, which are tied.
        (string one, string other) = bert ? ("cls.predictions.bias", "cls.predictions.decoder.bias") : ("lm_head.bias", "lm_head.decoder.bias");
        if (source.Heads.ContainsKey(one) && !source.Heads.ContainsKey(other))
            mapping.Offer("lm_head.decoder.bias", one);
        if (source.Heads.ContainsKey(other) && !source.Heads.ContainsKey(one))
            mapping.Offer("lm_head.bias", other);
    }

    private static (string, string)[] Ties(SourceCheckpoint source)
    {
        string head = source.Family == CheckpointFamily.Bert ? "cls.predictions." : "lm_head.";
        return [(head + "decoder.weight", source.Body[Words]), (head + "decoder.bias", head + "bias")];
    }

    private static string TokenizerClass(SourceCheckpoint source) => source.Family == CheckpointFamily.Bert ? "BertTokenizer" : "LongformerTokenizer";
}
