using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Pairs;

/// <summary>
/// A training of sentence vectors by pairs of texts that belong together: a question and its passage, a line and its page. The encoder stays as it
/// is; its pooled states are computed once, and a dense layer over them is learnt.
/// </summary>
public sealed record PairsOptions
{
    /// <summary>The encoder: a Longformer's folder, or an LED's.</summary>
    public required string Checkpoint { get; init; }

    /// <summary>Files of pairs.</summary>
    public required IReadOnlyList<string> Data { get; init; }

    /// <summary>Pairs to measure on; may be empty.</summary>
    public IReadOnlyList<string> EvaluationData { get; init; } = [];

    /// <summary>The output folder.</summary>
    public required string Output { get; init; }

    /// <summary>The columns <c>query</c> and <c>text</c> where they are called otherwise. Known names: query, question, anchor, summary,
    /// sentence1; text, document, passage, positive, context, sentence2.</summary>
    public IReadOnlyDictionary<string, string> Columns { get; init; } = new Dictionary<string, string>();

    /// <summary>Poolings whose vectors are joined for the dense layer, as sentence-transformers names them.</summary>
    public IReadOnlyList<string> Poolings { get; init; } = ["cls", "max", "mean"];

    /// <summary>Width of the vectors.</summary>
    public int Dimension { get; init; } = 192;

    /// <summary>Most tokens of a text; a longer one is cut.</summary>
    public int MaxTokens { get; init; } = 512;

    /// <summary>Pairs of a step: the texts of all other pairs are each one's wrong answers.</summary>
    public int BatchSize { get; init; } = 1024;

    /// <summary>How often the pairs are gone through.</summary>
    public int Epochs { get; init; } = 30;

    /// <summary>The learning rate of the first step; it falls to 0 as a cosine.</summary>
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>Decay of the weights.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>The factor of cosines in the loss.</summary>
    public double Scale { get; init; } = 20;

    /// <summary>Part of the elements of a pooled vector that are left out in a step.</summary>
    public double Dropout { get; init; } = 0.1;

    /// <summary>Of the weights, the order and the dropouts.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>Whether pooled states that an earlier run of the same settings computed are taken again.</summary>
    public bool Resume { get; init; }

    /// <summary>How the encoder is loaded.</summary>
    public LoadOptions Load { get; init; } = new();

    /// <exception cref="InputException">A number is outside its range.</exception>
    internal void Check()
    {
        foreach ((string name, double value, double least, double most) in new[]
        {
            ("dimension", Dimension, 1, 65536.0), ("max tokens", MaxTokens, 3, int.MaxValue), ("batch size", BatchSize, 2, int.MaxValue),
            ("epochs", Epochs, 1, int.MaxValue), ("learning rate", LearningRate, 0, 1e3), ("weight decay", WeightDecay, 0, 1e3),
            ("scale", Scale, 1e-3, 1e4), ("dropout", Dropout, 0, 0.99),
        })
        {
            if (!(value >= least && value <= most))
                throw new InputException(name, $"{least} to {most}", $"{value}");
        }
        if (Poolings.Count == 0)
            throw new InputException("poolings", "at least one", "none");
    }
}
