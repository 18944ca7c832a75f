using LongformerInterop.Tokenizers.ByteLevelBpe;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Reads a tokenizer.json. What it asks for and this library does not do is refused by name, never passed over.</summary>
internal static class TokenizerJson
{
    public static Tokenizer Load(string folder, string path, TokenizerOptions options)
    {
        JsonValue root = JsonValue.ReadObject(path);
        JsonValue model = root["model"];
        string type = model.Optional("type")?.AsString() ?? (model.Optional("merges") is null ? "missing" : "BPE");
        return type switch
        {
            "BPE" => LoadBpe(folder, path, root, model, options),
            "WordPiece" => LoadWordPiece(folder, path, root, model, options),
            _ => throw new TokenizerException($"{model.Where}.type: expected BPE or WordPiece, given {type}"),
        };
    }

    /// <summary>An added token; flags that are left out are false.</summary>
    public static AddedToken ReadAddedToken(JsonValue value, int id) => new()
    {
        Content = value["content"].AsString(),
        Id = id,
        Special = value.Boolean("special", false),
        LeftStrip = value.Boolean("lstrip", false),
        RightStrip = value.Boolean("rstrip", false),
        SingleWord = value.Boolean("single_word", false),
        Normalized = value.Boolean("normalized", false),
    };

    private static ByteLevelBpeTokenizer LoadBpe(string folder, string path, JsonValue root, JsonValue model, TokenizerOptions options)
    {
        RefuseUnless(model, "dropout", v => v.Expected("no dropout: it makes encoding random"));
        RefuseUnless(model, "continuing_subword_prefix", v => v.IsString && v.AsString().Length == 0 ? null : v.Expected("none"));
        RefuseUnless(model, "end_of_word_suffix", v => v.IsString && v.AsString().Length == 0 ? null : v.Expected("none"));
        foreach (string flag in new[] { "byte_fallback", "ignore_merges" })
            RefuseUnless(model, flag, v => v.AsBoolean() ? v.Expected("false") : null);
        if (root.Optional("normalizer") is { } normalizer)
            throw Unsupported(normalizer, "no normalizer for BPE");

        JsonValue byteLevel = Only(root, "pre_tokenizer", "pretokenizers", "ByteLevel")
                              ?? throw new TokenizerException($"{path}: pre_tokenizer: expected ByteLevel for BPE, given none");
        RefuseUnless(byteLevel, "use_regex", v => v.AsBoolean() ? null : v.Expected("true"));
        Only(root, "decoder", "decoders", "ByteLevel");
        Dictionary<string, int> ids = VocabularyFiles.ReadIds(model["vocab"]);
        BpeModel merges = new(TokenizerLoader.ByteTokens(ids), VocabularyFiles.ReadMerges(model["merges"], ids));
        (Vocabulary vocabulary, SpecialTokenIds roles, int? maxLength) = ReadVocabulary(folder, path, root, ids, TokenizerFamily.Roberta);
        int unknown = model.Optional("unk_token") is { } unk ? UnknownId(unk, ids) : -1;
        if (unknown >= 0 && TokenizerLoader.ByteTokens(ids).Contains(-1))
            RefuseUnless(model, "fuse_unk", v => v.AsBoolean() ? v.Expected("false where the vocabulary lacks bytes") : null);

        PostProcessor post = ReadPostProcessor(root, vocabulary);
        return new ByteLevelBpeTokenizer(
            new TokenizerParts(vocabulary, post.Frame, roles, maxLength),
            new BpeParts(
                merges, unknown, options.AddPrefixSpace ?? byteLevel.Boolean("add_prefix_space", true), post.TrimOffsets,
                options.AddPrefixSpace ?? post.KeepsPrefixSpace));
    }

    private static WordPieceTokenizer LoadWordPiece(string folder, string path, JsonValue root, JsonValue model, TokenizerOptions options)
    {
        Only(root, "pre_tokenizer", "pretokenizers", "BertPreTokenizer");
        if (root.Optional("pre_tokenizer") is null)
            throw new TokenizerException($"{path}: pre_tokenizer: expected BertPreTokenizer for WordPiece, given none");
        BertNormalizer normalizer = BertNormalizer.None;
        if (Only(root, "normalizer", "normalizers", "BertNormalizer") is { } n)
        {
            bool lower = options.LowerCase ?? n.Boolean("lowercase", true);
            normalizer = new BertNormalizer(
                n.Boolean("clean_text", true), n.Boolean("handle_chinese_chars", true),
                options.StripAccents ?? (options.LowerCase is null ? n.Optional("strip_accents")?.AsBoolean() : null) ?? lower, lower);
        }

        string prefix = model.Optional("continuing_subword_prefix")?.AsString() ?? "##";
        bool cleanUp = true;
        if (Only(root, "decoder", "decoders", "WordPiece") is { } decoder)
        {
            cleanUp = decoder.Boolean("cleanup", true);
            RefuseUnless(decoder, "prefix", v => v.AsString() == prefix ? null : v.Expected($"the prefix of the model, '{prefix}'"));
        }

        Dictionary<string, int> ids = VocabularyFiles.ReadIds(model["vocab"]);
        (Vocabulary vocabulary, SpecialTokenIds roles, int? maxLength) = ReadVocabulary(folder, path, root, ids, TokenizerFamily.Bert);
        int unknown = UnknownId(model["unk_token"], ids);
        int longest = model.Optional("max_input_chars_per_word")?.AsId() ?? WordPieceModel.DefaultMaxWordLength;
        PostProcessor post = ReadPostProcessor(root, vocabulary);
        return new WordPieceTokenizer(
            new TokenizerParts(vocabulary, post.Frame, roles, maxLength), new WordPieceModel(ids, prefix, unknown, longest), normalizer, cleanUp);
    }

    private static (Vocabulary Vocabulary, SpecialTokenIds Roles, int? MaxLength) ReadVocabulary(
        string folder, string path, JsonValue root, Dictionary<string, int> ids, TokenizerFamily family)
    {
        SpecialTokenFiles special = SpecialTokenFiles.Read(folder, family);
        IEnumerable<AddedToken> added = root.Optional("added_tokens")?.Items().Select(v => ReadAddedToken(v, v["id"].AsId())) ?? [];
        Vocabulary vocabulary = Vocabulary.Create(path, ids, added, path);
        return (vocabulary, special.Ids(vocabulary), TokenizerLoader.MaxLength(special.Configuration));
    }

    private static int UnknownId(JsonValue unknown, Dictionary<string, int> ids) =>
        ids.TryGetValue(unknown.AsString(), out int id) ? id : throw unknown.Expected("a token of the vocabulary");

    private static PostProcessor ReadPostProcessor(JsonValue root, Vocabulary vocabulary)
    {
        if (root.Optional("post_processor") is not { } value)
            return new PostProcessor(SpecialTokenFrame.None, TrimOffsets: false, KeepsPrefixSpace: false);
        if (TypeOf(value) != "Sequence")
            return ReadProcessor(value, vocabulary);

        // Newer conversions write [ByteLevel, TemplateProcessing]: trim, then frame.
        JsonValue[] steps = [.. value["processors"].Items()];
        if (steps.Length != 2 || TypeOf(steps[0]) != "ByteLevel" || TypeOf(steps[1]) != "TemplateProcessing")
            throw value.Expected("a Sequence of ByteLevel and TemplateProcessing, in that order");
        PostProcessor trimming = ReadProcessor(steps[0], vocabulary);
        return trimming with { Frame = ReadProcessor(steps[1], vocabulary).Frame };
    }

    private static PostProcessor ReadProcessor(JsonValue value, Vocabulary vocabulary)
    {
        switch (TypeOf(value))
        {
            case "RobertaProcessing":
                return new PostProcessor(
                    SpecialTokenFrame.Roberta(TokenAndId(value["cls"], vocabulary), TokenAndId(value["sep"], vocabulary)),
                    value.Boolean("trim_offsets", true), value.Boolean("add_prefix_space", true));
            case "ByteLevel":
                return new PostProcessor(SpecialTokenFrame.None, value.Boolean("trim_offsets", true), value.Boolean("add_prefix_space", true));
            case "BertProcessing":
                return new PostProcessor(
                    SpecialTokenFrame.Bert(TokenAndId(value["cls"], vocabulary), TokenAndId(value["sep"], vocabulary)), false, false);
            case "TemplateProcessing":
                return new PostProcessor(
                    new SpecialTokenFrame(ReadTemplate(value, "single", 1, vocabulary), ReadTemplate(value, "pair", 2, vocabulary)), false, false);
            default:
                throw Unsupported(value, "RobertaProcessing, BertProcessing, TemplateProcessing or ByteLevel");
        }
    }

    private static int TokenAndId(JsonValue pair, Vocabulary vocabulary)
    {
        JsonValue[] items = [.. pair.Items()];
        if (items.Length != 2)
            throw pair.Expected("a token and its id");
        return CheckedId(items[0].AsString(), items[1], vocabulary);
    }

    private static int CheckedId(string token, JsonValue id, Vocabulary vocabulary) =>
        vocabulary.IdOf(token) == id.AsId() ? id.AsId() : throw id.Expected($"the id of '{token}' in the vocabulary, {vocabulary.IdOf(token)?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "which it lacks"}");

    private static FramePart[] ReadTemplate(JsonValue processor, string key, int texts, Vocabulary vocabulary)
    {
        List<FramePart> parts = [];
        foreach (JsonValue piece in processor[key].Items())
        {
            if (piece.Optional("Sequence") is { } sequence)
            {
                int index = sequence["id"].AsString() switch { "A" => 0, "B" => 1, _ => throw sequence["id"].Expected("A or B") };
                if (index >= texts)
                    throw sequence["id"].Expected("A, there being one text only");
                parts.Add(FramePart.Text(index, sequence["type_id"].AsId()));
                continue;
            }

            JsonValue special = piece["SpecialToken"];
            JsonValue definition = processor["special_tokens"][special["id"].AsString()];
            string[] tokens = [.. definition["tokens"].Items().Select(t => t.AsString())];
            JsonValue[] ids = [.. definition["ids"].Items()];
            if (tokens.Length != ids.Length)
                throw definition.Expected("as many tokens as ids");
            parts.Add(new FramePart(-1, [.. ids.Select((id, i) => CheckedId(tokens[i], id, vocabulary))], special["type_id"].AsId()));
        }

        for (int text = 0; text < texts; text++)
            if (parts.Count(p => p.Sequence == text) != 1)
                throw processor[key].Expected($"the text {"AB"[text]} exactly once");
        return [.. parts];
    }

    /// <summary>A component of one supported type, perhaps inside a Sequence of one; null if there is none.</summary>
    private static JsonValue? Only(JsonValue root, string key, string listKey, string supported)
    {
        if (root.Optional(key) is not { } value)
            return null;
        if (TypeOf(value) == "Sequence")
        {
            JsonValue[] items = [.. value[listKey].Items()];
            value = items.Length == 1 ? items[0] : throw value.Expected($"{supported} alone");
        }

        return TypeOf(value) == supported ? value : throw Unsupported(value, supported);
    }

    private static string TypeOf(JsonValue value) => value["type"].AsString();

    private static TokenizerException Unsupported(JsonValue value, string supported) =>
        new($"{value.Where}: expected {supported}, given {TypeOf(value)}, which is not supported");

    private static void RefuseUnless(JsonValue parent, string key, Func<JsonValue, TokenizerException?> complaint)
    {
        if (parent.Optional(key) is { } value && complaint(value) is { } error)
            throw error;
    }

    private sealed record PostProcessor(SpecialTokenFrame Frame, bool TrimOffsets, bool KeepsPrefixSpace);
}
