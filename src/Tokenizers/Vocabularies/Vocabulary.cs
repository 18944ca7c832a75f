using System.Diagnostics.CodeAnalysis;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Tokens by id and ids by token; immutable, without gaps.</summary>
internal sealed class Vocabulary
{
    private readonly string[] _tokens;
    private readonly Dictionary<string, int> _ids;
    private readonly bool[] _special, _added;

    private Vocabulary(string[] tokens, Dictionary<string, int> ids, AddedToken[] added)
    {
        _tokens = tokens;
        _ids = ids;
        Added = added;
        _special = new bool[tokens.Length];
        _added = new bool[tokens.Length];
        foreach (AddedToken token in added)
        {
            _special[token.Id] = token.Special;
            _added[token.Id] = true;
        }
    }

    public int Count => _tokens.Length;

    /// <summary>Tokens that are found in the text before the model sees it.</summary>
    public IReadOnlyList<AddedToken> Added { get; }

    public string TokenOf(int id) => _tokens[id];

    public bool TryGetId(string token, out int id) => _ids.TryGetValue(token, out id);

    public int? IdOf(string? token) => token is not null && _ids.TryGetValue(token, out int id) ? id : null;

    public bool IsSpecial(int id) => _special[id];

    public bool IsAdded(int id) => _added[id];

    /// <summary>Joins the tokens of the model and the added ones, and checks that every id from 0 up has exactly one token.</summary>
    /// <param name="file">The file of the model's tokens, for messages.</param>
    /// <param name="model">Id per token of the model.</param>
    /// <param name="added">Added tokens; one that the model has too must have the same id there.</param>
    /// <param name="addedFile">Where the added tokens come from, for messages.</param>
    public static Vocabulary Create(string file, Dictionary<string, int> model, IEnumerable<AddedToken> added, string addedFile)
    {
        Dictionary<string, int> ids = new(model, StringComparer.Ordinal);
        Dictionary<int, AddedToken> byId = [];
        foreach (AddedToken token in added)
        {
            if (token.Content.Length == 0)
                throw new TokenizerException($"{addedFile}: added token {token.Id}: expected a string of at least one character, given an empty one");
            if (ids.TryGetValue(token.Content, out int known) && known != token.Id)
                throw new TokenizerException($"{addedFile}: added token '{token.Content}': expected id {known}, which {file} gives it, given {token.Id}");
            if (byId.TryGetValue(token.Id, out AddedToken? other) && other.Content != token.Content)
                throw new TokenizerException($"{addedFile}: expected one added token per id, given '{other.Content}' and '{token.Content}' both with id {token.Id}");
            ids[token.Content] = token.Id;
            byId[token.Id] = token;
        }

        // The count is checked before anything of that size is allocated: an id of two thousand million is a gap too.
        string[] tokens = new string[ids.Count];
        foreach ((string token, int id) in ids)
        {
            if (id < 0 || id >= tokens.Length)
                throw Gap(file, ids, token, id);
            if (tokens[id] is { } first)
                throw new TokenizerException($"{file}: expected one token per id, given '{first}' and '{token}' both with id {id}");
            tokens[id] = token;
        }

        return new Vocabulary(tokens, ids, [.. byId.Values.OrderBy(t => t.Id)]);
    }

    [SuppressMessage("Performance", "CA1859", Justification = "an exception to throw")]
    private static TokenizerException Gap(string file, Dictionary<string, int> ids, string token, int id)
    {
        HashSet<int> present = [.. ids.Values];
        int missing = 0;
        while (present.Contains(missing))
            missing++;
        return new TokenizerException(
            $"{file}: expected ids 0 to {ids.Count - 1} for {ids.Count} tokens, given '{token}' with id {id} and no token with id {missing}");
    }
}
