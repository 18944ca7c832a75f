using LongformerInterop.Models.Coreference;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks;

/// <summary>
/// A document in tokens: each word is cut into subwords by itself, with a space before it; a segment is framed by the special tokens and ends where a
/// sentence does, one sentence that is too long where a word does.
/// </summary>
public sealed class CoreferenceSegments
{
    // As many as Joshi et al. tell apart; all beyond are one.
    private const int MaxSpeakers = 20;

    private CoreferenceSegments(IReadOnlyList<int[]> segments, CoreferenceTokens tokens, int[] words) =>
        (Segments, Tokens, Words) = (segments, tokens, words);

    /// <summary>Token ids of every segment, special ones included.</summary>
    public IReadOnlyList<int[]> Segments { get; }

    /// <summary>Sentences, speakers, genre and gold clusters of the tokens.</summary>
    public CoreferenceTokens Tokens { get; }

    /// <summary>The word of each token, counted over the document; -1: none, of a special token.</summary>
    public IReadOnlyList<int> Words { get; }

    /// <summary>Cuts a document.</summary>
    /// <param name="document">The document.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="genres">The genres of the model.</param>
    /// <param name="maxTokens">The most tokens of a segment.</param>
    /// <param name="source">The name of the document in messages.</param>
    /// <exception cref="InputException">It has no word, lists of other lengths than it has words, an unknown genre, or a mention outside of
    /// it.</exception>
    public static CoreferenceSegments Of(CoreferenceDocument document, Tokenizer tokenizer, IReadOnlyList<string> genres, int maxTokens,
        string source)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(genres);
        int genre = Check(document, genres, source);
        Builder builder = new(document, tokenizer, maxTokens);
        return builder.Build(genre);
    }

    /// <summary>
    /// Mentions by tokens as mentions by words. Special tokens at their ends fall away; a mention without a word, one that another has said already,
    /// and a cluster of fewer than two are dropped.
    /// </summary>
    /// <param name="clusters">By tokens.</param>
    /// <param name="words">The word of each token; -1: none.</param>
    public static IReadOnlyList<IReadOnlyList<MentionSpan>> ToWords(IReadOnlyList<IReadOnlyList<MentionSpan>> clusters, IReadOnlyList<int> words)
    {
        ArgumentNullException.ThrowIfNull(clusters);
        ArgumentNullException.ThrowIfNull(words);
        HashSet<MentionSpan> seen = [];
        List<IReadOnlyList<MentionSpan>> result = [];
        foreach (IReadOnlyList<MentionSpan> cluster in clusters)
        {
            List<MentionSpan> mentions = [];
            foreach (MentionSpan mention in cluster)
            {
                (int first, int last) = (mention.First, mention.Last);
                while (first <= last && words[first] < 0)
                    first++;
                while (last >= first && words[last] < 0)
                    last--;
                if (first <= last && seen.Add(new MentionSpan(words[first], words[last])))
                    mentions.Add(new MentionSpan(words[first], words[last]));
            }
            if (mentions.Count > 1)
                result.Add([.. mentions.Order()]);
        }
        return result;
    }

    private static int Check(CoreferenceDocument document, IReadOnlyList<string> genres, string source)
    {
        int words = document.WordCount, genre = genres.ToList().IndexOf(document.Genre);
        if (words == 0)
            throw new InputException($"{source}: expected a document with at least one word, given none");
        if (document.Speakers is { } speakers && speakers.Count != words)
            throw new InputException($"{source}: speakers: expected {words}, one for each word, given {speakers.Count}");
        if (genre < 0)
            throw new InputException($"{source}: genre: expected one of {string.Join(", ", genres)}, given \"{document.Genre}\"");
        foreach (MentionSpan mention in document.Clusters?.SelectMany(c => c) ?? [])
        {
            if (mention.First < 0 || mention.Last < mention.First || mention.Last >= words)
            {
                throw new InputException($"{source}: clusters: expected mentions of the {words} words, first not behind last, given "
                    + $"{mention.First}..{mention.Last}");
            }
        }
        return genre;
    }

    private sealed class Builder
    {
        private readonly CoreferenceDocument _document;
        private readonly int _maxTokens, _begin, _end;
        // Of every subword: its id, word, sentence, and whether the sentence or the word ends with it.
        private readonly List<(int Id, int Word, int Sentence, bool EndsSentence, bool EndsWord)> _pieces = [];

        public Builder(CoreferenceDocument document, Tokenizer tokenizer, int maxTokens)
        {
            (_document, _maxTokens) = (document, maxTokens);
            ReadOnlySpan<int> frame = tokenizer.Encode("").Ids.Span;
            (_begin, _end) = (frame[0], frame[^1]);
            EncodeOptions plain = new() { AddSpecialTokens = false };
            int word = 0;
            for (int s = 0; s < document.Sentences.Count; s++)
            {
                IReadOnlyList<string> sentence = document.Sentences[s];
                for (int w = 0; w < sentence.Count; w++, word++)
                {
                    int[] ids = tokenizer.Encode(" " + sentence[w], null, plain).Ids.ToArray();
                    // A word of nothing that the tokenizer knows still has its place.
                    if (ids.Length == 0)
                        ids = [tokenizer.SpecialTokens.Unknown ?? _end];
                    for (int i = 0; i < ids.Length; i++)
                        _pieces.Add((ids[i], word, s, i == ids.Length - 1 && w == sentence.Count - 1, i == ids.Length - 1));
                }
            }
        }

        public CoreferenceSegments Build(int genre)
        {
            List<int[]> segments = [];
            List<int> words = [], sentences = [], speakers = [];
            int[] first = new int[_document.WordCount], last = new int[first.Length];
            int[] speakerOf = NumberSpeakers();
            for (int from = 0, sentence = 0; from < _pieces.Count;)
            {
                int to = EndOf(from);
                void Add(int word, int of)
                {
                    words.Add(word);
                    sentences.Add(of);
                    speakers.Add(word < 0 ? 0 : speakerOf[word]);
                }
                // The token in front belongs to the sentence before, that behind to the last one.
                Add(-1, sentence);
                for (int p = from; p < to; p++)
                {
                    if (p == 0 || _pieces[p].Word != _pieces[p - 1].Word)
                        first[_pieces[p].Word] = words.Count;
                    last[_pieces[p].Word] = words.Count;
                    Add(_pieces[p].Word, _pieces[p].Sentence);
                }
                sentence = _pieces[to - 1].Sentence;
                Add(-1, sentence);
                segments.Add([_begin, .. Enumerable.Range(from, to - from).Select(p => _pieces[p].Id), _end]);
                from = to;
            }
            return new CoreferenceSegments(segments, new CoreferenceTokens
            {
                Sentences = sentences, Speakers = speakers, Genre = genre,
                Clusters = _document.Clusters is { } clusters
                    ? [.. Merge(clusters).Select(c =>
                        (IReadOnlyList<MentionSpan>)[.. c.Select(m => new MentionSpan(first[m.First], last[m.Last]))])] : null,
            }, [.. words]);
        }

        /// <summary>One past the last subword of a segment.</summary>
        private int EndOf(int from)
        {
            int most = Math.Min(from + _maxTokens - 2, _pieces.Count);
            for (int end = most; end > from; end--)
            {
                if (_pieces[end - 1].EndsSentence)
                    return end;
            }
            for (int end = most; end > from; end--)
            {
                if (_pieces[end - 1].EndsWord)
                    return end;
            }
            return most;
        }

        private int[] NumberSpeakers()
        {
            if (_document.Speakers is not { } names)
                return [.. Enumerable.Repeat(1, _document.WordCount)];
            Dictionary<string, int> numbers = [];
            return [.. names.Select(name =>
            {
                if (!numbers.TryGetValue(name, out int number))
                    numbers.Add(name, number = Math.Min(numbers.Count + 1, MaxSpeakers));
                return number;
            })];
        }

        /// <summary>Clusters that share a mention are one; a mention that comes twice counts once.</summary>
        private static List<HashSet<MentionSpan>> Merge(IReadOnlyList<IReadOnlyList<MentionSpan>> clusters)
        {
            List<HashSet<MentionSpan>> merged = [];
            foreach (IReadOnlyList<MentionSpan> cluster in clusters)
            {
                HashSet<MentionSpan> sum = [.. cluster];
                foreach (HashSet<MentionSpan> other in merged.Where(m => m.Overlaps(sum)).ToArray())
                {
                    sum.UnionWith(other);
                    merged.Remove(other);
                }
                merged.Add(sum);
            }
            return merged;
        }
    }
}
