using System.Numerics;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// A base with what an adapter adds: weights that LoRA changes are computed when they are taken, in float32 and rounded once to the base's dtype,
/// which is how PEFT merges; all others are in the base's files.
/// </summary>
internal sealed class MergedFile : ITensorFile
{
    private readonly Checkpoint _base;
    private readonly ITensorFile _adapter;
    private readonly Dictionary<string, LoraAddition> _additions;
    private readonly bool _isTransposed;

    /// <param name="bases">The base under HF's names.</param>
    /// <param name="adapter">The adapter's file.</param>
    /// <param name="additions">The additions, by the base's names.</param>
    /// <param name="replaced">Tensors that take the place of the base's, or have none there.</param>
    /// <param name="isTransposed">Whether the weights are [inputs, outputs] (<c>fan_in_fan_out</c>).</param>
    public MergedFile(
        Checkpoint bases, ITensorFile adapter, Dictionary<string, LoraAddition> additions, Dictionary<string, TensorEntry> replaced,
        bool isTransposed)
    {
        _base = bases;
        _adapter = adapter;
        _additions = additions;
        _isTransposed = isTransposed;
        Dictionary<string, TensorEntry> entries = replaced.ToDictionary(r => r.Key, r => r.Value.Rename(r.Key, 0), StringComparer.Ordinal);
        int number = 0;
        foreach (LoraAddition addition in additions.Values)
        {
            TensorEntry entry = bases.Entry(addition.Target);
            Check(addition, entry);

            // Computed, so it is in no file: no two of them are the same bytes.
            entries[addition.Target] = new TensorEntry(addition.Target, entry.Type, entry.Shape.ToArray(), -1 - number++, adapter.Path);
        }

        Entries = entries;
    }

    public string Path => _adapter.Path;

    public IReadOnlyDictionary<string, TensorEntry> Entries { get; }

    public IReadOnlyDictionary<string, string> Metadata => _adapter.Metadata;

    public Tensor Get(TensorEntry entry)
    {
        if (entry.Begin >= 0)
            return _adapter.Get(entry);
        LoraAddition addition = _additions.Values.Single(a => Entries[a.Target].Begin == entry.Begin);
        using TensorScope scope = new();
        Tensor weight = _base.Get(addition.Target);
        float[] values = weight.To(DType.Float32).ToArray<float>();
        Add(values, (int)(weight.Size(1)), Floats(addition.A!), Floats(addition.B!), addition);
        return Tensor.From<float>(values, weight.Shape).To(weight.DType).MoveToOuterScope();
    }

    public void CopyTo(TensorEntry entry, Stream target)
    {
        if (entry.Begin >= 0)
        {
            _adapter.CopyTo(entry, target);
            return;
        }

        using TensorScope scope = new();
        TensorBytes.Write(Get(entry), target);
    }

    public void Dispose()
    {
        _adapter.Dispose();
        _base.Dispose();
    }

    private float[] Floats(TensorEntry entry)
    {
        using TensorScope scope = new();
        return _adapter.Get(entry).To(DType.Float32).ToArray<float>();
    }

    private bool Transposes(LoraAddition addition) => addition.IsEmbedding || _isTransposed;

    private void Check(LoraAddition addition, TensorEntry weight)
    {
        (TensorEntry a, TensorEntry b) = (addition.A!, addition.B!);
        bool flat = weight.Shape.Length == 2 && a.Shape.Length == 2 && b.Shape.Length == 2;
        (int outer, int inner) = Transposes(addition) ? (1, 0) : (0, 1);
        if (flat && a.Shape[0] == b.Shape[1] && b.Shape[0] == weight.Shape[outer] && a.Shape[1] == weight.Shape[inner])
            return;
        throw new CheckpointException(
            $"{_adapter.Path}: the addition to {addition.Target} {TensorEntry.ShapeText(weight.Shape)} of the base has the shapes "
            + $"{TensorEntry.ShapeText(b.Shape)} times "
            + $"{TensorEntry.ShapeText(a.Shape)}: not the base that the adapter was trained on?");
    }

    /// <summary>Adds scale * B * A, or its transpose, row by row.</summary>
    private void Add(float[] weight, int columns, float[] a, float[] b, LoraAddition addition)
    {
        int rows = weight.Length / Math.Max(1, columns), rank = (int)addition.A!.Shape[0];
        bool transposes = Transposes(addition);

        // Row i of the product is the sum over k of left[i, k] * right[k, :]; transposed, A is on the left and B on the right, both transposed.
        float[] right = transposes ? Turn(b, columns, rank) : a;
        float scale = (float)addition.Scale;
        Parallel.For(0, rows, row =>
        {
            float[] sum = new float[columns];
            for (int k = 0; k < rank; k++)
            {
                float factor = transposes ? a[(k * rows) + row] : b[(row * rank) + k];
                MultiplyAdd(right.AsSpan(k * columns, columns), factor, sum);
            }

            MultiplyAdd(sum, scale, weight.AsSpan(row * columns, columns));
        });
    }

    private static float[] Turn(float[] matrix, int rows, int columns)
    {
        float[] turned = new float[matrix.Length];
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++)
                turned[(c * rows) + r] = matrix[(r * columns) + c];
        }
        return turned;
    }

    private static void MultiplyAdd(ReadOnlySpan<float> from, float factor, Span<float> to)
    {
        int at = 0;
        Vector<float> wide = new(factor);
        for (; at <= from.Length - Vector<float>.Count; at += Vector<float>.Count)
            (new Vector<float>(to[at..]) + (new Vector<float>(from[at..]) * wide)).CopyTo(to[at..]);
        for (; at < from.Length; at++)
            to[at] += from[at] * factor;
    }
}
