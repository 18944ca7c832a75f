using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Search;

/// <summary>
/// A corpus to search: the passages of its documents with their vectors and words, in one file that is mapped into memory. Search is exact: every
/// vector is compared. Thread-safe; dispose it to close the file.
/// </summary>
/// <example><code>
/// using DocumentEncoder encoder = DocumentEncoder.Load();
/// SearchIndex.Build("manual.lfindex", documents, encoder);
/// using SearchIndex index = SearchIndex.Open("manual.lfindex");
/// foreach (SearchResult result in index.Search("unpack an archive", encoder))
///     Console.WriteLine($"{result.Source}: {result.Passages[0].Text}");
/// </code></example>
public sealed class SearchIndex : IDisposable
{
    private readonly IndexFile _file;

    private SearchIndex(IndexFile file) => _file = file;

    /// <summary>Whether passages have vectors, so that <see cref="SearchBy.Meaning"/> is to be had.</summary>
    public bool HasVectors => _file.Vectors is not null;

    /// <summary>Documents in it.</summary>
    public int DocumentCount => _file.DocumentCount;

    /// <summary>Passages in it.</summary>
    public int PassageCount => _file.PassageCount;

    /// <summary>The folder of the encoder, where it was when the index was made; empty: there are no vectors.</summary>
    public string ModelFolder => _file.Settings.GetValueOrDefault("model_folder", "");

    /// <summary>
    /// Makes an index, or brings one up to date: where the file is an index by the same encoder and settings, documents with a text that it has
    /// keep their vectors. Documents are read one by one; texts and vectors wait on the disk.
    /// </summary>
    /// <param name="file">The file, which appears under its name when it is whole.</param>
    /// <param name="documents">The documents, in the order of the index.</param>
    /// <param name="encoder">Makes the vectors; null: an index of words alone.</param>
    /// <param name="options">Passages and their encoding.</param>
    /// <param name="progress">Called after every document with how many are done.</param>
    /// <param name="cancellation">Stops between two layers of the model, and leaves what was there.</param>
    /// <exception cref="InputException">There is no document with a word in it, or a setting is out of its range.</exception>
    /// <exception cref="CheckpointException">The file is something else, another process makes this index, or the disk refused.</exception>
    public static IndexResult Build(string file, IEnumerable<SearchDocument> documents, DocumentEncoder? encoder, IndexOptions? options = null,
        IProgress<int>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(file);
        ArgumentNullException.ThrowIfNull(documents);
        using IndexWriter writer = new(file, encoder, options ?? new IndexOptions());
        int done = 0;
        foreach (SearchDocument document in documents)
        {
            cancellation.ThrowIfCancellationRequested();
            writer.Add(document, cancellation);
            progress?.Report(++done);
        }
        return writer.Finish(cancellation);
    }

    /// <summary>Opens an index.</summary>
    /// <exception cref="CheckpointException">It cannot be read, or is malformed; the message says how.</exception>
    public static SearchIndex Open(string file)
    {
        ArgumentException.ThrowIfNullOrEmpty(file);
        return new SearchIndex(IndexFile.Open(file));
    }

    /// <summary>The documents that fit a question best.</summary>
    /// <param name="question">What is sought, in words.</param>
    /// <param name="encoder">The encoder that the index was made with; null: search by words.</param>
    /// <param name="options">By what, and how many.</param>
    /// <param name="cancellation">Stops between two blocks of vectors.</param>
    /// <returns>Best first; fewer than asked for where fewer have any of the question's words (by words), or are there.</returns>
    /// <exception cref="InputException">The question is empty, or the encoder is another than the index's.</exception>
    public IReadOnlyList<SearchResult> Search(string question, DocumentEncoder? encoder, SearchOptions? options = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(question);
        options ??= new SearchOptions();
        options.Check();
        SearchBy by = options.By ?? (HasVectors && encoder is not null ? SearchBy.Both : SearchBy.Words);
        if (string.IsNullOrWhiteSpace(question))
            throw new InputException("question", "some words", "none");
        float[]? cosines = by == SearchBy.Words ? null : Cosines(question, encoder, options, cancellation);
        WordRanking? words = by == SearchBy.Meaning ? null : new WordRanking(_file, question);
        float[]? meaning = cosines is null ? null : BestOfDocuments(cosines);
        float[] scores = meaning is null ? words!.Documents : words is null ? meaning : Joined(meaning, words.Documents, options.MeaningWeight);
        int[] best = VectorSearch.Best(scores, options.Top);
        return [.. best.Where(d => by != SearchBy.Words || scores[d] > 0).Select(d => Result(d, scores[d], cosines, words, options.Passages))];
    }

    /// <summary>The text of a document.</summary>
    /// <param name="document">Its number, from 0 on.</param>
    public string TextOf(int document) => document >= 0 && document < DocumentCount ? _file.Text(document)
        : throw new InputException("document", $"0 to {DocumentCount - 1}", $"{document}");

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>
    /// Two scores of D documents joined: each brought to mean 0 and deviation 1 over all documents, then weight times the one by meaning plus (1 -
    /// weight) times the one by words. Ranks alone would forget how far ahead the first is.
    /// </summary>
    internal static float[] Joined(float[] meaning, float[] words, double weight)
    {
        (float[] first, float[] second) = (Standardized(meaning), Standardized(words));
        return [.. first.Zip(second, (m, w) => (float)((weight * m) + ((1 - weight) * w)))];
    }

    private static float[] Standardized(float[] scores)
    {
        double mean = scores.Average(s => (double)s), deviation = Math.Sqrt(scores.Average(s => (s - mean) * (s - mean)));
        return Array.ConvertAll(scores, s => deviation == 0 ? 0 : (float)((s - mean) / deviation));
    }

    private float[] Cosines(string question, DocumentEncoder? encoder, SearchOptions options, CancellationToken cancellation)
    {
        if (_file.Vectors is not { } vectors)
            throw new InputException("by", "words, since the index has no vectors", "meaning");
        if (encoder is null)
            throw new InputException("encoder", $"the one that the index was made with ({ModelFolder})", "none");
        if (encoder.Fingerprint != _file.Settings.GetValueOrDefault("model"))
        {
            throw new InputException("encoder", $"the one that {_file.Path} was made with ({ModelFolder})",
                $"another or a changed one ({encoder.Folder})");
        }
        EmbeddingOptions how = options.Encoding with
        {
            PromptName = options.Encoding.PromptName ?? encoder.PromptAmong("query"), Normalize = true, Truncate = true,
        };
        float[] vector = encoder.Encode([question], null, how, cancellation: cancellation)[0];
        return vector.Length == vectors.Size(1) ? VectorSearch.Scores(vectors, vector, cancellation)
            : throw _file.Malformed($"vectors of {vectors.Size(1)}, but the encoder makes {vector.Length}");
    }

    private float[] BestOfDocuments(float[] passages)
    {
        float[] best = new float[_file.DocumentCount];
        for (int d = 0; d < best.Length; d++)
        {
            best[d] = float.NegativeInfinity;
            for (int p = _file.FirstPassage[d]; p < _file.FirstPassage[d + 1]; p++)
                best[d] = Math.Max(best[d], passages[p]);
        }
        return best;
    }

    private SearchResult Result(int document, float score, float[]? cosines, WordRanking? words, int most)
    {
        (int first, int end) = (_file.FirstPassage[document], _file.FirstPassage[document + 1]);
        float[] meaning = cosines is null ? [] : cosines[first..end], counted = words is null ? [] : words.Passages[first..end];
        float[] scores = cosines is null ? counted : words is null ? meaning : Joined(meaning, counted, 0.5);
        string text = _file.Text(document);
        List<FoundPassage> passages = [];
        foreach (int p in VectorSearch.Best(scores, most))
        {
            (long from, long to) = (_file.Passages[(3 * (first + p)) + 1], _file.Passages[(3 * (first + p)) + 2]);
            if (to > text.Length)
                throw _file.Malformed($"passage {first + p} ends at {to}, behind its text of {text.Length} characters");
            passages.Add(new FoundPassage((int)from, (int)to, text[(int)from..(int)to], cosines is null ? counted[p] : meaning[p]));
        }
        return new SearchResult(document, _file.Source(document), score, passages);
    }
}
