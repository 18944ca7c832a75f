using LongformerInterop.Tokenizers.ByteLevelBpe;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Recognizes the tokenizer of a folder and builds it.</summary>
internal static class TokenizerLoader
{
    private static readonly string[] RobertaClasses = ["Roberta", "Longformer", "Bart", "LED"];
    private static readonly string[] BertClasses = ["Bert", "DistilBert", "Electra"];

    public static Tokenizer Load(string folder, TokenizerOptions options)
    {
        if (!Directory.Exists(folder))
            throw new TokenizerException($"{folder}: expected a folder with a tokenizer, {(File.Exists(folder) ? "given a file" : "but there is none")}");
        string json = Path.Combine(folder, "tokenizer.json");
        string vocabulary = Path.Combine(folder, "vocab.json"), merges = Path.Combine(folder, "merges.txt");
        string wordPiece = Path.Combine(folder, "vocab.txt");
        if (File.Exists(json))
            return TokenizerJson.Load(folder, json, options);
        if (File.Exists(vocabulary) || File.Exists(merges))
            return LoadBpe(folder, vocabulary, merges, options);
        if (File.Exists(wordPiece))
            return LoadWordPiece(folder, wordPiece, options);
        throw new TokenizerException($"{folder}: expected tokenizer.json, or vocab.json and merges.txt, or vocab.txt, but there is none of them");
    }

    /// <summary>The token of each byte; -1 where the vocabulary lacks it.</summary>
    public static int[] ByteTokens(Dictionary<string, int> ids) =>
        [.. Enumerable.Range(0, 256).Select(b => ids.TryGetValue(ByteAlphabet.CharacterOf((byte)b).ToString(), out int id) ? id : -1)];

    public static int? MaxLength(JsonValue? configuration) => configuration?.Optional("model_max_length")?.AsLimit();

    private static ByteLevelBpeTokenizer LoadBpe(string folder, string vocabularyFile, string mergesFile, TokenizerOptions options)
    {
        Dictionary<string, int> ids = VocabularyFiles.ReadIds(JsonValue.ReadObject(vocabularyFile));
        BpeModel model = new(ByteTokens(ids), VocabularyFiles.ReadMerges(mergesFile, ids));
        SpecialTokenFiles special = SpecialTokenFiles.Read(folder, TokenizerFamily.Roberta);
        CheckClass(special.Configuration, RobertaClasses);
        Vocabulary vocabulary = Vocabulary.Create(vocabularyFile, ids, special.Resolve("vocab.json", ids), folder);
        SpecialTokenIds roles = special.Ids(vocabulary);
        bool prefix = options.AddPrefixSpace ?? special.Configuration?.Boolean("add_prefix_space", false) ?? false;
        bool trim = special.Configuration?.Boolean("trim_offsets", true) ?? true;
        SpecialTokenFrame frame = SpecialTokenFrame.Roberta(
            roles.Classifier ?? throw MissingRole(vocabularyFile, "<s>", "cls_token"),
            roles.Separator ?? throw MissingRole(vocabularyFile, "</s>", "sep_token"));
        return new ByteLevelBpeTokenizer(
            new TokenizerParts(vocabulary, frame, roles, MaxLength(special.Configuration)),
            new BpeParts(model, UnknownId: -1, prefix, trim, prefix));
    }

    private static WordPieceTokenizer LoadWordPiece(string folder, string file, TokenizerOptions options)
    {
        Dictionary<string, int> ids = VocabularyFiles.ReadLines(file);
        SpecialTokenFiles special = SpecialTokenFiles.Read(folder, TokenizerFamily.Bert);
        JsonValue? configuration = special.Configuration;
        CheckClass(configuration, BertClasses);
        Vocabulary vocabulary = Vocabulary.Create(file, ids, special.Resolve("vocab.txt", ids), folder);
        SpecialTokenIds roles = special.Ids(vocabulary);
        bool lower = options.LowerCase ?? configuration?.Boolean("do_lower_case", true) ?? true;
        bool strip = options.StripAccents ?? (options.LowerCase is null ? configuration?.Optional("strip_accents")?.AsBoolean() : null) ?? lower;
        BertNormalizer normalizer = new(true, configuration?.Boolean("tokenize_chinese_chars", true) ?? true, strip, lower);
        SpecialTokenFrame frame = SpecialTokenFrame.Bert(
            roles.Classifier ?? throw MissingRole(file, "[CLS]", "cls_token"), roles.Separator ?? throw MissingRole(file, "[SEP]", "sep_token"));
        WordPieceModel model = new(
            ids, "##", roles.Unknown ?? throw MissingRole(file, "[UNK]", "unk_token"), WordPieceModel.DefaultMaxWordLength);
        return new WordPieceTokenizer(new TokenizerParts(vocabulary, frame, roles, MaxLength(configuration)), model, normalizer, cleanUp: true);
    }

    private static TokenizerException MissingRole(string file, string token, string role) =>
        new($"{file}: expected the token '{token}' ({role}), but the vocabulary lacks it");

    private static void CheckClass(JsonValue? configuration, string[] supported)
    {
        if (configuration?.Optional("tokenizer_class") is not { } value)
            return;
        string name = value.AsString();
        if (!supported.Any(s => name == $"{s}Tokenizer" || name == $"{s}TokenizerFast"))
            throw value.Expected($"a tokenizer of the kinds {string.Join(", ", supported.Select(s => s + "Tokenizer"))}");
    }
}
