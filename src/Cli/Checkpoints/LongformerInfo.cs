using LongformerInterop.Checkpoints;
using LongformerInterop.Models;

namespace LongformerInterop.Cli.Checkpoints;

/// <summary>The facts of a Longformer's configuration.</summary>
internal static class LongformerInfo
{
    /// <returns>The configuration.</returns>
    /// <exception cref="CheckpointException">The configuration cannot be read or has problems.</exception>
    internal static LongformerConfiguration Describe(string folder, CheckpointReport report)
    {
        LongformerConfiguration c = LongformerConfiguration.Load(folder);
        if (c.Architectures.Count > 0)
            report.Set("architecture", c.Architectures[0]);
        report.Set("hidden_size", (long)c.HiddenSize);
        report.Set("layers", (long)c.NumHiddenLayers);
        report.Set("heads", (long)c.NumAttentionHeads);
        report.Set("head_size", (long)c.HeadSize);
        report.Set("intermediate_size", (long)c.IntermediateSize);
        report.Set("vocabulary", (long)c.VocabSize);
        report.Set("max_tokens", (long)c.MaxTokens);
        report.Set("position_rows", (long)c.MaxPositionEmbeddings);
        report.Set("windows", Enumerable.Range(0, c.NumHiddenLayers).Select(l => (long)c.Window(l).Left + c.Window(l).Right).ToList());
        if (c.AttentionDilation.Any(layer => layer.Any(d => d != 1)))
            report.Set("dilation", c.AttentionDilation.Select(layer => string.Join(' ', layer)).ToList());
        report.Set("attention_mode", c.AttentionMode.ToString());
        return c;
    }
}
