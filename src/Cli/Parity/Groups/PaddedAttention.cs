using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// The attention of the <c>dense_*</c> and <c>gradients/attention_*</c> cases through the project's operators: tensors
/// [B, T, H, D], a mask [B, T] of -1 padding, 0 local, 1 global, and (if given) own projections of the global tokens.
/// </summary>
internal sealed class PaddedAttention
{
    private readonly BandedAttentionOptions _options;
    private readonly Tensor? _globalIndex;
    private readonly long[] _globalRows;
    private readonly long[] _filledSlots;
    private readonly Tensor _visible;
    private readonly double _scale;

    internal PaddedAttention(ParityCase parityCase, Tensor mask, AttentionImplementation implementation, Device device)
    {
        (long batch, long length) = (mask.Shape[0], mask.Shape[1]);
        long[] kinds = mask.To(DType.Int64).ToArray<long>();
        _visible = Tensor.From<byte>(Array.ConvertAll(kinds, kind => kind >= 0 ? (byte)1 : (byte)0), batch, length).To(device);

        List<long>[] globals = [.. Enumerable.Range(0, (int)batch).Select(b =>
            Enumerable.Range(0, (int)length).Where(i => kinds[(b * length) + i] > 0).Select(i => (long)i).ToList())];
        int most = globals.Max(g => g.Count);
        List<long> index = [], rows = [], slots = [];
        for (int b = 0; b < batch; b++)
        {
            for (int g = 0; g < most; g++)
            {
                bool filled = g < globals[b].Count;
                if (filled)
                {
                    rows.Add((b * length) + globals[b][g]);
                    slots.Add(index.Count);
                }
                index.Add(filled ? globals[b][g] : -1);
            }
        }
        _globalRows = [.. rows];
        _filledSlots = [.. slots];
        _globalIndex = most == 0 ? null : Tensor.From<long>(index.ToArray(), batch, most).To(device);
        _scale = parityCase.Configuration.GetProperty("scale").GetDouble();
        _options = new BandedAttentionOptions
        {
            WindowLeft = parityCase.Integer("left"),
            WindowRight = parityCase.Integer("right"),
            Dilation = Array.ConvertAll(ParityCase.Integers(parityCase.Configuration, "dilation"), d => (long)d),
            Mask = _visible,
            GlobalIndex = _globalIndex,
            Scale = _scale,
            Implementation = implementation,
        };
    }

    /// <summary>The whole attention [B, T, H, D]: local rows from the window, global rows from all keys.</summary>
    internal Tensor Run(Tensor query, Tensor key, Tensor value, Tensor globalQuery, Tensor globalKey, Tensor globalValue)
    {
        Tensor local = Differentiable.BandedAttention(query, key, value, _options);
        if (_globalIndex is null)
            return local;
        (long batch, long slots) = (_globalIndex.Shape[0], _globalIndex.Shape[1]);
        long[] token = query.Shape[2..];
        long[] shape = query.Shape;
        // A slot without a token reads row 0 of all; the operator gives zeros there and they are not written back.
        long[] slotRows = new long[batch * slots];
        for (int i = 0; i < _filledSlots.Length; i++)
            slotRows[_filledSlots[i]] = _globalRows[i];
        Tensor Rows(Tensor tokens) => Differentiable.Reshape(tokens, [shape[0] * shape[1], .. token]);
        Tensor queries = Differentiable.Reshape(Differentiable.SelectRows(Rows(globalQuery), Indices(slotRows, query.Device)),
            [batch, slots, .. token]);
        Tensor result = Differentiable.GlobalAttention(queries, globalKey, globalValue, _globalIndex,
            new GlobalAttentionOptions { Mask = _visible, Scale = _scale });
        Tensor rows = Differentiable.SelectRows(Differentiable.Reshape(result, [batch * slots, .. token]), Indices(_filledSlots, query.Device));
        return Differentiable.Reshape(Differentiable.ReplaceRows(Rows(local), Indices(_globalRows, query.Device), rows), shape);
    }

    /// <summary>
    /// The probabilities [B, H, T, T] that the operators work with: attention to values that are columns of the unit matrix gives them D
    /// columns at a time.
    /// </summary>
    internal Tensor Probabilities(Tensor query, Tensor key, Tensor globalQuery, Tensor globalKey)
    {
        (long batch, long length, long heads, long size) = (query.Shape[0], query.Shape[1], query.Shape[2], query.Shape[3]);
        List<Tensor> columns = [];
        for (long first = 0; first < length; first += size)
        {
            float[] unit = new float[length * size];
            for (long j = first; j < Math.Min(length, first + size); j++)
                unit[(j * size) + j - first] = 1;
            Tensor values = Tensor.From<float>(unit, 1, length, 1, size).To(query.Device).Expand(batch, length, heads, size).Contiguous();
            columns.Add(Run(query, key, values, globalQuery, globalKey, values));
        }
        return Tensor.Cat([.. columns], 3).Narrow(3, 0, length).Permute(0, 2, 1, 3).Contiguous();
    }

    private static Tensor Indices(long[] values, Device device) => Tensor.From<long>(values, values.Length).To(device);
}
