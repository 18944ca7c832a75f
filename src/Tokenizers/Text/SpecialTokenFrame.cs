namespace LongformerInterop.Tokenizers.Text;

/// <summary>One part of a frame: special tokens, or a whole text.</summary>
/// <param name="Sequence">0 or 1: the text; -1: special tokens.</param>
/// <param name="Ids">The special tokens; empty for a text.</param>
/// <param name="TypeId">Their type id.</param>
internal sealed record FramePart(int Sequence, int[] Ids, int TypeId)
{
    public static FramePart Text(int sequence, int typeId) => new(sequence, [], typeId);

    public static FramePart Special(int id, int typeId) => new(-1, [id], typeId);
}

/// <summary>The special tokens around one text and around a pair, in order.</summary>
internal sealed record SpecialTokenFrame(FramePart[] Single, FramePart[] Pair)
{
    /// <summary>No special tokens; the second text has type 1.</summary>
    public static SpecialTokenFrame None { get; } = new([FramePart.Text(0, 0)], [FramePart.Text(0, 0), FramePart.Text(1, 1)]);

    /// <summary><c>&lt;s&gt; A &lt;/s&gt;</c> and <c>&lt;s&gt; A &lt;/s&gt;&lt;/s&gt; B &lt;/s&gt;</c>, all of type 0.</summary>
    public static SpecialTokenFrame Roberta(int cls, int sep) => new(
        [FramePart.Special(cls, 0), FramePart.Text(0, 0), FramePart.Special(sep, 0)],
        [
            FramePart.Special(cls, 0), FramePart.Text(0, 0), new FramePart(-1, [sep, sep], 0), FramePart.Text(1, 0), FramePart.Special(sep, 0),
        ]);

    /// <summary><c>[CLS] A [SEP]</c> and <c>[CLS] A [SEP] B [SEP]</c>, the second part of type 1.</summary>
    public static SpecialTokenFrame Bert(int cls, int sep) => new(
        [FramePart.Special(cls, 0), FramePart.Text(0, 0), FramePart.Special(sep, 0)],
        [FramePart.Special(cls, 0), FramePart.Text(0, 0), FramePart.Special(sep, 0), FramePart.Text(1, 1), FramePart.Special(sep, 1)]);

    /// <summary>Number of special tokens around one text or a pair.</summary>
    public int AddedCount(bool pair) => (pair ? Pair : Single).Sum(p => p.Ids.Length);
}
