using System.Globalization;
using LongformerInterop.Torch;

namespace LongformerInterop.Corpora;

/// <summary>
/// Works through a corpus: rows in parts, a part at a time, in bounded memory. Parts are cut by the input alone, so that every process that does a
/// part, at any time, writes the same; a part that is there is not done again. So a run that was killed is resumed, and several processes can do
/// shares of the parts at once.
/// </summary>
public static class CorpusRun
{
    /// <summary>Does all parts of this share that are not there yet.</summary>
    /// <param name="files">The input: <see cref="CorpusFormats.Find"/>.</param>
    /// <param name="output">The folder for the parts.</param>
    /// <param name="task">What is done with the texts.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Called after every part, and while parts are passed over.</param>
    /// <param name="cancellation">Stops between two layers of the model; the parts written so far stay.</param>
    /// <returns>What was done.</returns>
    /// <exception cref="InputException">The input or a row of it is wrong (the message names it), or the output cannot be used or
    /// written.</exception>
    public static CorpusProgress Run(IReadOnlyList<string> files, string output, CorpusTask task, CorpusOptions? options = null,
        Action<CorpusProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        ArgumentNullException.ThrowIfNull(task);
        options ??= new CorpusOptions();
        Check(options);
        ICorpusReader reader = CorpusFormats.IsParquet(files[0])
            ? new ParquetReaderRows(files, options.TextColumn, options.Keep) : new JsonLinesReader(files, options.TextColumn, options.Keep);
        using CorpusFolder folder = new(output, options, Settings(files, options));
        using Session run = new(folder, task, options, reader, progress, cancellation);
        List<PendingRow> rows = [];
        long characters = 0, part = 0;
        foreach (PendingRow row in reader.Rows())
        {
            rows.Add(row);
            characters += row.Length;
            if (rows.Count < options.RowsPerPart && characters < options.CharactersPerPart)
                continue;
            run.Do(part++, rows);
            rows.Clear();
            characters = 0;
        }
        if (rows.Count > 0)
            run.Do(part++, rows);
        run.Written();
        return part == 0 ? throw new InputException($"{files[0]}: no row in it") : run.Progress with { Fraction = 1 };
    }

    private static void Check(CorpusOptions options)
    {
        if (!CorpusFormats.Suffixes.Contains(options.Suffix))
            throw new InputException("Suffix", $"one of {string.Join(", ", CorpusFormats.Suffixes)}", options.Suffix);
        if (options.RowsPerPart < 1 || options.CharactersPerPart < 1)
            throw new InputException("RowsPerPart", "at least 1", $"{Math.Min(options.RowsPerPart, options.CharactersPerPart)}");
        if (options.Shards < 1 || options.Shard < 1 || options.Shard > options.Shards)
            throw new InputException("Shard", $"1 to {Math.Max(1, options.Shards)}", $"{options.Shard}");
    }

    /// <summary>
    /// Returns the settings that decide the results: none of them may change while an output is worked on. Whether a row that fails ends the
    /// run decides nothing: the parts before the row are the same, so that a run that stopped may go on past it.
    /// </summary>
    private static Dictionary<string, string> Settings(IReadOnlyList<string> files, CorpusOptions options)
    {
        Dictionary<string, string> settings = new(options.Settings, StringComparer.Ordinal)
        {
            ["text column"] = options.TextColumn ?? "text, document or context",
            ["carried columns"] = options.Keep is null ? "all" : string.Join(", ", options.Keep),
            ["format"] = options.Suffix,
            ["rows in a part"] = options.RowsPerPart.ToString(CultureInfo.InvariantCulture),
            ["characters in a part"] = options.CharactersPerPart.ToString(CultureInfo.InvariantCulture),
        };
        for (int i = 0; i < files.Count; i++)
        {
            settings[string.Create(CultureInfo.InvariantCulture, $"input {i + 1}")] =
                string.Create(CultureInfo.InvariantCulture, $"{Path.GetFullPath(files[i])}, {new FileInfo(files[i]).Length} bytes");
        }
        return settings;
    }

    private sealed class Session(CorpusFolder folder, CorpusTask task, CorpusOptions options, ICorpusReader reader, Action<CorpusProgress>? report,
        CancellationToken cancellation) : IDisposable
    {
        // The part that is being written while the model works on the next one: a disk is waited for, not computed with.
        private Task _writing = Task.CompletedTask;
        private CorpusProgress _after;

        public CorpusProgress Progress { get; private set; }

        /// <summary>Waits until the part before is there.</summary>
        /// <exception cref="InputException">It cannot be written.</exception>
        public void Written()
        {
            Task written = _writing;
            _writing = Task.CompletedTask;
            written.GetAwaiter().GetResult();
            if (_after.Parts > Progress.Parts)
                Report(_after);
        }

        /// <summary>Lets the part before be finished where the run ends otherwise.</summary>
        public void Dispose()
        {
            try
            {
                _writing.GetAwaiter().GetResult();
            }
            catch (InputException)
            {
                // The run ends by another failure, which is reported.
            }
        }

        public void Do(long part, IReadOnlyList<PendingRow> pending)
        {
            cancellation.ThrowIfCancellationRequested();
            if (part % options.Shards != options.Shard - 1)
                return;
            if (folder.Has(part))
            {
                Written();
                Report(Progress with { Found = Progress.Found + 1, Failed = Progress.Failed + folder.Failures(part) });
                return;
            }
            CorpusRow[] rows = [.. pending.Select(p => p.Read())];
            int[] good = [.. Enumerable.Range(0, rows.Length).Where(i => rows[i].Text is not null)];
            List<(int Row, string Problem)> failed =
                [.. Enumerable.Range(0, rows.Length).Where(i => rows[i].Text is null).Select(i => (i, rows[i].Problem!))];
            Stop(failed, pending);
            CorpusResult[] results = task.Run([.. good.Select(i => rows[i].Text!)], cancellation);
            List<FinishedRow> finished = [];
            long tokens = 0;
            for (int i = 0; i < good.Length; i++)
            {
                if (results[i].Values is { } values)
                    finished.Add(new FinishedRow(rows[good[i]].Carried, values));
                else
                    failed.Add((good[i], results[i].Problem!.Rename(_ => "text").Message));
                tokens += results[i].Tokens;
            }
            Stop(failed, pending);
            Written();
            IReadOnlyList<CorpusColumn> carried = reader.Carried ?? [];
            string[] sources = [.. pending.Select(p => p.Source)];
            _after = Progress with
            {
                Parts = Progress.Parts + 1, Rows = Progress.Rows + finished.Count, Failed = Progress.Failed + failed.Count,
                    Tokens = Progress.Tokens + tokens,
            };
            _writing = Task.Run(() =>
            {
                if (failed.Count > 0)
                    CorpusFolder.Write(folder.FailureFile(part), stream => WriteFailures(stream, failed, sources));
                // Last: a part that is there has all that belongs to it.
                CorpusFolder.Write(folder.PartFile(part), stream => PartWriter.Write(stream, options.Suffix, carried, task.Columns, finished));
            }, CancellationToken.None);
        }

        private void Stop(List<(int Row, string Problem)> failed, IReadOnlyList<PendingRow> pending)
        {
            if (!options.Skip && failed.Count > 0)
            {
                (int row, string problem) = failed[0];
                throw new InputException($"{pending[row].Source}: {problem}");
            }
        }

        private void Report(CorpusProgress now)
        {
            Progress = now with { Fraction = reader.Fraction };
            report?.Invoke(Progress);
        }

        private static void WriteFailures(Stream stream, List<(int Row, string Problem)> failed, string[] sources)
        {
            foreach ((int row, string problem) in failed.OrderBy(f => f.Row))
            {
                PartWriter.WriteLine(stream, json =>
                {
                    json.WriteString("source", sources[row]);
                    json.WriteString("error", problem);
                });
            }
        }
    }
}
