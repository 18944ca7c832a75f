using LongformerInterop.Cli.Parity;

namespace LongformerInterop.Cli.Tests;

[TestFixture]
public class ComparisonTests
{
    private const double Infinity = double.PositiveInfinity;

    [TestCase(1.0, 1.0, true)]
    [TestCase(1.00002, 1.0, true, Description = "within 1e-5 absolute plus 1e-5 relative")]
    [TestCase(1.00003, 1.0, false)]
    [TestCase(-Infinity, -Infinity, true)]
    [TestCase(Infinity, Infinity, true)]
    [TestCase(-Infinity, Infinity, false)]
    [TestCase(0.0, -Infinity, false)]
    [TestCase(-Infinity, 0.0, false)]
    [TestCase(double.NaN, 0.0, false)]
    [TestCase(0.0, double.NaN, false)]
    [TestCase(double.NaN, double.NaN, false)]
    public void One_value_is_held_against_another(double value, double expected, bool passes) =>
        Assert.That(Comparison.Of([value], [expected], 1e-5, 1e-5).Passed, Is.EqualTo(passes));

    [Test]
    public void The_difference_is_the_largest()
    {
        Comparison result = Comparison.Of([1, 2.5, -3], [1, 2, -3.1], 1, 0);
        Assert.That(result.Difference, Is.EqualTo(0.5).Within(1e-12));
        Assert.That(result.Passed, Is.True);
    }

    [Test]
    public void One_bad_value_among_many_fails() =>
        Assert.That(Comparison.Of([0, 0, 0.1, 0], [0, 0, 0, 0], 0.01, 0).Passed, Is.False);

    [Test]
    public void Nothing_agrees_with_nothing() => Assert.That(Comparison.Of([], [], 0, 0).Passed, Is.True);

    [Test]
    public void Another_number_of_values_fails() => Assert.That(Comparison.Of([1], [1, 2], 1, 1).Passed, Is.False);
}
