namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Reads vocabularies and merges, as separate files or as parts of a tokenizer.json.</summary>
internal static class VocabularyFiles
{
    /// <summary>An object of token to id; of a token given twice the later id counts.</summary>
    public static Dictionary<string, int> ReadIds(JsonValue vocabulary)
    {
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        foreach ((string token, JsonValue value) in vocabulary.Properties())
            ids[token] = value.AsId();
        Dictionary<int, string> tokens = new(ids.Count);
        foreach ((string token, int id) in ids)
        {
            if (!tokens.TryAdd(id, token))
                throw new TokenizerException($"{vocabulary.Where}: expected one token per id, given '{tokens[id]}' and '{token}' both with id {id}");
        }
        return ids.Count > 0 ? ids : throw new TokenizerException($"{vocabulary.Where}: expected at least one token, given none");
    }

    /// <summary>
    /// vocab.txt: one token per line, the line number less one is the id; white space behind a token is none of it, and of equal lines the last
    /// counts. An empty line is the empty token, which no text contains.
    /// </summary>
    public static Dictionary<string, int> ReadLines(string path)
    {
        string[] lines = TextFile.ReadLines(path);
        Dictionary<string, int> ids = new(lines.Length, StringComparer.Ordinal);
        for (int i = 0; i < lines.Length; i++)
            ids[lines[i].TrimEnd()] = i;
        return ids.Count > 0 ? ids : throw new TokenizerException($"{path}: expected one token per line, given an empty file");
    }

    /// <summary>merges.txt: two tokens per line, in order of rank; lines that begin with <c>#version</c>, and empty ones, are no merges.</summary>
    public static List<(int Left, int Right, int Result)> ReadMerges(string path, Dictionary<string, int> ids)
    {
        string[] lines = TextFile.ReadLines(path);
        List<(int, int, int)> merges = new(lines.Length);
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i].Length > 0 && !lines[i].StartsWith("#version", StringComparison.Ordinal))
                merges.Add(Merge($"{path}: line {i + 1}", lines[i], ids));
        }
        return merges;
    }

    /// <summary>The merges of a tokenizer.json: strings "a b", or lists ["a", "b"].</summary>
    public static List<(int Left, int Right, int Result)> ReadMerges(JsonValue list, Dictionary<string, int> ids)
    {
        List<(int, int, int)> merges = [];
        foreach (JsonValue item in list.Items())
        {
            if (!item.IsArray)
            {
                if (!item.AsString().StartsWith("#version", StringComparison.Ordinal))
                    merges.Add(Merge(item.Where, item.AsString(), ids));
                continue;
            }

            string[] pair = [.. item.Items().Select(v => v.AsString())];
            merges.Add(pair.Length == 2 ? Merge(item.Where, pair[0], pair[1], ids) : throw item.Expected("two tokens"));
        }

        return merges;
    }

    private static (int, int, int) Merge(string where, string line, Dictionary<string, int> ids)
    {
        int space = line.IndexOf(' ');
        return space > 0 && space < line.Length - 1 && line.IndexOf(' ', space + 1) < 0
            ? Merge(where, line[..space], line[(space + 1)..], ids)
            : throw new TokenizerException($"{where}: expected two tokens with one space between them, given '{line}'");
    }

    private static (int, int, int) Merge(string where, string left, string right, Dictionary<string, int> ids)
    {
        int Id(string token) => ids.TryGetValue(token, out int id)
            ? id
            : throw new TokenizerException($"{where}: expected tokens of the vocabulary, given '{left} {right}': it lacks '{token}'");
        return (Id(left), Id(right), Id(left + right));
    }
}
