namespace LongformerInterop;

/// <summary>
/// The one rule by which every reader of this library takes JSON: as Python's <c>json</c> takes it, and as editors leave it. A byte order mark is
/// passed over, UTF-16 with a mark is read, and the numbers that JSON lacks (NaN, Infinity, -Infinity) become strings of those names, which a
/// reader of a number refuses by name and nobody else minds. Shared as source, since the tokenizers depend on no other project.
/// </summary>
internal static class LenientJson
{
    private static ReadOnlySpan<byte> Utf8Mark => [0xEF, 0xBB, 0xBF];

    /// <summary>The same as standard JSON in UTF-8; nothing is copied where nothing is to be changed.</summary>
    public static ReadOnlyMemory<byte> ToStandard(ReadOnlyMemory<byte> json)
    {
        ReadOnlySpan<byte> span = json.Span;
        if (span.StartsWith(Utf8Mark))
        {
            json = json[3..];
        }
        else if (span.Length >= 2 && span.Length % 2 == 0 && ((span[0] == 0xFF && span[1] == 0xFE) || (span[0] == 0xFE && span[1] == 0xFF)))
        {
            json = System.Text.Encoding.UTF8.GetBytes(
                (span[0] == 0xFF ? System.Text.Encoding.Unicode : System.Text.Encoding.BigEndianUnicode).GetString(span[2..]));
        }
        return json.Span.IndexOfAny((byte)'N', (byte)'I') < 0 ? json : QuoteNames(json);
    }

    private static ReadOnlyMemory<byte> QuoteNames(ReadOnlyMemory<byte> json)
    {
        ReadOnlySpan<byte> span = json.Span;
        MemoryStream? changed = null;
        int copied = 0;
        for (int at = 0; at < span.Length; at++)
        {
            if (span[at] == '"')
            {
                at = EndOfString(span, at);
                continue;
            }

            int length = NameAt(span[at..]);
            if (length == 0)
                continue;
            changed ??= new MemoryStream(span.Length + 16);
            changed.Write(span[copied..at]);
            changed.WriteByte((byte)'"');
            changed.Write(span.Slice(at, length));
            changed.WriteByte((byte)'"');
            copied = at + length;
            at = copied - 1;
        }

        if (changed is null)
            return json;
        changed.Write(span[copied..]);
        return changed.ToArray();
    }

    private static int EndOfString(ReadOnlySpan<byte> json, int start)
    {
        int at = start + 1;
        while (at < json.Length && json[at] != '"')
            at += json[at] == '\\' ? 2 : 1;
        return at;
    }

    private static int NameAt(ReadOnlySpan<byte> json) =>
        json.StartsWith("NaN"u8) ? 3 : json.StartsWith("Infinity"u8) ? 8 : json.StartsWith("-Infinity"u8) ? 9 : 0;
}
