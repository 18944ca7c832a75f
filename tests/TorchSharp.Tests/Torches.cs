global using TorchSharp;
global using TorchTensor = TorchSharp.torch.Tensor;
using LongformerInterop.Models;
using LongformerInterop.Models.Tests;

namespace LongformerInterop.TorchSharp.Tests;

/// <summary>Small modules and inputs of random numbers that are the same each time.</summary>
internal static class Torches
{
    public static LedConfiguration Led { get; } = new()
    {
        VocabSize = 90, DModel = 32, EncoderLayers = 2, DecoderLayers = 2, EncoderAttentionHeads = 4, DecoderAttentionHeads = 4, EncoderFfnDim = 48,
        DecoderFfnDim = 48, MaxEncoderPositionEmbeddings = 130, MaxDecoderPositionEmbeddings = 130, AttentionWindow = [4, 8],
        Id2Label = ModelConfiguration.GenericLabels(3),
    };

    /// <summary>A checkpoint folder of random weights.</summary>
    public static TestFolder Checkpoint(string architecture = "LongformerModel", ModelConfiguration? configuration = null)
    {
        TestFolder folder = new();
        RandomCheckpoint.Write(folder.Path, configuration
            ?? (architecture.StartsWith("LED", StringComparison.Ordinal) ? Led : TinyModels.Configuration), 7, architecture);
        return folder;
    }

    /// <summary>A module of random weights.</summary>
    public static PretrainedModule Module(string architecture = "LongformerModel", ModelConfiguration? configuration = null,
        LoadOptions? options = null)
    {
        using TestFolder folder = Checkpoint(architecture, configuration);
        return PretrainedModule.Load(folder.Path, options);
    }

    /// <summary>Ids [rows, length].</summary>
    public static TorchTensor Ids(int rows = 2, int length = 20) =>
        torch.tensor(Enumerable.Range(0, rows).SelectMany(row => TinyModels.Document(length, row + 1)).Select(id => (long)id).ToArray(),
            [rows, length]);

    /// <summary>The values of a tensor, row-major.</summary>
    public static float[] Values(TorchTensor tensor)
    {
        using DisposeScope scope = torch.NewDisposeScope();
        return tensor.detach().to(torch.ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
    }

    public static void AssertClose(TorchTensor actual, TorchTensor expected, double absolute, string what)
    {
        Assert.That(actual.shape, Is.EqualTo(expected.shape), what);
        (float[] a, float[] e) = (Values(actual), Values(expected));
        for (int i = 0; i < a.Length; i++)
        {
            // Infinities have no difference.
            if (a[i] != e[i] && !(Math.Abs((double)a[i] - e[i]) <= absolute + (1e-5 * Math.Abs(e[i]))))
                Assert.Fail($"{what}: element {i} is {a[i]}, expected {e[i]} within {absolute}");
        }
    }
}
