using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace LongformerInterop.Architecture.Tests;

/// <summary>The native half knows libtorch by its C interface alone, in one folder, and the built library runs wherever a libtorch does.</summary>
[TestFixture]
public partial class NativeRuleTests
{
    /// <summary>All that the built library may be linked to.</summary>
    private static readonly string[] AllowedLibraries =
        ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libstdc++.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"];

    private static readonly string Root = Repository.Root;
    private static readonly string Native = Path.Combine(Root, "native");
    private static readonly string Library = Path.Combine(Root, "artifacts", "liblongformer_ops.so");

    private static IEnumerable<string> Sources() =>
        Directory.EnumerateFiles(Native, "*", SearchOption.AllDirectories)
            .Where(f => Path.GetExtension(f) is ".h" or ".cpp" or ".cuh" or ".cu");

    [Test]
    public void No_file_includes_a_header_of_libtorch()
    {
        IEnumerable<string> offenders =
            from file in Sources()
            from Match include in Include().Matches(File.ReadAllText(file))
            where Regex.IsMatch(include.Groups[1].Value, @"^<(torch|ATen|c10|caffe2)/") || !IsOwnOrSystem(include.Groups[1].Value)
            select $"{Path.GetRelativePath(Root, file)}: {include.Groups[1].Value}";
        Assert.That(offenders, Is.Empty);
    }

    [Test]
    public void Only_native_torch_names_functions_of_libtorch()
    {
        Regex names = NamesOfLibtorch();
        string folder = Path.Combine(Native, "torch") + Path.DirectorySeparatorChar;
        IEnumerable<string> offenders =
            from file in Sources()
            where !file.StartsWith(folder, StringComparison.Ordinal)
            // A library in place of a libtorch that cannot be used.
            where Path.GetRelativePath(Native, file) != Path.Combine("tests", "impostor.cpp")
            from Match name in names.Matches(WithoutComments(File.ReadAllText(file)))
            select $"{Path.GetRelativePath(Root, file)}: {name.Value}";
        Assert.That(offenders.Distinct(), Is.Empty);
    }

    [Test]
    public void Few_lines_name_functions_of_libtorch()
    {
        int lines = Directory.EnumerateFiles(Path.Combine(Native, "torch")).Sum(f => File.ReadLines(f).Count());
        Assert.That(lines, Is.InRange(300, 1500));
    }

    [Test]
    public void Lines_stay_within_the_limit_of_the_formatter()
    {
        int limit = int.Parse(Regex.Match(File.ReadAllText(Path.Combine(Root, ".clang-format")), @"ColumnLimit: (\d+)").Groups[1].Value,
            CultureInfo.InvariantCulture);
        IEnumerable<string> offenders =
            from file in Sources()
            from line in File.ReadLines(file).Select((text, i) => (text, number: i + 1))
            where line.text.Length > limit
            select $"{Path.GetRelativePath(Root, file)}:{line.number}";
        Assert.That(offenders, Is.Empty);
    }

    [Test]
    public void Arguments_of_operators_are_checked_in_check_files_alone()
    {
        string operators = Path.Combine(Native, "ops") + Path.DirectorySeparatorChar;
        IEnumerable<string> checking =
            from file in Sources()
            where file.StartsWith(operators, StringComparison.Ordinal) && ArgumentCheck().IsMatch(File.ReadAllText(file))
            select Path.GetFileName(file);
        Assert.That(checking, Is.EquivalentTo((string[])["check.cpp", "check_attention.cpp", "check_layers.cpp"]));
    }

    [Test]
    public void The_library_is_linked_to_nothing_of_libtorch()
    {
        RequireLibrary();
        string dynamic = ReadElf("-d");
        string[] needed = [.. Needed().Matches(dynamic).Select(m => m.Groups[1].Value)];
        Assert.That(needed, Is.Not.Empty);
        Assert.That(needed, Is.SubsetOf(AllowedLibraries));
        Assert.That(dynamic, Does.Not.Contain("(RPATH)").And.Not.Contain("(RUNPATH)"), "a path of the machine that built it");
        // Each symbol that it needs is one of a versioned library above, or may be absent.
        IEnumerable<string> loose = ReadElf("--dyn-syms").Split('\n')
            .Where(line => line.Contains(" UND ", StringComparison.Ordinal) && line.Contains(" GLOBAL ", StringComparison.Ordinal)
                           && !line.Contains('@', StringComparison.Ordinal));
        Assert.That(loose, Is.Empty);
    }

    [TestCase("GLIBC", "2.34")]
    [TestCase("GLIBCXX", "3.4.29")]
    [TestCase("CXXABI", "1.3.13")]
    [TestCase("GCC", "12.0.0")]
    public void The_library_asks_for_no_newer_version_than(string of, string newest)
    {
        RequireLibrary();
        Version[] asked = [.. Regex.Matches(ReadElf("--version-info"), $@"Name: {of}_([0-9.]+)").Select(m => ToVersion(m.Groups[1].Value))];
        if (of is "GLIBC" or "GLIBCXX")
            Assert.That(asked, Is.Not.Empty);
        Assert.That(asked.Where(v => v > ToVersion(newest)), Is.Empty);
    }

    [Test]
    public void The_library_exports_exactly_what_its_header_declares()
    {
        RequireLibrary();
        string[] declared = [.. Declaration().Matches(File.ReadAllText(Path.Combine(Native, "base", "api.h"))).Select(m => m.Groups[1].Value)];
        string[] exported =
        [
            .. ReadElf("--dyn-syms").Split('\n').Select(line => Symbol().Match(line)).Where(m => m.Success).Select(m => m.Groups[1].Value)
        ];
        Assert.That(declared, Is.Not.Empty);
        Assert.That(exported, Is.EquivalentTo(declared));
    }

    private static void RequireLibrary() => Assert.That(Library, Does.Exist, "make native builds it");

    /// <summary>Returns readelf's report of the library.</summary>
    private static string ReadElf(string what)
    {
        ProcessStartInfo start = new("readelf", ["--wide", what, Library]) { RedirectStandardOutput = true };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException("readelf did not start");
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
        return text;
    }

    /// <summary>The functions of the lists in interface.h, operators of libtorch by their names, and mangled names of its C++.</summary>
    private static Regex NamesOfLibtorch()
    {
        string[] functions = [.. ListedFunction().Matches(File.ReadAllText(Path.Combine(Native, "torch", "interface.h")))
            .Select(m => m.Groups[1].Value)];
        Assert.That(functions, Has.Length.GreaterThan(40));
        return new Regex($@"\b({string.Join('|', functions)}|aoti_torch_\w+)\b|""(aten|mkldnn|onednn|prim)::|""torch_\w+""");
    }

    private static string WithoutComments(string code) => Regex.Replace(code, @"//[^\n]*|/\*.*?\*/", "", RegexOptions.Singleline);

    /// <summary>A header of native/ by the end of its path (which folders a target looks in is CMake's business), or one of the system.</summary>
    private static bool IsOwnOrSystem(string include)
    {
        if (include.StartsWith('<'))
            return true;
        string end = "/" + Regex.Replace(include.Trim('"'), @"^(\.\./)+", "");
        return Directory.EnumerateFiles(Native, "*", SearchOption.AllDirectories)
            .Any(f => f.Replace('\\', '/').EndsWith(end, StringComparison.Ordinal));
    }

    private static Version ToVersion(string text) =>
        Version.Parse(text.Contains('.', StringComparison.Ordinal) ? text : string.Create(CultureInfo.InvariantCulture, $"{text}.0"));

    [GeneratedRegex(@"\b(LONGFORMER_CHECK_(VALUE|INDEX)|throw (ValueError|IndexError))\b")]
    private static partial Regex ArgumentCheck();

    [GeneratedRegex(@"^\s*#\s*include\s+([<""][^>""]+[>""])", RegexOptions.Multiline)]
    private static partial Regex Include();

    [GeneratedRegex(@"\(NEEDED\).*\[([^\]]+)\]")]
    private static partial Regex Needed();

    [GeneratedRegex(@"^LONGFORMER_OPS_API [^(]*?\b(longformer_ops_\w+)\(", RegexOptions.Multiline)]
    private static partial Regex Declaration();

    // A defined symbol: not of the section UND.
    [GeneratedRegex(@"(?:GLOBAL|WEAK|UNIQUE) +DEFAULT +\d+ (\w+)")]
    private static partial Regex Symbol();

    [GeneratedRegex(@"^\s*X\([^,]+,\s*(\w+),", RegexOptions.Multiline)]
    private static partial Regex ListedFunction();
}
