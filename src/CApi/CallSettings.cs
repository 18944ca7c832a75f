using LongformerInterop.Torch;

namespace LongformerInterop.CApi;

/// <summary>lf_options: values by name and callbacks. Each function reads what it takes with an <see cref="OptionReader"/>.</summary>
internal sealed unsafe class CallSettings : IDisposable
{
    private readonly Dictionary<string, object> _values = new(StringComparer.Ordinal);

    public delegate* unmanaged[Cdecl]<void*, int> Cancel;
    public void* CancelContext;
    public int CancelInterval;
    public delegate* unmanaged[Cdecl]<void*, long, long, long, int> Progress;
    public void* ProgressContext;
    public delegate* unmanaged[Cdecl]<void*, byte*, nuint, int> OnText;
    public void* OnTextContext;
    public delegate* unmanaged[Cdecl]<void*, long, int, int, int, int> OnToken;
    public void* OnTokenContext;

    /// <summary>Names that were set.</summary>
    public string[] Names
    {
        get
        {
            lock (_values)
                return [.. _values.Keys];
        }
    }

    public object? Get(string name)
    {
        lock (_values)
            return _values.GetValueOrDefault(name);
    }

    /// <summary>Sets a value: long, double, string, long[] or Tensor (which is then owned here).</summary>
    public void Set(string name, object value)
    {
        lock (_values)
        {
            // The options that hold several values: setting one adds it.
            object? before = _values.GetValueOrDefault(name);
            value = (name, value) switch
            {
                ("bad_words", long[] words) => before is long[][] lists ? (long[][])[.. lists, words] : [words],
                ("column" or "labels" or "poolings", string text) => before is string[] texts ? (string[])[.. texts, text] : [text],
                _ => value,
            };
            if (_values.TryGetValue(name, out object? old))
                (old as IDisposable)?.Dispose();
            _values[name] = value;
        }
    }

    public void Dispose()
    {
        lock (_values)
        {
            foreach (object value in _values.Values)
                (value as IDisposable)?.Dispose();
            _values.Clear();
        }
    }
}

/// <summary>Reads the options that one function takes, and refuses at the end all that it did not ask for.</summary>
internal sealed unsafe class OptionReader(CallSettings? settings)
{
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    public CallSettings? Settings => settings;

    /// <summary>Whether the function streams text and tokens.</summary>
    public bool TakesText { get; set; }

    public bool TakesTokens { get; set; }

    /// <summary>Whether the function works long enough to be watched.</summary>
    public bool TakesWatch { get; set; }

    /// <summary>Whether the function can be stopped, though it has no steps to report.</summary>
    public bool TakesCancel { get; set; }

    public int? Int(string name) => Long(name) switch
    {
        null => null,
        >= int.MinValue and <= int.MaxValue and long value => (int)value,
        long value => throw new InputException(name, "at most 32 bits", $"{value}"),
    };

    public long? Long(string name) => Get(name) switch
    {
        null => null,
        long value => value,
        object value => throw Wrong(name, "an int", value),
    };

    public bool? Flag(string name) => Long(name) switch
    {
        null => null,
        0 => false,
        1 => true,
        long value => throw new InputException(name, "0 or 1", $"{value}"),
    };

    public double? Float(string name) => Get(name) switch
    {
        null => null,
        double value => value,
        long value => value,
        object value => throw Wrong(name, "a float", value),
    };

    public string? Text(string name) => Get(name) switch
    {
        null => null,
        string value => value,
        object value => throw Wrong(name, "a text", value),
    };

    /// <summary>A text that is one of several words.</summary>
    public T Choice<T>(string name, T missing, params ReadOnlySpan<(string Word, T Value)> choices)
    {
        if (Text(name) is not { } text)
            return missing;
        foreach ((string word, T value) in choices)
        {
            if (word == text)
                return value;
        }
        List<string> words = [];
        foreach ((string word, _) in choices)
            words.Add(word);
        throw new InputException(name, $"{string.Join(", ", words)}", $"\"{text}\"");
    }

    public long[]? Longs(string name) => Get(name) switch
    {
        null => null,
        long[] values => values,
        long value => [value],
        object value => throw Wrong(name, "ints", value),
    };

    public int[]? Ints(string name) => Longs(name) is { } values ? ToInts(values, name) : null;

    public int[][]? Lists(string name) => Get(name) switch
    {
        null => null,
        long[][] lists => Array.ConvertAll(lists, l => ToInts(l, name)),
        object value => throw Wrong(name, "ints", value),
    };

    public string[]? Texts(string name) => Get(name) switch
    {
        null => null,
        string[] texts => texts,
        string text => [text],
        object value => throw Wrong(name, "texts", value),
    };

    public Tensor? Tensor(string name) => Get(name) switch
    {
        null => null,
        Tensor tensor => tensor,
        object value => throw Wrong(name, "a tensor", value),
    };

    /// <summary>Refuses options that were set and not read.</summary>
    public void Finish(string function)
    {
        if (settings is null)
            return;
        foreach (string name in settings.Names)
        {
            if (!_known.Contains(name))
            {
                throw CallException.Argument(
                    $"options: {function} takes no \"{name}\"; expected {(_known.Count == 0 ? "none" : string.Join(", ", _known))}");
            }
        }
        if (settings.OnText is not null && !TakesText)
            throw CallException.Argument($"options: {function} takes no on_text callback");
        if (settings.OnToken is not null && !TakesTokens)
            throw CallException.Argument($"options: {function} takes no on_token callback");
        if (settings.Cancel is not null && !TakesWatch && !TakesCancel)
            throw CallException.Argument($"options: {function} takes no cancel callback");
        if (settings.Progress is not null && !TakesWatch)
            throw CallException.Argument($"options: {function} takes no progress callback");
    }

    private static int[] ToInts(long[] values, string name) => Array.ConvertAll(values, v =>
        v is >= int.MinValue and <= int.MaxValue ? (int)v : throw new InputException(name, "at most 32 bits", $"{v}"));

    private object? Get(string name)
    {
        _known.Add(name);
        return settings?.Get(name);
    }

    private static InputException Wrong(string name, string expected, object given) => new($"{name}: expected {expected}, given " + given switch
    {
        long => "an int",
        double => "a float",
        string or string[] => "a text",
        long[] or long[][] => "ints",
        _ => "a tensor",
    });
}
