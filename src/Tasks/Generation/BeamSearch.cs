namespace LongformerInterop.Tasks.Generation;

/// <summary>
/// Beam search of one document, as <c>_beam_search</c> of transformers 5.12 does it (<c>transformers/generation/utils.py</c>); the rows of
/// a batch do not influence each other there, so each document has its own search here and leaves the batch when it is done.
/// <para>
/// At each step the best (1 + end tokens) x beams continuations of all beams are gathered. Those that end (by an end token or at the maximum
/// length) and are among the first <i>beams</i> compete for a place among the finished hypotheses at score / length^penalty; the best that
/// do not end run on. All scores are float32 in torch's order of operations, -1e9 for "not there", so that ids agree.
/// </para>
/// </summary>
internal sealed class BeamSearch
{
    private const float Absent = -1e9f;

    private readonly GenerationPlan _plan;
    private readonly CandidateSet _candidates;
    private Hypothesis[] _running;
    private readonly List<Hypothesis> _finished;
    private bool _mayImprove = true;
    private bool _stopped;

    public BeamSearch(GenerationPlan plan)
    {
        _plan = plan;
        _candidates = new CandidateSet(Math.Max(2, 1 + plan.EndTokens.Length) * plan.Beams);
        // All beams start as the same prompt, and all but the first are absent, so that the first step takes different tokens.
        _running = [.. Enumerable.Range(0, plan.Beams).Select(i => new Hypothesis(plan.Prompt, [], i == 0 ? 0f : Absent, 0, false))];
        _finished = [.. Enumerable.Range(0, plan.Beams).Select(_ => new Hypothesis(plan.Prompt, [], Absent, 0, false))];
    }

    /// <summary>One sequence of tokens: running, or finished (then the score has its length penalty).</summary>
    internal sealed record Hypothesis(int[] Ids, float[] TokenScores, float Score, int Parent, bool Finished);

    /// <summary>No further step can change the result.</summary>
    public bool Done => _stopped;

    /// <summary>The sequences to be continued, best first; <see cref="Hypothesis.Parent"/> is the beam of the step before.</summary>
    public IReadOnlyList<Hypothesis> Running => _running;

    /// <summary>The finished hypotheses so far, best first.</summary>
    public IEnumerable<Hypothesis> Finished => _finished.Where(h => h.Finished);

    /// <summary>Continues all beams by one token.</summary>
    /// <param name="logits">[beams][V] raw logits of each running beam, changed in place; the first step may give one row for all beams.</param>
    /// <param name="elapsed">Seconds since the first token was asked for.</param>
    public void Advance(LogitsRows logits, double elapsed = 0)
    {
        int length = _running[0].Ids.Length;
        _candidates.Clear();
        for (int beam = 0; beam < _running.Length; beam++)
        {
            Span<float> row = logits[beam];
            if (beam == 0 || logits.Count > 1)
            {
                RowMath.LogSoftmax(row);
                foreach (LogitsProcessor processor in _plan.Processors)
                {
                    if (processor.AppliesTo(beam))
                        processor.Apply(_running[beam].Ids, row);
                }
            }
            if (!_plan.Sample)
                _candidates.Scan(row, _running[beam].Score, beam);
        }
        Candidate[] next = _plan.Sample ? Draw(logits, length) : _candidates.Best.ToArray();

        bool[] ends = [.. next.Select(c => _plan.IsComplete([.. _running[c.Row].Ids, c.Token], elapsed))];
        List<Hypothesis> extended = new(next.Length);
        for (int i = 0; i < next.Length; i++)
            extended.Add(Extend(next[i], logits[next[i].Row][next[i].Token], ends[i]));
        SelectRunning(extended, ends);
        SelectFinished(extended, ends, length + 1);
        CheckEnd(length + 1, ends);
    }

    /// <summary>
    /// The best hypotheses, best first. Where fewer have finished than asked for (every continuation was forbidden), the running ones
    /// fill the places.
    /// </summary>
    public IEnumerable<Hypothesis> Results(int count) =>
        Finished.Concat(_running.Select(h => h with { Score = Penalised(h.Score, h.Ids.Length) })).Take(count);

    private Hypothesis Extend(Candidate candidate, float tokenScore, bool ends)
    {
        Hypothesis parent = _running[candidate.Row];
        return new Hypothesis([.. parent.Ids, candidate.Token], [.. parent.TokenScores, tokenScore], candidate.Score, candidate.Row, ends);
    }

    /// <summary>_get_running_beams_for_next_iteration: beams that have ended are pushed out of the way.</summary>
    private void SelectRunning(List<Hypothesis> extended, bool[] ends)
    {
        CandidateSet best = new(_plan.Beams);
        for (int i = 0; i < extended.Count; i++)
            best.Offer(new Candidate(ends[i] ? extended[i].Score + Absent : extended[i].Score, i, 0));
        Hypothesis[] running = new Hypothesis[_plan.Beams];
        for (int i = 0; i < running.Length; i++)
            running[i] = extended[best.Best[i].Row] with { Score = best.Best[i].Score, Finished = false };
        _running = running;
    }

    /// <summary>_update_finished_beams: only the first <i>beams</i> candidates may finish; the others are there to run on.</summary>
    private void SelectFinished(List<Hypothesis> extended, bool[] ends, int length)
    {
        CandidateSet best = new(_plan.Beams);
        for (int i = 0; i < _finished.Count; i++)
            best.Offer(new Candidate(_finished[i].Score, i, 0));
        for (int i = 0; i < Math.Min(extended.Count, _plan.Beams); i++)
        {
            if (ends[i])
                best.Offer(new Candidate(Penalised(extended[i].Score, length), _finished.Count + i, 0));
        }
        Hypothesis[] kept = new Hypothesis[best.Best.Length];
        for (int i = 0; i < kept.Length; i++)
        {
            Candidate c = best.Best[i];
            kept[i] = c.Row < _finished.Count ? _finished[c.Row] : extended[c.Row - _finished.Count] with { Score = c.Score };
        }
        _finished.Clear();
        _finished.AddRange(kept);
    }

    /// <summary>_check_early_stop_heuristic and _beam_search_has_unfinished_sequences, for this document alone.</summary>
    private void CheckEnd(int length, bool[] ends)
    {
        int hypothetical = _plan.EarlyStopping == EarlyStopping.Never && _plan.LengthPenalty > 0 ? _plan.MaxLength : length;
        float possible = Penalised(_running[0].Score, hypothetical);
        bool full = _finished.TrueForAll(h => h.Finished);
        float worst = full ? _finished[^1].Score : Absent;
        _mayImprove &= possible > worst;
        _stopped = !_mayImprove || (full && _plan.EarlyStopping == EarlyStopping.AtBeamCount) || Array.TrueForAll(ends, e => e);
    }

    /// <summary>score / (tokens after the prompt)^penalty, the power in double and the quotient in float, as torch computes it.</summary>
    private float Penalised(float score, int length) => score / (float)Math.Pow(length - _plan.Prompt.Length, _plan.LengthPenalty);

    /// <summary>
    /// Beam sampling: as many different continuations as the search gathers, drawn without replacement in proportion to their probability,
    /// by the largest of score + Gumbel noise (Kool et al., "Stochastic beams and where to find them", ICML 2019).
    /// </summary>
    private Candidate[] Draw(LogitsRows logits, int length)
    {
        CandidateSet keys = new(Math.Max(2, 1 + _plan.EndTokens.Length) * _plan.Beams);
        for (int beam = 0; beam < _running.Length; beam++)
        {
            Span<float> row = logits[beam];
            for (int token = 0; token < row.Length; token++)
            {
                if (float.IsNegativeInfinity(row[token]))
                    continue;
                double u = CounterRandom.Uniform(_plan.Seed, 0, length, (long)beam * row.Length + token);
                keys.Offer(new Candidate((float)(row[token] + _running[beam].Score - Math.Log(-Math.Log(u))), beam, token));
            }
        }
        Candidate[] drawn = keys.Best.ToArray();
        foreach (ref Candidate c in drawn.AsSpan())
            c = c with { Score = logits[c.Row][c.Token] + _running[c.Row].Score };
        return drawn;
    }
}

/// <summary>Rows of logits that are one after the other. A single row counts for all beams.</summary>
internal readonly ref struct LogitsRows(Span<float> values, int width)
{
    private readonly Span<float> _values = values;

    /// <summary>Number of rows.</summary>
    public int Count => _values.Length / width;

    /// <summary>[V] the logits of one row.</summary>
    public Span<float> this[int row] => _values.Slice(Count == 1 ? 0 : row * width, width);
}
