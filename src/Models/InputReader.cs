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
/// Turns <see cref="LongformerInputs"/> into a <see cref="SequenceBatch"/>. Ids and masks are read on the host once, where every
/// value is checked; the layers then trust them. One instance reads one batch.
/// </summary>
internal sealed class InputReader
{
    private readonly LongformerInputs _inputs;
    private readonly LongformerConfiguration _configuration;
    private readonly Device _device;
    private readonly Tensor _main;
    private readonly string _mainName;
    private readonly long[] _inputShape;  // of ids and masks as the caller gave them
    private readonly long[] _offsets;

    private InputReader(LongformerInputs inputs, LongformerConfiguration configuration, Device device, bool choices)
    {
        _inputs = inputs;
        _configuration = configuration;
        _device = device;
        if (inputs.InputIds is null == inputs.InputsEmbeds is null)
            throw new InputException(
                $"input_ids, inputs_embeds: expected one of the two, given {(inputs.InputIds is null ? "neither" : "both")}");
        _mainName = inputs.InputIds is null ? "inputs_embeds" : "input_ids";
        _main = (inputs.InputIds ?? inputs.InputsEmbeds)!;
        _inputShape = inputs.InputIds is null ? [.. _main.Shape[..^1]] : [.. _main.Shape];
        bool packed = inputs.SequenceOffsets is not null;
        (int rank, string layout) = packed ? (1, "[N]") : choices ? (3, "[batch, choices, length]") : (2, "[batch, length]");
        string last = inputs.InputIds is null ? $" and {configuration.HiddenSize} values per token" : "";
        if (_inputShape.Length != rank || (inputs.InputIds is null && _main.Shape[^1] != configuration.HiddenSize))
            throw new InputException($"{_mainName}: expected shape {layout}{last}, given {Show(_main.Shape)}");
        if (_inputShape.Any(size => size == 0))
            throw new InputException($"{_mainName}: expected at least one token, given the empty shape {Show(_main.Shape)}");
        _offsets = packed ? CheckOffsets(inputs.SequenceOffsets!, _inputShape[0]) : UniformOffsets(_inputShape);
    }

    /// <summary>Checks and lays out a batch; new tensors join the current scope.</summary>
    /// <exception cref="InputException">Names the argument, what was expected and what was given.</exception>
    public static SequenceBatch Read(LongformerInputs inputs, LongformerConfiguration configuration, GlobalRule rule, Device device, DType dtype,
        bool allowPaddingRows = false)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        bool choices = rule == GlobalRule.Choice;
        var reader = new InputReader(inputs, configuration, device, choices);
        long[]? ids = reader.ReadIds();
        (bool[]? visible, bool[]? globals) = reader.ReadAttentionMask(ids, allowPaddingRows);
        globals = reader.ReadGlobals(globals, visible, ids, rule);
        long tokens = reader._offsets[^1];
        int sequences = reader._offsets.Length - 1;
        var host = new HostBuffer();
        var layout = new BatchLayout
        {
            Host = host,
            Offsets = reader._offsets,
            TokenShape = inputs.SequenceOffsets is not null ? [tokens] : [sequences, reader._inputShape[^1]],
            SequenceShape = choices ? reader.ChoiceShape(sequences) : [sequences],
            Ids = ids is null ? null : host.Add(ids),
            Positions = host.Add(reader.ReadPositions(ids)),
            Types = inputs.TokenTypeIds is null ? null : host.Add(reader.ReadTypes(inputs.TokenTypeIds)),
            FirstRows = host.Add(reader._offsets.AsSpan(..^1)),
            Visible = visible is null ? null : host.Add(Array.ConvertAll(visible, v => v ? (byte)1 : (byte)0)),
            HidesTokens = visible is null ? null
                : [.. Enumerable.Range(0, sequences).Select(s => visible.AsSpan((int)reader._offsets[s]..(int)reader._offsets[s + 1]).Contains(false))],
            Globals = globals is null ? null : GlobalLayout.Create(reader._offsets, globals, host),
        };
        Tensor? vectors = inputs.WordVectors ?? inputs.InputsEmbeds;
        Tensor? embeds = vectors is null ? null : Differentiable.Reshape(Differentiable.To(vectors, device, dtype), tokens, configuration.HiddenSize);
        return SequenceBatch.Create(layout, host.Upload(device), embeds, inputs.BeforeLayer);
    }

    private long[]? ReadIds()
    {
        if (_inputs.InputIds is null)
            return null;
        long[] ids = Integers(_inputs.InputIds, "input_ids");
        int vocabulary = _configuration.VocabSize;
        for (int i = 0; i < ids.Length; i++)
            if ((ulong)ids[i] >= (ulong)vocabulary)
                throw new InputException($"input_ids{Place(i)}: expected an id of the vocabulary, 0..{vocabulary - 1}, given {ids[i]}");
        return ids;
    }

    /// <summary>Which tokens are visible (null: all) and which the mask itself makes global with the value 2 (null: none).</summary>
    private (bool[]? Visible, bool[]? Globals) ReadAttentionMask(long[]? ids, bool allowPaddingRows)
    {
        long padding = _configuration.PadTokenId;
        double[]? mask = _inputs.AttentionMask is null ? null : MaskValues(_inputs.AttentionMask, "attention_mask", 2);
        for (int s = 0; s < _offsets.Length - 1 && !allowPaddingRows; s++)
        {
            (int from, int to) = ((int)_offsets[s], (int)_offsets[s + 1]);
            if (mask is not null && mask.AsSpan(from..to).IndexOfAnyExcept(0.0) < 0)
                throw new InputException($"attention_mask: expected at least one token in sequence {s}, given only padding");
            if (ids is not null && ids.AsSpan(from..to).IndexOfAnyExcept(padding) < 0)
                throw new InputException($"input_ids: expected at least one token in sequence {s}, given only padding (id {padding})");
        }
        if (mask is null)
            return (null, null);
        return (mask.AsSpan().Contains(0.0) ? Array.ConvertAll(mask, m => m != 0) : null,
            mask.AsSpan().Contains(2.0) ? Array.ConvertAll(mask, m => m == 2) : null);
    }

    /// <summary>The global tokens: the caller's, else the task's; hidden ones are padding.</summary>
    private bool[]? ReadGlobals(bool[]? fromMask, bool[]? visible, long[]? ids, GlobalRule rule)
    {
        bool[]? globals = _inputs.GlobalAttentionMask is not null
            ? Array.ConvertAll(MaskValues(_inputs.GlobalAttentionMask, "global_attention_mask", 1), m => m != 0)
            : fromMask is not null ? null : TaskGlobals(ids, rule);
        for (int i = 0; fromMask is not null && i < fromMask.Length; i++)
            fromMask[i] |= globals is not null && globals[i];
        globals = fromMask ?? globals;
        for (int i = 0; globals is not null && visible is not null && i < globals.Length; i++)
            globals[i] &= visible[i];
        return globals;
    }

    private bool[]? TaskGlobals(long[]? ids, GlobalRule rule)
    {
        if (rule == GlobalRule.None || (rule != GlobalRule.First && ids is null))
            return null;
        var globals = new bool[_offsets[^1]];
        for (int s = 0; s < _offsets.Length - 1; s++)
        {
            (int from, int to) = ((int)_offsets[s], (int)_offsets[s + 1]);
            int separator = ids is null ? -1 : ids.AsSpan(from..to).IndexOf(_configuration.SepTokenId);
            // Without a separator there is no telling the parts apart, and no token is global.
            Range range = rule switch
            {
                GlobalRule.First => from..(from + 1),
                GlobalRule.Question when separator >= 0 => from..(from + separator),
                GlobalRule.Choice when separator >= 0 => Math.Min(from + separator + 2, to)..to,
                _ => from..from,
            };
            globals.AsSpan(range).Fill(true);
        }
        return globals;
    }

    private long[] ReadPositions(long[]? ids)
    {
        int padding = _configuration.PadTokenId;
        if (_inputs.PositionIds is not null)
        {
            long[] given = Integers(_inputs.PositionIds, "position_ids");
            for (int i = 0; i < given.Length; i++)
                if ((ulong)given[i] >= (ulong)_configuration.MaxPositionEmbeddings)
                    throw new InputException(
                        $"position_ids{Place(i)}: expected a row of the position table, 0..{_configuration.MaxPositionEmbeddings - 1}, given {given[i]}");
            return given;
        }
        var positions = new long[_offsets[^1]];
        for (int s = 0; s < _offsets.Length - 1; s++)
        {
            long count = 0;
            for (long i = _offsets[s]; i < _offsets[s + 1]; i++)
                positions[i] = ids is not null && ids[i] == padding ? padding : padding + ++count;
            if (count > _configuration.MaxTokens)
                throw new InputException(
                    $"{_mainName}: expected at most {_configuration.MaxTokens} tokens per sequence, the positions of this checkpoint "
                    + $"(max_position_embeddings {_configuration.MaxPositionEmbeddings} - padding_idx {padding} - 1), given {count} in sequence {s}");
        }
        return positions;
    }

    private long[] ReadTypes(Tensor tensor)
    {
        long[] types = Integers(tensor, "token_type_ids");
        for (int i = 0; i < types.Length; i++)
            if ((ulong)types[i] >= (ulong)_configuration.TypeVocabSize)
                throw new InputException(
                    $"token_type_ids{Place(i)}: expected a token type of this checkpoint, 0..{_configuration.TypeVocabSize - 1}, given {types[i]}");
        return types;
    }

    private long[] ChoiceShape(int sequences)
    {
        if (_inputs.SequenceOffsets is null)
            return [_inputShape[0], _inputShape[1]];
        if (_inputs.Choices is not int choices || choices < 1 || sequences % choices != 0)
            throw new InputException(
                $"Choices: expected the number of choices of each question, a divisor of the {sequences} packed sequences, given {_inputs.Choices?.ToString() ?? "none"}");
        return [sequences / choices, choices];
    }

    private long[] Integers(Tensor tensor, string name)
    {
        CheckShape(tensor, name);
        if (tensor.DType is not (DType.Int64 or DType.Int32 or DType.Int16 or DType.UInt8 or DType.Int8))
            throw new InputException($"{name}: expected integers, given {tensor.DType}");
        return HostValues.ToInt64(tensor);
    }

    private double[] MaskValues(Tensor tensor, string name, int largest)
    {
        CheckShape(tensor, name);
        double[] values = HostValues.ToDouble(tensor);
        for (int i = 0; i < values.Length; i++)
            if (values[i] != 0 && values[i] != 1 && values[i] != largest)
                throw new InputException(FormattableString.Invariant(
                    $"{name}{Place(i)}: expected {(largest == 1 ? "0 or 1" : "0 (padding), 1 (token) or 2 (global token)")}, given {values[i]}"));
        return values;
    }

    private void CheckShape(Tensor tensor, string name)
    {
        if (!tensor.Shape.SequenceEqual(_inputShape))
            throw new InputException($"{name}: expected shape {Show(_inputShape)} like {_mainName}, given {Show(tensor.Shape)}");
    }

    private static long[] CheckOffsets(IReadOnlyList<long> offsets, long tokens)
    {
        bool ascending = offsets.Count > 1 && offsets[0] == 0 && offsets[^1] == tokens;
        for (int s = 1; s < offsets.Count; s++)
            ascending &= offsets[s] > offsets[s - 1];
        if (!ascending)
            throw new InputException(
                $"SequenceOffsets: expected ascending offsets from 0 to the {tokens} tokens, without empty sequences, given [{string.Join(", ", offsets)}]");
        return [.. offsets];
    }

    private static long[] UniformOffsets(long[] shape)
    {
        long sequences = shape[..^1].Aggregate(1L, (product, size) => product * size);
        var offsets = new long[sequences + 1];
        for (long s = 0; s <= sequences; s++)
            offsets[s] = s * shape[^1];
        return offsets;
    }

    /// <summary>The place of flat element <paramref name="i"/> in the caller's shape, as "[1, 17]".</summary>
    private string Place(long i)
    {
        var place = new long[_inputShape.Length];
        for (int d = place.Length - 1; d >= 0; d--)
            (i, place[d]) = Math.DivRem(i, _inputShape[d]);
        return Show(place);
    }

    internal static string Show(ReadOnlySpan<long> shape) => $"[{string.Join(", ", shape.ToArray())}]";
}

/// <summary>Values of small tensors on the host.</summary>
internal static class HostValues
{
    public static long[] ToInt64(Tensor tensor)
    {
        using var scope = new TensorScope();
        return tensor.To(Device.Cpu).To(DType.Int64).Contiguous().ToArray<long>();
    }

    public static double[] ToDouble(Tensor tensor)
    {
        using var scope = new TensorScope();
        return tensor.To(Device.Cpu).To(DType.Float64).Contiguous().ToArray<double>();
    }
}
