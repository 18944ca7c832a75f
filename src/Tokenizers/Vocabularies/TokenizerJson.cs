using LongformerInterop.Tokenizers.ByteLevelBpe;
using LongformerInterop.Tokenizers.Normalizers;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Reads a tokenizer.json. Refuses by name the parts that this library does not support.</summary>
internal static class TokenizerJson
{
    public static Tokenizer Load(TokenizerFolder folder, JsonValue root, TokenizerOptions options)
    {
        JsonValue model = root["model"];
        string type = model.Optional("type")?.AsString() ?? TypeByKeys(model);
        return type switch
        {
            "BPE" => LoadBpe(folder, root, model, options),
            "WordPiece" => LoadWordPiece(folder, root, model, options),
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

    /// <summary>The kind of a model that does not name it, as files of old do not: by what it has.</summary>
    private static string TypeByKeys(JsonValue model)
    {
        if (model.Optional("merges") is not null)
            return "BPE";
        string[] keys = ["unk_token", "continuing_subword_prefix", "max_input_chars_per_word"];
        return Array.TrueForAll(keys, model.Has) ? "WordPiece" : model.Optional("vocab") is { IsArray: true } ? "Unigram" : "WordLevel";
    }

    private static ByteLevelBpeTokenizer LoadBpe(TokenizerFolder folder, JsonValue root, JsonValue model, TokenizerOptions options)
    {
        string path = root.Where;
        Dictionary<string, int> ids = VocabularyFiles.ReadIds(model["vocab"]);
        List<(int, int, int)> merges = VocabularyFiles.ReadMerges(model["merges"], ids);
        if (folder.Kind == TokenizerKind.Roberta && !folder.IsOlder)
            return TokenizerLoader.BuildRoberta(folder, path, ids, merges, options);

        RefuseUnless(model, "dropout", v => v.IsZero ? null : v.Expected("no dropout: it makes encoding random"));
        RefuseUnless(model, "continuing_subword_prefix", v => v.IsString && v.AsString().Length == 0 ? null : v.Expected("none"));
        RefuseUnless(model, "end_of_word_suffix", v => v.IsString && v.AsString().Length == 0 ? null : v.Expected("none"));
        RefuseUnless(model, "byte_fallback", v => v.AsBoolean() ? v.Expected("false") : null);
        JsonValue byteLevel = Only(root, "pre_tokenizer", "pretokenizers", "ByteLevel")
                              ?? throw new TokenizerException($"{path}: pre_tokenizer: expected ByteLevel for BPE, given none");
        Only(root, "decoder", "decoders", "ByteLevel");
        (Vocabulary vocabulary, SpecialTokenIds roles) = ReadVocabulary(folder, path, root, ids, TokenizerKind.Roberta);
        PostProcessor post = ReadPostProcessor(root, vocabulary);
        bool prefix = options.AddPrefixSpace ?? Overruled(folder, TokenizerKind.Roberta, "add_prefix_space", false,
            byteLevel.Boolean("add_prefix_space", true));
        return new ByteLevelBpeTokenizer(
            new TokenizerParts(vocabulary, post.Frame, roles, TokenizerDefaults.Read(folder)),
            new BpeParts(new BpeModel(TokenizerLoader.ByteTokens(ids), merges))
            {
                UnknownId = model.Optional("unk_token") is { } unk ? UnknownId(unk, ids) : -1,
                FuseUnknown = model.Boolean("fuse_unk", false),
                WholeWords = model.Boolean("ignore_merges", false) ? ids : null,
                Normalizer = root.Optional("normalizer") is { } normalizer ? NormalizerReader.Read(normalizer) : null,
                UsesPattern = byteLevel.Boolean("use_regex", true),
                AddPrefixSpace = prefix,
                JoinsWithSpaces = root.Optional("decoder") is null,
                TrimOffsets = post.IsSequence
                    ? post.TrimOffsets
                    : post.Trims && Overruled(folder, TokenizerKind.Roberta, "trim_offsets", true, post.TrimOffsets),
                TrimKeepsPrefixSpace = options.AddPrefixSpace
                    ?? (post.IsSequence
                        ? post.KeepsPrefixSpace
                        : Overruled(folder, TokenizerKind.Roberta, "add_prefix_space", false, post.KeepsPrefixSpace)),
            });
    }

    private static WordPieceTokenizer LoadWordPiece(TokenizerFolder folder, JsonValue root, JsonValue model, TokenizerOptions options)
    {
        string path = root.Where;
        Dictionary<string, int> ids = VocabularyFiles.ReadIds(model["vocab"]);
        if (folder.Kind == TokenizerKind.Bert && !folder.IsOlder)
            return TokenizerLoader.BuildBert(folder, path, ids, options);

        Only(root, "pre_tokenizer", "pretokenizers", "BertPreTokenizer");
        if (root.Optional("pre_tokenizer") is null)
            throw new TokenizerException($"{path}: pre_tokenizer: expected BertPreTokenizer for WordPiece, given none");
        string prefix = model.Optional("continuing_subword_prefix")?.AsString() ?? "##";
        bool cleanUp = true;
        if (Only(root, "decoder", "decoders", "WordPiece") is { } decoder)
        {
            cleanUp = decoder.Boolean("cleanup", true);
            RefuseUnless(decoder, "prefix", v => v.AsString() == prefix ? null : v.Expected($"the prefix of the model, '{prefix}'"));
        }

        (Vocabulary vocabulary, SpecialTokenIds roles) = ReadVocabulary(folder, path, root, ids, TokenizerKind.Bert);
        int unknown = UnknownId(model["unk_token"], ids);
        int longest = model.Optional("max_input_chars_per_word")?.AsId() ?? WordPieceModel.DefaultMaxWordLength;
        PostProcessor post = ReadPostProcessor(root, vocabulary);
        (BertNormalizer bert, TextNormalizer? general) = ReadNormalizer(folder, root, options);
        return new WordPieceTokenizer(
            new TokenizerParts(vocabulary, post.Frame, roles, TokenizerDefaults.Read(folder)),
            new WordPieceModel(ids, prefix, unknown, longest),
            new WordPieceParts(bert) { General = general, CleansUp = cleanUp, JoinsWithSpaces = root.Optional("decoder") is null });
    }

    /// <summary>BERT's normalizer with the settings that overrule it; any other unchanged.</summary>
    private static (BertNormalizer Bert, TextNormalizer? General) ReadNormalizer(TokenizerFolder folder, JsonValue root, TokenizerOptions options)
    {
        if (root.Optional("normalizer") is not { } value)
            return (BertNormalizer.None, null);
        JsonValue alone = TypeOf(value) == "Sequence" && value["normalizers"].Items().ToArray() is [{ } single] ? single : value;
        if (TypeOf(alone) != "BertNormalizer")
            return (BertNormalizer.None, NormalizerReader.Read(value));
        BertNormalizer own = NormalizerReader.ReadBert(alone);
        bool isTop = TypeOf(value) == "BertNormalizer";
        if (folder.Kind == TokenizerKind.Bert && isTop)
            return (TokenizerLoader.BertNormalizer(folder, options) with { CleanText = own.CleanText }, null);
        bool? named = options.LowerCase ?? (folder.Kind == TokenizerKind.Unsaid ? folder.Setting("do_lower_case") : null);
        bool? strip = options.StripAccents
            ?? (options.LowerCase is null && folder.Kind == TokenizerKind.Unsaid ? folder.Setting("strip_accents") : null);
        bool? chinese = folder.Kind == TokenizerKind.Unsaid ? folder.Setting("tokenize_chinese_chars") : null;
        bool lower = named ?? own.LowerCase;
        bool accents = strip ?? (named is null ? own.StripAccents : lower);
        return (own with { LowerCase = lower, StripAccents = accents, ChineseCharacters = chinese ?? own.ChineseCharacters }, null);
    }

    /// <summary>
    /// A setting that both files have: the class's own if it is of that kind, which has a value where tokenizer_config.json names none; what
    /// tokenizer_config.json names where no class is said; else that of tokenizer.json.
    /// </summary>
    private static bool Overruled(TokenizerFolder folder, TokenizerKind kind, string key, bool classDefault, bool written) =>
        folder.Kind == kind ? folder.Setting(key, classDefault) : folder.Kind == TokenizerKind.Unsaid ? folder.Setting(key, written) : written;

    private static (Vocabulary Vocabulary, SpecialTokenIds Roles) ReadVocabulary(
        TokenizerFolder folder, string path, JsonValue root, Dictionary<string, int> ids, TokenizerKind family)
    {
        SpecialTokenFiles special = SpecialTokenFiles.Read(folder, family);
        AddedToken[] written = [.. root.Optional("added_tokens")?.Items().Select(v => ReadAddedToken(v, v["id"].AsId())) ?? []];
        Vocabulary vocabulary = Vocabulary.Create(path, ids, written, special.ToAdd(written));
        return (vocabulary, special.Ids(vocabulary));
    }

    private static int UnknownId(JsonValue unknown, Dictionary<string, int> ids) =>
        ids.TryGetValue(unknown.AsString(), out int id) ? id : throw unknown.Expected("a token of the vocabulary");

    private static PostProcessor ReadPostProcessor(JsonValue root, Vocabulary vocabulary)
    {
        PostProcessor none = new(SpecialTokenFrame.None, Trims: false, TrimOffsets: false, KeepsPrefixSpace: false);
        if (root.Optional("post_processor") is not { } value)
            return none;
        if (TypeOf(value) != "Sequence")
            return ReadProcessor(value, vocabulary);

        // In any order: trimming looks at each text alone, and the frame is put around whole texts.
        PostProcessor? frame = null, trimming = null;
        foreach (JsonValue step in value["processors"].Items())
        {
            PostProcessor read = ReadProcessor(step, vocabulary);
            bool trims = read.Trims && read.TrimOffsets;
            if ((read.Frame != SpecialTokenFrame.None && frame is not null) || (trims && trimming is not null))
                throw value.Expected("a Sequence of at most one frame and one trimming of offsets");
            frame = read.Frame != SpecialTokenFrame.None ? read : frame;
            trimming = trims ? read : trimming;
        }

        return (trimming ?? none) with { Frame = frame?.Frame ?? SpecialTokenFrame.None, IsSequence = true };
    }

    private static PostProcessor ReadProcessor(JsonValue value, Vocabulary vocabulary)
    {
        switch (TypeOf(value))
        {
            case "RobertaProcessing":
                return new PostProcessor(
                    SpecialTokenFrame.Roberta(TokenAndId(value["cls"], vocabulary), TokenAndId(value["sep"], vocabulary)), Trims: true,
                    value.Boolean("trim_offsets", true), value.Boolean("add_prefix_space", true));
            case "ByteLevel":
                return new PostProcessor(
                    SpecialTokenFrame.None, Trims: true, value.Boolean("trim_offsets", true), value.Boolean("add_prefix_space", true));
            case "BertProcessing":
                return new PostProcessor(
                    SpecialTokenFrame.Bert(TokenAndId(value["cls"], vocabulary), TokenAndId(value["sep"], vocabulary)), false, false, false);
            case "TemplateProcessing":
                return new PostProcessor(
                    new SpecialTokenFrame(ReadTemplate(value, "single", 1, vocabulary), ReadTemplate(value, "pair", 2, vocabulary)),
                    false, false, false);
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
        vocabulary.IdOf(token) == id.AsId()
            ? id.AsId()
            : throw id.Expected($"the id of '{token}' in the vocabulary, "
            + $"{vocabulary.IdOf(token)?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "which it lacks"}");

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
        {
            if (parts.Count(p => p.Sequence == text) != 1)
                throw processor[key].Expected($"the text {"AB"[text]} exactly once");
        }
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

    /// <summary>The steps after the model.</summary>
    /// <param name="Frame">Special tokens around texts.</param>
    /// <param name="Trims">Whether it has a word on offsets at all.</param>
    /// <param name="TrimOffsets">Whether spaces are left out of offsets.</param>
    /// <param name="KeepsPrefixSpace">Whether trimming spares the one space of a first token.</param>
    private sealed record PostProcessor(SpecialTokenFrame Frame, bool Trims, bool TrimOffsets, bool KeepsPrefixSpace)
    {
        /// <summary>Whether it is a Sequence, whose settings no class changes.</summary>
        public bool IsSequence { get; init; }
    }
}
