using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// The tensors below one path of a checkpoint, as a model takes them: <c>weights / "encoder" / "layer.0"</c>, then
/// <c>Get("output.dense.weight", hidden, inner)</c>. Loading is strict, but not one error at a time: a tensor that is absent or of
/// another shape is noted and replaced by a placeholder of the wanted shape, and <see cref="Finish"/> throws once with everything
/// that is missing, unexpected or of another shape.
/// </summary>
/// <remarks>Not thread-safe: a model loads on one thread. All paths of one checkpoint share what was taken and what was noted.</remarks>
public sealed class Weights
{
    private readonly Session _session;

    /// <summary>The root of a checkpoint.</summary>
    /// <param name="checkpoint">Where the tensors come from; it must stay open while weights are taken.</param>
    /// <param name="subject">The name of the loaded class, for the message: <c>LongformerForMaskedLM</c>.</param>
    public Weights(Checkpoint checkpoint, string subject = "the model")
        : this(new Session(checkpoint ?? throw new ArgumentNullException(nameof(checkpoint)), subject), "")
    {
    }

    private Weights(Session session, string path)
    {
        _session = session;
        Path = path;
    }

    /// <summary>The path of this view, without a dot at the end; empty for the root.</summary>
    public string Path { get; }

    /// <summary>The names below this path, relative to it.</summary>
    public IEnumerable<string> Names
    {
        get
        {
            string prefix = Path.Length == 0 ? "" : Path + ".";
            return _session.Checkpoint.Names.Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).Select(n => n[prefix.Length..]);
        }
    }

    /// <summary>The view one step (or several, with dots between) further down.</summary>
    public static Weights operator /(Weights weights, string path)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new Weights(weights._session, weights.Full(path));
    }

    /// <summary>Whether the checkpoint has a tensor of this name, or one tied to it, or any tensor below this name.</summary>
    public bool Has(string name)
    {
        string full = Full(name);
        return _session.Locate(full) is not null
            || _session.Checkpoint.Names.Any(n => n.Length > full.Length && n[full.Length] == '.' && n.StartsWith(full, StringComparison.Ordinal));
    }

    /// <summary>Takes a tensor in the file's dtype, on the CPU, usually without a copy.</summary>
    /// <param name="name">The name below this path.</param>
    /// <param name="shape">The wanted sizes; a negative one accepts the file's.</param>
    /// <returns>
    /// The tensor; or, where it is absent or of another shape, a placeholder of the wanted shape (one zero, stride 0; size 1 for
    /// sizes that may be any). <see cref="Finish"/> then throws.
    /// </returns>
    public Tensor Get(string name, params ReadOnlySpan<long> shape) => Take(Full(name), shape, required: true)!;

    /// <summary>The same, null where the checkpoint does not have the tensor. Another shape is noted as with <see cref="Get"/>.</summary>
    public Tensor? TryGet(string name, params ReadOnlySpan<long> shape) => Take(Full(name), shape, required: false);

    /// <summary>
    /// Declares that these names below this path are one and the same tensor of the model. A file may hold any of them, or all:
    /// asked for one, the file's tensor of that very name is given, else that of the first name which the file has.
    /// </summary>
    public void Tie(params ReadOnlySpan<string> names)
    {
        string[] group = new string[names.Length];
        for (int i = 0; i < group.Length; i++)
            group[i] = Full(names[i]);
        foreach (string name in group)
            _session.Ties[name] = group;
    }

    /// <summary>
    /// Ends loading: everything that does not fit comes in one exception. A tensor without a place is no failure by itself: it is returned, to be
    /// reported, and listed in the exception where something else fails, since it may be what is missing under another name.
    /// </summary>
    /// <param name="ignored">
    /// Full names that may be in the checkpoint without being taken; <c>*</c> matches any characters:
    /// <c>*.position_ids</c>, <c>lm_head.*</c>.
    /// </param>
    /// <returns>The names that were not taken.</returns>
    /// <exception cref="CheckpointException">Tensors are missing or of another shape; the message lists all, and what was not taken.</exception>
    public IReadOnlyList<CheckpointProblem> Finish(params ReadOnlySpan<string> ignored)
    {
        List<CheckpointProblem> leftOver = [];
        foreach (string name in _session.Checkpoint.Names.Order(StringComparer.Ordinal))
        {
            if (!_session.Taken.Contains(name) && !MatchesAny(name, ignored))
            {
                TensorEntry entry = _session.Checkpoint.Entry(name);
                leftOver.Add(new(CheckpointProblemKind.Unexpected, name, TensorEntry.ShapeText(entry.Shape), entry.File));
            }
        }
        return _session.Problems.Count == 0
            ? leftOver
            : throw new CheckpointException(
                $"{_session.Subject} cannot be loaded from {_session.Checkpoint.Path}", [.. _session.Problems.Values, .. leftOver]);
    }

    /// <summary>Whether a name matches a pattern in which <c>*</c> matches any characters, also none.</summary>
    internal static bool Matches(ReadOnlySpan<char> name, ReadOnlySpan<char> pattern)
    {
        int star = pattern.IndexOf('*');
        if (star < 0)
            return name.SequenceEqual(pattern);
        if (!name.StartsWith(pattern[..star], StringComparison.Ordinal))
            return false;
        ReadOnlySpan<char> rest = name[star..], wanted = pattern[(star + 1)..];
        // Every part between stars is matched as early as possible; the last one must end the name.
        while (true)
        {
            star = wanted.IndexOf('*');
            if (star < 0)
                return rest.EndsWith(wanted, StringComparison.Ordinal);
            int at = rest.IndexOf(wanted[..star], StringComparison.Ordinal);
            if (at < 0)
                return false;
            rest = rest[(at + star)..];
            wanted = wanted[(star + 1)..];
        }
    }

    private static bool MatchesAny(string name, ReadOnlySpan<string> patterns)
    {
        foreach (string pattern in patterns)
        {
            if (Matches(name, pattern))
                return true;
        }
        return false;
    }

    private string Full(string name) => Path.Length == 0 ? name : $"{Path}.{name}";

    private Tensor? Take(string name, ReadOnlySpan<long> shape, bool required)
    {
        string? found = _session.Locate(name);
        if (found is null)
        {
            if (!required)
                return null;
            _session.Note(new(CheckpointProblemKind.Missing, name, TensorEntry.ShapeText(shape), _session.Checkpoint.Path));
            return Placeholder(shape);
        }
        TensorEntry entry = _session.Checkpoint.Entry(found);
        _session.Taken.Add(found);
        _session.CheckTied(name, entry);
        if (!Fits(entry.Shape, shape))
        {
            string wanted = $"expected {TensorEntry.ShapeText(shape)}, found {TensorEntry.ShapeText(entry.Shape)}";
            _session.Note(new(CheckpointProblemKind.Shape, name, found == name ? wanted : $"{wanted} in {found}", entry.File));
            return Placeholder(shape);
        }
        if (entry.Type.ToDType() is null)
        {
            _session.Note(new(CheckpointProblemKind.Unusable, name,
                $"has dtype {entry.Type.Name()}, which libtorch {TorchRuntime.Version} does not have", entry.File));
            return Placeholder(shape);
        }
        return _session.Checkpoint.Get(found);
    }

    private static bool Fits(ReadOnlySpan<long> found, ReadOnlySpan<long> wanted)
    {
        if (found.Length != wanted.Length)
            return false;
        for (int i = 0; i < found.Length; i++)
        {
            if (wanted[i] >= 0 && wanted[i] != found[i])
                return false;
        }
        return true;
    }

    // One element for any shape: a model of the wrong size must not cost the wrong size's memory.
    private static Tensor Placeholder(ReadOnlySpan<long> shape)
    {
        long[] sizes = shape.ToArray();
        for (int i = 0; i < sizes.Length; i++)
            sizes[i] = Math.Abs(sizes[i]);
        return TensorBytes.ExpandedZero(sizes);
    }

    private sealed class Session(Checkpoint checkpoint, string subject)
    {
        internal Checkpoint Checkpoint { get; } = checkpoint;

        internal string Subject { get; } = subject;

        internal HashSet<string> Taken { get; } = new(StringComparer.Ordinal);

        internal Dictionary<string, string[]> Ties { get; } = new(StringComparer.Ordinal);

        // By name and kind: a tensor asked for twice is one problem.
        internal Dictionary<string, CheckpointProblem> Problems { get; } = new(StringComparer.Ordinal);

        internal void Note(CheckpointProblem problem) => Problems.TryAdd(problem.Name, problem);

        internal string? Locate(string name)
        {
            if (Checkpoint.Contains(name))
                return name;
            return Ties.TryGetValue(name, out string[]? group) ? group.FirstOrDefault(Checkpoint.Contains) : null;
        }

        // The file's other copies of a tied tensor count as taken; one of another shape cannot be a copy.
        internal void CheckTied(string name, TensorEntry entry)
        {
            foreach (string other in Ties.GetValueOrDefault(name, []).Where(n => n != entry.Name && Checkpoint.Contains(n)))
            {
                Taken.Add(other);
                TensorEntry tied = Checkpoint.Entry(other);
                if (!tied.Shape.SequenceEqual(entry.Shape))
                {
                    Note(new(CheckpointProblemKind.Shape, other,
                        $"expected {TensorEntry.ShapeText(entry.Shape)} as {entry.Name}, to which it is tied, "
                        + $"found {TensorEntry.ShapeText(tied.Shape)}", tied.File));
                }
            }
        }
    }
}
