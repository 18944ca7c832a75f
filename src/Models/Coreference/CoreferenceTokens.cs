using LongformerInterop.Torch;

namespace LongformerInterop.Models.Coreference;

/// <summary>What a coreference model must know of the tokens of one document beside their ids. All lists count the tokens of all segments behind
/// one another, special tokens included.</summary>
public sealed record CoreferenceTokens
{
    /// <summary>The sentence of each token, never smaller than that of the token before: no mention leaves its sentence.</summary>
    public required IReadOnlyList<int> Sentences { get; init; }

    /// <summary>The speaker of each token; only whether two are the same matters.</summary>
    public required IReadOnlyList<int> Speakers { get; init; }

    /// <summary>The number of the genre in <see cref="CoreferenceConfiguration.Genres"/>.</summary>
    public int Genre { get; init; }

    /// <summary>The gold clusters, for a loss; null: there is none.</summary>
    public IReadOnlyList<IReadOnlyList<MentionSpan>>? Clusters { get; init; }

    /// <summary>One sentence and one speaker in every segment, of the first genre.</summary>
    internal static CoreferenceTokens OfSegments(long[] offsets)
    {
        int[] segments = [.. Enumerable.Range(0, offsets.Length - 1).SelectMany(s => Enumerable.Repeat(s, (int)(offsets[s + 1] - offsets[s])))];
        return new CoreferenceTokens { Sentences = segments, Speakers = new int[segments.Length] };
    }

    /// <summary>Of tensors by name; what is not given is as in <see cref="OfSegments"/>.</summary>
    internal static CoreferenceTokens OfTensors(LongformerInputs inputs, long[] offsets)
    {
        int[]? Integers(Tensor? tensor, string name) => tensor is null ? null
            : tensor.DType is not (DType.Int64 or DType.Int32) ? throw new InputException(name, "int64", $"{tensor.DType}")
            : Array.ConvertAll(HostValues.ToInt64(tensor), value => value is >= int.MinValue and <= int.MaxValue ? (int)value
                : throw new InputException(name, "at most 32 bits", $"{value}"));
        CoreferenceTokens usual = OfSegments(offsets);
        int[]? starts = Integers(inputs.MentionStarts, "mention_starts"), ends = Integers(inputs.MentionEnds, "mention_ends"),
            clusters = Integers(inputs.MentionClusters, "mention_clusters"), genre = Integers(inputs.Genre, "genre");
        if (genre is not null && genre.Length != 1)
            throw new InputException("genre", "one number", $"{genre.Length}");
        int mentions = starts?.Length ?? -1;
        foreach ((int[]? given, string name) in new[] { (ends, "mention_ends"), (clusters, "mention_clusters") })
        {
            if ((given?.Length ?? -1) != mentions)
            {
                throw new InputException(name, mentions < 0 ? "none without mention_starts" : $"{mentions}, one for each of mention_starts",
                    given is null ? "none" : $"{given.Length}");
            }
        }
        return usual with
        {
            Sentences = Integers(inputs.SentenceMap, "sentence_map") ?? usual.Sentences,
            Speakers = Integers(inputs.SpeakerIds, "speaker_ids") ?? usual.Speakers,
            Genre = genre?[0] ?? 0,
            Clusters = starts is null ? null : [.. Enumerable.Range(0, mentions).GroupBy(i => clusters![i]).Select(group =>
                (IReadOnlyList<MentionSpan>)[.. group.Select(i => new MentionSpan(starts[i], ends![i]))])],
        };
    }

    internal void Check(long tokens, int genres)
    {
        if (Sentences.Count != tokens)
            throw new InputException("coreference.sentences", $"{tokens}, one for each token", $"{Sentences.Count}");
        if (Speakers.Count != tokens)
            throw new InputException("coreference.speakers", $"{tokens}, one for each token", $"{Speakers.Count}");
        if ((uint)Genre >= (uint)genres)
            throw new InputException("coreference.genre", $"0..{genres - 1}", $"{Genre}");
        for (int i = 1; i < Sentences.Count; i++)
        {
            if (Sentences[i] < Sentences[i - 1])
            {
                throw new InputException(new ArgumentName("coreference.sentences", i), $"{Sentences[i - 1]} or more, as before it",
                    $"{Sentences[i]}");
            }
        }
        foreach (MentionSpan mention in Clusters?.SelectMany(c => c) ?? [])
        {
            if (mention.First < 0 || mention.Last < mention.First || mention.Last >= tokens)
            {
                throw new InputException("coreference.clusters", $"mentions of the {tokens} tokens, first not behind last",
                    $"{mention.First}..{mention.Last}");
            }
        }
    }
}

/// <summary>The outputs of a coreference model for one document.</summary>
public sealed record CoreferenceOutputs : LongformerOutputs
{
    /// <summary>The k spans that were kept, by their first and last tokens.</summary>
    public required IReadOnlyList<MentionSpan> Spans { get; init; }

    /// <summary>For each of them its A candidate antecedents, numbers of spans before it, ascending; -1 where there are fewer.</summary>
    public required int[][] Antecedents { get; init; }

    /// <summary>Int64 [k, 2]: <see cref="Spans"/> as a tensor.</summary>
    public required Tensor SpanPositions { get; init; }

    /// <summary>Int64 [k, A]: <see cref="Antecedents"/> as a tensor.</summary>
    public required Tensor AntecedentNumbers { get; init; }

    /// <summary>[k]: how likely each is a mention.</summary>
    public required Tensor MentionScores { get; init; }

    /// <summary>[k, 1 + A]: the score of no antecedent, which is 0, and of each antecedent; minus infinity where there is none.</summary>
    public required Tensor AntecedentScores { get; init; }

    /// <summary>The sum of the losses of the kept spans; null without gold clusters.</summary>
    public Tensor? Loss { get; init; }

    /// <summary>The clusters: each span joins its best antecedent's, where one scores more than none. There are no singletons.</summary>
    public IReadOnlyList<IReadOnlyList<MentionSpan>> Clusters()
    {
        float[] scores = AntecedentScores.To(DType.Float32).To(Device.Cpu).Contiguous().ToArray<float>();
        int width = Antecedents.Length == 0 ? 0 : Antecedents[0].Length + 1;
        List<List<MentionSpan>> clusters = [];
        int[] clusterOf = new int[Spans.Count];
        for (int i = 0; i < Spans.Count; i++)
        {
            int best = 0;
            for (int a = 1; a < width; a++)
            {
                if (scores[(i * width) + a] > scores[(i * width) + best])
                    best = a;
            }
            clusterOf[i] = -1;
            if (best == 0)
                continue;
            int antecedent = Antecedents[i][best - 1];
            if (clusterOf[antecedent] < 0)
            {
                clusterOf[antecedent] = clusters.Count;
                clusters.Add([Spans[antecedent]]);
            }
            clusterOf[i] = clusterOf[antecedent];
            clusters[clusterOf[i]].Add(Spans[i]);
        }
        return clusters;
    }

    private protected override IEnumerable<(string, Tensor?)> Named() =>
    [
        ("loss", Loss), ("spans", SpanPositions), ("antecedents", AntecedentNumbers), ("mention_scores", MentionScores),
        ("antecedent_scores", AntecedentScores),
    ];
}
