using System.Globalization;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity;

/// <summary>Collects the rows of one run of one case. Every expected tensor gets exactly one row.</summary>
internal sealed class ParityReport
{
    private readonly ParityCase _case;
    private readonly string _label;
    private readonly Dictionary<string, Tensor> _expected;
    private readonly HashSet<string> _seen = [];
    private readonly List<ParityRow> _rows = [];

    /// <param name="parityCase">The case.</param>
    /// <param name="label">Its name in the rows.</param>
    /// <param name="expected">The expected tensors.</param>
    internal ParityReport(ParityCase parityCase, string label, Dictionary<string, Tensor> expected) =>
        (_case, _label, _expected) = (parityCase, label, expected);

    /// <summary>Whether the case expects a tensor of that name.</summary>
    internal bool Expects(string name) => _expected.ContainsKey(name);

    /// <summary>Whether the case expects a tensor whose name begins so.</summary>
    internal bool ExpectsAny(string prefix) => _expected.Keys.Any(name => name.StartsWith(prefix, StringComparison.Ordinal));

    /// <summary>The names that the case expects.</summary>
    internal IReadOnlyCollection<string> ExpectedNames => _expected.Keys;

    /// <summary>Compares a computed tensor; one that the case does not expect is left out.</summary>
    internal void Compare(string name, Tensor value)
    {
        if (!_expected.TryGetValue(name, out Tensor? expected) || !_seen.Add(name))
            return;
        (double absolute, double relative) = _case.ToleranceOf(name);
        if (!value.Shape.AsSpan().SequenceEqual(expected.Shape))
        {
            Add(new ParityRow(_label, name, null, absolute, ParityOutcome.Fail, $"shape {Shape(value)}, expected {Shape(expected)}"));
            return;
        }
        Comparison result = Comparison.Of(Doubles(value), Doubles(expected), absolute, relative);
        Add(new ParityRow(_label, name, result.Difference, absolute, result.Passed ? ParityOutcome.Pass : ParityOutcome.Fail, result.Note));
    }

    internal void Compare(IEnumerable<KeyValuePair<string, Tensor>> values)
    {
        foreach ((string name, Tensor value) in values)
            Compare(name, value);
    }

    /// <summary>A row that is no tensor.</summary>
    internal void Add(ParityRow row) => _rows.Add(row);

    /// <summary>The rows; expected tensors that nothing was compared with are failures.</summary>
    internal IReadOnlyList<ParityRow> Finish()
    {
        foreach (string name in _expected.Keys.Union(_case.ExpectedNames))
        {
            if (_seen.Add(name))
            {
                Add(new ParityRow(_label, name, null, null, ParityOutcome.Fail,
                    _expected.ContainsKey(name) ? "the tensor was not computed" : "in case.json but not in expected.safetensors"));
            }
        }
        return _rows;
    }

    private static double[] Doubles(Tensor tensor) => tensor.To(Device.Cpu).To(DType.Float64).Contiguous().ToArray<double>();

    private static string Shape(Tensor tensor) => string.Create(CultureInfo.InvariantCulture, $"[{string.Join(", ", tensor.Shape.ToArray())}]");
}

/// <summary>The rule of the parity set: |value - expected| &lt;= absolute + relative |expected| everywhere.</summary>
/// <param name="Passed">Whether every value keeps it.</param>
/// <param name="Difference">Largest absolute difference; infinite where an infinity meets another value.</param>
/// <param name="Note">The fault, where the difference does not show it.</param>
internal sealed record Comparison(bool Passed, double Difference, string? Note)
{
    /// <summary>Compares values of one shape. Equal infinities agree; NaN agrees with nothing.</summary>
    internal static Comparison Of(ReadOnlySpan<double> values, ReadOnlySpan<double> expected, double absolute, double relative)
    {
        if (values.Length != expected.Length)
            return new Comparison(false, double.NaN, $"{values.Length} values, expected {expected.Length}");
        double largest = 0;
        bool passed = true;
        int nan = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (double.IsNaN(values[i]) || double.IsNaN(expected[i]))
            {
                nan++;
                continue;
            }
            if (values[i] == expected[i])
                continue;
            double difference = Math.Abs(values[i] - expected[i]);
            largest = Math.Max(largest, difference);
            // With an infinite expected value the right side would be infinite too and accept anything.
            passed &= double.IsFinite(expected[i]) && difference <= absolute + (relative * Math.Abs(expected[i]));
        }
        return nan > 0 ? new Comparison(false, double.NaN, $"{nan} values are NaN") : new Comparison(passed, largest, null);
    }
}
