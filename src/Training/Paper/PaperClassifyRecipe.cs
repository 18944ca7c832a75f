using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>One of two classes for a whole document, whose first token is global.</summary>
public abstract class PaperClassifyRecipe : ClassifyRecipe
{
    private readonly LabelSet _labels;

    private protected PaperClassifyRecipe(RecipeOptions options, string negative, string positive) : base(options) =>
        _labels = new LabelSet([negative, positive]) { ProblemType = "single_label_classification" };

    /// <inheritdoc/>
    public override bool DividesData => true;

    /// <inheritdoc/>
    public override LabelSet? FindLabels(IEnumerable<DataRow> rows, LabelSet? checkpoint) => _labels;

    /// <inheritdoc/>
    public override IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation) =>
        base.Examples(rows, text, labels, forEvaluation).Select(e => e with { Globals = PaperInputs.Globals(Options, [0]) });
}
