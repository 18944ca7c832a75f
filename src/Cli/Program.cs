using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using System.Text;
using LongformerInterop.Cli.Verbs;

namespace LongformerInterop.Cli;

/// <summary>The command <c>longformer</c>. Exit status: 0 done, 1 failed, 2 wrong usage.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        RootCommand root = new("Longformer and LED on libtorch: long documents through transformers with sliding-window attention.");
        foreach (Func<Command> verb in VerbRegistry.Verbs)
            root.Add(verb());

        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction or null)
        {
            string verb = "";
            for (SymbolResult? at = parsed.CommandResult; at is CommandResult { Command: not RootCommand } part; at = at.Parent)
                verb = $" {part.Command.Name}{verb}";
            string message = verb.Length > 0 ? parsed.Errors[0].Message
                : parsed.UnmatchedTokens.Count > 0 ? $"there is no verb \"{parsed.UnmatchedTokens[0]}\""
                : "a verb is needed";
            Console.Error.WriteLine($"longformer: {CommandFailure.OneLine(message)} (longformer{verb} --help shows the usage)");
            return CommandFailure.WrongUsage;
        }
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    /// <summary>Runs a verb: Ctrl-C cancels it, an exception becomes one line on standard error and an exit status.</summary>
    internal static int Run(Func<CancellationToken, int> work)
    {
        using CancellationTokenSource cancellation = new();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cancel);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cancel);
        try
        {
            return work(cancellation.Token);
        }
#pragma warning disable CA1031 // The last stop before the user: every failure becomes one line, never a stack trace.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return CommandFailure.Report(e);
        }

        void Cancel(PosixSignalContext context)
        {
            // The second signal ends the process as usual.
            context.Cancel = !cancellation.IsCancellationRequested;
            cancellation.Cancel();
        }
    }
}
