using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Coreference;

/// <summary>
/// Coarse-to-fine span ranking (Lee et al. 2018, Joshi et al. 2019). T tokens of width C; a span is g = [first; last; width; attention over its
/// tokens], of width S = 3 C + F with F for a feature; k spans are kept, A antecedents of each are scored in full.
/// <code>
/// m(i)    = FFNN(g_i) + FFNN'(width)
/// c(i, j) = m(i) + m(j) + (W g_i + b) . g_j + prior(distance)
/// s(i, j) = c(i, j) + FFNN([g_i; g_j; g_i * g_j; same speaker; genre; distance; segments apart]),  s(i, none) = 0
/// </code>
/// Choosing (which spans, which antecedents) has no gradient, so that all candidate spans are scored without a tape; what was chosen is computed
/// again with one.
/// </summary>
internal sealed class CoreferenceHead
{
    // Pairs that go through the scorer at once.
    private const int PairsPerBlock = 8192;

    private readonly CoreferenceConfiguration _c;
    private readonly long _hidden;
    private readonly Tensor _widths, _widthPriors, _distancePriors, _genres, _speakers, _segments, _distances;
    private readonly Linear _attention, _coarse, _distanceScore, _gate;
    private readonly Scorer _mention, _width, _pair;

    public CoreferenceHead(ParameterLoader at, CoreferenceConfiguration c, long hidden)
    {
        (_c, _hidden) = (c, hidden);
        long feature = c.FeatureSize, span = (3 * hidden) + feature;
        Tensor Table(string name, long rows) => (at / name).Get("weight", rows, feature);
        _widths = Table("emb_span_width", c.MaxSpanWidth);
        _widthPriors = Table("emb_span_width_prior", c.MaxSpanWidth);
        _distancePriors = Table("emb_antecedent_distance_prior", SpanSelection.Buckets);
        _speakers = Table("emb_same_speaker", 2);
        _genres = Table("emb_genre", c.Genres.Count);
        _segments = Table("emb_segment_distance", c.MaxTrainingSegments);
        _distances = Table("emb_top_antecedent_distance", SpanSelection.Buckets);
        _attention = Linear.Load(at / "mention_token_attn", 1, hidden);
        _mention = new Scorer(at / "span_emb_score_ffnn", c.FeedForwardSize, span);
        _width = new Scorer(at / "span_width_score_ffnn", c.FeedForwardSize, feature);
        _coarse = Linear.Load(at / "coarse_bilinear", span, span);
        _distanceScore = Linear.Load(at / "antecedent_distance_score_ffnn", 1, feature);
        _pair = new Scorer(at / "coref_score_ffnn", c.FeedForwardSize, (3 * span) + (4 * feature));
        _gate = Linear.Load(at / "gate_ffnn", span, 2 * span);
    }

    /// <summary>Scores the document.</summary>
    /// <param name="states">[T, C], the last hidden states of all segments behind one another.</param>
    /// <param name="offsets">Where the segments begin in T, and T.</param>
    /// <param name="tokens">Features of the tokens, checked.</param>
    /// <param name="dropout">The head's own.</param>
    public CoreferenceOutputs Forward(Tensor states, long[] offsets, CoreferenceTokens tokens, Dropout dropout)
    {
        MentionSpan[] spans;
        using (GradientTape.Pause())
            spans = Choose(states, tokens.Sentences);
        Device device = states.Device;

        // What was kept, with gradients.
        Tensor g = Represent(states, spans, dropout);
        Tensor mentions = Score(_mention, g, dropout, Place.Mention);
        Tensor byWidth = Score(_width, _widthPriors, dropout, Place.Width);
        mentions = Differentiable.Add(mentions, Rows(byWidth, spans.Select(s => (long)(s.Last - s.First))));

        // Coarse: every span with every other one; the best antecedents of each.
        Tensor source = dropout.Apply(_coarse.Forward(g), Place.Coarse, 0), target = dropout.Apply(g, Place.Coarse, 1);
        Tensor products = Differentiable.Linear(source, target);
        Tensor priors = Differentiable.Reshape(_distanceScore.Forward(dropout.Apply(_distancePriors, Place.Coarse, 2)), -1);
        int[][] antecedents = Antecedents(products, mentions, priors, spans.Length);
        int width = antecedents[0].Length;
        Tensor none = Tensor.Zeros([spans.Length, 1], states.DType, device), scores = none;
        if (width == 0)
            return Outputs(spans, antecedents, mentions, scores, tokens);
        Pairs pairs = Pairs.Of(antecedents, spans, offsets, tokens, _c, device);
        if (GradientTape.Current is { RecomputesLayers: true } tape)
            tape.Hold(pairs.Spans, pairs.Antecedents);
        Tensor coarse = Differentiable.Add(
            Differentiable.Add(Differentiable.SelectRows(mentions, pairs.Spans), Differentiable.SelectRows(mentions, pairs.Antecedents)),
            Differentiable.Add(Differentiable.SelectRows(Differentiable.Reshape(products, -1), pairs.Cells),
                Differentiable.SelectRows(priors, pairs.Distances)));
        coarse = Differentiable.Add(Differentiable.Reshape(coarse, spans.Length, width), pairs.Absent.To(states.DType));

        // Fine, the spans being refined by their antecedents in between.
        Tensor features = Features(pairs, dropout);
        for (int depth = 0; ; depth++)
        {
            Tensor fine = Differentiable.Reshape(Fine(g, features, pairs, dropout, depth), spans.Length, width);
            scores = Differentiable.Concatenate([none, Differentiable.Add(coarse, fine)], 1);
            if (depth == _c.Depth - 1)
                break;
            g = Refine(g, Differentiable.Softmax(scores), pairs);
        }
        return Outputs(spans, antecedents, mentions, scores, tokens);
    }

    private static CoreferenceOutputs Outputs(MentionSpan[] spans, int[][] antecedents, Tensor mentions, Tensor scores, CoreferenceTokens tokens) =>
        new()
        {
            Spans = spans, Antecedents = antecedents, MentionScores = mentions, AntecedentScores = scores,
            SpanPositions = HostBuffer.Upload([.. spans.SelectMany(s => (long[])[s.First, s.Last])], scores.Device).View(-1, 2),
            AntecedentNumbers = HostBuffer.Upload([.. antecedents.SelectMany(row => row).Select(a => (long)a)], scores.Device)
                .View(spans.Length, antecedents[0].Length),
            Loss = tokens.Clusters is null ? null
                : Differentiable.MarkedLoss(scores, Right(spans, antecedents, tokens.Clusters, scores.Device)),
        };

    /// <summary>The spans that are kept: of all that are in one sentence and not too wide, the best by their mention scores.</summary>
    private MentionSpan[] Choose(Tensor states, IReadOnlyList<int> sentences)
    {
        int tokens = sentences.Count, most = Math.Min(_c.MaxSpanWidth, tokens);
        using TensorScope scope = new();
        // The first product of the scorer, part by part: [first; last; width; attention].
        Tensor weight = _mention.Inner.Weight, attention = _attention.Forward(states).Reshape(-1, 1);
        Tensor Part(Tensor input, long from) => input.MatMul(weight.Narrow(1, from, input.Size(1)).Transpose(0, 1));
        Tensor first = Part(states, 0), last = Part(states, _hidden), width = Part(_widths, 2 * _hidden);
        Tensor inside = Part(states, (2 * _hidden) + _c.FeatureSize);
        float[] priors = Host(_width.Forward(_widthPriors, (t, _) => t));
        List<(MentionSpan, float)> candidates = [];
        // Spans of one width after the other: the softmax over each grows by its last token.
        Tensor largest = attention, total = attention.OnesLike(), sum = inside;
        for (int w = 0; w < most; w++)
        {
            int count = tokens - w;
            using TensorScope one = new();
            if (w > 0)
            {
                Tensor next = attention.Narrow(0, w, count), before = largest.Narrow(0, 0, count);
                Tensor higher = Tensor.Where(next.Gt(before), next, before), kept = (before - higher).Exp(), added = (next - higher).Exp();
                Tensor summed = one.Keep((sum.Narrow(0, 0, count) * kept) + (inside.Narrow(0, w, count) * added));
                if (w > 1)
                    sum.Dispose();
                (sum, total, largest) = (summed, one.Keep((total.Narrow(0, 0, count) * kept) + added), one.Keep(higher));
            }
            Tensor hidden = (first.Narrow(0, 0, count) + last.Narrow(0, w, count) + (sum / total)
                + (width.Narrow(0, w, 1) + _mention.Inner.Bias)).Relu();
            float[] scores = Host(_mention.Outer.Forward(hidden));
            for (int i = 0; i < count; i++)
            {
                if (sentences[i] == sentences[i + w])
                    candidates.Add((new MentionSpan(i, i + w), scores[i] + priors[w]));
            }
        }
        return SpanSelection.Prune(candidates, Math.Max(1, Math.Min(_c.MaxTopSpans, (int)(_c.TopSpanRatio * tokens))), tokens);
    }

    /// <summary>g, [k, S].</summary>
    private Tensor Represent(Tensor states, MentionSpan[] spans, Dropout dropout)
    {
        Tensor widths = dropout.Apply(Differentiable.Embedding(HostBuffer.Upload([.. spans.Select(s => (long)(s.Last - s.First))], states.Device),
            _widths, -1), Place.Represent, 0);
        Tensor attended = Differentiable.SpanAttention(Differentiable.Reshape(_attention.Forward(states), -1), states, spans);
        return Differentiable.Concatenate(
            [Rows(states, spans.Select(s => (long)s.First)), Rows(states, spans.Select(s => (long)s.Last)), widths, attended], 1);
    }

    private int[][] Antecedents(Tensor products, Tensor mentions, Tensor priors, int spans)
    {
        (float[] cells, float[] scores, float[] prior) = (Host(products), Host(mentions), Host(priors));
        return SpanSelection.Antecedents((i, j) => cells[(i * spans) + j] + scores[j] + prior[SpanSelection.Bucket(i - j)], spans,
            _c.MaxTopAntecedents);
    }

    /// <summary>The features of all pairs, [P, 4 F].</summary>
    private Tensor Features(Pairs pairs, Dropout dropout) => dropout.Apply(Differentiable.Concatenate(
        [
            Differentiable.Embedding(pairs.SameSpeaker, _speakers, -1), Differentiable.Embedding(pairs.Genres, _genres, -1),
            Differentiable.Embedding(pairs.Distances, _distances, -1), Differentiable.Embedding(pairs.SegmentsApart, _segments, -1),
        ], 1), Place.Features, 0);

    /// <summary>The fine scores of all pairs, [P]. Parts of the first product that one span alone decides are computed once for each span.</summary>
    private Tensor Fine(Tensor g, Tensor features, Pairs pairs, Dropout dropout, int depth)
    {
        long span = g.Size(1), count = pairs.Spans.Size(0);
        Tensor weight = _pair.Inner.Weight;
        Tensor ofSpan = Differentiable.Linear(g, Differentiable.Narrow(weight, 1, 0, span), _pair.Inner.Bias);
        Tensor ofAntecedent = Differentiable.Linear(g, Differentiable.Narrow(weight, 1, span, span));
        Tensor ofProduct = Differentiable.Narrow(weight, 1, 2 * span, span);
        Tensor ofFeatures = Differentiable.Narrow(weight, 1, 3 * span, 4 * _c.FeatureSize);
        List<Tensor> parts = [];
        for (long from = 0; from < count; from += PairsPerBlock)
        {
            (long at, long some) = (from, Math.Min(PairsPerBlock, count - from));
            parts.Add(GradientTape.Layer([g, ofSpan, ofAntecedent, ofProduct, ofFeatures, features], t =>
            {
                using TensorScope scope = new();
                (Tensor i, Tensor j) = (pairs.Spans.Narrow(0, at, some), pairs.Antecedents.Narrow(0, at, some));
                Tensor similarity = Differentiable.Multiply(Differentiable.SelectRows(t[0], i), Differentiable.SelectRows(t[0], j));
                Tensor inner = Differentiable.Add(
                    Differentiable.Add(Differentiable.SelectRows(t[1], i), Differentiable.SelectRows(t[2], j)),
                    Differentiable.Add(Differentiable.Linear(similarity, t[3]),
                        Differentiable.Linear(Differentiable.Narrow(t[5], 0, at, some), t[4])));
                Tensor active = dropout.Apply(Differentiable.Activate(inner, Activation.Relu), Place.Fine(depth, at / PairsPerBlock), 0);
                return scope.Keep(_pair.Outer.Forward(active));
            }));
        }
        return Differentiable.Reshape(Differentiable.Concatenate([.. parts], 0), -1);
    }

    /// <summary>The spans with what they probably refer to mixed in: a gate decides how much of each.</summary>
    private Tensor Refine(Tensor g, Tensor probabilities, Pairs pairs)
    {
        long count = g.Size(0);
        // One row of probabilities for each span: its own column is that of no antecedent.
        Tensor mixing = Differentiable.Reshape(
            Differentiable.ScatterRows(Differentiable.Reshape(probabilities, -1), pairs.CellsWithNone, count * count), count, count);
        Tensor attended = Differentiable.MatMul(mixing, g);
        Tensor gate = Differentiable.Sigmoid(_gate.Forward(Differentiable.Concatenate([g, attended], 1)));
        // f a + (1 - f) g = g + f (a - g)
        return Differentiable.Add(g, Differentiable.Multiply(gate, Differentiable.Add(attended, Differentiable.Scale(g, -1))));
    }

    private static Tensor Score(Scorer scorer, Tensor input, Dropout dropout, int place) =>
        Differentiable.Reshape(scorer.Forward(input, (t, n) => dropout.Apply(t, place, n)), -1);

    private static Tensor Rows(Tensor input, IEnumerable<long> index) =>
        Differentiable.SelectRows(input, HostBuffer.Upload([.. index], input.Device));

    /// <summary>Bool [k, 1 + A]: the antecedents in a span's gold cluster, or none where there is no such.</summary>
    private static Tensor Right(MentionSpan[] spans, int[][] antecedents, IReadOnlyList<IReadOnlyList<MentionSpan>> clusters, Device device)
    {
        Dictionary<MentionSpan, int> clusterOf = [];
        for (int c = 0; c < clusters.Count; c++)
        {
            foreach (MentionSpan mention in clusters[c])
                clusterOf[mention] = c;
        }
        int width = antecedents[0].Length + 1;
        byte[] right = new byte[spans.Length * width];
        for (int i = 0; i < spans.Length; i++)
        {
            bool any = false;
            int? cluster = clusterOf.TryGetValue(spans[i], out int own) ? own : null;
            for (int a = 1; a < width && cluster is not null; a++)
            {
                int j = antecedents[i][a - 1];
                if (j < 0 || !clusterOf.TryGetValue(spans[j], out int other) || other != cluster)
                    continue;
                right[(i * width) + a] = 1;
                any = true;
            }
            if (!any)
                right[i * width] = 1;
        }
        return Tensor.From<byte>(right, spans.Length, width).To(device).To(DType.Bool);
    }

    private static float[] Host(Tensor tensor) => tensor.To(DType.Float32).To(Device.Cpu).Contiguous().ToArray<float>();

    /// <summary>A feed-forward net with one hidden layer and one output.</summary>
    private sealed class Scorer(ParameterLoader at, long size, long inputs)
    {
        public Linear Inner { get; } = Linear.Load(at / "0", size, inputs);

        public Linear Outer { get; } = Linear.Load(at / "3", 1, size);

        /// <summary>[n, 1] of [n, inputs].</summary>
        public Tensor Forward(Tensor input, Func<Tensor, int, Tensor> drop) =>
            Outer.Forward(drop(Inner.Forward(input, HiddenActivation.Relu), 0));
    }

    /// <summary>Where the dropouts are, as layers of <see cref="Dropout"/> that no body has.</summary>
    private static class Place
    {
        public const int Represent = 10_000, Mention = 10_001, Width = 10_002, Coarse = 10_003, Features = 10_004;

        public static int Fine(int depth, long block) => 20_000 + (10_000 * depth) + (int)block;
    }
}
