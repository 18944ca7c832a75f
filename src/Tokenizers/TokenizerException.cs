namespace LongformerInterop.Tokenizers;

/// <summary>
/// A tokenizer file that cannot be used, or a request that a tokenizer cannot meet. The message is one line that names the file
/// (with its line or key), what was expected and what was given.
/// </summary>
public sealed class TokenizerException : Exception
{
    /// <summary>An error with a message.</summary>
    /// <param name="message">One line: where, expected, given.</param>
    public TokenizerException(string message)
        : base(message)
    {
    }

    /// <summary>An error with a message and its cause.</summary>
    /// <param name="message">One line: where, expected, given.</param>
    /// <param name="innerException">The cause.</param>
    public TokenizerException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
