using System.Diagnostics;
using System.Runtime.InteropServices;
using LongformerInterop.Models;
using LongformerInterop.Models.Led;

namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// The loop around a decoding session: logits in, tokens out, until every document is done. It knows no tensors; sessions are compared
/// with each other (cached, uncached, scripted) under this same loop.
/// </summary>
internal sealed class GenerationLoop
{
    private readonly IDecodingSession _session;
    private readonly GenerationPlan[] _plans;
    private readonly GenerationPlan _plan;
    private readonly Action<GeneratedToken>? _onToken;
    private readonly IProgress<GenerationProgress>? _progress;
    private readonly CancellationToken _cancel;
    private readonly Stopwatch _time = Stopwatch.StartNew();

    private GenerationLoop(IDecodingSession session, GenerationPlan[] plans, Action<GeneratedToken>? onToken,
        IProgress<GenerationProgress>? progress, CancellationToken cancel) =>
        (_session, _plans, _plan, _onToken, _progress, _cancel) = (session, plans, plans[0], onToken, progress, cancel);

    /// <summary>Generates for every document of a session.</summary>
    /// <param name="session">The encoded documents.</param>
    /// <param name="plans">For each document its plan; they differ in the prompts and in settings that depend on their lengths.</param>
    /// <param name="onToken">Called with each settled token.</param>
    /// <param name="progress">Called after each step.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>[documents][n-best] sequences: of a beam search best first, samples in the order of their numbers.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancel"/> was cancelled; checked before every step.</exception>
    public static GeneratedSequence[][] Run(IDecodingSession session, GenerationPlan[] plans, Action<GeneratedToken>? onToken = null,
        IProgress<GenerationProgress>? progress = null, CancellationToken cancel = default)
    {
        GenerationLoop loop = new(session, plans, onToken, progress, cancel);
        return plans[0].Beams > 1 ? loop.SearchBeams() : loop.FollowRows();
    }

    private Span<float> Start()
    {
        CancelPoll.ThrowIfStopped(_cancel);
        return _session.Start([.. _plans.Select(p => p.Prompt)]);
    }

    private void Report(int step, int open) =>
        _progress?.Report(new GenerationProgress(step, _plans.Max(p => p.MaxLength - p.Prompt.Length), open));

    // ---- beam search -------------------------------------------------------------------------------------------------------------

    private GeneratedSequence[][] SearchBeams()
    {
        int width = _plan.VocabularySize;
        BeamSearch[] searches = [.. _plans.Select(p => new BeamSearch(p))];
        int[] streamed = [.. _plans.Select(p => p.Prompt.Length)];
        // The rows of the session belong to the open documents in order; after the start each has one row, then one per beam.
        int[] open = [.. Enumerable.Range(0, searches.Length)];
        int rowsEach = 1;
        Span<float> logits = Start();
        for (int step = 1; ; step++)
        {
            List<int> tokens = new();
            List<int> parents = new();
            List<int> still = new();
            for (int i = 0; i < open.Length; i++)
            {
                BeamSearch search = searches[open[i]];
                search.Advance(new LogitsRows(logits.Slice(i * rowsEach * width, rowsEach * width), width), _time.Elapsed.TotalSeconds);
                Stream(open[i], search, ref streamed[open[i]]);
                if (search.Done)
                    continue;
                still.Add(open[i]);
                foreach (BeamSearch.Hypothesis beam in search.Running)
                {
                    tokens.Add(beam.Ids[^1]);
                    parents.Add(i * rowsEach + (rowsEach == 1 ? 0 : beam.Parent));
                }
            }
            Report(step, still.Count);
            if (still.Count == 0)
                break;
            (open, rowsEach) = ([.. still], _plan.Beams);
            CancelPoll.ThrowIfStopped(_cancel);
            logits = _session.Step([.. tokens], [.. parents]);
        }
        return [.. searches.Zip(_plans, (search, plan) => search.Results(plan.NBest).Select(h => Sequence(h, plan)).ToArray())];
    }

    private static GeneratedSequence Sequence(BeamSearch.Hypothesis h, GenerationPlan plan) => new()
    {
        Ids = h.Ids,
        PromptLength = plan.Prompt.Length,
        Score = h.Score,
        TokenScores = h.TokenScores,
        Ended = plan.Ends(h.Ids[^1]) && h.Ids.Length > plan.Prompt.Length,
    };

    /// <summary>A token of a beam search is settled once every hypothesis that may still be the result has it.</summary>
    private void Stream(int document, BeamSearch search, ref int streamed)
    {
        if (_onToken is null)
            return;
        int[] best = search.Done ? search.Results(1).First().Ids : search.Running[0].Ids;
        int agreed = best.Length;
        if (!search.Done)
        {
            foreach (BeamSearch.Hypothesis other in search.Running.Concat(search.Finished))
                agreed = Math.Min(agreed, best.AsSpan().CommonPrefixLength(other.Ids));
        }
        for (; streamed < agreed; streamed++)
            _onToken(new GeneratedToken(document, 0, streamed, best[streamed]));
    }

    // ---- greedy search and sampling ----------------------------------------------------------------------------------------------

    /// <summary>One sequence that grows by the best token, or a drawn one.</summary>
    private sealed class Row(int document, int sample, GenerationPlan plan)
    {
        public int Document => document;
        public int Sample => sample;
        public GenerationPlan Plan => plan;
        public List<int> Ids { get; } = [.. plan.Prompt];
        public List<float> Scores { get; } = [];
        public List<float[]> Logits { get; } = [];
        public bool Finished { get; set; }
    }

    private GeneratedSequence[][] FollowRows()
    {
        int width = _plan.VocabularySize, samples = _plan.NBest;
        Row[] rows = new Row[_session.Documents * samples];
        for (int i = 0; i < rows.Length; i++)
            rows[i] = new Row(i / samples, i % samples, _plans[i / samples]);

        Row[] active = rows;
        // The session's row behind each active row: at the start that is the document's.
        int[] sources = [.. rows.Select(r => r.Document)];
        float[] scratch = samples > 1 ? new float[width] : [];
        Span<float> logits = Start();
        for (int step = 1; ; step++)
        {
            for (int i = 0; i < active.Length; i++)
            {
                Span<float> scores = logits.Slice(sources[i] * width, width);
                if (samples > 1)
                {
                    // At the first step, the samples of a document share its one row.
                    scores.CopyTo(scratch);
                    scores = scratch;
                }
                Append(active[i], scores);
            }
            int open = active.Where(r => !r.Finished).Select(r => r.Document).Distinct().Count();
            Report(step, open);
            if (open == 0)
                break;
            int[] kept = [.. Enumerable.Range(0, active.Length).Where(i => _plan.KeepLogits || !active[i].Finished)];
            int[] parents = [.. kept.Select(i => sources[i])];
            active = [.. kept.Select(i => active[i])];
            CancelPoll.ThrowIfStopped(_cancel);
            logits = _session.Step([.. active.Select(r => r.Ids[^1])], parents);
            sources = [.. Enumerable.Range(0, active.Length)];
        }
        return [.. rows.Chunk(samples).Select(group => group.Select(Sequence).ToArray())];
    }

    private void Append(Row row, Span<float> scores)
    {
        if (row.Plan.KeepLogits)
            row.Logits.Add(scores.ToArray());
        if (row.Finished)
        {
            // Only with KeepLogits: HF feeds padding to rows that have ended.
            row.Ids.Add(row.Plan.PaddingToken);
            return;
        }
        ReadOnlySpan<int> ids = CollectionsMarshal.AsSpan(row.Ids);
        foreach (LogitsProcessor processor in row.Plan.Processors)
        {
            if (processor.AppliesTo(row.Sample))
                processor.Apply(ids, scores);
        }
        double normaliser = RowMath.LogSumExp(scores);
        int token = row.Plan.Sample ? Draw(scores, normaliser, row) : Math.Max(RowMath.Best(scores).Index, 0);
        row.Scores.Add((float)(scores[token] - normaliser));
        row.Ids.Add(token);
        row.Finished = row.Plan.IsComplete(CollectionsMarshal.AsSpan(row.Ids), _time.Elapsed.TotalSeconds);
        _onToken?.Invoke(new GeneratedToken(row.Document, row.Sample, row.Ids.Count - 1, token));
    }

    /// <summary>Inversion: the first token at which the cumulative probability passes a uniform number.</summary>
    private int Draw(ReadOnlySpan<float> scores, double normaliser, Row row)
    {
        double u = CounterRandom.Uniform(_plan.Seed, row.Sample, row.Ids.Count, 0), sum = 0;
        int last = 0;
        for (int token = 0; token < scores.Length; token++)
        {
            if (float.IsNegativeInfinity(scores[token]))
                continue;
            last = token;
            sum += Math.Exp(scores[token] - normaliser);
            if (sum > u)
                break;
        }
        return last;
    }

    private static GeneratedSequence Sequence(Row row)
    {
        int length = row.Plan.Prompt.Length + row.Scores.Count;
        int[] ids = [.. row.Ids.Take(length)];
        return new GeneratedSequence
        {
            Ids = ids,
            PromptLength = row.Plan.Prompt.Length,
            Score = row.Scores.Sum() / (float)Math.Pow(row.Scores.Count, row.Plan.LengthPenalty),
            TokenScores = row.Scores,
            Ended = row.Plan.Ends(ids[^1]),
            Logits = row.Plan.KeepLogits ? row.Logits : null,
        };
    }
}
