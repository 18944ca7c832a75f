using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>Which tokens are global where the caller does not say: the rule of each task.</summary>
internal enum GlobalRule
{
    /// <summary>None: the bare model, masked LM, token classification.</summary>
    None,
    /// <summary>The first token: sequence classification.</summary>
    First,
    /// <summary>Every token before the first separator: the question.</summary>
    Question,
    /// <summary>Every token after the separator pair that ends the first part: the choice.</summary>
    Choice,
}

/// <summary>
/// Turns <see cref="ModelInputs"/> into a <see cref="SequenceBatch"/>. Ids and masks are read on the host once, into the memory that is sent to
/// the device, and every value is checked there; the layers then trust them. One instance reads one batch.
/// </summary>
internal sealed class InputReader
{
    private static readonly int[] FirstOnly = [0];

    private readonly ModelInputs _inputs;
    private readonly InputLimits _limits;
    private readonly string _mainName;
    private readonly long[] _inputShape;  // of ids and masks as the caller gave them
    private readonly long[] _offsets;
    private readonly HostBuffer _host;

    private InputReader(ModelInputs inputs, InputLimits limits, bool choices)
    {
        (_inputs, _limits, _mainName) = (inputs, limits, inputs.MainName);
        _offsets = inputs.Documents is { } documents ? DocumentOffsets(documents) : TensorOffsets(choices, out _inputShape!);
        _inputShape ??= [_offsets[^1]];
        _host = new HostBuffer((int)_offsets[^1] * 2 + 64);
    }

    /// <summary>Checks and lays out a batch; new tensors join the current scope.</summary>
    /// <exception cref="InputException">Names the argument, what was expected and what was given.</exception>
    public static SequenceBatch Read(ModelInputs inputs, InputLimits limits, GlobalRule rule, Device device, DType dtype,
        bool allowPaddingRows = false)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        bool choices = rule == GlobalRule.Choice;
        InputReader reader = new(inputs, limits, choices);
        BatchLayout layout = reader.Layout(rule, choices, allowPaddingRows);
        Tensor? vectors = inputs.WordVectors ?? inputs.InputsEmbeds;
        Tensor? embeds = vectors is null ? null
            : Differentiable.Reshape(Differentiable.To(vectors, device, dtype), reader._offsets[^1], limits.HiddenSize);
        return SequenceBatch.Create(layout, reader._host.Upload(device), embeds);
    }

    private BatchLayout Layout(GlobalRule rule, bool choices, bool allowPaddingRows)
    {
        (LongformerInputs? own, int sequences) = (_inputs as LongformerInputs, _offsets.Length - 1);
        BufferPart? ids = ReadIds();
        (bool[]? visible, bool[]? marked) = ReadAttentionMask(ids, allowPaddingRows);
        IReadOnlyList<int>[]? globals = ReadGlobals(marked, visible, ids, rule);
        return new BatchLayout
        {
            Offsets = _offsets,
            TokenShape = _inputs.IsPacked ? [_offsets[^1]] : [sequences, _inputShape[^1]],
            SequenceShape = choices ? ChoiceShape(own?.Choices) : [sequences],
            Ids = ids,
            Positions = ReadPositions(ids, own?.PositionIds),
            Types = own?.TokenTypeIds is null ? null : ReadTypes(own.TokenTypeIds),
            FirstRows = _host.Add(_offsets.AsSpan(..^1)),
            Visible = visible is null ? null : AddFlags(visible),
            HidesTokens = visible is null ? null
                : [.. Enumerable.Range(0, sequences).Select(s => visible.AsSpan((int)_offsets[s]..(int)_offsets[s + 1]).Contains(false))],
            Globals = globals is null ? null : GlobalLayout.Create(_offsets, globals, _host),
        };
    }

    private long[] DocumentOffsets(IReadOnlyList<DocumentTokens> documents)
    {
        if ((_inputs.InputIds ?? _inputs.InputsEmbeds ?? _inputs.AttentionMask ?? _inputs.GlobalAttentionMask) is not null
            || _inputs.SequenceOffsets is not null)
        {
            throw new InputException("documents",
                "no input_ids, inputs_embeds, attention_mask, global_attention_mask or offsets beside the documents, "
                + "which bring their own", "some");
        }
        if (documents.Count == 0)
            throw new InputException("documents", "at least one document", "none");
        long[] offsets = new long[documents.Count + 1];
        for (int s = 0; s < documents.Count; s++)
        {
            if (documents[s].Ids.IsEmpty)
                throw new InputException(new("documents", s), "at least one token", "none");
            offsets[s + 1] = offsets[s] + documents[s].Ids.Length;
        }
        return offsets;
    }

    private long[] TensorOffsets(bool choices, out long[] inputShape)
    {
        (Tensor? ids, Tensor? embeds) = (_inputs.InputIds, _inputs.InputsEmbeds);
        if (ids is null == embeds is null)
            throw new InputException("input_ids, inputs_embeds", "one of the two", ids is null ? "neither" : "both");
        Tensor main = (ids ?? embeds)!;
        if (ids is null && !main.DType.IsFloatingPoint())
            throw new InputException(_mainName, "a floating-point dtype", $"{main.DType}");
        inputShape = ids is null ? [.. main.Shape.SkipLast(1)] : [.. main.Shape];
        bool packed = _inputs.SequenceOffsets is not null;
        (int rank, string layout) = packed ? (1, "[N]") : choices ? (3, "[batch, choices, length]") : (2, "[batch, length]");
        string last = ids is null ? $" and {_limits.HiddenSize} values per token" : "";
        if (inputShape.Length != rank || (ids is null && main.Size(-1) != _limits.HiddenSize))
            throw new InputException(_mainName, $"shape {layout}{last}", Show(main.Shape));
        if (inputShape.Any(size => size == 0))
            throw new InputException(_mainName, "at least one token", $"the empty shape {Show(main.Shape)}");
        return packed ? CheckOffsets(_inputs.SequenceOffsets!, inputShape[0]) : UniformOffsets(inputShape);
    }

    private BufferPart? ReadIds()
    {
        if (_inputs.InputsEmbeds is not null)
            return null;
        BufferPart part = _host.Reserve((int)_offsets[^1]);
        Span<long> ids = _host.Longs(part);
        if (_inputs.Documents is { } documents)
        {
            for (int s = 0; s < documents.Count; s++)
            {
                ReadOnlySpan<int> given = documents[s].Ids.Span;
                for (int i = 0; i < given.Length; i++)
                    ids[(int)_offsets[s] + i] = given[i];
            }
        }
        else
        {
            ReadIntegers(_inputs.InputIds!, "input_ids", ids);
        }
        for (int i = 0; i < ids.Length; i++)
        {
            if ((ulong)ids[i] >= (ulong)_limits.VocabSize)
                throw new InputException(Place(_mainName, i), $"an id of the vocabulary, 0..{_limits.VocabSize - 1}", $"{ids[i]}");
        }
        return part;
    }

    /// <summary>Which tokens are visible (null: all) and which the mask itself makes global with the value 2 (null: none).</summary>
    private (bool[]? Visible, bool[]? Globals) ReadAttentionMask(BufferPart? ids, bool allowPaddingRows)
    {
        long padding = _limits.PadTokenId;
        double[]? mask = _inputs.AttentionMask is null ? null : MaskValues(_inputs.AttentionMask, "attention_mask", 2);
        for (int s = 0; s < _offsets.Length - 1 && !allowPaddingRows; s++)
        {
            (int from, int to) = ((int)_offsets[s], (int)_offsets[s + 1]);
            if (mask is not null && mask.AsSpan(from..to).IndexOfAnyExcept(0.0) < 0)
                throw new InputException("attention_mask", $"at least one token in sequence {s}", "only padding");
            if (ids is { } part && _host.Longs(part)[from..to].IndexOfAnyExcept(padding) < 0)
                throw new InputException(_mainName, $"at least one token in sequence {s}", $"only padding (id {padding})");
        }
        if (_inputs.Documents is { } documents)
            return (DocumentVisibility(documents), null);
        if (mask is null)
            return (null, null);
        return (mask.AsSpan().Contains(0.0) ? Array.ConvertAll(mask, m => m != 0) : null,
            mask.AsSpan().Contains(2.0) ? Array.ConvertAll(mask, m => m == 2) : null);
    }

    private bool[]? DocumentVisibility(IReadOnlyList<DocumentTokens> documents)
    {
        if (documents.All(d => d.Visible?.Contains(false) != true))
            return null;
        bool[] visible = new bool[_offsets[^1]];
        for (int s = 0; s < documents.Count; s++)
        {
            IReadOnlyList<bool>? given = documents[s].Visible;
            if (given is not null && given.Count != documents[s].Ids.Length)
                throw new InputException(new("documents", s), $"Visible for {documents[s].Ids.Length} tokens", $"{given.Count} values");
            for (int i = 0; i < documents[s].Ids.Length; i++)
                visible[_offsets[s] + i] = given is null || given[i];
        }
        return visible;
    }

    /// <summary>The positions of each sequence's global tokens: the caller's, else the task's; hidden ones are padding. Null: there are
    /// none.</summary>
    private IReadOnlyList<int>[]? ReadGlobals(bool[]? marked, bool[]? visible, BufferPart? ids, GlobalRule rule)
    {
        IReadOnlyList<int>[]? globals;
        if (marked is not null || _inputs.GlobalAttentionMask is not null)
        {
            double[]? mask = _inputs.GlobalAttentionMask is null ? null : MaskValues(_inputs.GlobalAttentionMask, "global_attention_mask", 1);
            globals = BySequence((s, from, to) => Positions(from, to, i => mask is not null && mask[i] != 0 || marked is not null && marked[i]));
        }
        else
        {
            globals = _inputs.Documents is { } documents
                ? BySequence((s, from, to) => documents[s].Globals is { } given
                    ? CheckGlobals(given, s, to - from)
                    : TaskGlobals(ids, rule, from, to))
                : rule == GlobalRule.None ? null : BySequence((_, from, to) => TaskGlobals(ids, rule, from, to));
        }
        return globals is null || visible is null ? globals
            : BySequence((s, from, _) => globals[s].All(i => visible[from + i]) ? globals[s] : [.. globals[s].Where(i => visible[from + i])]);
    }

    private IReadOnlyList<int>[] BySequence(Func<int, int, int, IReadOnlyList<int>> positions)
    {
        IReadOnlyList<int>[] all = new IReadOnlyList<int>[_offsets.Length - 1];
        for (int s = 0; s < all.Length; s++)
            all[s] = positions(s, (int)_offsets[s], (int)_offsets[s + 1]);
        return all;
    }

    private static List<int> Positions(int from, int to, Func<int, bool> isGlobal)
    {
        List<int> positions = [];
        for (int i = from; i < to; i++)
        {
            if (isGlobal(i))
                positions.Add(i - from);
        }
        return positions;
    }

    private static IReadOnlyList<int> CheckGlobals(IReadOnlyList<int> positions, int document, int length)
    {
        for (int i = 0; i < positions.Count; i++)
        {
            if ((uint)positions[i] >= (uint)length || (i > 0 && positions[i] <= positions[i - 1]))
            {
                throw new InputException(new("documents", document), $"ascending global positions within its {length} tokens",
                    positions.Count > 20 ? $"{positions[i]} at place {i}" : $"[{string.Join(", ", positions)}]");
            }
        }
        return positions;
    }

    private int[] TaskGlobals(BufferPart? ids, GlobalRule rule, int from, int to)
    {
        if (rule == GlobalRule.None)
            return [];
        if (rule == GlobalRule.First)
            return FirstOnly;
        // Without ids or a separator the parts are unknown, and no token is global.
        int separator = ids is { } part ? _host.Longs(part)[from..to].IndexOf(_limits.SepTokenId) : -1;
        if (separator < 0)
            return [];
        int first = rule == GlobalRule.Question ? 0 : Math.Min(separator + 2, to - from);
        return [.. Enumerable.Range(first, (rule == GlobalRule.Question ? separator : to - from) - first)];
    }

    private BufferPart ReadPositions(BufferPart? ids, Tensor? given)
    {
        BufferPart part = _host.Reserve((int)_offsets[^1]);
        Span<long> positions = _host.Longs(part);
        if (given is not null)
        {
            ReadIntegers(given, "position_ids", positions);
            for (int i = 0; i < positions.Length; i++)
            {
                if ((ulong)positions[i] >= (ulong)_limits.PositionRows)
                {
                    throw new InputException(Place("position_ids", i), $"a row of the position table, 0..{_limits.PositionRows - 1}",
                        $"{positions[i]}");
                }
            }
            return part;
        }
        ReadOnlySpan<long> tokens = ids is { } read && !_limits.PaddingTakesPositions ? _host.Longs(read) : default;
        for (int s = 0; s < _offsets.Length - 1; s++)
        {
            int count = 0;
            for (int i = (int)_offsets[s]; i < (int)_offsets[s + 1]; i++)
                positions[i] = !tokens.IsEmpty && tokens[i] == _limits.PadTokenId ? _limits.PadTokenId : _limits.FirstPosition + count++;
            if (count > _limits.MaxTokens)
            {
                throw new InputException(_mainName, $"at most {_limits.MaxTokens} tokens {_limits.PositionsExplained}", $"{count} in sequence {s}");
            }
        }
        return part;
    }

    private BufferPart ReadTypes(Tensor tensor)
    {
        BufferPart part = _host.Reserve((int)_offsets[^1]);
        Span<long> types = _host.Longs(part);
        ReadIntegers(tensor, "token_type_ids", types);
        for (int i = 0; i < types.Length; i++)
        {
            if ((ulong)types[i] >= (ulong)_limits.TypeVocabSize)
            {
                throw new InputException(Place("token_type_ids", i),
                    $"a token type of this checkpoint, 0..{_limits.TypeVocabSize - 1}", $"{types[i]}");
            }
        }
        return part;
    }

    private BufferPart AddFlags(bool[] flags)
    {
        BufferPart part = _host.ReserveBytes(flags.Length);
        Span<byte> bytes = _host.Bytes(part);
        for (int i = 0; i < flags.Length; i++)
            bytes[i] = flags[i] ? (byte)1 : (byte)0;
        return part;
    }

    private long[] ChoiceShape(int? given)
    {
        if (!_inputs.IsPacked)
            return [_inputShape[0], _inputShape[1]];
        int sequences = _offsets.Length - 1;
        return given is int choices && choices >= 1 && sequences % choices == 0 ? [sequences / choices, choices]
            : throw new InputException("Choices", $"the number of choices of each question, a divisor of the {sequences} packed sequences",
                given?.ToString() ?? "none");
    }

    private void ReadIntegers(Tensor tensor, string name, Span<long> destination)
    {
        CheckShape(tensor, name);
        if (tensor.DType is not (DType.Int64 or DType.Int32 or DType.Int16 or DType.UInt8 or DType.Int8))
            throw new InputException(name, "integers", $"{tensor.DType}");
        HostValues.Read(tensor, destination);
    }

    private double[] MaskValues(Tensor tensor, string name, int largest)
    {
        CheckShape(tensor, name);
        double[] values = HostValues.ToDouble(tensor);
        for (int i = 0; i < values.Length; i++)
        {
            if (values[i] != 0 && values[i] != 1 && values[i] != largest)
            {
                throw new InputException(Place(name, i), largest == 1 ? "0 or 1" : "0 (padding), 1 (token) or 2 (global token)",
                    FormattableString.Invariant($"{values[i]}"));
            }
        }
        return values;
    }

    private void CheckShape(Tensor tensor, string name)
    {
        if (!tensor.Shape.SequenceEqual(_inputShape))
            throw new InputException(name, $"shape {Show(_inputShape)} like {_mainName}", Show(tensor.Shape));
    }

    private static long[] CheckOffsets(IReadOnlyList<long> offsets, long tokens)
    {
        bool ascending = offsets.Count > 1 && offsets[0] == 0 && offsets[^1] == tokens;
        for (int s = 1; s < offsets.Count; s++)
            ascending &= offsets[s] > offsets[s - 1];
        return ascending ? [.. offsets] : throw new InputException(
            "SequenceOffsets", $"ascending offsets from 0 to the {tokens} tokens, without empty sequences", $"[{string.Join(", ", offsets)}]");
    }

    private static long[] UniformOffsets(long[] shape)
    {
        long sequences = shape[..^1].Aggregate(1L, (product, size) => product * size);
        long[] offsets = new long[sequences + 1];
        for (long s = 0; s <= sequences; s++)
            offsets[s] = s * shape[^1];
        return offsets;
    }

    /// <summary>The place of flat element <paramref name="i"/>: in the caller's shape, or in its document.</summary>
    private ArgumentName Place(string name, int i)
    {
        if (_inputs.Documents is not null)
        {
            int document = Array.FindIndex(_offsets, offset => offset > i) - 1;
            return new(name, document, i - _offsets[document]);
        }
        long[] place = new long[_inputShape.Length];
        long rest = i;
        for (int d = place.Length - 1; d >= 0; d--)
            (rest, place[d]) = Math.DivRem(rest, _inputShape[d]);
        return new(name, place);
    }

    internal static string Show(ReadOnlySpan<long> shape) => $"[{string.Join(", ", shape.ToArray())}]";
}
