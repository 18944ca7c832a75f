namespace LongformerInterop.Models.Led;

/// <summary>
/// Token-by-token decoding of a batch of encoded documents. Every row of a step continues a row of the step before it, so that beams
/// may split, end and disappear: a row that nobody continues costs nothing any more.
/// </summary>
public interface IDecodingSession : IDisposable
{
    /// <summary>Number of encoded documents.</summary>
    int Documents { get; }

    /// <summary>Begins every document with one row.</summary>
    /// <param name="prompts">[documents][P] decoder tokens, the start token included; their lengths may differ.</param>
    /// <returns>[documents * V] raw logits behind the last prompt token. The caller may change them; valid until the next call.</returns>
    Span<float> Start(IReadOnlyList<int[]> prompts);

    /// <summary>Continues rows by one token each.</summary>
    /// <param name="tokens">[R] the token that each new row appends.</param>
    /// <param name="parents">[R] the row of the step before that it continues, ascending by document.</param>
    /// <returns>[R * V] raw logits behind the appended tokens. The caller may change them; valid until the next call.</returns>
    Span<float> Step(scoped ReadOnlySpan<int> tokens, scoped ReadOnlySpan<int> parents);
}
