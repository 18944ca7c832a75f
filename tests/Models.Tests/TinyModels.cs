using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>Small random checkpoints and inputs, deterministic.</summary>
internal static class TinyModels
{
    public static LongformerConfiguration Configuration { get; } = new()
    {
        VocabSize = 90, HiddenSize = 32, NumHiddenLayers = 3, NumAttentionHeads = 4, IntermediateSize = 48, MaxPositionEmbeddings = 130,
        AttentionWindow = [4, 8, 12], Id2Label = ModelConfiguration.GenericLabels(3),
    };

    /// <summary>Names and shapes of a class's parameters.</summary>
    public static IReadOnlyList<ParameterShape> Parameters(ModelConfiguration configuration, string architecture) =>
        Architecture.Find(architecture, configuration.Family)!.Parameters(configuration);

    /// <summary>Ids of ordinary tokens between the special ones: &lt;s&gt; ... &lt;/s&gt;.</summary>
    public static int[] Document(int length, int seed)
    {
        Random random = new(seed);
        int[] ids = new int[length];
        for (int i = 0; i < length; i++)
            ids[i] = i == 0 ? 0 : i == length - 1 ? 2 : random.Next(4, Configuration.VocabSize);
        return ids;
    }

    /// <summary>Documents as one padded batch, with padding on the right or on the left.</summary>
    public static LongformerInputs Pad(IReadOnlyList<int[]> documents, IReadOnlyList<byte[]>? globals = null, bool left = false)
    {
        int length = documents.Max(d => d.Length);
        long[] ids = new long[documents.Count * length];
        long[] mask = new long[ids.Length];
        long[] global = new long[ids.Length];
        Array.Fill(ids, Configuration.PadTokenId);
        for (int b = 0; b < documents.Count; b++)
        {
            int start = (b * length) + (left ? length - documents[b].Length : 0);
            for (int i = 0; i < documents[b].Length; i++)
            {
                ids[start + i] = documents[b][i];
                mask[start + i] = 1;
                global[start + i] = globals?[b][i] ?? 0;
            }
        }
        long[] shape = [documents.Count, length];
        return new LongformerInputs
        {
            InputIds = Tensor.From<long>(ids, shape),
            AttentionMask = Tensor.From<long>(mask, shape),
            GlobalAttentionMask = globals is null ? null : Tensor.From<long>(global, shape),
        };
    }

    /// <summary>Rows of one document out of a padded [B, T, ...] result.</summary>
    public static Tensor Unpad(Tensor padded, int row, int length, bool left = false) =>
        padded.Select(0, row).Narrow(0, left ? padded.Shape[1] - length : 0, length);

    /// <summary>A loaded random model; the folder may go at once, since mapped files stay readable.</summary>
    public static T Load<T>(Func<string, LoadOptions?, T> load, LongformerConfiguration? configuration = null, LoadOptions? options = null)
        where T : PretrainedModel
    {
        using TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, configuration ?? Configuration, seed: 7, typeof(T).Name);
        return load(folder.Path, options);
    }
}
