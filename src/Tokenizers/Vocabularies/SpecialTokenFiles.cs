using System.Globalization;

namespace LongformerInterop.Tokenizers.Vocabularies;

/// <summary>
/// The special and added tokens of a folder's files, joined as HF's <c>from_pretrained</c> joins them: <c>added_tokens_decoder</c> of
/// tokenizer_config.json if it is there; else special_tokens_map.json, which overrules the names in tokenizer_config.json, added_tokens.json and the
/// added tokens of tokenizer.json.
/// </summary>
internal sealed class SpecialTokenFiles
{
    private static readonly string[] Roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private readonly Dictionary<string, NamedToken> _named = new(StringComparer.Ordinal);
    private readonly List<NamedToken> _extra = [];
    private readonly SortedDictionary<int, AddedToken> _decoder = [];
    private readonly TokenizerFolder _folder;
    private readonly TokenizerKind _family;

    private SpecialTokenFiles(TokenizerFolder folder, TokenizerKind family)
    {
        _folder = folder;
        _family = family;
    }

    /// <summary>Reads the files of a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="family">Roberta or Bert: its names hold where no file names one.</param>
    public static SpecialTokenFiles Read(TokenizerFolder folder, TokenizerKind family)
    {
        SpecialTokenFiles files = new(folder, family);

        // A class has default names; a plain tokenizer.json has those that its files give.
        if (folder.Json is null || folder.Kind is TokenizerKind.Roberta or TokenizerKind.Bert)
        {
            foreach (string role in Roles)
            {
                if (DefaultOf(role, family) is { } content)
                    files._named[role] = new NamedToken(content, null);
            }
        }
        if (folder.Configuration is { } configuration)
            files.ReadNames(configuration, isMap: false);
        if (folder.Configuration?.Optional("added_tokens_decoder") is { } decoder)
            files.ReadDecoder(decoder);
        else
            files.ReadOlderFiles();
        files.ResolveFlags();
        return files;
    }

    /// <summary>
    /// The tokens to add, in order, to a tokenizer that has some: those of the decoder, then the named ones and the extra ones that are in none.
    /// </summary>
    /// <param name="present">Added tokens that the tokenizer has already.</param>
    public List<AddedToken> ToAdd(IEnumerable<AddedToken> present)
    {
        HashSet<string> names = [.. _named.Values.Select(t => t.Content)];
        List<AddedToken> result = [.. _decoder.Values.Select(t => names.Contains(t.Content) ? t with { Special = true } : t)];
        HashSet<string> known = [.. present.Concat(result).Select(t => t.Content)];

        // Names of one string with flags that differ are all added, and the last counts: so the reference does.
        IEnumerable<NamedToken> roles = Roles.Where(_named.ContainsKey).Select(r => _named[r]);
        IEnumerable<NamedToken> others = _named.Where(n => !Roles.Contains(n.Key)).Select(n => n.Value);
        IEnumerable<NamedToken> all = roles.Concat(others).Concat(_extra).Where(t => !known.Contains(t.Content)).Distinct();
        result.AddRange(all.Select(t => t.Flags ?? Plain(t.Content)));
        return result;
    }

    /// <summary>The ids of the roles. A role that no file names has the family's name, where the vocabulary has that.</summary>
    public SpecialTokenIds Ids(Vocabulary vocabulary)
    {
        int? Id(string role) => vocabulary.IdOf(_named.TryGetValue(role, out NamedToken? named) ? named.Content
            : _folder.Configuration?.Has(role) == true ? null : DefaultOf(role, _family));
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

    /// <summary>The string of a role; null where there is none.</summary>
    public string? NameOf(string role) => _named.TryGetValue(role, out NamedToken? named) ? named.Content : null;

    private static string? DefaultOf(string role, TokenizerKind family) => (role, family) switch
    {
        ("bos_token" or "cls_token", TokenizerKind.Roberta) => "<s>",
        ("eos_token" or "sep_token", TokenizerKind.Roberta) => "</s>",
        ("unk_token", TokenizerKind.Roberta) => "<unk>",
        ("pad_token", TokenizerKind.Roberta) => "<pad>",
        ("mask_token", TokenizerKind.Roberta) => "<mask>",
        ("cls_token", TokenizerKind.Bert) => "[CLS]",
        ("sep_token", TokenizerKind.Bert) => "[SEP]",
        ("unk_token", TokenizerKind.Bert) => "[UNK]",
        ("pad_token", TokenizerKind.Bert) => "[PAD]",
        ("mask_token", TokenizerKind.Bert) => "[MASK]",
        _ => null,
    };

    private static AddedToken Plain(string content) => new() { Content = content, Id = -1, Special = true };

    private static AddedToken ReadToken(JsonValue value, bool special) =>
        TokenizerJson.ReadAddedToken(value, -1) with
        {
            Special = value.Boolean("special", special),
            Normalized = value.Boolean("normalized", !value.Boolean("special", special)),
        };

    private static NamedToken Named(JsonValue value)
    {
        if (value.IsString)
            return new NamedToken(value.AsString(), null);
        AddedToken token = ReadToken(value, special: true) with { Special = true };
        return new NamedToken(token.Content, token);
    }

    /// <summary>Names of tokenizer_config.json or special_tokens_map.json: the roles, any other key ending in _token, and the lists.</summary>
    private void ReadNames(JsonValue map, bool isMap)
    {
        foreach ((string key, JsonValue value) in map.Properties())
        {
            bool role = Roles.Contains(key);
            if (role && value.IsNull)
                _named.Remove(key);
            else if (role || (key.EndsWith("_token", StringComparison.Ordinal) && (value.IsString || value.Has("content"))))
                _named[key] = Named(value);
        }

        // The newer name counts where both are given.
        JsonValue? extra = map.Optional("extra_special_tokens") ?? map.Optional("additional_special_tokens");
        if (extra is { IsObject: true } names)
        {
            foreach ((string key, JsonValue value) in names.Properties())
                _named[key] = Named(value);
        }
        else if (extra is { } list)
        {
            if (isMap && map.Optional("extra_special_tokens") is null)
                _extra.Clear();
            _extra.AddRange(list.Items().Select(Named));
        }
    }

    private void ReadDecoder(JsonValue decoder)
    {
        foreach ((string key, JsonValue value) in decoder.Properties())
        {
            if (!int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                throw new TokenizerException($"{decoder.Where}: expected ids as keys, given '{key}'");
            _decoder[id] = ReadToken(value, special: false);
        }
    }

    private void ReadOlderFiles()
    {
        if (_folder.SpecialTokensMap is { } map)
            ReadNames(map, isMap: true);
        if (_folder.AddedTokens is { } added)
        {
            HashSet<string> special = [.. _named.Values.Concat(_extra).Select(t => t.Content)];
            foreach ((string content, JsonValue id) in added.Properties())
            {
                bool isSpecial = special.Contains(content);
                _decoder[id.AsId()] = new AddedToken { Content = content, Id = -1, Special = isSpecial, Normalized = !isSpecial };
            }
        }

        if (_folder.Json?.Optional("added_tokens") is { } list)
        {
            foreach (JsonValue value in list.Items())
                _decoder[value["id"].AsId()] = TokenizerJson.ReadAddedToken(value, -1);
        }
    }

    /// <summary>A name given as a bare string has the flags of the added token of that string; RoBERTa's mask swallowed the space on its
    /// left.</summary>
    private void ResolveFlags()
    {
        foreach (string role in Roles)
        {
            if (!_named.TryGetValue(role, out NamedToken? named))
                continue;
            if (_decoder.Values.FirstOrDefault(t => t.Content == named.Content) is { } token)
                _named[role] = named with { Flags = token with { Special = true } };
            else if (role == "mask_token" && named.Flags is null && _family == TokenizerKind.Roberta && _folder.IsOlder)
                _named[role] = named with { Flags = Plain(named.Content) with { LeftStrip = true } };
        }
    }

    /// <summary>A token with a name.</summary>
    /// <param name="Content">Its string.</param>
    /// <param name="Flags">As an added token; null where only the string was given.</param>
    private sealed record NamedToken(string Content, AddedToken? Flags);
}
