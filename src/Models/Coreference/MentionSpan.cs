namespace LongformerInterop.Models.Coreference;

/// <summary>A mention as a stretch of words or tokens.</summary>
/// <param name="First">The first, from 0.</param>
/// <param name="Last">The last, inclusive.</param>
public readonly record struct MentionSpan(int First, int Last) : IComparable<MentionSpan>
{
    /// <summary>By the first token, then by the last.</summary>
    public int CompareTo(MentionSpan other) => First != other.First ? First.CompareTo(other.First) : Last.CompareTo(other.Last);

    /// <summary>Whether each of the two holds a token that the other lacks, and they share one: such spans cannot both be brackets.</summary>
    public bool Crosses(MentionSpan other) =>
        (First < other.First && other.First <= Last && Last < other.Last) || (other.First < First && First <= other.Last && other.Last < Last);

    /// <summary>Earlier in this order.</summary>
    public static bool operator <(MentionSpan left, MentionSpan right) => left.CompareTo(right) < 0;

    /// <summary>Later in this order.</summary>
    public static bool operator >(MentionSpan left, MentionSpan right) => left.CompareTo(right) > 0;

    /// <summary>Not later in this order.</summary>
    public static bool operator <=(MentionSpan left, MentionSpan right) => left.CompareTo(right) <= 0;

    /// <summary>Not earlier in this order.</summary>
    public static bool operator >=(MentionSpan left, MentionSpan right) => left.CompareTo(right) >= 0;
}
