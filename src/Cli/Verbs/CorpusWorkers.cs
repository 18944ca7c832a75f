using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LongformerInterop.Cli.Output;
using LongformerInterop.Corpora;

namespace LongformerInterop.Cli.Verbs;

/// <summary>Several processes that share the parts of a corpus: this program again, each with a share of the parts and of the cores.</summary>
internal static class CorpusWorkers
{
    /// <summary>Starts the workers and waits for them.</summary>
    /// <param name="parsed">The command line, which is theirs too.</param>
    /// <param name="workers">How many.</param>
    /// <param name="shard">This run's own share, from 1, which they divide among them.</param>
    /// <param name="shards">Of how many.</param>
    /// <param name="report">Called with the progress of all together.</param>
    /// <param name="cancellation">Asks them to stop.</param>
    /// <exception cref="IOException">A worker failed; its own message is on standard error.</exception>
    internal static CorpusProgress Run(ParseResult parsed, int workers, int shard, int shards, Action<CorpusProgress> report,
        CancellationToken cancellation)
    {
        CorpusProgress[] each = new CorpusProgress[workers];
        Process[] processes = [.. Enumerable.Range(0, workers)
            .Select(w => Process.Start(Command(parsed, workers, shard + (shards * w), shards * workers))!)];
        Lock gate = new();
        try
        {
            Task[] readers = [.. processes.Select((process, w) => Task.Run(() =>
            {
                while (process.StandardOutput.ReadLine() is { } line)
                {
                    lock (gate)
                    {
                        each[w] = Read(line);
                        report(Sum(each));
                    }
                }
            }, CancellationToken.None))];
            foreach (Process process in processes)
                process.WaitForExitAsync(cancellation).GetAwaiter().GetResult();
            Task.WaitAll(readers, cancellation);
        }
        finally
        {
            // Where the wait was ended, or a worker that failed leaves others.
            foreach (Process process in processes)
            {
                // A closed standard input is the end of a worker: it lets its part go.
                process.StandardInput.Close();
                process.WaitForExit();
            }
        }
        int failed = Array.FindIndex(processes, p => p.ExitCode != 0);
        foreach (Process process in processes)
            process.Dispose();
        return failed < 0
            ? Sum(each)
            : throw new IOException($"worker {failed + 1} of {workers} failed; finished parts stay, and --resume continues");
    }

    /// <summary>Ends this process when the one that started it is gone, however it ended.</summary>
    internal static void EndWithParent()
    {
        Thread watch = new(() =>
        {
            using Stream input = Console.OpenStandardInput();
            while (input.ReadByte() >= 0)
            {
            }
            Environment.Exit(CommandFailure.Failed);
        })
        { IsBackground = true };
        watch.Start();
    }

    /// <summary>A worker's progress, on a line of its standard output.</summary>
    internal static void Tell(CorpusProgress progress)
    {
        using Stream output = Console.OpenStandardOutput();
        JsonOutput.WriteLine(output, json =>
        {
            json.WriteNumber("fraction", progress.Fraction);
            json.WriteNumber("parts", progress.Parts);
            json.WriteNumber("rows", progress.Rows);
            json.WriteNumber("failed", progress.Failed);
            json.WriteNumber("tokens", progress.Tokens);
            json.WriteNumber("found", progress.Found);
        });
    }

    private static CorpusProgress Read(string line)
    {
        using JsonDocument json = JsonDocument.Parse(line);
        JsonElement root = json.RootElement;
        return new CorpusProgress(root.GetProperty("fraction").GetDouble(), root.GetProperty("parts").GetInt32(), root.GetProperty("rows").GetInt64(),
            root.GetProperty("failed").GetInt64(), root.GetProperty("tokens").GetInt64(), root.GetProperty("found").GetInt32());
    }

    private static CorpusProgress Sum(CorpusProgress[] each) => new(each.Average(p => p.Fraction), each.Sum(p => p.Parts), each.Sum(p => p.Rows),
        each.Sum(p => p.Failed), each.Sum(p => p.Tokens), each.Sum(p => p.Found));

    private static ProcessStartInfo Command(ParseResult parsed, int workers, int shard, int shards)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        // Under the dotnet command the program is its first argument.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        string[] given = [.. parsed.Tokens.Select(t => t.Value)];
        for (int i = 0; i < given.Length; i++)
        {
            if (given[i] is "--workers" or "--shard")
                i++;
            else
                start.ArgumentList.Add(given[i]);
        }
        string[] own = ["--shard", string.Create(CultureInfo.InvariantCulture, $"{shard}/{shards}"), "--report"];
        foreach (string argument in own)
            start.ArgumentList.Add(argument);
        if (!given.Contains("--threads"))
        {
            start.ArgumentList.Add("--threads");
            start.ArgumentList.Add(Math.Max(1, Environment.ProcessorCount / workers).ToString(CultureInfo.InvariantCulture));
        }
        return start;
    }
}
