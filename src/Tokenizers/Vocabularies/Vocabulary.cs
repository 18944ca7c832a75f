using System.Diagnostics.CodeAnalysis;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>Tokens by id and ids by token; immutable. Ids may have gaps: an unused id has no token.</summary>
internal sealed class Vocabulary
{
    /// <summary>No embedding table has as many rows; a larger id is damage, and would be a larger array.</summary>
    public const int LargestId = (1 << 24) - 1;

    private readonly string?[] _tokens;
    private readonly Dictionary<string, int> _ids;
    private readonly HashSet<string> _special;
    private readonly bool[] _added;

    private Vocabulary(string?[] tokens, Dictionary<string, int> ids, AddedToken[] added, IReadOnlySet<int> normalized)
    {
        OnceNormalized = normalized;
        _tokens = tokens;
        _ids = ids;
        Added = added;
        _special = [.. added.Where(t => t.Special).Select(t => t.Content)];
        _added = new bool[tokens.Length];
        foreach (AddedToken token in added)
            _added[token.Id] = true;
    }

    /// <summary>One more than the highest id.</summary>
    public int Size => _tokens.Length;

    /// <summary>Tokens that are found in the text before the model sees it.</summary>
    public IReadOnlyList<AddedToken> Added { get; }

    /// <summary>Ids of the added tokens that any file gives as normalized: they are decoded in that form, as in the reference.</summary>
    public IReadOnlySet<int> OnceNormalized { get; }

    /// <summary>The token; null for an unused id, and for one beyond the highest.</summary>
    public string? TokenOf(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    public bool TryGetId(string token, out int id) => _ids.TryGetValue(token, out id);

    public int? IdOf(string? token) => token is not null && _ids.TryGetValue(token, out int id) ? id : null;

    public bool IsSpecial(int id) => TokenOf(id) is { } token && _special.Contains(token);

    /// <summary>Whether a string is that of a special token with any id.</summary>
    public bool IsSpecial(string token) => _special.Contains(token);

    public bool IsAdded(int id) => (uint)id < (uint)_added.Length && _added[id];

    /// <summary>
    /// Joins the tokens of the model and the added ones as HF's <c>tokenizers</c> does: an added token that the model has keeps the model's id, any
    /// other is appended in order, and the id in its file ignored; one given again replaces what was said of it before.
    /// </summary>
    /// <param name="file">The file of the model's tokens, for messages.</param>
    /// <param name="model">Id per token of the model.</param>
    /// <param name="batches">Added tokens in order, by what is added at once: the reference counts from where a batch begins.</param>
    public static Vocabulary Create(string file, Dictionary<string, int> model, params IEnumerable<AddedToken>[] batches)
    {
        Dictionary<string, int> ids = new(model, StringComparer.Ordinal);
        Dictionary<int, AddedToken> byId = [];
        HashSet<int> normalized = [];
        foreach (IEnumerable<AddedToken> batch in batches)
        {
            int next = NextId(model.Count, byId.Keys);
            foreach (AddedToken token in batch)
            {
                if (token.Content.Length == 0)
                    continue;
                if (!ids.TryGetValue(token.Content, out int id))
                    id = ids[token.Content] = next++;
                bool wasSpecial = byId.TryGetValue(id, out AddedToken? before) && before.Special && before.Content == token.Content;
                if (token.Normalized)
                    normalized.Add(id);
                byId[id] = token with { Id = id, Special = token.Special || wasSpecial };
            }
        }

        int highest = -1;
        foreach ((string token, int id) in ids)
        {
            if (id > LargestId)
                throw TooLarge(file, token, id);
            highest = Math.Max(highest, id);
        }

        string?[] tokens = new string?[highest + 1];
        foreach ((string token, int id) in model)
            tokens[id] = token;
        foreach (AddedToken token in byId.Values)
            tokens[token.Id] = token.Content;
        return new Vocabulary(tokens, ids, [.. byId.Values.OrderBy(t => t.Id)], normalized);
    }

    // Appended behind the model's number of tokens, not behind its highest id: so the reference counts.
    private static int NextId(int modelCount, Dictionary<int, AddedToken>.KeyCollection taken)
    {
        int highest = taken.Count == 0 ? -1 : taken.Max();
        return highest >= modelCount || (modelCount == 0 && highest >= 0) ? highest + 1 : modelCount;
    }

    [SuppressMessage("Performance", "CA1859", Justification = "an exception to throw")]
    private static TokenizerException TooLarge(string file, string token, int id) =>
        new($"{file}: expected ids that an embedding table can have, up to {LargestId}, given '{token}' with id {id}");
}
