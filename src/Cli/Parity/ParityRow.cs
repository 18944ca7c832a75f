namespace LongformerInterop.Cli.Parity;

internal enum ParityOutcome
{
    Pass,
    Fail,
    Skip,
}

/// <summary>The verdict on one expected tensor (or, for tokenizers, one column of a file of texts).</summary>
/// <param name="Case">Case, such as <c>models/masked_lm</c>, with the implementation where several run.</param>
/// <param name="Item">Tensor.</param>
/// <param name="Difference">Largest absolute difference; for tokenizers the number of lines that differ. Null where nothing was compared.</param>
/// <param name="Tolerance">Absolute tolerance. Null where nothing was compared.</param>
/// <param name="Outcome">The verdict.</param>
/// <param name="Note">Why, where the numbers do not say it.</param>
internal sealed record ParityRow(string Case, string Item, double? Difference, double? Tolerance, ParityOutcome Outcome, string? Note = null);
