using System.Text.RegularExpressions;

namespace LongformerInterop.Architecture.Tests;

/// <summary>A reader of a decision sees first whether it still holds.</summary>
[TestFixture]
public partial class DecisionTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "docs", "decisions");

    private static IEnumerable<string> Decisions() => Directory.EnumerateFiles(Folder, "*.md").Select(f => Path.GetFileName(f)!);

    [TestCaseSource(nameof(Decisions))]
    public void A_decision_begins_with_its_number_and_its_status(string file)
    {
        string[] lines = File.ReadAllLines(Path.Combine(Folder, file));
        Assert.That(lines[0], Does.StartWith($"# {int.Parse(file.AsSpan(0, 4), provider: null)}. "));
        Assert.That(lines[2], Does.Match(@"^\*\*Status\.\*\* (Accepted|Superseded by \[)"));
    }

    [TestCaseSource(nameof(Decisions))]
    public void A_decision_refers_to_files_that_exist(string file) =>
        Assert.That(
            from Match link in Link().Matches(File.ReadAllText(Path.Combine(Folder, file)))
            where !File.Exists(Path.Combine(Folder, link.Groups[1].Value))
            select link.Groups[1].Value,
            Is.Empty);

    [GeneratedRegex(@"\]\(([^)#:]+\.md)\)")]
    private static partial Regex Link();
}
