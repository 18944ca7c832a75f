using System.Globalization;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity;

/// <summary>
/// The operators on a device against the readable implementation (<c>loop</c>) on the CPU in Float64, on random inputs: forward and
/// gradients, every dtype. Errors are relative, |value - expected| / |expected| in the Euclidean norm; the reference gets the same rounded inputs.
/// </summary>
internal static class OperatorCheck
{
    // Rounding of the inputs is in the reference too; the rest is that of products, of probabilities and of the result.
    private static readonly (DType Type, double Tolerance)[] DTypes = [(DType.Float32, 2e-5), (DType.BFloat16, 1.2e-2), (DType.Float16, 2e-3)];

    private sealed record Shape(string Name, long Batch, long Tokens, long Heads, long Size, long Left, long Right)
    {
        public long[]? Dilation { get; init; }

        public long[]? Offsets { get; init; }

        public long Globals { get; init; }

        public bool Masked { get; init; }
    }

    private static readonly Shape[] Shapes =
    [
        new("window", 2, 200, 4, 64, 32, 32), new("uneven window", 1, 333, 3, 64, 17, 40) { Masked = true }, new("causal", 2, 150, 2, 32, 64, 0),
        new("global tokens", 2, 257, 2, 64, 48, 48) { Globals = 5, Masked = true },
        new("dilated", 1, 300, 3, 64, 16, 16) { Dilation = [1, 2, 5], Globals = 2 },
        new("packed", 1, 371, 2, 64, 32, 32) { Offsets = [0, 1, 130, 371], Globals = 3 }, new("wide", 1, 1200, 2, 64, 256, 256) { Globals = 1 },
        new("head of 96", 1, 130, 2, 96, 20, 20),
    ];

    // Of the hidden states that folded global attention pools: one that no kernel's width divides, and that of the base size.
    private static readonly long[] HiddenSizes = [96, 768];

    /// <summary>A row for every operator, shape, dtype and implementation.</summary>
    internal static IEnumerable<ParityRow> Run(ParitySettings settings)
    {
        long seed = 1;
        foreach (AttentionImplementation implementation in settings.Implementations)
        {
            foreach (Shape shape in Shapes)
            {
                foreach ((DType type, double tolerance) in DTypes)
                {
                    foreach (ParityRow row in Guarded($"operators/banded_attention[{implementation.ToString().ToLowerInvariant()}, {Name(type)}, "
                        + $"{shape.Name}]",
                        label => Banded(label, shape, type, tolerance, implementation, settings.Device, seed++)))
                    {
                        yield return row;
                    }
                }
            }
        }
        foreach ((DType type, double tolerance) in DTypes)
        {
            foreach (Shape shape in Shapes.Where(s => s.Globals > 0))
            {
                foreach (long channels in HiddenSizes)
                {
                    foreach (ParityRow row in Guarded($"operators/folded_global_attention[{Name(type)}, {shape.Name}, {channels} channels]",
                        label => Global(label, shape, channels, type, tolerance, settings.Device, seed++)))
                    {
                        yield return row;
                    }
                }
            }
            foreach (ParityRow row in Guarded($"operators/dense[{Name(type)}]", label => Dense(label, type, tolerance, settings.Device, seed++)))
                yield return row;
        }
    }

    private static IReadOnlyList<ParityRow> Guarded(string label, Func<string, IReadOnlyList<ParityRow>> work)
    {
        using TensorScope scope = new();
        try
        {
            return work(label);
        }
#pragma warning disable CA1031 // An operator that fails is a failed row; the next one still runs.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return [new ParityRow(label, "-", null, null, ParityOutcome.Fail, CommandFailure.Describe(e))];
        }
    }

    private static List<ParityRow> Banded(string label, Shape shape, DType type, double tolerance, AttentionImplementation implementation,
        Device device, long seed)
    {
        Random random = new((int)seed);
        long[] sizes = shape.Offsets is null ? [shape.Batch, shape.Tokens, shape.Heads, shape.Size] : [shape.Tokens, shape.Heads, shape.Size];
        Tensor[] inputs = [.. Enumerable.Range(0, 4).Select(_ => Tensor.Randn(sizes, random).To(type))];
        Tensor[] computed = Attend(implementation, device, type), expected = Attend(AttentionImplementation.Loop, Device.Cpu, DType.Float64);
        string[] names = ["output", "grad_query", "grad_key", "grad_value"];
        return [.. names.Select((name, i) => Compare(label, name, computed[i], expected[i], i == 0 ? tolerance : 2 * tolerance))];

        Tensor[] Attend(AttentionImplementation by, Device at, DType precision)
        {
            Tensor[] leaves = [.. inputs.Take(3).Select(t => t.To(precision).To(at))];
            using GradientSet gradients = new(leaves);
            using GradientTape tape = new(gradients);
            Tensor output = Differentiable.BandedAttention(leaves[0], leaves[1], leaves[2], new BandedAttentionOptions
            {
                WindowLeft = shape.Left,
                WindowRight = shape.Right,
                Dilation = shape.Dilation,
                Mask = Mask(shape)?.To(at),
                GlobalIndex = GlobalIndex(shape)?.To(at),
                SequenceOffsets = shape.Offsets,
                Implementation = by,
            });
            tape.Backward(output, inputs[3].To(precision).To(at));
            return [output, .. leaves.Select(leaf => gradients[leaf]!.Alias())];
        }
    }

    private static List<ParityRow> Global(string label, Shape shape, long channels, DType type, double tolerance, Device device, long seed)
    {
        Random random = new((int)seed);
        long sequences = shape.Offsets is null ? shape.Batch : shape.Offsets.Length - 1, features = shape.Heads * shape.Size;
        Tensor query = Tensor.Randn([sequences, shape.Globals, shape.Heads, shape.Size], random).To(type);
        Tensor hidden = Tensor.Randn(shape.Offsets is null ? [shape.Batch, shape.Tokens, channels] : [shape.Tokens, channels], random).To(type);
        Tensor[] weights = [.. Enumerable.Range(0, 2).Select(_ => (Tensor.Randn([features, channels], random) * (1 / Math.Sqrt(channels))).To(type))];
        Tensor[] biases = [.. Enumerable.Range(0, 2).Select(_ => Tensor.Randn([features], random).To(type))];
        return [Compare(label, "output", Attend(device, type), Attend(Device.Cpu, DType.Float64), tolerance)];

        Tensor Attend(Device at, DType precision)
        {
            Tensor Placed(Tensor t) => t.To(precision).To(at);
            return LongformerOps.FoldedGlobalAttention(Placed(query), Placed(hidden), Placed(weights[0]), Placed(biases[0]), Placed(weights[1]),
                Placed(biases[1]),
                GlobalIndex(shape)!.To(at), new GlobalAttentionOptions { Mask = Mask(shape)?.To(at), SequenceOffsets = shape.Offsets });
        }
    }

    private static List<ParityRow> Dense(string label, DType type, double tolerance, Device device, long seed)
    {
        Random random = new((int)seed);
        Tensor input = Tensor.Randn([130, 96], random).To(type), weight = (Tensor.Randn([192, 96], random) * 0.1).To(type),
            bias = Tensor.Randn([192], random).To(type), residual = Tensor.Randn([130, 96], random).To(type);
        Tensor gain = Tensor.Randn([96], random).To(type), shift = Tensor.Randn([96], random).To(type);
        Tensor query = Tensor.Randn([5, 2, 64], random).To(type), keys = Tensor.Randn([77, 2, 64], random).To(type),
            values = Tensor.Randn([77, 2, 64], random).To(type);
        Tensor mask = Tensor.Rand([4, 77], random).Gt(0.3).To(DType.UInt8);
        Tensor table = Tensor.Randn([50, 96], random).To(type), types = Tensor.Randn([2, 96], random).To(type);
        Tensor wordIds = Ids(50), positionIds = Ids(130), typeIds = Ids(2);
        Tensor[] computed = Compute(device, type), expected = Compute(Device.Cpu, DType.Float64);
        string[] names = ["linear", "linear_gelu", "add_layer_norm", "embed", "embed_scaled", "decode_attention"];
        return [.. names.Select((name, i) => Compare(label, name, computed[i], expected[i], tolerance))];

        Tensor Ids(long rows) => (Tensor.Rand([130], random) * rows).To(DType.Int64);

        Tensor[] Compute(Device at, DType precision)
        {
            Tensor Placed(Tensor t) => t.To(precision).To(at);
            Tensor nothing = Tensor.Empty([0], DType.UInt8, at);
            Tensor[] k = [Placed(keys), Placed(keys).Narrow(0, 3, 40)], v = [Placed(values), Placed(values).Narrow(0, 3, 40)];
            return
            [
                LongformerOps.Linear(Placed(input), Placed(weight), Placed(bias)),
                LongformerOps.Linear(Placed(input), Placed(weight), Placed(bias), activation: Activation.Gelu),
                LongformerOps.AddLayerNorm(Placed(input), Placed(residual), Placed(gain), Placed(shift), 1e-5),
                LongformerOps.Embed(new(Placed(table), wordIds.To(at)), new(Placed(residual), positionIds.To(at)), new(Placed(types), typeIds.To(at)),
                    Placed(gain), Placed(shift), 1e-5),
                LongformerOps.Embed(new(Placed(input)), new(Placed(residual).Narrow(0, 0, 65)), null, Placed(gain), Placed(shift), 1e-5,
                    wordScale: 3.3),
                LongformerOps.DecodeAttention(Placed(query), k, v, [4, 1], [mask.To(at), nothing]),
            ];
        }
    }

    /// <summary>One token in seven is padding, never the first of a sequence.</summary>
    private static Tensor? Mask(Shape shape) => !shape.Masked ? null : Tensor.From<byte>(
        [.. Enumerable.Range(0, (int)(shape.Batch * shape.Tokens)).Select(i => (byte)(i % shape.Tokens % 7 == 5 ? 0 : 1))],
        shape.Batch, shape.Tokens);

    /// <summary>Positions spread over each sequence; fewer in a short one, whose row ends in -1.</summary>
    private static Tensor? GlobalIndex(Shape shape)
    {
        if (shape.Globals == 0)
            return null;
        long[] lengths = shape.Offsets is null
            ? [.. Enumerable.Repeat(shape.Tokens, (int)shape.Batch)]
            : [.. shape.Offsets.Skip(1).Zip(shape.Offsets, (to, from) => to - from)];
        return Tensor.From<long>(
            [.. lengths.SelectMany(length => Enumerable.Range(0, (int)shape.Globals).Select(g => g < length ? g * length / shape.Globals : -1))],
            lengths.Length, shape.Globals);
    }

    private static ParityRow Compare(string label, string item, Tensor value, Tensor expected, double tolerance)
    {
        Tensor reference = expected.To(DType.Float64), difference = value.To(Device.Cpu).To(DType.Float64) - reference;
        double error = Math.Sqrt((difference * difference).Sum().ToDouble() / (reference * reference).Sum().ToDouble());
        return new ParityRow(label, item, error, tolerance, error <= tolerance ? ParityOutcome.Pass : ParityOutcome.Fail,
            double.IsFinite(error) ? null : string.Create(CultureInfo.InvariantCulture, $"the error is {error}"));
    }

    private static string Name(DType type) => type.ToString().ToLowerInvariant();
}
