using System.Text.RegularExpressions;

namespace LongformerInterop.Tasks;

/// <summary>Words and sentences of plain text, by rules for English that are near to those of OntoNotes: punctuation and clitics are words.</summary>
internal static partial class PlainText
{
    private static readonly HashSet<string> Abbreviations = new(StringComparer.OrdinalIgnoreCase)
    {
        "mr", "mrs", "ms", "dr", "prof", "sen", "rep", "gov", "gen", "col", "lt", "sgt", "capt", "st", "jr", "sr", "inc", "ltd", "co", "corp", "vs",
        "etc", "no", "vol", "fig", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    };

    /// <summary>The ranges of the words of every sentence, in UTF-16 units.</summary>
    public static List<List<(int Start, int End)>> Sentences(string text)
    {
        List<List<(int, int)>> sentences = [];
        List<(int Start, int End)> words = [];
        bool ended = false;
        int before = 0;
        foreach (Match match in Word().Matches(text))
        {
            string word = match.Value;
            bool closes = ended && Closing().IsMatch(word) && match.Index == before;
            if (words.Count > 0 && !closes && (ParagraphEnd().IsMatch(text[before..match.Index]) || (ended && BeginsSentence(word))))
            {
                sentences.Add(words);
                words = [];
            }
            foreach ((int start, int end) in Parts(match.Index, word))
                words.Add((start, end));
            ended = closes || (Ending().IsMatch(word) && !(word == "." && words.Count > 1 && IsAbbreviation(text, words[^2], match.Index)));
            before = match.Index + match.Length;
        }
        if (words.Count > 0)
            sentences.Add(words);
        return sentences;
    }

    /// <summary>Cuts <c>'s</c>, <c>n't</c> and the like off.</summary>
    private static IEnumerable<(int Start, int End)> Parts(int start, string word)
    {
        Match clitic = Clitic().Match(word);
        int end = start + word.Length;
        if (clitic.Success && clitic.Index > 0)
        {
            yield return (start, start + clitic.Index);
            start += clitic.Index;
        }
        yield return (start, end);
    }

    private static bool BeginsSentence(string word) => !char.IsLower(word[0]);

    private static bool IsAbbreviation(string text, (int Start, int End) word, int dot) =>
        word.End == dot && (Abbreviations.Contains(text[word.Start..word.End]) || (word.End - word.Start == 1 && char.IsUpper(text[word.Start])));

    [GeneratedRegex(@"\p{L}[\p{L}\p{M}\p{N}]*(?:['’\-][\p{L}\p{N}]+)*|\p{N}+(?:[.,:/]\p{N}+)*|[.?!]+|[\uD800-\uDBFF][\uDC00-\uDFFF]|\S")]
    private static partial Regex Word();

    [GeneratedRegex(@"(?:n['’]t|['’](?:s|re|ve|ll|d|m))$", RegexOptions.IgnoreCase)]
    private static partial Regex Clitic();

    [GeneratedRegex(@"^[.?!]+$")]
    private static partial Regex Ending();

    [GeneratedRegex(@"^[""'’”»)\]]$")]
    private static partial Regex Closing();

    [GeneratedRegex(@"\n\s*\n")]
    private static partial Regex ParagraphEnd();
}
