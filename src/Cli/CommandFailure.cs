using System.Text;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli;

/// <summary>Turns an exception into one line on standard error and an exit status.</summary>
internal static class CommandFailure
{
    internal const int Failed = 1;
    internal const int WrongUsage = 2;

    /// <summary>Prints the line; with LONGFORMER_DEBUG=1 in the environment the stack follows.</summary>
    internal static int Report(Exception exception)
    {
        Exception e = exception is AggregateException { InnerExceptions.Count: 1 } a ? a.InnerExceptions[0] : exception;
        Console.Error.WriteLine($"longformer: {Describe(e)}");
        if (Environment.GetEnvironmentVariable("LONGFORMER_DEBUG") == "1")
            Console.Error.WriteLine(exception);
        return e is UsageException ? WrongUsage : Failed;
    }

    /// <summary>One line, without control characters: a hostile file name or text must not drive the terminal.</summary>
    internal static string Describe(Exception e) => OneLine(e switch
    {
        OperationCanceledException => "cancelled",
        UsageException or LongformerException or TokenizerException or IOException or UnauthorizedAccessException => e.Message,
        OutOfMemoryException => "out of memory",
        DllNotFoundException or BadImageFormatException => $"a native library cannot be loaded: {e.Message}",
        TypeInitializationException { InnerException: { } inner } => Describe(inner),
        _ => $"internal error ({e.GetType().Name}): {e.Message} (LONGFORMER_DEBUG=1 shows where)",
    });

    internal static string OneLine(string text)
    {
        StringBuilder line = new(text.Length);
        foreach (char c in text.Trim())
        {
            if (c is '\n' or '\r')
            {
                if (line.Length > 0 && line[^1] != ' ')
                    line.Append(' ');
            }
            else if (char.IsControl(c))
            {
                line.Append('?');
            }
            else if (c != ' ' || line.Length == 0 || line[^1] != ' ')
            {
                line.Append(c);
            }
        }
        return line.ToString();
    }
}
