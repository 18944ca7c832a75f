using LongformerInterop.Checkpoints;

namespace LongformerInterop.Models.Conversion;

/// <summary>Everything that a conversion will write, before anything is written.</summary>
/// <param name="Configuration">The new <c>config.json</c>; null where the source has none.</param>
/// <param name="Tensors">The weights.</param>
/// <param name="Architecture">HF's class; null where no configuration says it.</param>
/// <param name="Positions">Tokens that a document may have; null where no configuration says it.</param>
/// <param name="Files">How the tokenizer's and other files are adapted.</param>
/// <param name="Notes">Notes for the user.</param>
internal sealed record ConversionPlan(
    ConfigurationObject? Configuration,
    IReadOnlyList<TensorSource> Tensors,
    string? Architecture,
    int? Positions,
    CompanionFiles Files,
    IReadOnlyList<string> Notes);

/// <summary>Gathers the tensors that a source can give under the names of the target, and chooses those that the target's class has.</summary>
internal sealed class TensorMapping(SourceCheckpoint source)
{
    private readonly Dictionary<string, TensorSource> _offered = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _origins = new(StringComparer.Ordinal);
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    internal void Offer(string name, string sourceName)
    {
        _offered[name] = TensorSource.From(name, source.Tensors, sourceName);
        _origins[name] = sourceName;
    }

    internal void Offer(string name, string sourceName, IReadOnlyList<RowRange> rows)
    {
        _offered[name] = TensorSource.Rows(name, source.Tensors, sourceName, rows);
        _origins[name] = sourceName;
    }

    internal void Offer(TensorSource made) => _offered[made.Name] = made;

    internal bool Has(string name) => _offered.ContainsKey(name);

    /// <summary>Whether a tensor of this name is offered, or any below it.</summary>
    internal bool HasAny(string name) => Has(name) || _offered.Keys.Any(n => n.StartsWith(name + ".", StringComparison.Ordinal));

    /// <summary>The tensors of the class, each with its shape checked.</summary>
    /// <exception cref="CheckpointException">Tensors are missing or of another shape: all are listed.</exception>
    internal List<TensorSource> Choose(IEnumerable<ParameterShape> parameters, string architecture)
    {
        List<TensorSource> chosen = [];
        List<CheckpointProblem> problems = [];
        foreach (ParameterShape parameter in parameters)
        {
            if (!_offered.TryGetValue(parameter.Name, out TensorSource? tensor))
            {
                problems.Add(new(CheckpointProblemKind.Missing, parameter.Name, $"[{string.Join(", ", parameter.Shape)}]", source.Path));
                continue;
            }
            if (!tensor.Shape.SequenceEqual(parameter.Shape))
            {
                problems.Add(new(CheckpointProblemKind.Shape, parameter.Name,
                    $"expected [{string.Join(", ", parameter.Shape)}], found [{string.Join(", ", tensor.Shape.ToArray())}]", source.Path));
            }
            chosen.Add(tensor);
            if (_origins.TryGetValue(parameter.Name, out string? origin))
                _used.Add(origin);
        }
        return problems.Count == 0 ? chosen : throw new CheckpointException($"{source.Path} cannot become a {architecture}", problems);
    }

    /// <summary>The source's tensors that no chosen one was made of.</summary>
    internal IEnumerable<string> Unused() => source.Tensors.Names.Where(n => !_used.Contains(n));

    /// <summary>
    /// A note on what is left out, and one for every duplicate of a tied tensor that is no duplicate: HF would replace it
    /// silently when it ties the two.
    /// </summary>
    /// <param name="ties">Pairs of names in the source that the target ties: the one that is left out, the one that is kept.</param>
    internal IEnumerable<string> DescribeUnused(IEnumerable<(string Duplicate, string Kept)> ties)
    {
        List<string> unused = [.. Unused()];
        foreach ((string duplicate, string kept) in ties)
        {
            if (!unused.Remove(duplicate) || !source.Tensors.Contains(kept))
                continue;
            if (!source.Tensors.AreEqual(duplicate, kept))
            {
                yield return $"{duplicate} differs from {kept}, to which the configuration ties it (tie_word_embeddings): left out, as "
                + "HF does";
            }
        }
        if (unused.Count > 0)
            yield return $"left out, since the new model has no place for it: {string.Join(", ", unused.Order(StringComparer.Ordinal))}";
    }
}
