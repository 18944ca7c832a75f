using System.Globalization;
using System.Text.RegularExpressions;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// IMDB, from the folders of <c>aclImdb</c>: reviews in <c>pos</c> (rating 7 to 10) and <c>neg</c> (1 to 4). There is no official development set: a
/// training without data to measure on holds out 5,000 random reviews, of a smaller set a fifth.
/// </summary>
public sealed partial class ImdbRecipe : PaperClassifyRecipe
{
    private const string Negative = "neg", Positive = "pos";
    private const int HeldOut = 5_000, LeastPositive = 7, MostNegative = 4;

    internal ImdbRecipe(RecipeOptions options) : base(options, Negative, Positive)
    {
        if (options.HeldOut < 1)
            throw new InputException($"held-out reviews: expected 1 or more, given {options.HeldOut}");
    }

    /// <inheritdoc/>
    public override string Name => "imdb";

    /// <inheritdoc/>
    public override string Title => "IMDB";

    internal override IEnumerable<object?> DataSettings => [.. base.DataSettings, Options.HeldOut];

    internal override IReadOnlyList<string> FindFiles(IReadOnlyList<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        List<string> files = [];
        foreach (string name in names)
        {
            foreach (string label in (string[])[Negative, Positive])
            {
                string folder = Path.Combine(name, label);
                if (!Directory.Exists(folder))
                    throw new InputException($"{name}: expected a folder with the folders {Negative} and {Positive}, such as aclImdb/train");
                string[] found = [.. Directory.EnumerateFiles(folder, "*.txt").Order(StringComparer.Ordinal)];
                if (found.Length == 0)
                    throw new InputException($"{folder}: expected reviews (NUMBER_RATING.txt), there is none");
                files.AddRange(found);
            }
        }
        return files.Count > 0 ? files : throw new InputException("data: expected at least one folder, given none");
    }

    internal override IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation)
    {
        if (part == DataPart.Test)
            throw new InputException("part", "all, train or dev: the test set is a folder of its own", "test");
        int held = Math.Min(Options.HeldOut ?? Math.Min(HeldOut, files.Count / 5), files.Count - 1);
        HashSet<int> development = part == DataPart.All ? [] : [.. Mixing.Order(files.Count, 0, 0).Take(held)];
        string[] wanted = [.. files.Where((_, i) => part == DataPart.All || development.Contains(i) == (part == DataPart.Development))];
        foreach (DataRow row in DataFiles.Read(wanted, cancellation))
        {
            string label = Path.GetFileName(Path.GetDirectoryName(row.Source))!;
            CheckRating(row.Source, label);
            yield return new DataRow(row.Source, new Dictionary<string, object?> { ["text"] = row.Text("text"), ["label"] = label });
        }
    }

    private static void CheckRating(string file, string label)
    {
        Match name = FileName().Match(Path.GetFileName(file));
        int rating = name.Success ? int.Parse(name.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture) : -1;
        bool fits = label == Positive ? rating >= LeastPositive : rating is >= 0 and <= MostNegative;
        if (!fits)
        {
            throw new InputException($"{file}: expected the name NUMBER_RATING.txt with a rating of "
                + $"{(label == Positive ? $"{LeastPositive} or more" : $"{MostNegative} or less")} in {label}");
        }
    }

    [GeneratedRegex("^[0-9]+_([0-9]{1,4})\\.txt$")]
    private static partial Regex FileName();
}
