using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Generation;

/// <content>Reading HF's names of the options from JSON.</content>
public sealed partial record GenerationOptions
{
    /// <summary>
    /// The defaults that a checkpoint folder states: those of <c>generation_config.json</c>, or where there is none, the generation keys
    /// of <c>config.json</c> (where BART's and allenai's checkpoints keep them).
    /// </summary>
    /// <param name="folder">Checkpoint folder.</param>
    /// <exception cref="InputException">A file is not JSON, or a key has a value of the wrong kind.</exception>
    public static GenerationOptions FromCheckpoint(string folder)
    {
        string path = Path.Combine(folder, "generation_config.json");
        if (!File.Exists(path))
            path = Path.Combine(folder, "config.json");
        // The caller and the model's positions come before a checkpoint's lengths.
        return (File.Exists(path) ? Parse(File.ReadAllText(path), path) : new GenerationOptions()) with { MaxIsDefault = true, MinIsDefault = true };
    }

    /// <summary>Reads HF's names of the options (num_beams, max_length, ...) from a JSON object; keys of other purpose are ignored.</summary>
    /// <param name="json">A JSON object.</param>
    /// <param name="source">Where it comes from, for messages.</param>
    /// <exception cref="InputException">It is not a JSON object, or a key has a value of the wrong kind.</exception>
    public static GenerationOptions Parse(string json, string source = "generation options")
    {
        JsonDocument document;
        try
        {
            document = JsonText.ParseTexts(json);
        }
        catch (JsonException error)
        {
            throw new InputException($"{source}: not valid JSON: {error.Message}", error);
        }
        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new InputException($"{source}: expected a JSON object, found {document.RootElement.ValueKind}.");
            OptionKeys keys = new(document.RootElement, source);
            return new GenerationOptions
            {
                Refusal = keys.Refusal(),
                Beams = keys.Int("num_beams"),
                MaxTokens = keys.Int("max_new_tokens"),
                // As in HF, max_new_tokens wins over max_length where a file has both.
                MaxLength = keys.Int("max_new_tokens") is null ? keys.Int("max_length") : null,
                MinTokens = keys.Int("min_new_tokens"),
                MinLength = keys.Int("min_new_tokens") is null ? keys.Int("min_length") : null,
                LengthPenalty = keys.Number("length_penalty"),
                EarlyStopping = keys.Stopping("early_stopping"),
                NoRepeatNgram = keys.Int("no_repeat_ngram_size"),
                RepetitionPenalty = keys.Number("repetition_penalty"),
                EncoderNoRepeatNgram = keys.Int("encoder_no_repeat_ngram_size"),
                EncoderRepetitionPenalty = keys.Number("encoder_repetition_penalty"),
                SequenceBias = keys.Biases("sequence_bias"),
                LengthDecay = keys.Decay("exponential_decay_length_penalty"),
                Renormalize = keys.Flag("renormalize_logits"),
                RemoveInvalid = keys.Flag("remove_invalid_values"),
                StopStrings = keys.Strings("stop_strings"),
                MaxTime = keys.Number("max_time"),
                // The name that BART's oldest configurations (and allenai's) have for it.
                ForcedFirstToken = keys.Int("forced_bos_token_id")
                    ?? (keys.Flag("force_bos_token_to_be_generated") == true ? keys.Int("bos_token_id") : null),
                ForcedLastTokens = keys.Tokens("forced_eos_token_id"),
                BadWords = keys.Sequences("bad_words_ids"),
                SuppressedTokens = keys.Tokens("suppress_tokens"),
                BeginSuppressedTokens = keys.Tokens("begin_suppress_tokens"),
                Sample = keys.Flag("do_sample"),
                Temperature = keys.Number("temperature"),
                TopK = keys.Int("top_k"),
                TopP = keys.Number("top_p"),
                MinP = keys.Number("min_p"),
                TypicalP = keys.Number("typical_p"),
                EpsilonCutoff = keys.Number("epsilon_cutoff"),
                EtaCutoff = keys.Number("eta_cutoff"),
                TopH = keys.Number("top_h"),
                Seed = keys.Int("seed") is int seed ? (ulong)seed : null,
                NBest = keys.Int("num_return_sequences"),
                Rerank = keys.Number("rerank"),
                DecoderStartToken = keys.Int("decoder_start_token_id"),
                EndTokens = keys.Tokens("eos_token_id"),
            };
        }
    }

    /// <summary>Typed reading of one JSON object; null and absent are the same, as in HF.</summary>
    private readonly struct OptionKeys(JsonElement root, string source)
    {
        private bool Find(string key, out JsonElement value) => root.TryGetProperty(key, out value) && value.ValueKind != JsonValueKind.Null;

        private InputException Wrong(string key, string expected, JsonElement given) =>
            new($"{source}: {key} must be {expected}, found {given.GetRawText()}.");

        public int? Int(string key) => !Find(key, out JsonElement value) ? null
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number
            : throw Wrong(key, "a whole number", value);

        public double? Number(string key) => !Find(key, out JsonElement value) ? null
            : value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw Wrong(key, "a number", value);

        public bool? Flag(string key) => !Find(key, out JsonElement value) ? null
            : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key, "true or false", value);

        public EarlyStopping? Stopping(string key) => !Find(key, out JsonElement value) ? null : value.ValueKind switch
        {
            JsonValueKind.True => Generation.EarlyStopping.AtBeamCount,
            JsonValueKind.False => Generation.EarlyStopping.Heuristic,
            JsonValueKind.String when value.GetString() == "never" => Generation.EarlyStopping.Never,
            _ => throw Wrong(key, "true, false or \"never\"", value),
        };

        public int[]? Tokens(string key)
        {
            if (!Find(key, out JsonElement value))
                return null;
            if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int one))
                return [one];
            return value.ValueKind == JsonValueKind.Array ? List(key, value) : throw Wrong(key, "a token id or a list of them", value);
        }

        public int[][]? Sequences(string key)
        {
            if (!Find(key, out JsonElement value))
                return null;
            if (value.ValueKind != JsonValueKind.Array)
                throw Wrong(key, "a list of lists of token ids", value);
            List<int[]> result = new();
            foreach (JsonElement item in value.EnumerateArray())
                result.Add(item.ValueKind == JsonValueKind.Array ? List(key, item) : throw Wrong(key, "a list of lists of token ids", value));
            return [.. result];
        }

        /// <summary>A list of [[tokens], bias].</summary>
        public SequenceBias[]? Biases(string key)
        {
            if (!Find(key, out JsonElement value))
                return null;
            const string Expected = "a list of [[token ids], bias]";
            if (value.ValueKind != JsonValueKind.Array)
                throw Wrong(key, Expected, value);
            List<SequenceBias> result = new();
            foreach (JsonElement item in value.EnumerateArray())
            {
                result.Add(item.ValueKind == JsonValueKind.Array && item.GetArrayLength() == 2 && item[0].ValueKind == JsonValueKind.Array
                    && item[0].GetArrayLength() > 0 && item[1].ValueKind == JsonValueKind.Number
                    ? new SequenceBias(List(key, item[0]), item[1].GetDouble())
                    : throw Wrong(key, Expected, value));
            }
            return [.. result];
        }

        /// <summary>[start, factor].</summary>
        public LengthDecay? Decay(string key) => !Find(key, out JsonElement value) ? null
            : value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 2 && value[0].ValueKind == JsonValueKind.Number
                && value[0].TryGetInt32(out int start) && value[1].ValueKind == JsonValueKind.Number
                ? new LengthDecay(start, value[1].GetDouble())
                : throw Wrong(key, "[start, factor]", value);

        /// <summary>A string, or a list of them.</summary>
        public string[]? Strings(string key)
        {
            if (!Find(key, out JsonElement value))
                return null;
            if (value.ValueKind == JsonValueKind.String)
                return [value.GetString()!];
            return value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(v => v.ValueKind == JsonValueKind.String)
                ? [.. value.EnumerateArray().Select(v => v.GetString()!)]
                : throw Wrong(key, "a string or a list of strings", value);
        }

        /// <summary>The first key that asks for a way of generating which is not built; keys that change no result are passed over.</summary>
        public string? Refusal()
        {
            string? reason = Find("force_words_ids", out JsonElement value) ? Says("force_words_ids", value, "constrained beam search")
                : Find("constraints", out value) ? Says("constraints", value, "constrained beam search")

                : Find("num_beam_groups", out value) && Number("num_beam_groups") > 1
                ? Says("num_beam_groups", value, "beam search in groups (and diversity_penalty with it)")
                : Find("guidance_scale", out value) && Number("guidance_scale") != 1 ? Says("guidance_scale", value,
                    "guidance is made for decoders alone (in an encoder-decoder it reads the text so far as another document) and")
                : Find("penalty_alpha", out value) && Number("penalty_alpha") > 0 && (Int("num_beams") ?? 1) == 1 && Flag("do_sample") != true
                && (Int("top_k") ?? 50) > 1
                    ? Says("penalty_alpha", value, "contrastive search")
                : Find("dola_layers", out value) ? Says("dola_layers", value, "DoLa decoding")
                : Find("watermarking_config", out value) ? Says("watermarking_config", value, "watermarking")
                : Find("token_healing", out value) && Flag("token_healing") == true ? Says("token_healing", value, "token healing")
                : null;
            return reason is null ? null : $"{source}: {reason}";
        }

        private static string Says(string key, JsonElement value, string what) =>
            $"{key} is {value.GetRawText()}: {what} is not built; take the key out to generate without";

        private int[] List(string key, JsonElement value)
        {
            List<int> result = new();
            foreach (JsonElement item in value.EnumerateArray())
            {
                result.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int id) ? id
                    : throw Wrong(key, "a list of token ids", value));
            }
            return [.. result];
        }
    }
}
