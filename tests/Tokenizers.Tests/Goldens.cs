namespace LongformerInterop.Tokenizers.Tests;

/// <summary>The folders of the goldens, and their tokenizers, loaded once.</summary>
internal static class Goldens
{
    private static readonly Lazy<Tokenizer> LazyRoberta = new(() => Tokenizer.Load(Folder("roberta")));
    private static readonly Lazy<Tokenizer> LazyTiny = new(() => Tokenizer.Load(Folder("tiny")));
    private static readonly Lazy<Tokenizer> LazyWordPiece = new(() => Tokenizer.Load(Folder("wordpiece")));

    public static Tokenizer Roberta => LazyRoberta.Value;

    public static Tokenizer Tiny => LazyTiny.Value;

    public static Tokenizer WordPiece => LazyWordPiece.Value;

    public static Tokenizer Of(string folder) => folder switch
    {
        "roberta" => Roberta,
        "tiny" => Tiny,
        "wordpiece" => WordPiece,
        _ => throw new ArgumentException($"no goldens in {folder}", nameof(folder)),
    };

    public static string Folder(string name) => Repository.Golden("tokenizer", name);
}
