using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi;

/// <summary>One item of an answer; null is a property that its task does not give.</summary>
internal sealed record AnswerItem
{
    public string? Text { get; init; }

    public string? Label { get; init; }

    /// <summary>UTF-16 range in <see cref="Source"/>, else in <see cref="AnswerHandle"/>'s source.</summary>
    public (int Start, int End)? Range { get; init; }

    /// <summary>The text that the range is of, where the items have one each.</summary>
    public string? Source { get; init; }

    public double? Score { get; init; }

    public double? Logit { get; init; }

    public long? Group { get; init; }

    public long? Id { get; init; }

    public GeneratedSequence? Sequence { get; init; }

    /// <summary>A generated sequence.</summary>
    public static AnswerItem From(GeneratedSequence sequence, long group, string? text = null) =>
        new() { Text = text, Group = group, Score = sequence.Score, Sequence = sequence };
}

/// <summary>lf_answer: the items that a task answered with.</summary>
internal sealed unsafe class AnswerHandle(IReadOnlyList<AnswerItem> items, string? source = null) : IDisposable
{
    private const int TextKind = 0, LabelKind = 1, TokensKind = 2, ScoresKind = 3;

    private readonly BorrowedMemory _borrowed = new();
    private readonly Dictionary<OffsetUnit, Dictionary<int, int>> _positions = [];

    public int Count => items.Count;

    public AnswerItem Item(nuint index) => items[CMemory.Index(index, items.Count, "item")];

    public byte* Text(nuint index, out int length)
    {
        AnswerItem item = Item(index);
        _ = Has(item.Text, "text");
        return _borrowed.Text(TextKind, (int)index, () => item.Text!, out length);
    }

    public byte* Label(nuint index, out int length)
    {
        AnswerItem item = Item(index);
        _ = Has(item.Label, "label");
        return _borrowed.Text(LabelKind, (int)index, () => item.Label!, out length);
    }

    public int* Tokens(nuint index, out int count)
    {
        GeneratedSequence sequence = Has(Item(index).Sequence, "tokens");
        return _borrowed.Values(TokensKind, (int)index, () => sequence.Ids.ToArray(), out count);
    }

    public float* TokenScores(nuint index, out int count)
    {
        GeneratedSequence sequence = Has(Item(index).Sequence, "token scores");
        return _borrowed.Values(ScoresKind, (int)index, () => sequence.TokenScores.ToArray(), out count);
    }

    public Tensor Logits(nuint index)
    {
        IReadOnlyList<float[]> steps = Has(Has(Item(index).Sequence, "logits").Logits, "logits (they come with the option keep_logits)");
        int width = steps.Count == 0 ? 0 : steps[0].Length;
        return Tensor.From<float>([.. steps.SelectMany(s => s)], steps.Count, width);
    }

    /// <summary>The range of an item in another unit.</summary>
    public (int Start, int End) Range(nuint index, OffsetUnit unit)
    {
        (int start, int end) = Has(Item(index).Range, "range");
        if (unit == OffsetUnit.Utf16)
            return (start, end);
        if (Item(index).Source is { } own)
        {
            OffsetConverter converter = new(own, unit);
            return (converter.Convert(start), converter.Convert(end));
        }
        lock (_positions)
        {
            if (!_positions.TryGetValue(unit, out Dictionary<int, int>? converted))
                _positions.Add(unit, converted = Convert(unit));
            return (converted[start], converted[end]);
        }
    }

    /// <summary>A property that must be there.</summary>
    public static T Has<T>(T? value, string property) where T : class => value ?? throw Missing(property);

    public static T Has<T>(T? value, string property) where T : struct => value ?? throw Missing(property);

    public void Dispose() => _borrowed.Dispose();

    private static CallException Missing(string property) => new(Status.NotFound, $"this answer has no {property}");

    // One pass over the text for all items together.
    private Dictionary<int, int> Convert(OffsetUnit unit)
    {
        Dictionary<int, int> converted = [];
        OffsetConverter converter = new(source!, unit);
        foreach (int position in items.Where(i => i.Range is not null).SelectMany(i => (int[])[i.Range!.Value.Start, i.Range.Value.End])
            .Distinct().Order())
        {
            converted.Add(position, converter.Convert(position));
        }
        return converted;
    }
}

/// <summary>lf_encoding: tokens, with the memory that they are handed out from.</summary>
internal sealed unsafe class EncodingHandle(Encoding encoding) : IDisposable
{
    private static readonly string[] Kinds = ["ids", "type_ids", "attention_mask", "special_tokens_mask", "sequence_ids"];

    private readonly BorrowedMemory _borrowed = new();

    public Encoding Encoding => encoding;

    public int* Values(string kind)
    {
        int index = Array.IndexOf(Kinds, kind);
        if (index < 0)
            throw CallException.Argument($"kind: expected {string.Join(", ", Kinds)}, given \"{kind}\"");
        return _borrowed.Values(index, 0, () => (index switch
        {
            0 => encoding.Ids,
            1 => encoding.TypeIds,
            2 => encoding.AttentionMask,
            3 => encoding.SpecialTokensMask,
            _ => encoding.SequenceIds,
        }).ToArray(), out _);
    }

    public int* Ranges(OffsetUnit unit) => _borrowed.Values(Kinds.Length + (int)unit, 0, () =>
    {
        TextRange[] ranges = encoding.GetOffsets(unit);
        int[] pairs = new int[2 * ranges.Length];
        for (int i = 0; i < ranges.Length; i++)
            (pairs[2 * i], pairs[(2 * i) + 1]) = (ranges[i].Start, ranges[i].End);
        return pairs;
    }, out _);

    /// <summary>lf_offsets.</summary>
    public static OffsetUnit Unit(int unit) => unit switch
    {
        0 => OffsetUnit.Utf8,
        1 => OffsetUnit.CodePoint,
        2 => OffsetUnit.Utf16,
        _ => throw CallException.Argument($"unit: expected LF_OFFSETS_BYTES (0), _CODE_POINTS (1) or _UTF16 (2), given {unit}"),
    };

    public void Dispose() => _borrowed.Dispose();
}
