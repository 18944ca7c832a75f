using System.Globalization;
using System.Text.RegularExpressions;

namespace LongformerInterop.Architecture.Tests;

/// <summary>The C header and the C# code behind it say the same.</summary>
[TestFixture]
public partial class CHeaderTests
{
    private static readonly string Root = Repository.Root;
    private static readonly string Header = File.ReadAllText(Path.Combine(Root, "bindings", "c", "include", "longformer.h"));

    private static readonly string Code = string.Join('\n',
        Directory.EnumerateFiles(Path.Combine(Root, "src", "CApi"), "*.cs", SearchOption.AllDirectories).Select(File.ReadAllText));

    [Test]
    public void Every_declared_function_is_exported_and_every_exported_one_declared()
    {
        string[] declared = [.. Declaration().Matches(Header).Select(m => m.Groups[1].Value)];
        // The managed functions are called lfm_*; exports.c has a function for each, and two of its own.
        string front = File.ReadAllText(Path.Combine(Root, "src", "CApi", "exports.c"));
        string[] exported = [.. EntryPoint().Matches(Code).Select(m => "lf_" + m.Groups[1].Value),
            .. OwnFunction().Matches(front).Select(m => m.Groups[1].Value)];
        Assert.That(declared, Is.Not.Empty);
        Assert.That(exported, Is.EquivalentTo(declared));
    }

    [Test]
    public void Every_status_has_the_same_number_on_both_sides()
    {
        string[] inHeader = [.. HeaderStatus().Matches(Header)
            .Select(m => $"{m.Groups[1].Value.Replace("_", "", StringComparison.Ordinal).ToUpperInvariant()}={m.Groups[2].Value}")];
        string body = Code[Code.IndexOf("enum Status", StringComparison.Ordinal)..];
        body = body[..body.IndexOf('}', StringComparison.Ordinal)];
        string[] inCode = [.. CodeStatus().Matches(body).Select(m => $"{m.Groups[1].Value.ToUpperInvariant()}={m.Groups[2].Value}")];
        Assert.That(inCode, Has.Length.EqualTo(13));
        Assert.That(inHeader, Is.EquivalentTo(inCode));
    }

    [Test]
    public void The_interface_version_is_the_same_on_both_sides()
    {
        int header = int.Parse(Regex.Match(Header, @"#define LF_ABI_VERSION (\d+)").Groups[1].Value, CultureInfo.InvariantCulture);
        int code = int.Parse(Regex.Match(Code, @"const int AbiVersion = (\d+);").Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.That(code, Is.EqualTo(header));
    }

    [GeneratedRegex(@"^LF_API [^(]*?\b(lf_\w+)\(", RegexOptions.Multiline)]
    private static partial Regex Declaration();

    [GeneratedRegex("EntryPoint = \"lfm_(\\w+)\"")]
    private static partial Regex EntryPoint();

    // A function of exports.c that C sees begins a line and is not hidden.
    [GeneratedRegex(@"^(?:const char\*|int32_t) (lf_\w+)\(void\) \{", RegexOptions.Multiline)]
    private static partial Regex OwnFunction();

    // The values of lf_status are at the beginning of a line, one each.
    [GeneratedRegex(@"^  LF_([A-Z_]+) = (\d+),? *(?:/\*.*)?$", RegexOptions.Multiline)]
    private static partial Regex HeaderStatus();

    [GeneratedRegex(@"(\w+) = (\d+),")]
    private static partial Regex CodeStatus();
}
