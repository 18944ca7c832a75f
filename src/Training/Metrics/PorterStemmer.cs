namespace LongformerInterop.Training.Metrics;

/// <summary>
/// Porter's stemmer (An algorithm for suffix stripping, Program 14, 1980) with the departures that NLTK makes by default: its table of irregular
/// words, and the rules for short words in -ies, -ied and -y.
/// </summary>
internal static class PorterStemmer
{
    private static readonly Dictionary<string, string> Irregular = new()
    {
        ["sky"] = "sky", ["skies"] = "sky", ["dying"] = "die", ["lying"] = "lie", ["tying"] = "tie", ["news"] = "news", ["innings"] = "inning",
        ["inning"] = "inning",
        ["outings"] = "outing", ["outing"] = "outing", ["cannings"] = "canning", ["canning"] = "canning", ["howe"] = "howe", ["proceed"] = "proceed",
        ["exceed"] = "exceed", ["succeed"] = "succeed",
    };

    private static readonly (string Suffix, string Replacement)[] Third =
        [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

    private static readonly string[] Fourth =
        ["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize"];

    private static readonly (string Suffix, string Replacement)[] Second =
    [
        ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"), ("alli", "al"), ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"),
        ("ousness", "ous"),
        ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"), ("fulli", "ful"),
    ];

    /// <summary>The stem of a word of lower-case letters and digits.</summary>
    public static string Stem(string word)
    {
        if (Irregular.TryGetValue(word, out string? known))
            return known;
        if (word.Length <= 2)
            return word;
        word = Plural(word);
        word = Past(word);
        word = Final(word);
        word = SecondStep(word);
        word = Longest(word, Third);
        word = FourthStep(word);
        return LastE(word);
    }

    private static string Plural(string word)
    {
        if (word.Length == 4 && word.EndsWith("ies", StringComparison.Ordinal))
            return word[..^1];
        return word.EndsWith("sses", StringComparison.Ordinal) || word.EndsWith("ies", StringComparison.Ordinal) ? word[..^2]
            : word.EndsWith('s') && !word.EndsWith("ss", StringComparison.Ordinal) ? word[..^1] : word;
    }

    private static string Past(string word)
    {
        if (word.EndsWith("ied", StringComparison.Ordinal))
            return word.Length == 4 ? word[..^1] : word[..^2];
        if (word.EndsWith("eed", StringComparison.Ordinal))
            return Measure(word[..^3]) > 0 ? word[..^1] : word;
        string? stem = word.EndsWith("ed", StringComparison.Ordinal) && HasVowel(word[..^2]) ? word[..^2]
            : word.EndsWith("ing", StringComparison.Ordinal) && HasVowel(word[..^3]) ? word[..^3] : null;
        if (stem is null)
            return word;
        if (stem.EndsWith("at", StringComparison.Ordinal) || stem.EndsWith("bl", StringComparison.Ordinal)
            || stem.EndsWith("iz", StringComparison.Ordinal))
        {
            return stem + "e";
        }
        if (EndsDouble(stem))
            return stem[^1] is 'l' or 's' or 'z' ? stem : stem[..^1];
        return Measure(stem) == 1 && EndsShort(stem) ? stem + "e" : stem;
    }

    private static string Final(string word) => word.EndsWith('y') && word.Length > 2 && IsConsonant(word, word.Length - 2) ? word[..^1] + "i" : word;

    private static string SecondStep(string word)
    {
        if (word.EndsWith("alli", StringComparison.Ordinal) && Measure(word[..^4]) > 0)
            return SecondStep(word[..^2]);
        foreach ((string suffix, string replacement) in Second)
        {
            if (word.EndsWith(suffix, StringComparison.Ordinal))
                return Measure(word[..^suffix.Length]) > 0 ? word[..^suffix.Length] + replacement : word;
        }
        // "archaeologi" and "geologi" alike: the l belongs to the stem.
        return word.EndsWith("logi", StringComparison.Ordinal) && Measure(word[..^3]) > 0 ? word[..^1] : word;
    }

    private static string Longest(string word, (string Suffix, string Replacement)[] rules)
    {
        foreach ((string suffix, string replacement) in rules)
        {
            if (word.EndsWith(suffix, StringComparison.Ordinal))
                return Measure(word[..^suffix.Length]) > 0 ? word[..^suffix.Length] + replacement : word;
        }
        return word;
    }

    private static string FourthStep(string word)
    {
        foreach (string suffix in Fourth)
        {
            if (!word.EndsWith(suffix, StringComparison.Ordinal))
                continue;
            string stem = word[..^suffix.Length];
            return Measure(stem) > 1 && (suffix != "ion" || stem[^1] is 's' or 't') ? stem : word;
        }
        return word;
    }

    private static string LastE(string word)
    {
        if (word.EndsWith('e'))
        {
            string stem = word[..^1];
            int measure = Measure(stem);
            if (measure > 1 || (measure == 1 && !EndsShort(stem)))
                word = stem;
        }
        return word.EndsWith("ll", StringComparison.Ordinal) && Measure(word[..^1]) > 1 ? word[..^1] : word;
    }

    private static bool IsConsonant(string word, int at) =>
        word[at] is not ('a' or 'e' or 'i' or 'o' or 'u') && (word[at] != 'y' || at == 0 || !IsConsonant(word, at - 1));

    /// <summary>How often a consonant follows a vowel.</summary>
    private static int Measure(string stem)
    {
        int measure = 0;
        for (int i = 1; i < stem.Length; i++)
        {
            if (IsConsonant(stem, i) && !IsConsonant(stem, i - 1))
                measure++;
        }
        return measure;
    }

    private static bool HasVowel(string stem) => Enumerable.Range(0, stem.Length).Any(i => !IsConsonant(stem, i));

    private static bool EndsDouble(string word) => word.Length >= 2 && word[^1] == word[^2] && IsConsonant(word, word.Length - 1);

    private static bool EndsShort(string word) =>
        (word.Length >= 3 && IsConsonant(word, word.Length - 3) && !IsConsonant(word, word.Length - 2) && IsConsonant(word, word.Length - 1)
            && word[^1] is not ('w' or 'x' or 'y'))
        || (word.Length == 2 && !IsConsonant(word, 0) && IsConsonant(word, 1));
}
