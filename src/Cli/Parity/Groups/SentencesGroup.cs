using System.Text.Json;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>Folders of sentence-transformers: the vectors of the texts in case.json, under a prompt of the folder, by the folder's own
/// modules.</summary>
internal sealed class SentencesGroup : ParityGroup
{
    internal override string Name => "sentences";

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        string[] texts = [.. parityCase.Description.GetProperty("texts").EnumerateArray().Select(t => t.GetString()!)];
        string? prompt = parityCase.Description.TryGetProperty("prompt_name", out JsonElement name) ? name.GetString() : null;
        using DocumentEncoder encoder = DocumentEncoder.Load(parityCase.Folder, call.Load);
        float[][] vectors = encoder.Encode(texts, options: new EmbeddingOptions { PromptName = prompt });
        report.Compare("embeddings", Tensor.From<float>([.. vectors.SelectMany(v => v)], vectors.Length, vectors[0].Length));
    }
}
