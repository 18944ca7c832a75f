using System.Globalization;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>The family of a checkpoint's tokenizer, which decides what its files leave unsaid.</summary>
internal enum TokenizerFamily
{
    Roberta,
    Bert,
}

/// <summary>
/// What tokenizer_config.json, special_tokens_map.json and added_tokens.json say about special tokens. Later sources overrule earlier ones:
/// the family's defaults, special_tokens_map.json, tokenizer_config.json; for the flags of a token added_tokens_decoder has the last word.
/// </summary>
internal sealed class SpecialTokenFiles
{
    private static readonly string[] Roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private readonly Dictionary<string, (string Content, string Where)> _roles = new(StringComparer.Ordinal);
    private readonly Dictionary<string, AddedToken> _tokens = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _addedIds = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _required = new(StringComparer.Ordinal);
    private readonly TokenizerFamily _family;

    private SpecialTokenFiles(TokenizerFamily family) => _family = family;

    /// <summary>tokenizer_config.json, if there is one.</summary>
    public JsonValue? Configuration { get; private init; }

    public static SpecialTokenFiles Read(string folder, TokenizerFamily family)
    {
        SpecialTokenFiles files = new(family) { Configuration = JsonValue.TryReadObject(Path.Combine(folder, "tokenizer_config.json")) };
        foreach (string role in Roles)
            if (DefaultOf(role, family) is { } content)
                files.SetRole(role, files.Special(content, role), "");
        foreach (JsonValue? source in new[] { JsonValue.TryReadObject(Path.Combine(folder, "special_tokens_map.json")), files.Configuration })
            if (source is { } map)
                files.ReadRoles(map);
        if (JsonValue.TryReadObject(Path.Combine(folder, "added_tokens.json")) is { } added)
            foreach ((string content, JsonValue id) in added.Properties())
                files._addedIds[content] = id.AsId();
        if (files.Configuration?.Optional("added_tokens_decoder") is { } decoder)
            files.ReadDecoder(decoder);
        return files;
    }

    /// <summary>Every added token, given the ids of the model's own tokens.</summary>
    public List<AddedToken> Resolve(string vocabularyFile, Dictionary<string, int> model)
    {
        List<AddedToken> result = [];
        foreach ((string content, int id) in _addedIds)
            if (!_tokens.ContainsKey(content))
                result.Add(new AddedToken { Content = content, Id = id, Normalized = true });
        foreach (AddedToken token in _tokens.Values)
        {
            if (_addedIds.TryGetValue(token.Content, out int id) || model.TryGetValue(token.Content, out id))
                result.Add(token with { Id = id });
            else if (_required.TryGetValue(token.Content, out string? where))
                throw new TokenizerException($"{where}: expected a token of {vocabularyFile} or added_tokens.json, given '{token.Content}', which neither has");
        }

        return result;
    }

    /// <summary>The ids of the roles.</summary>
    public SpecialTokenIds Ids(Vocabulary vocabulary)
    {
        int? Id(string role) => _roles.TryGetValue(role, out (string Content, string Where) r) ? vocabulary.IdOf(r.Content) : null;
        return new SpecialTokenIds
        {
            Begin = Id("bos_token"),
            End = Id("eos_token"),
            Classifier = Id("cls_token"),
            Separator = Id("sep_token"),
            Padding = Id("pad_token"),
            Mask = Id("mask_token"),
            Unknown = Id("unk_token"),
        };
    }

    private static string? DefaultOf(string role, TokenizerFamily family) => (role, family) switch
    {
        ("bos_token" or "cls_token", TokenizerFamily.Roberta) => "<s>",
        ("eos_token" or "sep_token", TokenizerFamily.Roberta) => "</s>",
        ("unk_token", TokenizerFamily.Roberta) => "<unk>",
        ("pad_token", TokenizerFamily.Roberta) => "<pad>",
        ("mask_token", TokenizerFamily.Roberta) => "<mask>",
        ("cls_token", TokenizerFamily.Bert) => "[CLS]",
        ("sep_token", TokenizerFamily.Bert) => "[SEP]",
        ("unk_token", TokenizerFamily.Bert) => "[UNK]",
        ("pad_token", TokenizerFamily.Bert) => "[PAD]",
        ("mask_token", TokenizerFamily.Bert) => "[MASK]",
        _ => null,
    };

    /// <summary>A special token given as a bare string; RoBERTa's mask then swallows the space on its left, as a word would.</summary>
    private AddedToken Special(string content, string role) => new()
    {
        Content = content,
        Id = -1,
        Special = true,
        LeftStrip = role == "mask_token" && _family == TokenizerFamily.Roberta,
    };

    private void ReadRoles(JsonValue map)
    {
        foreach (string role in Roles)
            if (map.Optional(role) is { } value)
                SetRole(role, ReadToken(value, role), value.Where);
        if (map.Optional("additional_special_tokens") is not { } additional)
            return;
        foreach (JsonValue value in additional.Items())
        {
            AddedToken token = ReadToken(value, "additional_special_tokens");
            _tokens[token.Content] = token;
            _required[token.Content] = value.Where;
        }
    }

    private AddedToken ReadToken(JsonValue value, string role) => value.IsString
        ? Special(value.AsString(), role)
        : new AddedToken
        {
            Content = value["content"].AsString(),
            Id = -1,
            Special = true,
            LeftStrip = value.Boolean("lstrip", false),
            RightStrip = value.Boolean("rstrip", false),
            SingleWord = value.Boolean("single_word", false),
            Normalized = value.Boolean("normalized", false),
        };

    private void SetRole(string role, AddedToken token, string where)
    {
        // A role given anew takes its old token with it, unless another role has the same one.
        if (_roles.Remove(role, out (string Content, string Where) old) && !_roles.Values.Any(r => r.Content == old.Content))
            _tokens.Remove(old.Content);
        _roles[role] = (token.Content, where);
        _tokens[token.Content] = token;
        if (where.Length > 0)
            _required[token.Content] = where;
    }

    private void ReadDecoder(JsonValue decoder)
    {
        foreach ((string key, JsonValue value) in decoder.Properties())
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                throw new TokenizerException($"{decoder.Where}: expected ids as keys, given '{key}'");
            AddedToken token = TokenizerJson.ReadAddedToken(value, id);
            _tokens[token.Content] = token;
            _addedIds[token.Content] = id;
        }
    }
}
