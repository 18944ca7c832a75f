namespace LongformerInterop.Tasks;

/// <summary>How the hidden states of a document's tokens become what <see cref="DocumentEncoder"/> returns.</summary>
public enum Pooling
{
    /// <summary>The hidden state of the first token, <c>&lt;s&gt;</c>: one vector per document.</summary>
    Cls,

    /// <summary>The mean over all tokens, the special ones included as sentence-transformers does: one vector per document.</summary>
    Mean,

    /// <summary>No pooling: one vector per token.</summary>
    Tokens,

    /// <summary>
    /// As a folder of sentence-transformers says: its pooling or poolings, dense layers and normalization, and, as there, no global tokens: one
    /// vector per document.
    /// </summary>
    Sentence,
}
