using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks.Answering;

/// <summary>
/// Gathers the spans of all windows of one document and turns them into answers: equal character ranges become one
/// (overlapping windows see the same text twice), and the scores are probabilities over the windows together.
/// </summary>
internal sealed class AnswerMerger
{
    private readonly Dictionary<(int Start, int End), double> _best = [];
    private double _logStart = double.NegativeInfinity;
    private double _logEnd = double.NegativeInfinity;
    private double _noAnswer = double.PositiveInfinity;
    private float _noAnswerLogit;

    /// <summary>Adds one window.</summary>
    /// <param name="start">Start logits [T].</param>
    /// <param name="end">End logits [T].</param>
    /// <param name="offsets">Character ranges [T] in UTF-16 units of the document.</param>
    /// <param name="isDocument">[T], true for the tokens of the document.</param>
    /// <param name="count">How many answers are wanted in the end.</param>
    /// <param name="maxTokens">Longest answer in tokens.</param>
    internal void Add(ReadOnlySpan<float> start, ReadOnlySpan<float> end, ReadOnlySpan<TextRange> offsets,
        ReadOnlySpan<bool> isDocument, int count, int maxTokens)
    {
        bool[] allowed = new bool[start.Length];
        for (int i = 0; i < allowed.Length; i++)
        {
            allowed[i] = isDocument[i] && offsets[i].End > offsets[i].Start;
            // The softmax runs over the document and the first token, as transformers' pipeline has it: the first token
            // is where models trained with unanswerable questions put "no answer".
            if (isDocument[i] || i == 0)
            {
                _logStart = Scores.LogAdd(_logStart, start[i]);
                _logEnd = Scores.LogAdd(_logEnd, end[i]);
            }
        }

        AddNoAnswer(start, end, isDocument);

        // Tokens that share one character give spans with the same range, so ask for more until enough ranges are distinct.
        for (long wanted = count; ; wanted *= 2)
        {
            int asked = (int)Math.Min(wanted, int.MaxValue);
            List<TokenSpan> spans = SpanSearch.Best(start, end, allowed, asked, maxTokens);
            HashSet<(int, int)> distinct = [];
            foreach (TokenSpan span in spans)
                distinct.Add((offsets[span.Start].Start, offsets[span.End].End));
            if (distinct.Count < count && spans.Count == asked)
                continue;
            foreach (TokenSpan span in spans)
            {
                (int, int) range = (offsets[span.Start].Start, offsets[span.End].End);
                if (!_best.TryGetValue(range, out double logit) || span.Logit > logit)
                    _best[range] = span.Logit;
            }
            return;
        }
    }

    // The window's own probability, of which HF takes the smallest: an answer in any window speaks against none.
    private void AddNoAnswer(ReadOnlySpan<float> start, ReadOnlySpan<float> end, ReadOnlySpan<bool> isDocument)
    {
        double logStart = double.NegativeInfinity, logEnd = double.NegativeInfinity;
        for (int i = 0; i < start.Length; i++)
        {
            if (!isDocument[i] && i > 0)
                continue;
            logStart = Scores.LogAdd(logStart, start[i]);
            logEnd = Scores.LogAdd(logEnd, end[i]);
        }
        double probability = Math.Exp(start[0] + (double)end[0] - logStart - logEnd);
        if (probability >= _noAnswer)
            return;
        (_noAnswer, _noAnswerLogit) = (probability, start[0] + end[0]);
    }

    /// <summary>The best answers of all windows, best first.</summary>
    /// <param name="document">The document.</param>
    /// <param name="count">How many.</param>
    /// <param name="noAnswer">Whether "no answer" is one of them.</param>
    internal List<Answer> Finish(string document, int count, bool noAnswer = false)
    {
        List<Answer> found = Spans(document, count);
        if (!noAnswer)
            return found;
        found.Add(new Answer("", 0, 0, (float)_noAnswer, _noAnswerLogit));
        return [.. found.OrderByDescending(a => a.Score).Take(count)];
    }

    private List<Answer> Spans(string document, int count)
    {
        IEnumerable<KeyValuePair<(int Start, int End), double>> ordered = _best
            .OrderByDescending(p => p.Value).ThenBy(p => p.Key.Start).ThenBy(p => p.Key.End).Take(count);
        List<Answer> answers = [];
        foreach (((int start, int end), double logit) in ordered)
            answers.Add(new Answer(document[start..end], start, end, (float)Math.Exp(logit - _logStart - _logEnd), (float)logit));
        return answers;
    }
}
