using System.Text.RegularExpressions;
using LongformerInterop.Training.Metrics;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// Words of a text as NLTK's <c>word_tokenize</c> cuts them, on whose output TriviaQA's official conversion finds answers: the rules of its
/// <c>NLTKWordTokenizer</c> (after the Penn Treebank), one after the other. Its sentence splitter is a trained model; here a sentence ends at
/// <c>. ? !</c> before a capital, a digit or a quote, unless an abbreviation or an initial is before the period.
/// </summary>
internal static partial class NltkWords
{
    private static readonly HashSet<string> Abbreviations = new(StringComparer.OrdinalIgnoreCase)
    {
        "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "gen", "col", "capt", "lt", "sgt", "rev", "hon", "gov", "sen", "rep", "vs", "etc", "no",
        "vol", "pp", "fig", "ed", "eds", "inc", "ltd", "co", "corp", "bros", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct",
        "nov", "dec", "ca", "approx", "dept", "univ", "mt", "ft", "e.g", "i.e", "u.s", "u.k", "u.n", "a.m", "p.m", "b.c", "a.d", "d.c", "ph.d",
    };

    private static readonly (Regex Pattern, string Replacement)[] StartingQuotes =
    [
        (OpeningQuote(), " $1 "), (LeadingQuote(), "``"), (Backticks(), " $1 "), (QuoteBehindBracket(), "$1 `` "), (QuotedWord(), "$1 $2"),
    ];

    private static readonly (Regex Pattern, string Replacement)[] Punctuation =
    [
        (FinalPeriod(), "$1 $2 $3 "), (CommaBeforeNoDigit(), " $1 $2"), (FinalComma(), " $1 "), (Ellipsis(), " $0 "), (Symbols(), " $0 "),
        (FinalPeriodWithBrackets(), "$1 $2$3 "), (QuestionMarks(), " $0 "), (FreeQuote(), "$1 ' "), (Asterisk(), " $0 "), (Brackets(), " $0 "),
        (DoubleDash(), " -- "),
    ];

    private static readonly (Regex Pattern, string Replacement)[] EndingQuotes =
    [
        (ClosingQuote(), " $1 "), (TwoQuotes(), " '' "), (DoubleQuote(), " '' "), (Possessive(), "$1 $2 "), (ShortForms(), "$1 $2 "),
        (Contractions(), " $1$3$5$7$9$11$13$15 $2$4$6$8$10$12$14$16 "), (Tis(), " $1 $2 "),
    ];

    /// <summary>The words of a text of one paragraph.</summary>
    public static IEnumerable<string> Of(string paragraph) => Sentences(paragraph).SelectMany(OfSentence);

    /// <summary>The words of a sentence.</summary>
    public static string[] OfSentence(string sentence)
    {
        string text = Apply(Punctuation, Apply(StartingQuotes, sentence));
        return PythonText.Split(Apply(EndingQuotes, " " + text + " "));
    }

    /// <summary>The sentences of a paragraph.</summary>
    internal static IEnumerable<string> Sentences(string paragraph)
    {
        int from = 0;
        foreach (Match end in SentenceEnd().Matches(paragraph))
        {
            int mark = end.Groups[1].Index;
            if (paragraph[mark] == '.' && EndsInAbbreviation(paragraph, from, mark))
                continue;
            int to = end.Groups[1].Index + end.Groups[1].Length;
            yield return paragraph[from..to];
            from = to;
        }
        if (from < paragraph.Length)
            yield return paragraph[from..];
    }

    private static bool EndsInAbbreviation(string text, int from, int period)
    {
        int start = period;
        while (start > from && !char.IsWhiteSpace(text[start - 1]) && text[start - 1] is not ('(' or '"' or '\''))
            start--;
        string word = text[start..period];
        return (word.Length == 1 && char.IsUpper(word[0])) || Abbreviations.Contains(word);
    }

    private static string Apply((Regex Pattern, string Replacement)[] rules, string text)
    {
        foreach ((Regex pattern, string replacement) in rules)
            text = pattern.Replace(text, replacement);
        return text;
    }

    [GeneratedRegex("""([.?!]+["'\u2019\u201D)\]]*)(?=\s+["'\u2018\u201C(\[]*[\p{Lu}\p{Nd}])""")]
    private static partial Regex SentenceEnd();

    [GeneratedRegex("([\u00AB\u201C\u2018\u201E]|[`]+)")]
    private static partial Regex OpeningQuote();

    [GeneratedRegex("^\"")]
    private static partial Regex LeadingQuote();

    [GeneratedRegex("(``)")]
    private static partial Regex Backticks();

    [GeneratedRegex("""([ \(\[{<])("|'{2})""")]
    private static partial Regex QuoteBehindBracket();

    [GeneratedRegex(@"(?i)(')(?!re|ve|ll|m|t|s|d|n)(\w)\b", RegexOptions.CultureInvariant)]
    private static partial Regex QuotedWord();

    [GeneratedRegex("([^.])(\\.)([\\]\\)}>\"'\u00BB\u201D\u2019 ]*)\\s*$")]
    private static partial Regex FinalPeriod();

    [GeneratedRegex(@"([:,])([^\d])")]
    private static partial Regex CommaBeforeNoDigit();

    [GeneratedRegex("([:,])$")]
    private static partial Regex FinalComma();

    [GeneratedRegex(@"\.{2,}")]
    private static partial Regex Ellipsis();

    [GeneratedRegex("[;@#$%&]")]
    private static partial Regex Symbols();

    [GeneratedRegex("""([^\.])(\.)([\]\)}>"']*)\s*$""")]
    private static partial Regex FinalPeriodWithBrackets();

    [GeneratedRegex("[?!]")]
    private static partial Regex QuestionMarks();

    [GeneratedRegex("([^'])' ")]
    private static partial Regex FreeQuote();

    [GeneratedRegex("[*]")]
    private static partial Regex Asterisk();

    [GeneratedRegex(@"[\]\[\(\)\{\}\<\>]")]
    private static partial Regex Brackets();

    [GeneratedRegex("--")]
    private static partial Regex DoubleDash();

    [GeneratedRegex("([\u00BB\u201D\u2019])")]
    private static partial Regex ClosingQuote();

    [GeneratedRegex("''")]
    private static partial Regex TwoQuotes();

    [GeneratedRegex("\"")]
    private static partial Regex DoubleQuote();

    [GeneratedRegex("([^' ])('[sS]|'[mM]|'[dD]|') ")]
    private static partial Regex Possessive();

    [GeneratedRegex("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ")]
    private static partial Regex ShortForms();

    [GeneratedRegex(@"(?i)\b(?:(can)(not)|(d)('ye)|(gim)(me)|(gon)(na)|(got)(ta)|(lem)(me)|(more)('n))\b|\b(wan)(na)(?=\s)",
        RegexOptions.CultureInvariant)]
    private static partial Regex Contractions();

    [GeneratedRegex(@"(?i) ('t)(is|was)\b", RegexOptions.CultureInvariant)]
    private static partial Regex Tis();
}
