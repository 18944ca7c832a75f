using System.Text.RegularExpressions;

namespace LongformerInterop.Architecture.Tests;

/// <summary>The rules of form that neither compiler nor formatter checks.</summary>
[TestFixture]
public partial class StyleTests
{
    private const int LongestLine = 150;
    private const int LongestFile = 500;

    private static readonly string[] Folders = ["src", "tests", "parity-tests", "bindings", "benchmarks", "native", "tools"];

    /// <summary>A header is read from top to bottom; generated files are not read.</summary>
    private static readonly string[] MayBeLong = ["longformer.h", "UnicodeTables.Generated.cs"];

    private static IEnumerable<string> Files(params string[] extensions) =>
        from folder in Folders
        from file in Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*", SearchOption.AllDirectories)
        where extensions.Contains(Path.GetExtension(file)) && !IsBuilt(file)
        select file;

    [Test]
    public void A_line_of_CSharp_stays_within_150_columns()
    {
        string[] files = [.. Files(".cs").Where(f => !f.EndsWith(".Generated.cs", StringComparison.Ordinal))];
        Assert.That(files, Has.Length.GreaterThan(300));
        Assert.That(
            from file in files
            from line in File.ReadLines(file).Select((text, i) => (Text: text, Number: i + 1))
            where line.Text.Length > LongestLine
            select $"{Path.GetRelativePath(Repository.Root, file)}:{line.Number} has {line.Text.Length}",
            Is.Empty);
    }

    [Test]
    public void A_file_stays_within_500_lines()
    {
        Assert.That(
            from file in Files(".cs", ".cpp", ".h", ".py", ".sh")
            where !MayBeLong.Contains(Path.GetFileName(file))
            let lines = File.ReadLines(file).Count()
            where lines > LongestFile
            select $"{Path.GetRelativePath(Repository.Root, file)} has {lines} lines",
            Is.Empty);
    }

    [Test]
    public void A_type_has_a_name_of_its_own_among_all_projects()
    {
        IEnumerable<(string Name, string File)> types =
            from file in Files(".cs").Select(f => Path.GetRelativePath(Repository.Root, f).Replace('\\', '/'))
            where file.StartsWith("src/", StringComparison.Ordinal) || file.StartsWith("bindings/", StringComparison.Ordinal)
            from Match match in TopLevelType().Matches(File.ReadAllText(Path.Combine(Repository.Root, file)))
            where !match.Value.Contains("partial ", StringComparison.Ordinal)
            select (match.Groups["name"].Value, file);
        Assert.That(types.Count(), Is.GreaterThan(300));
        Assert.That(
            from type in types
            group type.File by type.Name into same
            where same.Count() > 1
            select $"{same.Key} is in {string.Join(" and ", same)}",
            Is.Empty, "one name for one thing");
    }

    [TestCaseSource(nameof(Dialect))]
    public void Comments_and_messages_are_plain_English(string words, string plain)
    {
        Regex dialect = new($@"\b({words})\b");
        IEnumerable<string> pages = Directory.EnumerateFiles(Path.Combine(Repository.Root, "docs"), "*.md")
            .Concat(Directory.EnumerateFiles(Repository.Root, "*.md"));
        Assert.That(
            from file in Files(".cs", ".cpp", ".h", ".c", ".cuh", ".py", ".sh").Concat(pages)
            where Path.GetFileName(file) != "StyleTests.cs" && !file.Contains("goldens", StringComparison.Ordinal)
            from line in File.ReadLines(file).Select((text, i) => (Text: text, Number: i + 1))
            where dialect.IsMatch(line.Text)
            select $"{Path.GetRelativePath(Repository.Root, file)}:{line.Number}: \"{dialect.Match(line.Text).Value}\"; write {plain}",
            Is.Empty);
    }

    /// <summary>Words that made sentences hard to read, and the plain ones for them.</summary>
    private static readonly string[][] Dialect =
    [
        ["stands", "is, has or means"],
        ["told|Told", "reported, called or given"],
        ["goes|Goes|gone on with", "passes, continues, is written or is sent"],
        ["lies", "is"],
        ["tells|Tells", "says, shows or reports"],
        ["wants|for want of", "needs"],
        ["dear|dearer", "slow or expensive"],
        ["\u2026", "the whole sentence, or \"and so on\""],
    ];

    [GeneratedRegex(@"^(?:\w+ )*(?:class|struct|record struct|record|enum|interface|delegate \w+) (?<name>\w+)", RegexOptions.Multiline)]
    private static partial Regex TopLevelType();

    /// <summary>The libraries serve .NET, C and Python: their messages name settings. <c>src/Corpora</c> has no door but .NET's and the command
    /// line's.</summary>
    [Test]
    public void Messages_of_the_libraries_name_no_option_of_the_command_line()
    {
        string[] files = [.. Files(".cs").Where(f =>
            Path.GetRelativePath(Repository.Root, f).Split(Path.DirectorySeparatorChar) is ["src", not ("Cli" or "Corpora"), ..])];
        Assert.That(files, Has.Length.GreaterThan(200));
        Assert.That(
            from file in files
            from line in File.ReadLines(file).Select((text, i) => (Text: text, Number: i + 1))
            where Option().IsMatch(line.Text) && !line.Text.TrimStart().StartsWith("//", StringComparison.Ordinal)
                && !line.Text.Contains("--local-dir", StringComparison.Ordinal) // of HF's own command
            select $"{Path.GetRelativePath(Repository.Root, file)}:{line.Number}: {line.Text.Trim()}",
            Is.Empty);
    }

    [GeneratedRegex("\"[^\"]*(?<![\\w-])--[a-z]")]
    private static partial Regex Option();

    private static bool IsBuilt(string file) =>
        Path.GetRelativePath(Repository.Root, file).Split(Path.DirectorySeparatorChar).Any(part => part is "build" or "obj" or "bin");
}
