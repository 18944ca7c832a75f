using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace LongformerInterop.Cli.Tests;

/// <summary>Runs the built program as its users do.</summary>
internal static class Longformer
{
    internal sealed record Result(int Status, string Output, string Error)
    {
        /// <summary>Standard output as JSON.</summary>
        internal JsonElement Json
        {
            get
            {
                using JsonDocument document = JsonDocument.Parse(Output);
                return document.RootElement.Clone();
            }
        }
    }

    internal static Result Run(params string[] arguments) => RunWith(null, arguments);

    /// <summary>
    /// Runs it where no file may grow beyond a size: writing fails as on a full disk, without the rights that a small disk needs.
    /// </summary>
    internal static Result RunLimited(int kibibytes, params string[] arguments)
    {
        // The signal of the limit would end the program; the runtime's double mapping of code would count as a large file.
        ProcessStartInfo start = Start("bash", "-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec dotnet \"$@\"", "bash",
            kibibytes.ToString(System.Globalization.CultureInfo.InvariantCulture));
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        return Run(start, null, arguments);
    }

    /// <summary>Runs it by a script of bash: $1 is a folder, the program and its arguments come behind it.</summary>
    internal static Result RunInShell(string script, string folder, params string[] arguments) =>
        Run(Start("bash", "-c", script, "bash", folder), null, arguments);

    internal static Result RunWith(byte[]? input, params string[] arguments) => Run(Start("dotnet"), input, arguments);

    private static ProcessStartInfo Start(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
            WorkingDirectory = AppContext.BaseDirectory,
        };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return start;
    }

    /// <summary>Presses Ctrl-C (SIGINT) as soon as something is so.</summary>
    internal static Result RunInterrupted(Func<bool> when, params string[] arguments) => Run(Start("dotnet"), null, arguments, process =>
    {
        while (!process.HasExited && !when())
            Thread.Sleep(1);
        using Process kill = Process.Start("kill", ["-INT", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    });

    /// <summary>Kills it (SIGKILL) as soon as something is so, unless it has ended.</summary>
    internal static Result RunKilled(Func<bool> when, params string[] arguments) => Run(Start("dotnet"), null, arguments, process =>
    {
        while (!process.HasExited && !when())
            Thread.Sleep(1);
        process.Kill();
    });

    private static Result Run(ProcessStartInfo start, byte[]? input, string[] arguments, Action<Process>? meanwhile = null)
    {
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "longformer.dll"));
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (input is not null)
            process.StandardInput.BaseStream.Write(input);
        process.StandardInput.Close();
        meanwhile?.Invoke(process);
        if (!process.WaitForExit(TimeSpan.FromMinutes(5)))
        {
            process.Kill();
            throw new TimeoutException($"longformer {string.Join(' ', arguments)} did not end");
        }
        return new Result(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Expects a failure: that status, nothing but one line on standard error, no stack trace.</summary>
    internal static string Fails(int status, params string[] arguments)
    {
        Result result = Run(arguments);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Status, Is.EqualTo(status), result.Error + result.Output);
            Assert.That(result.Error, Does.StartWith("longformer: ").And.EndsWith("\n"));
            Assert.That(result.Error.TrimEnd('\n'), Does.Not.Contain("\n").And.Not.Contain("   at ").And.Not.Contain("internal error"));
        }
        return result.Error;
    }

    /// <summary>Expects success and nothing on standard error.</summary>
    internal static Result Succeeds(params string[] arguments)
    {
        Result result = Run(arguments);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Status, Is.Zero, result.Error + result.Output);
            Assert.That(result.Error, Is.Empty);
        }
        return result;
    }
}
