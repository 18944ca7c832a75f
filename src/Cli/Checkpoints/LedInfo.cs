using LongformerInterop.Checkpoints;
using LongformerInterop.Models;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>The facts of an LED's configuration.</summary>
internal static class LedInfo
{
    /// <returns>The configuration.</returns>
    /// <exception cref="CheckpointException">The configuration cannot be read or has problems.</exception>
    internal static LedConfiguration Describe(string folder, CheckpointReport report)
    {
        LedConfiguration c = LedConfiguration.Load(folder);
        if (c.Architectures.Count > 0)
            report.Set("architecture", c.Architectures[0]);
        report.Set("hidden_size", (long)c.DModel);
        report.Set("encoder_layers", (long)c.EncoderLayers);
        report.Set("decoder_layers", (long)c.DecoderLayers);
        report.Set("encoder_heads", (long)c.EncoderAttentionHeads);
        report.Set("decoder_heads", (long)c.DecoderAttentionHeads);
        report.Set("intermediate_size", (long)c.EncoderFfnDim);
        report.Set("vocabulary", (long)c.VocabSize);
        report.Set("max_tokens", (long)c.MaxEncoderPositionEmbeddings);
        report.Set("max_output_tokens", (long)c.MaxDecoderPositionEmbeddings);
        // allenai counts one side of the window.
        int sides = c.OneSidedWindows ? 2 : 1;
        report.Set("windows", Enumerable.Range(0, c.EncoderLayers)
            .Select(l => (long)sides * c.AttentionWindow[c.AttentionWindow.Count == 1 ? 0 : l]).ToList());
        string[] variants =
        [
            .. c.NormalizeBefore ? (string[])["LayerNorm before the layers"] : [], .. c.AddFinalLayerNorm
                ? (string[])["LayerNorm after the last layer"] : [],
            .. c.ScaleEmbedding ? (string[])["scaled word vectors"] : [],
        ];
        if (variants.Length > 0)
            report.Set("variant", $"of mBART, unknown to HF's LED: {string.Join(", ", variants)}");
        return c;
    }
}
