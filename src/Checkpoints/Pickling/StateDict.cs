namespace LongformerInterop.Checkpoints.Pickling;

/// <summary>The state dict inside what a checkpoint's pickle holds: the whole of it, or one entry of a training checkpoint.</summary>
internal static class StateDict
{
    // pytorch-lightning's, DeepSpeed's, and those that are common in training scripts; one may be inside another.
    private static readonly string[] InnerNames =
        ["state_dict", "model_state_dict", "module", "model", "model_state", "net", "network", "weights", "params"];
    private const int MaximumDepth = 4;

    /// <summary>The tensors by name.</summary>
    /// <param name="root">The value of the pickle.</param>
    /// <param name="unknown">The classes and functions that the pickle names and the reader does not know.</param>
    /// <param name="file">The file, for messages.</param>
    /// <remarks>
    /// A file that is a state dict may name nothing unknown at all. A training checkpoint with a state dict inside usually names
    /// classes of its training script beside it (hyper-parameters, optimizer, callbacks): these stay inert and are ignored, unless
    /// one of them is inside the state dict.
    /// </remarks>
    internal static Dictionary<string, PickleTensor> Find(object? root, IReadOnlyCollection<PickleGlobal> unknown, string file)
    {
        if (root is not PickleDictionary top)
        {
            RefuseUnknown(unknown, file);
            throw new CheckpointException($"{file}: holds {Kind(root)}, not a state dict");
        }
        PickleDictionary? inner = FindInner(top, 1);
        if (inner is null)
        {
            RefuseUnknown(unknown, file);
            if (!HasTensors(top))
            {
                IEnumerable<string> keys = top.Pairs.Take(10).Select(p => p.Key is string key ? SafetensorsHeader.Quote(key) : Kind(p.Key));
                throw new CheckpointException(top.Pairs.Count == 0
                    ? $"{file}: the state dict is empty"
                    : $"{file}: holds no tensors at its top level, only {string.Join(", ", keys)}{(top.Pairs.Count > 10 ? ", ..." : "")}");
            }
        }
        PickleDictionary chosen = inner ?? top;
        RefuseOpaque(chosen, file);
        Dictionary<string, PickleTensor> tensors = new(StringComparer.Ordinal);
        foreach ((object? key, object? value) in chosen.Pairs)
        {
            // Versions, counters and such may be among the tensors; a parameter that is no tensor will be reported missing.
            if (value is not PickleTensor tensor)
                continue;
            if (key is not string name)
                throw new CheckpointException($"{file}: a tensor of the state dict has {Kind(key)} as its name");
            if (!tensors.TryAdd(name, tensor))
                throw new CheckpointException($"{file}: the tensor {SafetensorsHeader.Quote(name)} occurs twice in the state dict");
        }
        return tensors;
    }

    private static PickleDictionary? FindInner(PickleDictionary outer, int depth)
    {
        PickleDictionary[] candidates = [.. InnerNames.Select(n => outer.Find(n)).OfType<PickleDictionary>()];
        return candidates.FirstOrDefault(HasTensors)
            ?? (depth == MaximumDepth ? null : candidates.Select(c => FindInner(c, depth + 1)).FirstOrDefault(c => c is not null));
    }

    private static bool HasTensors(PickleDictionary dictionary) => dictionary.Pairs.Any(p => p.Value is PickleTensor);

    private static void RefuseUnknown(IReadOnlyCollection<PickleGlobal> unknown, string file)
    {
        if (unknown.Count == 0)
            return;
        string names = string.Join(", ", unknown.Take(10).Select(g => SafetensorsHeader.Quote(g.FullName)));
        throw new CheckpointException($"{file}: the pickle asks for {names}{(unknown.Count > 10 ? ", ..." : "")}: "
            + "no part of a state dict. Refused; nothing was executed");
    }

    // Containers can hold themselves: each is visited once, and nothing recurses.
    private static void RefuseOpaque(PickleDictionary root, string file)
    {
        HashSet<object> seen = new(ReferenceEqualityComparer.Instance) { root };
        Stack<object> open = new([root]);
        while (open.TryPop(out object? container))
        {
            IEnumerable<object?> items = container is PickleDictionary d
                ? d.Pairs.SelectMany(p => new[] { p.Key, p.Value })
                : ((PickleSequence)container).Items;
            foreach (object? item in items)
            {
                PickleGlobal? maker = item switch { PickleOpaque opaque => opaque.Maker, PickleGlobal global => global, _ => null };
                if (maker is not null)
                    RefuseUnknown([maker], file);
                if (item is PickleDictionary or PickleSequence && seen.Add(item))
                    open.Push(item);
            }
        }
    }

    internal static string Kind(object? value) => value switch
    {
        null => "None",
        bool => "a boolean",
        string => "a string",
        byte[] => "bytes",
        double => "a float",
        PickleDictionary => "a dictionary",
        PickleSequence => "a list",
        PickleTensor => "a tensor",
        PickleForeignTensor foreign => $"a tensor ({foreign.Kind})",
        PickleOpaque opaque => $"a {opaque.Maker.FullName}",
        PickleGlobal global => $"the class {global.FullName}",
        PickleStorage => "a storage",
        PickleDType type => type.Name,
        _ => "a number",
    };
}
