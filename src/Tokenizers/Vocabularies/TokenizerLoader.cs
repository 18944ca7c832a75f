using LongformerInterop.Tokenizers.ByteLevelBpe;
using LongformerInterop.Tokenizers.Text;
using LongformerInterop.Tokenizers.WordPiece;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Recognizes the tokenizer of a folder and builds it.</summary>
internal static class TokenizerLoader
{
    public static Tokenizer Load(string path, TokenizerOptions options)
    {
        if (!Directory.Exists(path))
        {
            string given = File.Exists(path) ? "given a file" : FileHints.OfFolder(path) is { } what ? $"but {what}" : "but there is none";
            throw new TokenizerException($"{path}: expected a folder with a tokenizer, {given}");
        }

        TokenizerFolder folder = TokenizerFolder.Read(path);
        string vocabulary = folder.PathOf("vocab.json"), merges = folder.PathOf("merges.txt"), wordPiece = folder.PathOf("vocab.txt");
        if (folder.Json is { } json)
            return TokenizerJson.Load(folder, json, options);
        if (File.Exists(vocabulary) || File.Exists(merges))
            return LoadBpe(folder, vocabulary, merges, options);
        if (File.Exists(wordPiece))
            return LoadWordPiece(folder, wordPiece, options);
        throw new TokenizerException(
            $"{path}: expected tokenizer.json, or vocab.json and merges.txt, or vocab.txt, "
            + $"{(FileHints.OfFolder(path) is { } hint ? $"but {hint}" : "but there is none of them")}");
    }

    /// <summary>The token of each byte; -1 where the vocabulary lacks it.</summary>
    public static int[] ByteTokens(Dictionary<string, int> ids) =>
        [.. Enumerable.Range(0, 256).Select(b => ids.TryGetValue(ByteAlphabet.CharacterOf((byte)b).ToString(), out int id) ? id : -1)];

    /// <summary>RoBERTa's tokenizer from a vocabulary and merges, as its class builds it, with the settings of tokenizer_config.json.</summary>
    public static ByteLevelBpeTokenizer BuildRoberta(
        TokenizerFolder folder, string file, Dictionary<string, int> ids, List<(int Left, int Right, int Result)> merges, TokenizerOptions options)
    {
        SpecialTokenFiles special = SpecialTokenFiles.Read(folder, TokenizerKind.Roberta);
        Vocabulary vocabulary = Vocabulary.Create(file, ids, special.ToAdd([]));
        bool prefix = options.AddPrefixSpace ?? folder.Setting("add_prefix_space", false);
        SpecialTokenFrame frame = SpecialTokenFrame.Roberta(Id("cls_token"), Id("sep_token"));
        return new ByteLevelBpeTokenizer(
            new TokenizerParts(vocabulary, frame, special.Ids(vocabulary), TokenizerDefaults.Read(folder)),
            new BpeParts(new BpeModel(ByteTokens(ids), merges))
            {
                AddPrefixSpace = prefix,
                TrimOffsets = folder.Setting("trim_offsets", true),
                TrimKeepsPrefixSpace = prefix,
            });

        int Id(string role) => vocabulary.IdOf(special.NameOf(role)) ?? throw NoName(file, role);
    }

    /// <summary>BERT's tokenizer from a vocabulary, as its class builds it, with the settings of tokenizer_config.json.</summary>
    public static WordPieceTokenizer BuildBert(TokenizerFolder folder, string file, Dictionary<string, int> ids, TokenizerOptions options)
    {
        SpecialTokenFiles special = SpecialTokenFiles.Read(folder, TokenizerKind.Bert);
        Vocabulary vocabulary = Vocabulary.Create(file, ids, special.ToAdd([]));
        SpecialTokenFrame frame = SpecialTokenFrame.Bert(Id("cls_token"), Id("sep_token"));
        int unknown = special.NameOf("unk_token") is { } name && ids.TryGetValue(name, out int id) ? id : -1;
        return new WordPieceTokenizer(
            new TokenizerParts(vocabulary, frame, special.Ids(vocabulary), TokenizerDefaults.Read(folder)),
            new WordPieceModel(ids, "##", unknown, WordPieceModel.DefaultMaxWordLength),
            new WordPieceParts(BertNormalizer(folder, options)));

        int Id(string role) => vocabulary.IdOf(special.NameOf(role)) ?? throw NoName(file, role);
    }

    /// <summary>The normalizer that BERT's class makes of tokenizer_config.json.</summary>
    public static BertNormalizer BertNormalizer(TokenizerFolder folder, TokenizerOptions options)
    {
        bool lower = options.LowerCase ?? folder.Setting("do_lower_case", true);
        bool strip = options.StripAccents ?? (options.LowerCase is null ? folder.Setting("strip_accents") : null) ?? lower;
        return new BertNormalizer(true, folder.Setting("tokenize_chinese_chars", true), strip, lower);
    }

    private static ByteLevelBpeTokenizer LoadBpe(TokenizerFolder folder, string vocabularyFile, string mergesFile, TokenizerOptions options)
    {
        Dictionary<string, int> ids = VocabularyFiles.ReadIds(JsonValue.ReadObject(vocabularyFile));
        List<(int, int, int)> merges = VocabularyFiles.ReadMerges(mergesFile, ids);
        folder.CheckClass(TokenizerKind.Roberta);
        return BuildRoberta(folder, vocabularyFile, ids, merges, options);
    }

    private static WordPieceTokenizer LoadWordPiece(TokenizerFolder folder, string file, TokenizerOptions options)
    {
        Dictionary<string, int> ids = VocabularyFiles.ReadLines(file);
        folder.CheckClass(TokenizerKind.Bert);
        return BuildBert(folder, file, ids, options);
    }

    private static TokenizerException NoName(string file, string role) =>
        new($"{file}: expected a token named as {role}, which frames every text, but tokenizer_config.json names none");
}
