using System.Text;
using LongformerInterop.Tokenizers.Unicode;

namespace LongformerInterop.Tokenizers.Tests;

/// <summary>The generated character tables, by what is known of Unicode.</summary>
[TestFixture]
public class UnicodeTableTests
{
    [Test]
    public void White_space_is_that_of_Unicode()
    {
        for (int c = 0; c < 0x10000; c++)
            Assert.That((UnicodeTables.FlagsOf(c) & CharFlags.Space) != 0, Is.EqualTo(char.IsWhiteSpace((char)c)), $"U+{c:X4}");
    }

    [TestCase(0x1D4B3, nameof(CharFlags.Letter), Description = "mathematical script letter")]
    [TestCase(0x20BB7, nameof(CharFlags.Letter), Description = "CJK extension B")]
    [TestCase(0x10400, nameof(CharFlags.Letter), Description = "Deseret")]
    [TestCase(0x1D7CE, nameof(CharFlags.Number), Description = "mathematical digit")]
    [TestCase(0xD800, nameof(CharFlags.None), Description = "surrogate")]
    [TestCase(0x1F44D, nameof(CharFlags.None), Description = "emoji")]
    public void Kinds_are_those_of_the_whole_code_point(int codePoint, string kind) =>
        Assert.That((UnicodeTables.FlagsOf(codePoint) & (CharFlags.Letter | CharFlags.Number | CharFlags.Space)).ToString(), Is.EqualTo(kind));

    [TestCase("é", "e\u0301")]
    [TestCase("ǭ", "o\u0328\u0304")]
    [TestCase("한", "\u1112\u1161\u11ab")]
    [TestCase("가", "\u1100\u1161")]
    [TestCase("\u2126", "Ω")]
    public void Decomposition_does_not_depend_on_globalization(string composed, string decomposed)
    {
        Span<int> parts = stackalloc int[8];
        Assert.That(UnicodeTables.TryDecompose(composed[0], parts, out int count), Is.True);
        Assert.That(string.Concat(parts[..count].ToArray().Select(p => new Rune(p).ToString())), Is.EqualTo(decomposed));
    }

    [Test]
    public void Lower_case_and_combining_classes_are_there()
    {
        Assert.That(UnicodeTables.TryLower('İ', out ReadOnlySpan<int> lower), Is.True);
        Assert.That(lower.ToArray(), Is.EqualTo(new[] { 'i', 0x307 }));
        Assert.That(UnicodeTables.TryLower('ß', out _), Is.False);
        Assert.That((UnicodeTables.CombiningClass(0x301), UnicodeTables.CombiningClass(0x323), UnicodeTables.CombiningClass('a')),
            Is.EqualTo((230, 220, 0)));
    }
}
