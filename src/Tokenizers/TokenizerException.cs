namespace LongformerInterop.Tokenizers;

/// <summary>
/// A tokenizer file that cannot be used, or (<see cref="TokenizerInputException"/>) a request that a tokenizer cannot meet. The message is one line
/// that names the file (with its line or key), what was expected and what was given.
/// </summary>
public class TokenizerException : Exception
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

/// <summary>A request that the tokenizer cannot meet, such as a negative id: the caller's mistake, not the files'.</summary>
public sealed class TokenizerInputException : TokenizerException
{
    /// <summary>An error with a message.</summary>
    /// <param name="message">One line: what, expected, given.</param>
    public TokenizerInputException(string message)
        : base(message)
    {
    }
}
