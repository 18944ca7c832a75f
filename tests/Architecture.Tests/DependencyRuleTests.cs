using System.Xml.Linq;

namespace LongformerInterop.Architecture.Tests;

/// <summary>The rule of the house: references run one way, and a project knows only the rooms named here.</summary>
[TestFixture]
public class DependencyRuleTests
{
    private static readonly Dictionary<string, string[]> AllowedReferences = new()
    {
        ["Tokenizers"] = [],
        ["Torch"] = [],
        ["Checkpoints"] = ["Torch"],
        ["Models"] = ["Torch", "Checkpoints"],
        ["Tasks"] = ["Models", "Tokenizers"],
        ["Training"] = ["Tasks"],
        ["TorchSharp"] = ["Models"],
        ["Extensions"] = ["Tasks"],
        ["Corpora"] = ["Tasks"],
        ["CApi"] = ["Tasks", "Training"],
        ["Cli"] = ["Tasks", "Training", "Corpora"],
    };

    private static readonly string Root = Repository.Root;

    private static IEnumerable<string> SourceProjects() =>
        Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.csproj", SearchOption.AllDirectories);

    [TestCaseSource(nameof(SourceProjects))]
    public void A_project_references_only_what_the_rule_allows(string project)
    {
        string room = Path.GetFileName(Path.GetDirectoryName(project)!);
        Assert.That(AllowedReferences, Contains.Key(room), $"{room} is not a room of the house: add it to the rule first");
        IEnumerable<string> references = XDocument.Load(project).Descendants("ProjectReference")
            .Select(e => Path.GetFileName(Path.GetDirectoryName(((string)e.Attribute("Include")!).Replace('\\', '/'))!));
        Assert.That(references, Is.SubsetOf(AllowedReferences[room]));
    }

    [Test]
    public void Only_one_project_references_TorchSharp() =>
        Assert.That(
            SourceProjects().Where(p => XDocument.Load(p).Descendants("PackageReference")
                .Any(e => ((string)e.Attribute("Include")!).StartsWith("TorchSharp", StringComparison.Ordinal))).Select(
                Path.GetFileNameWithoutExtension),
            Is.EqualTo(new[] { "LongformerInterop.TorchSharp" }));

    [Test]
    public void Platform_invocation_lives_in_Interop_folders_only()
    {
        string interop = $"{Path.DirectorySeparatorChar}Interop{Path.DirectorySeparatorChar}";
        IEnumerable<string> offenders = Directory
            .EnumerateFiles(Path.Combine(Root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(f => !f.Contains(interop, StringComparison.Ordinal))
            .Where(f => File.ReadAllText(f) is var text &&
                        (text.Contains("[LibraryImport", StringComparison.Ordinal) || text.Contains("[DllImport", StringComparison.Ordinal)));
        Assert.That(offenders, Is.Empty);
    }
}
