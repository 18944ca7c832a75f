namespace LongformerInterop.Architecture.Tests;

/// <summary>The rules of form that neither compiler nor formatter checks.</summary>
[TestFixture]
public class StyleTests
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

    private static bool IsBuilt(string file) =>
        Path.GetRelativePath(Repository.Root, file).Split(Path.DirectorySeparatorChar).Any(part => part is "build" or "obj" or "bin");
}
