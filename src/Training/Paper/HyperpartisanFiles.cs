using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// The files of Hyperpartisan news by article: <c>articles-*.xml</c>, <c>ground-truth-*.xml</c> and, of allenai, <c>hp-splits.json</c>. Texts are
/// cleaned as allenai's <c>hp_preprocess.py</c> cleans them, in its order.
/// </summary>
internal static partial class HyperpartisanFiles
{
    private const string Articles = "articles", Truth = "ground-truth";

    /// <summary>The files that names stand for: articles, then their ground truth, which is looked for beside them where it is not
    /// given.</summary>
    public static IReadOnlyList<string> Find(IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        string[] all = [.. names.SelectMany(name => (IEnumerable<string>)(Directory.Exists(name)
            ? Directory.EnumerateFiles(name, "*.xml").Order(StringComparer.Ordinal) : [name]))];
        string[] articles = [.. all.Where(f => !IsTruth(f))], truths = [.. all.Where(IsTruth)];
        if (articles.Length == 0)
            throw new InputException($"data: expected a file of articles ({Articles}-*.xml), given {string.Join(", ", names)}");
        if (truths.Length == 0)
        {
            truths = Array.ConvertAll(articles, file => Path.Combine(Path.GetDirectoryName(file) ?? "",
                Path.GetFileName(file).Replace(Articles, Truth, StringComparison.Ordinal)));
        }
        return PaperInputs.FindNamed([.. articles, .. truths.Distinct()]);
    }

    /// <summary>The articles in the order of the files, each with <c>id</c>, <c>text</c> and <c>label</c>.</summary>
    public static IEnumerable<DataRow> Read(IReadOnlyList<string> files, CancellationToken cancellation)
    {
        Dictionary<string, string> truths = new(StringComparer.Ordinal);
        foreach (string file in files.Where(IsTruth))
        {
            foreach ((string id, string where, XmlReader article) in ArticlesOf(file))
            {
                string value = article.GetAttribute("hyperpartisan") ?? throw new InputException($"{where}: no attribute \"hyperpartisan\"");
                if (value is not ("true" or "false"))
                    throw new InputException($"{where}: hyperpartisan: expected true or false, given \"{value}\"");
                truths[id] = value;
            }
        }
        foreach (string file in files.Where(f => !IsTruth(f)))
        {
            foreach ((string id, string where, XmlReader article) in ArticlesOf(file))
            {
                CancelPoll.ThrowIfStopped(cancellation, often: true);
                if (!truths.TryGetValue(id, out string? label))
                    throw new InputException($"{where}: there is no ground truth for this id");
                yield return new DataRow(where, new Dictionary<string, object?>
                {
                    ["id"] = id, ["text"] = Clean(TextOf(file, article)),
                    ["label"] = label == "true" ? HyperpartisanRecipe.Positive : HyperpartisanRecipe.Negative,
                });
            }
        }
    }

    /// <summary>The parts of a splits file by name: the numbers of their articles.</summary>
    public static IReadOnlyDictionary<string, HashSet<long>> Splits(string file)
    {
        try
        {
            using JsonDocument document = JsonText.Parse(File.ReadAllBytes(file));
            return document.RootElement.EnumerateObject().ToDictionary(p => p.Name,
                p => p.Value.EnumerateArray().Select(v => v.GetInt64()).ToHashSet());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or FormatException)
        {
            throw new InputException($"{file}: expected a JSON object of lists of article numbers (train, dev, test): {e.Message}", e);
        }
    }

    /// <summary>allenai's <c>clean_txt</c>.</summary>
    public static string Clean(string text)
    {
        text = Slashed().Replace(text, " ");
        text = text.Replace('\n', ' ').Replace("&#160;", "", StringComparison.Ordinal);
        text = Link("http").Replace(text, "");
        text = Link("www").Replace(text, "");
        text = Link("href").Replace(text, "");
        text = Spaces().Replace(text, " ");
        text = RepeatedMarks().Replace(text, "$1");
        return RepeatedLetters().Replace(text, "$1$2").Trim();
    }

    private static Regex Link(string begins) => begins switch { "http" => Http(), "www" => Www(), _ => Href() };

    private static bool IsTruth(string file) => Path.GetFileName(file).Contains(Truth, StringComparison.Ordinal);

    /// <summary>Each element <c>article</c> with its id; the reader is at its start.</summary>
    private static IEnumerable<(string Id, string Where, XmlReader Article)> ArticlesOf(string file)
    {
        XmlReaderSettings settings = new() { CheckCharacters = false, IgnoreComments = true };
        using XmlReader reader = Guarded(file, null, () => XmlReader.Create(file, settings));
        while (Guarded(file, reader, () => reader.ReadToFollowing("article")))
        {
            string place = $"{file}:{((IXmlLineInfo)reader).LineNumber}";
            string id = reader.GetAttribute("id") ?? throw new InputException($"{place}: an article without \"id\"");
            yield return (id, $"{place} (article {id})", reader);
        }
    }

    /// <summary>All text inside an element, as ElementTree's <c>tostring(method="text")</c> gives it.</summary>
    private static string TextOf(string file, XmlReader article) => Guarded(file, article, () =>
    {
        StringBuilder text = new();
        using XmlReader inside = article.ReadSubtree();
        while (inside.Read())
        {
            if (inside.NodeType is XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace)
                text.Append(inside.Value);
        }
        return text.ToString();
    });

    private static T Guarded<T>(string file, XmlReader? reader, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (XmlException e)
        {
            throw new InputException(string.Create(CultureInfo.InvariantCulture, $"{file}:{e.LineNumber}: not XML: {e.Message}"), e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file}: cannot be read{(reader is null ? "" : " to its end")}: {e.Message}", e);
        }
    }

    [GeneratedRegex("[a-zA-Z]+/[a-zA-Z]+")]
    private static partial Regex Slashed();

    [GeneratedRegex(@"http\S+")]
    private static partial Regex Http();

    [GeneratedRegex(@"www\S+")]
    private static partial Regex Www();

    [GeneratedRegex(@"href\S+")]
    private static partial Regex Href();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();

    [GeneratedRegex("([!?.]){2,}")]
    private static partial Regex RepeatedMarks();

    [GeneratedRegex(@"\b(\S*?)(.)\2{2,}\b", RegexOptions.Singleline)]
    private static partial Regex RepeatedLetters();
}
