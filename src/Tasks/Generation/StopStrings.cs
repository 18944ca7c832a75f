using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// StopStringCriteria: a sequence ends with the token that completes one of the strings, also where the token continues behind it. Compared in bytes,
/// so that a string may begin and end inside tokens and tokens inside characters.
/// </summary>
internal sealed class StopStrings
{
    private readonly byte[][] _strings;
    private readonly int _longest;
    private readonly Tokenizer _tokenizer;

    public StopStrings(IReadOnlyList<string> strings, Tokenizer tokenizer)
    {
        _strings = [.. strings.Select(System.Text.Encoding.UTF8.GetBytes)];
        _longest = _strings.Max(s => s.Length);
        _tokenizer = tokenizer;
    }

    /// <summary>Whether the last token completes a string.</summary>
    public bool IsCompleted(ReadOnlySpan<int> ids)
    {
        // Every token has at least a byte: no more tokens than bytes of the longest string can take part.
        ReadOnlySpan<int> near = ids[Math.Max(0, ids.Length - _longest)..];
        List<byte> bytes = [];
        int before = 0;
        foreach (int id in near)
        {
            before = bytes.Count;
            bytes.AddRange(_tokenizer.TokenBytes(id).Span);
        }
        ReadOnlySpan<byte> text = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes);
        foreach (byte[] wanted in _strings)
        {
            // It must end inside the last token.
            int from = Math.Max(0, before + 1 - wanted.Length);
            if (text[from..].IndexOf(wanted) >= 0)
                return true;
        }
        return false;
    }
}
