using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi.Exports;

internal static unsafe class OperatorExports
{
    [UnmanagedCallersOnly(EntryPoint = "lfm_banded_attention", CallConvs = [typeof(CallConvCdecl)])]
    public static int BandedAttention(nint query, nint key, nint value, long windowLeft, long windowRight, nint options,
        nint* output, nint* logSumExp) => Failure.Run(() =>
    {
        CMemory.Out(output, "output");
        if (logSumExp is not null)
            *logSumExp = 0;
        using Lease<TensorHandle> q = Use(query, "query"), k = Use(key, "key"), v = Use(value, "value");
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull);
        BandedAttentionOptions how = Randomly(reader, Banded(reader, windowLeft, windowRight));
        reader.Finish("lf_banded_attention");
        using TensorScope scope = new();
        (Tensor result, Tensor sums) = LongformerOps.BandedAttention(q.Value.Tensor, k.Value.Tensor, v.Value.Tensor, how);
        TensorHandle first = TensorHandle.Result(result);
        if (logSumExp is not null)
            *logSumExp = Handles.Add(TensorHandle.Result(sums));
        *output = Handles.Add(first);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_relative_banded_attention", CallConvs = [typeof(CallConvCdecl)])]
    public static int RelativeBandedAttention(nint query, nint key, nint value, nint relative, nint contentBias, nint positionBias,
        long windowLeft, long windowRight, nint options, nint* output, nint* logSumExp) => Failure.Run(() =>
    {
        CMemory.Out(output, "output");
        if (logSumExp is not null)
            *logSumExp = 0;
        using Lease<TensorHandle> q = Use(query, "query"), k = Use(key, "key"), v = Use(value, "value"), table = Use(relative, "relative");
        using Lease<TensorHandle> content = Handles.UseOptional<TensorHandle>(contentBias, "content_bias"),
            position = Handles.UseOptional<TensorHandle>(positionBias, "position_bias");
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull);
        BandedAttentionOptions how = Randomly(reader, new BandedAttentionOptions
        {
            WindowLeft = windowLeft,
            WindowRight = windowRight,
            Dilation = reader.Longs("dilation"),
            Mask = reader.Tensor("mask"),
            SequenceOffsets = reader.Longs("sequence_offsets"),
            Scale = reader.Float("scale"),
        });
        RelativePositions distances = new(table.Value.Tensor, content.OrNull?.Tensor, position.OrNull?.Tensor, reader.Long("relative_zero") ?? 0);
        reader.Finish("lf_relative_banded_attention");
        using TensorScope scope = new();
        (Tensor result, Tensor sums) = LongformerOps.RelativeBandedAttention(q.Value.Tensor, k.Value.Tensor, v.Value.Tensor, distances, how);
        TensorHandle first = TensorHandle.Result(result);
        if (logSumExp is not null)
            *logSumExp = Handles.Add(TensorHandle.Result(sums));
        *output = Handles.Add(first);
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_banded_attention_probabilities", CallConvs = [typeof(CallConvCdecl)])]
    public static int Probabilities(nint query, nint key, long windowLeft, long windowRight, nint options, nint* probabilities) => Failure.Run(() =>
    {
        CMemory.Out(probabilities, "probabilities");
        using Lease<TensorHandle> q = Use(query, "query"), k = Use(key, "key");
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull);
        BandedAttentionOptions how = Banded(reader, windowLeft, windowRight);
        reader.Finish("lf_banded_attention_probabilities");
        using TensorScope scope = new();
        *probabilities = Handles.Add(TensorHandle.Result(LongformerOps.BandedAttentionProbabilities(q.Value.Tensor, k.Value.Tensor, how)));
    });

    [UnmanagedCallersOnly(EntryPoint = "lfm_global_attention", CallConvs = [typeof(CallConvCdecl)])]
    public static int GlobalAttention(nint query, nint key, nint value, nint globalIndex, nint options, nint* output) => Failure.Run(() =>
    {
        CMemory.Out(output, "output");
        using Lease<TensorHandle> q = Use(query, "query"), k = Use(key, "key"), v = Use(value, "value"), index = Use(globalIndex, "global_index");
        using Lease<CallSettings> settings = Handles.UseOptional<CallSettings>(options, "options");
        OptionReader reader = new(settings.OrNull);
        GlobalAttentionOptions how = new()
        {
            Mask = reader.Tensor("mask"),
            SequenceOffsets = reader.Longs("sequence_offsets"),
            Scale = reader.Float("scale"),
            Dropout = reader.Float("dropout") ?? 0,
            Seed = reader.Long("seed") ?? 0,
        };
        reader.Finish("lf_global_attention");
        using TensorScope scope = new();
        *output = Handles.Add(TensorHandle.Result(
            LongformerOps.GlobalAttention(q.Value.Tensor, k.Value.Tensor, v.Value.Tensor, index.Value.Tensor, how)));
    });

    private static Lease<TensorHandle> Use(nint tensor, string argument) => Handles.Use<TensorHandle>(tensor, argument);

    /// <summary>The options with those that the probabilities do not have.</summary>
    private static BandedAttentionOptions Randomly(OptionReader reader, BandedAttentionOptions options) => options with
    {
        Dropout = reader.Float("dropout") ?? 0,
        Seed = reader.Long("seed") ?? 0,
        Implementation = reader.Text("implementation") is { } name
            ? LoadSettings.Attention(name, "implementation")
            : AttentionImplementation.Fused,
    };

    private static BandedAttentionOptions Banded(OptionReader reader, long left, long right) => new()
    {
        WindowLeft = left,
        WindowRight = right,
        Dilation = reader.Longs("dilation"),
        Mask = reader.Tensor("mask"),
        GlobalIndex = reader.Tensor("global_index"),
        SequenceOffsets = reader.Longs("sequence_offsets"),
        Scale = reader.Float("scale"),
    };
}
