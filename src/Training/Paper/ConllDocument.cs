using System.Globalization;
using System.Text.RegularExpressions;
using LongformerInterop.Models.Coreference;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// A document of a CoNLL-2012 file (<c>*_gold_conll</c> of OntoNotes 5.0): a word a line, an empty line behind a sentence, the coreference in the
/// last column.
/// </summary>
public sealed partial record ConllDocument
{
    private const int WordNumber = 2, Word = 3, Speaker = 9, FewestColumns = 12;

    /// <summary>Its name, such as <c>nw/wsj/24/wsj_2401</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The number of the part.</summary>
    public required int Part { get; init; }

    /// <summary>Words, speakers, genre (of the name) and gold clusters.</summary>
    public required CoreferenceDocument Document { get; init; }

    /// <summary>The line of every word, sentence by sentence, without its last column.</summary>
    public required IReadOnlyList<IReadOnlyList<string>> Rows { get; init; }

    /// <summary>File and line of its beginning.</summary>
    public string Source { get; init; } = "";

    /// <summary>The documents of a file, in its order.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="InputException">It cannot be read, or a line is malformed: the message names file, line and column.</exception>
    public static IEnumerable<ConllDocument> Read(string file)
    {
        int number = 0, count = 0;
        Builder? builder = null;
        foreach (string line in Lines(file))
        {
            number++;
            string place = $"{file}: line {number}";
            string text = line.Trim();
            if (text.StartsWith("#begin document", StringComparison.Ordinal))
            {
                if (builder is not null)
                    throw new InputException($"{place}: expected #end document of {builder.Name} before the next #begin document");
                builder = Builder.Begin(text, place);
            }
            else if (text.StartsWith("#end document", StringComparison.Ordinal))
            {
                yield return (builder ?? throw new InputException($"{place}: #end document without #begin document")).End(place);
                builder = null;
                count++;
            }
            else if (text.Length == 0)
            {
                builder?.EndSentence();
            }
            else if (builder is not null)
            {
                builder.Add(line.TrimEnd(), place, number);
            }
            else if (text[0] != '#')
            {
                throw new InputException($"{place}: expected #begin document before the first word, given \"{Short(text)}\"");
            }
        }
        if (builder is not null)
            throw new InputException($"{file}: the file ends inside of the document {builder.Name}: expected #end document");
        if (count == 0)
            throw new InputException($"{file}: no document in it: expected a CoNLL-2012 file with #begin document");
    }

    /// <summary>The text of the document with other clusters, as e2e-coref writes it for the official scorer.</summary>
    /// <param name="clusters">Mentions by their words, counted over the document; no two of a cluster may cross.</param>
    public string With(IReadOnlyList<IReadOnlyList<MentionSpan>> clusters)
    {
        ArgumentNullException.ThrowIfNull(clusters);
        Dictionary<int, List<(int Cluster, int Other)>> begins = [], ends = [];
        Dictionary<int, List<int>> single = [];
        for (int c = 0; c < clusters.Count; c++)
        {
            foreach (MentionSpan mention in clusters[c])
            {
                if (mention.First == mention.Last)
                {
                    ListOf(single, mention.First).Add(c);
                    continue;
                }
                ListOf(begins, mention.First).Add((c, mention.Last));
                ListOf(ends, mention.Last).Add((c, mention.First));
            }
        }
        System.Text.StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"#begin document ({Name}); part {Part:D3}\n");
        int word = 0;
        foreach (IReadOnlyList<string> sentence in Rows)
        {
            foreach (string row in sentence)
            {
                // The innermost closes first and opens last.
                string[] marks =
                [
                    .. ListOf(ends, word).OrderByDescending(e => e.Other).Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Cluster})")),
                    .. ListOf(single, word).Select(c => string.Create(CultureInfo.InvariantCulture, $"({c})")),
                    .. ListOf(begins, word).OrderByDescending(b => b.Other).Select(b => string.Create(CultureInfo.InvariantCulture, $"({b.Cluster}")),
                ];
                text.Append(row).Append(marks.Length == 0 ? "-" : string.Join('|', marks)).Append('\n');
                word++;
            }
            text.Append('\n');
        }
        return text.Append("#end document\n").ToString();
    }

    private static List<T> ListOf<T>(Dictionary<int, List<T>> lists, int key)
    {
        if (!lists.TryGetValue(key, out List<T>? list))
            lists.Add(key, list = []);
        return list;
    }

    private static IEnumerable<string> Lines(string file)
    {
        try
        {
            return File.ReadLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file}: cannot be read: {e.Message}", e);
        }
    }

    private static string Short(string text) => text.Length > 60 ? text[..60] : text;

    [GeneratedRegex(@"^#begin document \((.+)\);(?: part (\d+))?$")]
    private static partial Regex Beginning();

    private sealed class Builder
    {
        private readonly string _source;
        private readonly int _part;
        private readonly List<List<string>> _sentences = [], _rows = [];
        private readonly List<string> _speakers = [];
        private readonly Dictionary<int, List<MentionSpan>> _clusters = [];
        private readonly Dictionary<int, Stack<(int Word, int Line)>> _open = [];
        private List<string> _sentence = [], _sentenceRows = [];

        private Builder(string name, int part, string source) => (Name, _part, _source) = (name, part, source);

        public string Name { get; }

        public static Builder Begin(string text, string place)
        {
            Match match = Beginning().Match(text);
            return match.Success ? new Builder(match.Groups[1].Value,
                match.Groups[2].Success ? int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture) : 0, place)
                : throw new InputException($"{place}: expected \"#begin document (name); part 000\", given \"{Short(text)}\"");
        }

        public void Add(string line, string place, int number)
        {
            string[] columns = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (columns.Length < FewestColumns)
                throw new InputException($"{place}: expected at least {FewestColumns} columns, given {columns.Length}: \"{Short(line)}\"");
            if (!int.TryParse(columns[WordNumber], NumberStyles.None, CultureInfo.InvariantCulture, out _))
                throw new InputException($"{place}: word number (column 3): expected a number, given \"{Short(columns[WordNumber])}\"");
            if (columns[Word] == "[WORD]")
                throw new InputException($"{place}: word (column 4): the skeleton without words, \"[WORD]\"; join it with OntoNotes 5.0 first");
            int word = _speakers.Count;
            Mentions(columns[^1], word, $"{place}: coreference (column {columns.Length})", number);
            // OntoNotes writes some marks with a slash in front.
            _sentence.Add(columns[Word] is "/." or "/?" ? columns[Word][1..] : columns[Word]);
            _sentenceRows.Add(line[..^columns[^1].Length]);
            _speakers.Add(columns[Speaker]);
        }

        public void EndSentence()
        {
            if (_sentence.Count == 0)
                return;
            _sentences.Add(_sentence);
            _rows.Add(_sentenceRows);
            (_sentence, _sentenceRows) = ([], []);
        }

        public ConllDocument End(string place)
        {
            EndSentence();
            if (_speakers.Count == 0)
                throw new InputException($"{place}: expected a document with at least one word, given none");
            foreach ((int cluster, Stack<(int Word, int Line)> open) in _open)
            {
                if (open.Count > 0)
                    throw new InputException($"{place}: coreference: the mention ({cluster} of line {open.Peek().Line} is never closed");
            }
            return new ConllDocument
            {
                Name = Name, Part = _part, Rows = _rows, Source = _source,
                Document = new CoreferenceDocument
                {
                    Sentences = _sentences, Speakers = _speakers, Genre = Name.Length >= 2 ? Name[..2] : Name,
                    Clusters = [.. _clusters.OrderBy(c => c.Key).Select(c => c.Value)],
                },
            };
        }

        /// <summary>Takes <c>(7</c>, <c>7)</c>, <c>(7)</c> joined by <c>|</c>, or <c>-</c>.</summary>
        private void Mentions(string column, int word, string place, int line)
        {
            if (column == "-")
                return;
            foreach (string mark in column.Split('|'))
            {
                bool opens = mark.StartsWith('('), closes = mark.EndsWith(')');
                string inner = mark[(opens ? 1 : 0)..(mark.Length - (closes && mark.Length > (opens ? 1 : 0) ? 1 : 0))];
                if ((!opens && !closes) || !int.TryParse(inner, NumberStyles.None, CultureInfo.InvariantCulture, out int cluster))
                    throw new InputException($"{place}: expected (7, 7), (7), joined by |, or -, given \"{Short(column)}\"");
                if (!_open.TryGetValue(cluster, out Stack<(int Word, int Line)>? open))
                    _open.Add(cluster, open = new Stack<(int, int)>());
                if (opens)
                    open.Push((word, line));
                if (!closes)
                    continue;
                if (open.Count == 0)
                    throw new InputException($"{place}: {cluster}) closes a mention that is not open, given \"{Short(column)}\"");
                if (!_clusters.TryGetValue(cluster, out List<MentionSpan>? mentions))
                    _clusters.Add(cluster, mentions = []);
                mentions.Add(new MentionSpan(open.Pop().Word, word));
            }
        }
    }
}
