using System.Security.Cryptography;
using System.Text;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Pairs;

/// <summary>The pooled states of texts, computed once by an encoder that stays as it is, and kept in parts on the disk until the training is
/// done.</summary>
/// <param name="encoder">The encoder.</param>
/// <param name="poolings">The poolings whose vectors are joined.</param>
/// <param name="folder">Where the parts are.</param>
internal sealed class PooledTexts(DocumentEncoder encoder, SentencePooling poolings, string folder)
{
    private const int TextsPerPart = 2048;

    /// <summary>W, the width of a pooled vector.</summary>
    public int Width => encoder.HiddenSize * poolings.Modes.Count;

    /// <summary>[N, W], the pooled states of N texts.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="settings">All that they depend on besides the texts.</param>
    /// <param name="report">Called with how many more are done.</param>
    /// <param name="cancellation">Stops between two batches; whole parts stay.</param>
    public Tensor Of(IReadOnlyList<string> texts, string settings, Action<int, long> report, CancellationToken cancellation)
    {
        Directory.CreateDirectory(folder);
        float[] all = new float[(long)texts.Count * Width];
        for (int from = 0; from < texts.Count; from += TextsPerPart)
        {
            string[] part = [.. texts.Skip(from).Take(TextsPerPart)];
            Span<float> target = all.AsSpan(from * Width, part.Length * Width);
            string file = Path.Combine(folder, $"{Name(part, settings)}.safetensors");
            if (!Read(file, target))
            {
                long tokens = Compute(part, all, from, cancellation);
                using TensorScope scope = new();
                SafetensorsWriter.Write(file, new Dictionary<string, Tensor> { ["pooled"] = Tensor.From<float>(target, part.Length, Width) });
                report(part.Length, tokens);
                continue;
            }
            report(part.Length, 0);
        }
        return Tensor.From<float>(all, texts.Count, Width);
    }

    private long Compute(string[] texts, float[] all, int from, CancellationToken cancellation)
    {
        int[] order = [.. Enumerable.Range(0, texts.Length).OrderByDescending(i => texts[i].Length)];
        long tokens = 0;
        EmbeddingOptions options = new() { Truncate = true, Normalize = false };
        foreach (DocumentEmbedding states in encoder.EncodeEach([.. order.Select(i => texts[i])], Pooling.Tokens, options, null, cancellation))
        {
            poolings.Pool(states.Values, encoder.HiddenSize, 0).CopyTo(all, (from + order[states.Index]) * Width);
            tokens += states.Tokens;
        }
        return tokens;
    }

    private static bool Read(string file, Span<float> target)
    {
        if (!File.Exists(file))
            return false;
        using TensorScope scope = new();
        using SafetensorsFile parts = SafetensorsFile.Open(file);
        Tensor pooled = parts.Get("pooled");
        if (pooled.ElementCount != target.Length)
            return false;
        pooled.AsSpan<float>().CopyTo(target);
        return true;
    }

    private static string Name(string[] texts, string settings)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string text in texts.Prepend(settings))
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..24];
    }
}
