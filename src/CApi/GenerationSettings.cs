using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi;

/// <summary>Generation by option names, and from tensors under HF's names.</summary>
internal static class GenerationSettings
{
    public static GenerationOptions Read(OptionReader reader)
    {
        GenerationOptions own = new()
        {
            Beams = reader.Int("beams"),
            MaxTokens = reader.Int("max_tokens"),
            MinTokens = reader.Int("min_tokens"),
            MaxLength = reader.Int("max_length"),
            MinLength = reader.Int("min_length"),
            LengthPenalty = reader.Float("length_penalty"),
            EarlyStopping = reader.Choice<EarlyStopping?>("early_stopping", null,
                ("false", EarlyStopping.Heuristic), ("true", EarlyStopping.AtBeamCount), ("never", EarlyStopping.Never)),
            NoRepeatNgram = reader.Int("no_repeat_ngram"),
            RepetitionPenalty = reader.Float("repetition_penalty"),
            EncoderNoRepeatNgram = reader.Int("encoder_no_repeat_ngram"),
            EncoderRepetitionPenalty = reader.Float("encoder_repetition_penalty"),
            Renormalize = reader.Flag("renormalize"),
            StopStrings = reader.Text("stop_string") is { } stop ? [stop] : null,
            MaxTime = reader.Float("max_time"),
            MinP = reader.Float("min_p"),
            TypicalP = reader.Float("typical_p"),
            EpsilonCutoff = reader.Float("epsilon_cutoff"),
            EtaCutoff = reader.Float("eta_cutoff"),
            TopH = reader.Float("top_h"),
            ForcedFirstToken = reader.Int("forced_first_token"),
            ForcedLastTokens = reader.Ints("forced_last_tokens"),
            BadWords = reader.Lists("bad_words"),
            SuppressedTokens = reader.Ints("suppressed_tokens"),
            BeginSuppressedTokens = reader.Ints("begin_suppressed_tokens"),
            Sample = reader.Flag("sample"),
            Temperature = reader.Float("temperature"),
            TopK = reader.Int("top_k"),
            TopP = reader.Float("top_p"),
            Seed = reader.Long("seed") is { } seed ? unchecked((ulong)seed) : null,
            NBest = reader.Int("n_best"),
            Rerank = reader.Float("rerank"),
            DecoderPrompt = reader.Ints("decoder_prompt"),
            DecoderStartToken = reader.Int("decoder_start_token"),
            EndTokens = reader.Ints("end_tokens"),
        };
        return reader.Text("generation_config") is { } json ? own.Over(GenerationOptions.Parse(json, "generation_config")) : own;
    }

    /// <summary>The rows of padded inputs, as HF's generate takes them.</summary>
    public static GenerationDocument[] Documents(IReadOnlyDictionary<string, Tensor> inputs)
    {
        foreach (string name in inputs.Keys)
        {
            if (name is not ("input_ids" or "attention_mask" or "global_attention_mask" or "decoder_input_ids"))
            {
                throw new InputException(
                    $"{name}: unknown argument; generation takes input_ids, attention_mask, global_attention_mask and decoder_input_ids");
            }
        }
        if (!inputs.TryGetValue("input_ids", out Tensor? ids))
            throw new InputException("input_ids", "the documents' tokens", "none");
        int[][] tokens = Rows(ids, "input_ids", null, null);
        int rows = tokens.Length, length = rows == 0 ? 0 : tokens[0].Length;
        int[][]? mask = Optional("attention_mask", rows, length), global = Optional("global_attention_mask", rows, length),
            prompt = Optional("decoder_input_ids", rows, null);
        return [.. tokens.Select((row, i) => new GenerationDocument(row)
        {
            Visible = mask is null ? null : Array.ConvertAll(mask[i], v => v != 0),
            GlobalPositions = global is null ? [] : [.. Enumerable.Range(0, length).Where(t => global[i][t] != 0)],
            DecoderPrompt = prompt?[i],
        })];

        int[][]? Optional(string name, int expectedRows, int? expectedLength) =>
            inputs.TryGetValue(name, out Tensor? tensor) ? Rows(tensor, name, expectedRows, expectedLength) : null;
    }

    private static int[][] Rows(Tensor tensor, string name, int? rows, int? length)
    {
        long[] shape = tensor.Shape;
        if (shape.Length != 2 || (rows is { } r && shape[0] != r) || (length is { } l && shape[1] != l))
        {
            throw new InputException($"{name}: expected shape [{rows?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "rows"}, "
                + $"{length?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "length"}], given [{string.Join(", ", shape)}]");
        }
        if (tensor.DType.IsFloatingPoint())
            throw new InputException(name, "integers", $"{tensor.DType}");
        using Tensor wide = tensor.To(DType.Int64);
        long[] values = wide.ToArray<long>();
        int width = (int)shape[1];
        int[][] result = new int[shape[0]][];
        for (int i = 0; i < result.Length; i++)
        {
            result[i] = Array.ConvertAll(values[(i * width)..((i + 1) * width)], v => v is >= int.MinValue and <= int.MaxValue
                ? (int)v
                : throw new InputException(name, "token ids", $"{v}"));
        }
        return result;
    }
}
