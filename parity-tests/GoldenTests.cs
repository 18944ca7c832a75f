using LongformerInterop.Cli.Parity;
using LongformerInterop.Torch;

namespace LongformerInterop.ParityTests;

/// <summary>Every golden case, under every implementation of the attention, through the runner behind <c>longformer parity</c>.</summary>
[TestFixture]
public class GoldenTests
{
    private static readonly string Goldens = Repository.Goldens;

    private static readonly ParitySettings Everything = new(
        [AttentionImplementation.Fused, AttentionImplementation.Chunks, AttentionImplementation.Loop], Device.Cpu);

    private static IEnumerable<TestCaseData> Cases() => ParityRunner.FindCases(Goldens)
        .Select(folder => new TestCaseData(folder).SetArgDisplayNames(Path.GetRelativePath(Goldens, folder)));

    [TestCaseSource(nameof(Cases))]
    public void A_case_agrees_with_its_reference(string folder)
    {
        List<ParityRow> rows = [.. ParityRunner.Run(folder, Everything)];
        Assert.That(rows, Is.Not.Empty);
        // A golden of a kind that nothing computes has no place here: a skipped row fails too.
        Assert.That(rows.Where(r => r.Outcome != ParityOutcome.Pass), Is.Empty);
    }

    [TestCase("attention")]
    [TestCase("self_attention")]
    [TestCase("models")]
    [TestCase("tokenizer")]
    [TestCase("gradients")]
    [TestCase("conversion")]
    [TestCase("training")]
    [TestCase("led")]
    [TestCase("charlm")]
    public void The_goldens_hold_cases_of_the_group(string group) =>
        Assert.That(Directory.EnumerateDirectories(Path.Combine(Goldens, group)), Is.Not.Empty);

    [Test]
    public void Running_the_cases_leaves_no_tensor_behind()
    {
        string folder = Path.Combine(Goldens, "attention", "dense_global_first");
        Assert.That(ParityRunner.Run(folder, Everything).Count(), Is.EqualTo(6));
        long before = TorchRuntime.LiveTensorCount;
        Assert.That(ParityRunner.Run(folder, Everything).Count(), Is.EqualTo(6));
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(before));
    }
}
