using System.Text;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// TriviaQA's files of the Wikipedia domain: questions from <c>qa/wikipedia-*.json</c>, one row for each question and page, and the pages from
/// <c>evidence/wikipedia</c>. A set of verified questions (<c>VerifiedEval</c>) is read as the official script reads it.
/// </summary>
internal static class TriviaQaFiles
{
    /// <summary>Columns of the rows.</summary>
    public const string Id = "QuestionId", Question = "Question", Aliases = "NormalizedAliases", HumanAnswers = "HumanAnswers", Page = "Filename",
        Evidence = "Evidence";

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The rows of files.</summary>
    /// <param name="files">Files of questions.</param>
    /// <param name="evidence">The folder of the pages; null: <c>evidence/wikipedia</c> beside the folder of the questions.</param>
    /// <param name="cancellation">Looked at before every question.</param>
    public static IEnumerable<DataRow> Read(IReadOnlyList<string> files, string? evidence, CancellationToken cancellation)
    {
        foreach (string file in files)
        {
            string folder = evidence ?? FolderBeside(file);
            if (!Directory.Exists(folder))
                throw new InputException($"{folder}: no such folder: expected the pages of {file} (name it by the setting evidence)");
            foreach (DataRow question in JsonRecords.Read(file, "Data", cancellation))
            {
                if (question.Has("QuestionPartOfVerifiedEval") && question.Get("QuestionPartOfVerifiedEval") is false && IsVerified(file))
                    continue;
                string id = question.Text(Id), text = question.Text(Question);
                DataRow? answer = question.Has("Answer") ? question.Record("Answer") : null;
                List<object?>? aliases = answer is null ? null : [.. answer.Texts(Aliases)];
                List<object?> human = answer?.Has(HumanAnswers) == true ? [.. answer.Texts(HumanAnswers)] : [];
                DataRow[] pages = question.Has("EntityPages") ? question.Records("EntityPages") : [];
                DataRow Row(string? page) => new($"{question.Source} ({id})", new Dictionary<string, object?>
                {
                    [Id] = id, [Question] = text, [Aliases] = aliases, [HumanAnswers] = human, [Page] = page, [Evidence] = folder,
                });
                // A question without a page has no answer to find, and counts all the same.
                if (pages.Length == 0)
                    yield return Row(null);
                foreach (DataRow page in pages)
                    yield return Row(page.Text(Page));
            }
        }
    }

    /// <summary>The text of a page.</summary>
    /// <exception cref="InputException">It is not there, or not UTF-8.</exception>
    public static string PageOf(DataRow row)
    {
        if (!row.Has(Page))
            return "";
        string page = row.Text(Page), path = Path.Combine(row.Text(Evidence), page);
        try
        {
            return File.ReadAllText(path, Strict);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or DecoderFallbackException)
        {
            throw new InputException($"{row.Source}: {Page} \"{page}\": expected a page in UTF-8 at {path}: {e.Message}", e);
        }
    }

    /// <summary>Returns the official conversion of a page: its first words, joined by spaces, with a line break as a word of its own after
    /// each paragraph.</summary>
    /// <param name="page">The page.</param>
    /// <param name="maxWords">Words and line breaks together.</param>
    public static string Convert(string page, int maxWords)
    {
        List<string> words = [];
        foreach (string paragraph in page.ReplaceLineEndings("\n").Split('\n'))
        {
            words.AddRange(NltkWords.Of(paragraph).Take(maxWords - words.Count));
            if (words.Count >= maxWords)
                break;
            words.Add("\n");
        }
        return string.Join(' ', words).Trim();
    }

    /// <summary>Every place of every alias in a text, ignoring case, in the order of the aliases; those of one alias do not overlap.</summary>
    public static IEnumerable<(int Start, int End)> Places(string text, IEnumerable<string> aliases)
    {
        foreach (string alias in aliases.Where(a => a.Length > 0))
        {
            for (int at = text.IndexOf(alias, StringComparison.OrdinalIgnoreCase); at >= 0;
                at = text.IndexOf(alias, at + alias.Length, StringComparison.OrdinalIgnoreCase))
            {
                yield return (at, at + alias.Length);
            }
        }
    }

    private static string FolderBeside(string file) =>
        Path.Combine(Path.GetDirectoryName(Path.GetDirectoryName(Path.GetFullPath(file))) ?? ".", "evidence", "wikipedia");

    // VerifiedEval may come behind the questions; the name of the file says the same.
    private static bool IsVerified(string file) => Path.GetFileName(file).StartsWith("verified", StringComparison.Ordinal);
}
