using LongformerInterop.Models.Coreference;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Coarse-to-fine span ranking as Joshi et al. (2019) describe it, one number after the other: every vector is made as it is written down,
/// nothing is shared or taken apart.</summary>
internal sealed class SlowCoreference
{
    private readonly Dictionary<string, double[]> _parameters;
    private readonly double[][] _states;
    private readonly CoreferenceConfiguration _c;
    private readonly long[] _offsets;
    private readonly CoreferenceTokens _tokens;

    public SlowCoreference(LongformerForCoreference model, Tensor states, long[] offsets, CoreferenceTokens tokens)
    {
        _parameters = model.NamedParameters.Where(p => p.Name.StartsWith("coref.", StringComparison.Ordinal))
            .ToDictionary(p => p.Name["coref.".Length..], p => p.Tensor.ToArray<double>());
        _states = [.. states.ToArray<double>().Chunk((int)states.Size(1))];
        (_c, _offsets, _tokens) = (model.Configuration.Coreference, offsets, tokens);
        List<(MentionSpan Span, double Score)> candidates = [];
        for (int first = 0; first < _states.Length; first++)
        {
            for (int last = first; last < _states.Length && last - first < _c.MaxSpanWidth; last++)
            {
                if (tokens.Sentences[first] == tokens.Sentences[last])
                    candidates.Add((new MentionSpan(first, last), MentionScore(new MentionSpan(first, last))));
            }
        }
        List<(MentionSpan Span, double Score)> kept = [];
        foreach ((MentionSpan Span, double Score) candidate in candidates.OrderByDescending(c => c.Score))
        {
            if (kept.Count < (int)(_c.TopSpanRatio * _states.Length) && !kept.Any(k => k.Span.Crosses(candidate.Span)))
                kept.Add(candidate);
        }
        kept.Sort((a, b) => a.Span.CompareTo(b.Span));
        Spans = [.. kept.Select(k => k.Span)];
        MentionScores = [.. kept.Select(k => k.Score)];
        double[][] g = [.. Spans.Select(Represent)];
        double[][] coarse = [.. Enumerable.Range(0, Spans.Count).Select(i =>
            Enumerable.Range(0, i).Select(j => Coarse(g, i, j)).ToArray())];
        Antecedents = [.. coarse.Select(row =>
            Enumerable.Range(0, row.Length).OrderByDescending(j => row[j]).Take(_c.MaxTopAntecedents).Order().ToArray())];
        Scores = [];
        for (int depth = 0; depth < _c.Depth; depth++)
        {
            Scores = [.. Spans.Select((_, i) => Antecedents[i].Select(j => coarse[i][j] + Fine(g, i, j)).ToArray())];
            g = [.. Spans.Select((_, i) => Refine(g, i))];
        }
    }

    public IReadOnlyList<MentionSpan> Spans { get; }

    public double[] MentionScores { get; }

    public int[][] Antecedents { get; }

    public double[][] Scores { get; }

    public double Loss => Spans.Select((span, i) =>
    {
        bool Together(int j) => _tokens.Clusters!.Any(c => c.Contains(span) && c.Contains(Spans[j]));
        double all = 1 + Scores[i].Sum(Math.Exp), right = Scores[i].Where((_, a) => Together(Antecedents[i][a])).Sum(Math.Exp);
        return -Math.Log((Antecedents[i].Any(Together) ? right : 1) / all);
    }).Sum();

    public IEnumerable<IEnumerable<MentionSpan>> Clusters()
    {
        int[] cluster = [.. Enumerable.Range(0, Spans.Count)];
        for (int i = 0; i < Spans.Count; i++)
        {
            if (Scores[i].Length > 0 && Scores[i].Max() > 0)
                cluster[i] = cluster[Antecedents[i][Array.IndexOf(Scores[i], Scores[i].Max())]];
        }
        return Enumerable.Range(0, Spans.Count).GroupBy(i => cluster[i]).Where(g => g.Count() > 1).Select(g => g.Select(i => Spans[i]));
    }

    private double[] Represent(MentionSpan span)
    {
        double[] weights = [.. Enumerable.Range(span.First, span.Last - span.First + 1).Select(t =>
            Math.Exp(Linear("mention_token_attn", _states[t])[0]))];
        double[] head = new double[_states[0].Length];
        for (int t = 0; t < weights.Length; t++)
        {
            for (int d = 0; d < head.Length; d++)
                head[d] += weights[t] / weights.Sum() * _states[span.First + t][d];
        }
        return [.. _states[span.First], .. _states[span.Last], .. Row("emb_span_width", span.Last - span.First), .. head];
    }

    private double MentionScore(MentionSpan span) => Scorer("span_emb_score_ffnn", Represent(span))
        + Scorer("span_width_score_ffnn", Row("emb_span_width_prior", span.Last - span.First));

    private double Coarse(double[][] g, int i, int j) => MentionScores[i] + MentionScores[j] + Dot(Linear("coarse_bilinear", g[i]), g[j])
        + Linear("antecedent_distance_score_ffnn", Row("emb_antecedent_distance_prior", Bucket(i - j)))[0];

    private double Fine(double[][] g, int i, int j)
    {
        int Segment(MentionSpan span) => Enumerable.Range(0, _offsets.Length - 1).Last(s => _offsets[s] <= span.First);
        bool same = _tokens.Speakers[Spans[i].First] == _tokens.Speakers[Spans[j].First];
        return Scorer("coref_score_ffnn",
        [
            .. g[i], .. g[j], .. g[i].Zip(g[j], (a, b) => a * b), .. Row("emb_same_speaker", same ? 1 : 0), .. Row("emb_genre", _tokens.Genre),
            .. Row("emb_top_antecedent_distance", Bucket(i - j)),
            .. Row("emb_segment_distance", Math.Min(Segment(Spans[i]) - Segment(Spans[j]), _c.MaxTrainingSegments - 1)),
        ]);
    }

    private double[] Refine(double[][] g, int i)
    {
        double all = 1 + Scores[i].Sum(Math.Exp);
        double[] attended = Array.ConvertAll(g[i], x => x / all);
        for (int a = 0; a < Antecedents[i].Length; a++)
        {
            for (int d = 0; d < attended.Length; d++)
                attended[d] += Math.Exp(Scores[i][a]) / all * g[Antecedents[i][a]][d];
        }
        double[] gate = Linear("gate_ffnn", [.. g[i], .. attended]);
        return [.. g[i].Select((x, d) => 1 / (1 + Math.Exp(-gate[d]))).Select((f, d) => (f * attended[d]) + ((1 - f) * g[i][d]))];
    }

    private static int Bucket(int distance) => distance <= 4 ? distance : Math.Min((int)Math.Floor(Math.Log2(distance)) + 3, 9);

    private double[] Row(string table, int row) => _parameters[table + ".weight"].AsSpan(row * _c.FeatureSize, _c.FeatureSize).ToArray();

    private double[] Linear(string name, double[] x)
    {
        (double[] weight, double[] bias) = (_parameters[name + ".weight"], _parameters[name + ".bias"]);
        return [.. bias.Select((b, o) => b + Dot(weight.AsSpan(o * x.Length, x.Length), x))];
    }

    private double Scorer(string name, double[] x) => Linear(name + ".3", Array.ConvertAll(Linear(name + ".0", x), v => Math.Max(v, 0)))[0];

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }
}
