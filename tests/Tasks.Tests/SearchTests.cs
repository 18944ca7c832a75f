using System.Text.RegularExpressions;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Search;
using LongformerInterop.Tests;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

[TestFixture]
public sealed partial class SearchTests
{
    private static readonly string[] Vocabulary =
        [.. "tar archive file extract disk copy the of a network print user Größe pass word 文 書".Split(' ')];

    private static List<SearchDocument> Corpus(int seed, int count)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(i => new SearchDocument($"page-{i}",
            string.Concat(Enumerable.Range(0, random.Next(1, 120)).Select(_ => Vocabulary[random.Next(Vocabulary.Length)]
                + (random.Next(9) switch { 0 => ".\n\n", 1 => "\n", 2 => ". ", 3 => "-", _ => " " })))))];
    }

    [Test]
    public void Scores_are_those_of_a_double_loop_and_the_best_those_of_sorting()
    {
        for (int round = 0; round < 30; round++)
        {
            Random random = new(round);
            int rows = random.Next(1, 9000), width = random.Next(1, 70), top = random.Next(1, 40);
            // Few values, so that scores are equal.
            float[] table = [.. Enumerable.Range(0, rows * width).Select(_ => random.Next(-2, 3) / 4f)];
            float[] vector = [.. Enumerable.Range(0, width).Select(_ => random.Next(-2, 3) / 2f)];
            using TensorScope scope = new();
            float[] scores = VectorSearch.Scores(Tensor.From<float>(table, rows, width), vector);
            double[] expected = new double[rows];
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < width; c++)
                    expected[r] += (double)table[(r * width) + c] * vector[c];
            }
            Assert.That(scores.Select(s => (double)s), Is.EqualTo(expected).Within(1e-5));
            int[] sorted = [.. Enumerable.Range(0, rows).OrderByDescending(r => scores[r]).ThenBy(r => r).Take(top)];
            Assert.That(VectorSearch.Best(scores, top), Is.EqualTo(sorted));
        }
    }

    [Test]
    public void Two_adapters_over_one_base_are_two_encoders_and_a_copy_is_the_same()
    {
        using TestFolder folder = new();
        void Put(string file, string text)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder[file])!);
            File.WriteAllText(folder[file], text);
        }
        foreach (string place in new[] { "base", "elsewhere" })
        {
            Put($"{place}/config.json", "{}");
            Put($"{place}/model.safetensors", "weights");
        }
        foreach ((string adapter, string weights) in new[] { ("a", "one"), ("b", "two"), ("copy", "one") })
        {
            Put($"{adapter}/adapter_config.json", "{\"base_model_name_or_path\": \"base\"}");
            Put($"{adapter}/adapter_model.safetensors", weights);
        }
        string first = ModelFingerprint.Of(folder["a"], null);
        Assert.That(ModelFingerprint.Of(folder["b"], null), Is.Not.EqualTo(first));
        Assert.That(ModelFingerprint.Of(folder["base"], null), Is.Not.EqualTo(first));
        Assert.That(ModelFingerprint.Of(folder["copy"], null), Is.EqualTo(first));
        Assert.That(ModelFingerprint.Of(folder["a"], folder["elsewhere"]), Is.EqualTo(first));
        Put("elsewhere/model.safetensors", "others");
        Assert.That(ModelFingerprint.Of(folder["a"], folder["elsewhere"]), Is.Not.EqualTo(first));
    }

    [Test]
    public void A_score_that_is_no_number_is_the_worst() => Assert.That(VectorSearch.Best([float.NaN, -3, 2], 3), Is.EqualTo(new[] { 2, 1, 0 }));

    [Test]
    public void Passages_hold_every_unit_once_and_end_where_paragraphs_do()
    {
        foreach (SearchDocument document in Corpus(1, 60))
        {
            TextRange[] words = [.. Words.Of(document.Text).Select(w => w.Range)];
            foreach (int most in new[] { 1, 3, 8, 500 })
            {
                List<TextRange> passages = Passages.Cut(document.Text, words, most);
                int[] counts = [.. passages.Select(p => words.Count(w => w.Start >= p.Start && w.End <= p.End))];
                Assert.That(counts.Sum(), Is.EqualTo(words.Length));
                Assert.That(counts, Has.All.InRange(1, most));
                Assert.That(passages.Zip(passages.Skip(1)).All(p => p.First.End <= p.Second.Start));
            }
        }
        const string text = "one two three.\n\nfour five six seven eight nine ten";
        Assert.That(Passages.Cut(text, [.. Words.Of(text).Select(w => w.Range)], 5).Select(p => text[p.Start..p.End]),
            Is.EqualTo(new[] { "one two three.", "four five six seven eight", "nine ten" }));
    }

    [Test]
    public void Words_are_letters_and_digits_in_lower_case_and_ideographs_alone() => Assert.That(Words.Of("Ä-b2 文書x (é)\ne\u0301").Select(w =>
        w.Word),
        Is.EqualTo(new[] { "ä", "b2", "文", "書", "x", "é", "e\u0301" }));

    /// <summary>BM25 by its formula, from the texts alone.</summary>
    private static double[] Bm25(IReadOnlyList<SearchDocument> documents, string question)
    {
        List<string>[] words = [.. documents.Select(d => Word().Matches(d.Text.ToLowerInvariant()).Select(m => m.Value).ToList())];
        double mean = words.Average(w => (double)w.Count);
        return [.. words.Select(own => Word().Matches(question.ToLowerInvariant()).Sum(q =>
        {
            double n = words.Count(w => w.Contains(q.Value)), f = own.Count(w => w == q.Value);
            return Math.Log(1 + ((words.Length - n + 0.5) / (n + 0.5))) * f * 2.2 / (f + (1.2 * (0.25 + (0.75 * own.Count / mean))));
        }))];
    }

    [Test]
    public void Ranking_by_words_is_BM25_of_whole_documents()
    {
        using TestFolder folder = new();
        List<SearchDocument> corpus = Corpus(2, 80);
        SearchIndex.Build(folder["x"], corpus, null, new IndexOptions { PassageTokens = 20 });
        using SearchIndex index = SearchIndex.Open(folder["x"]);
        Assert.That(index.HasVectors, Is.False);
        Assert.That(index.PassageCount, Is.GreaterThan(index.DocumentCount));
        foreach (string question in new[] { "tar", "Extract the GRÖSSE of a file", "größe größe 文書 tar", "nowhere" })
        {
            double[] expected = Bm25(corpus, question);
            IReadOnlyList<SearchResult> found = index.Search(question, null, new SearchOptions { Top = 1000, Passages = 3 });
            Assert.That(found.Select(r => (double)r.Score), Is.EqualTo(expected.Where(s => s > 0).OrderDescending()).Within(1e-4), question);
            foreach (SearchResult result in found)
            {
                Assert.That(result.Score, Is.EqualTo(expected[result.Document]).Within(1e-4));
                Assert.That(result.Source, Is.EqualTo(corpus[result.Document].Source));
                foreach (FoundPassage passage in result.Passages)
                    Assert.That(corpus[result.Document].Text[passage.Start..passage.End], Is.EqualTo(passage.Text));
            }
        }
    }

    [Test]
    public void Ranking_by_meaning_is_the_best_cosine_of_a_documents_passages()
    {
        using TestFolder folder = new();
        List<SearchDocument> corpus = Corpus(3, 12);
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base);
        SearchIndex.Build(folder["x"], corpus, encoder, new IndexOptions { PassageTokens = 30 });
        using SearchIndex index = SearchIndex.Open(folder["x"]);
        EmbeddingOptions unit = new() { Normalize = true };
        float[] question = encoder.Encode(["extract a file"], options: unit)[0];
        IReadOnlyList<SearchResult> found = index.Search("extract a file", encoder, new SearchOptions { By = SearchBy.Meaning, Top = 12,
            Passages = 99 });
        Assert.That(found, Has.Count.EqualTo(12));
        Assert.That(found.Select(r => r.Score), Is.Ordered.Descending);
        foreach (SearchResult result in found)
        {
            float[][] vectors = encoder.Encode([.. result.Passages.Select(p => p.Text)], options: unit);
            double[] cosines = [.. vectors.Select(v => v.Zip(question).Sum(p => (double)p.First * p.Second))];
            Assert.That(result.Passages.Select(p => (double)p.Score), Is.EqualTo(cosines).Within(1e-5).And.Ordered.Descending);
            Assert.That(result.Score, Is.EqualTo(cosines.Max()).Within(1e-5));
            Assert.That(result.Passages.Sum(p => p.End - p.Start), Is.LessThanOrEqualTo(corpus[result.Document].Text.Length));
        }
    }

    [Test]
    public void Two_scores_are_joined_on_one_scale()
    {
        // Means 0.5 and 2, deviations 0.3 and 2.
        float[] joined = SearchIndex.Joined([0.8f, 0.2f, 0.8f, 0.2f], [0, 4, 4, 0], 0.25);
        Assert.That(joined, Is.EqualTo(new[] { 0.25f - 0.75f, -0.25f + 0.75f, 1, -1 }).Within(1e-6));
        Assert.That(SearchIndex.Joined([0.1f, 0.1f], [1, 3], 0.5), Is.EqualTo(new[] { -0.5f, 0.5f }).Within(1e-6));
    }

    [Test]
    public void By_both_an_encoder_that_knows_nothing_leaves_the_words_to_decide()
    {
        using TestFolder folder = new();
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base);
        List<SearchDocument> corpus = [.. Corpus(8, 30), new("right", "a zebra in the network")];
        SearchIndex.Build(folder["x"], corpus, encoder);
        using SearchIndex index = SearchIndex.Open(folder["x"]);
        Assert.That(index.Search("zebra", encoder)[0].Source, Is.EqualTo("right"));
        Assert.That(index.Search("zebra", encoder, new SearchOptions { Top = 99 }), Has.Count.EqualTo(31));
        Assert.That(index.Search("zebra", null), Has.Count.EqualTo(1));
    }

    [Test]
    public void An_index_that_is_brought_up_to_date_is_the_one_made_anew()
    {
        using TestFolder folder = new();
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base);
        IndexOptions options = new() { PassageTokens = 24 };
        List<SearchDocument> corpus = Corpus(4, 20);
        Assert.That(SearchIndex.Build(folder["x"], corpus, encoder, options).Reused, Is.Zero);
        corpus.RemoveAt(3);
        corpus[7] = corpus[7] with { Text = corpus[7].Text + " changed" };
        corpus.Insert(0, new SearchDocument("new", "a new file"));
        (corpus[2], corpus[9]) = (corpus[9], corpus[2]);
        IndexResult again = SearchIndex.Build(folder["x"], corpus, encoder, options);
        Assert.That(again.Reused, Is.EqualTo(18));
        SearchIndex.Build(folder["fresh"], corpus, encoder, options);
        using (TensorScope scope = new())
        {
            using SafetensorsFile updated = SafetensorsFile.Open(folder["x"]), fresh = SafetensorsFile.Open(folder["fresh"]);
            foreach (string name in fresh.Entries.Keys.Where(n => n != "vectors"))
                Assert.That(updated.Get(name).AsBytes().SequenceEqual(fresh.Get(name).AsBytes()), name);
            // A vector depends on its batch in the last bit alone.
            Assert.That(updated.Get("vectors").ToArray<float>(), Is.EqualTo(fresh.Get("vectors").ToArray<float>()).Within(1e-6));
        }
        // Other settings: nothing is kept.
        Assert.That(SearchIndex.Build(folder["x"], corpus, encoder, options with { PassageTokens = 32 }).Reused, Is.Zero);
        Assert.That(Directory.EnumerateFiles(folder.Path).Select(Path.GetFileName), Is.EquivalentTo(new[] { "x", "fresh" }));
    }

    [Test]
    public void Another_encoder_is_refused_and_so_is_an_index_of_words()
    {
        using TestFolder folder = new();
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base), other = DocumentEncoder.Load(TinyCheckpoints.MaskedLm);
        SearchIndex.Build(folder["x"], Corpus(5, 3), encoder);
        SearchIndex.Build(folder["words"], Corpus(5, 3), null);
        using SearchIndex index = SearchIndex.Open(folder["x"]), words = SearchIndex.Open(folder["words"]);
        Assert.That(() => index.Search("file", other), Throws.TypeOf<InputException>().With.Message.Contains(TinyCheckpoints.Base));
        Assert.That(() => words.Search("file", encoder, new SearchOptions { By = SearchBy.Both }),
            Throws.TypeOf<InputException>().With.Message.Contains("no vectors"));
        Assert.That(() => index.Search(" ", encoder), Throws.TypeOf<InputException>());
        Assert.That(() => index.Search("file", encoder, new SearchOptions { Top = 0 }), Throws.TypeOf<InputException>());
    }

    [Test]
    public void One_index_is_made_by_one_process_at_a_time_and_stopping_leaves_the_old_one()
    {
        using TestFolder folder = new();
        List<SearchDocument> corpus = Corpus(6, 3);
        SearchIndex.Build(folder["x"], corpus, null);
        byte[] before = File.ReadAllBytes(folder["x"]);
        IEnumerable<SearchDocument> Interfering()
        {
            yield return corpus[0];
            Assert.That(() => SearchIndex.Build(folder["x"], corpus, null),
                Throws.TypeOf<CheckpointException>().With.Message.Contains("another process"));
            throw new InvalidOperationException("stop");
        }
        Assert.That(() => SearchIndex.Build(folder["x"], Interfering(), null), Throws.TypeOf<InvalidOperationException>());
        Assert.That(File.ReadAllBytes(folder["x"]), Is.EqualTo(before));
        Assert.That(Directory.EnumerateFiles(folder.Path).Count(), Is.EqualTo(1));
        // The rest of a process that was killed is no obstacle.
        File.WriteAllText(folder[".x.vectors.part"], "rest");
        Assert.That(SearchIndex.Build(folder["x"], corpus, null).Documents, Is.EqualTo(3));
    }

    [Test]
    public void Documents_without_a_word_are_named_and_a_file_that_is_no_index_stays()
    {
        using TestFolder folder = new();
        Assert.That(SearchIndex.Build(folder["x"], [new("a", "word"), new("b", " \n"), new("c", "--")], null).Empty, Is.EqualTo(new[] { "b", "c" }));
        Assert.That(() => SearchIndex.Build(folder["y"], [new("b", "")], null), Throws.TypeOf<InputException>());
        string file = folder.Write("text", "not an index");
        Assert.That(() => SearchIndex.Build(file, Corpus(1, 1), null), Throws.TypeOf<CheckpointException>().With.Message.Contains("no index"));
        Assert.That(File.ReadAllText(file), Is.EqualTo("not an index"));
    }

    private static IEnumerable<TestCaseData> Malformed()
    {
        TestCaseData Case(string name, string tensor, Func<Tensor, Tensor?> change) => new TestCaseData(tensor, change).SetArgDisplayNames(name);
        yield return Case("a missing table", "terms", _ => null);
        yield return Case("another dtype", "passages", t => t.To(DType.Int32));
        yield return Case("another shape", "postings", t => t.Reshape(-1));
        yield return Case("offsets that descend", "texts_offsets", t => Set<long>(t, 1, 1 << 30));
        yield return Case("offsets beyond the table", "terms_offsets", t => Set<long>(t, (int)t.ElementCount - 1, 1 << 30));
        yield return Case("a passage of no document", "passages", t => Set<long>(t, 0, 9));
        yield return Case("a passage that ends before it begins", "passages", t => Set<long>(t, 2, 0));
        yield return Case("a passage behind its text", "passages", t => Set<long>(t, (int)t.ElementCount - 1, 1 << 30));
        yield return Case("a posting of no passage", "postings", t => Set(t, 0, 999));
        yield return Case("a posting of a passage before the first", "postings", t => Set(t, 0, -1));
        yield return Case("a word that is there no times", "postings", t => Set(t, 1, 0));
        yield return Case("vectors of other passages", "vectors", t => t.Narrow(0, 0, 1));

        static Tensor Set<T>(Tensor tensor, int at, T value) where T : unmanaged
        {
            T[] values = tensor.ToArray<T>();
            values[at] = value;
            return Tensor.From<T>(values, tensor.Shape);
        }
    }

    [TestCaseSource(nameof(Malformed))]
    public void A_malformed_index_is_refused_by_name(string tensor, Func<Tensor, Tensor?> change)
    {
        using TestFolder folder = new();
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base);
        SearchIndex.Build(folder["x"], [new("a", "alpha beta"), new("b", "alpha gamma gamma")], encoder);
        using (TensorScope scope = new())
        {
            using SafetensorsFile file = SafetensorsFile.Open(folder["x"]);
            Dictionary<string, Tensor> tensors = file.Entries.Keys.ToDictionary(n => n, file.Get);
            if (change(tensors[tensor]) is { } changed)
                tensors[tensor] = changed;
            else
                tensors.Remove(tensor);
            SafetensorsWriter.Write(folder["bad"], tensors, file.Metadata);
        }
        Assert.That(() =>
        {
            using SearchIndex index = SearchIndex.Open(folder["bad"]);
            index.Search("alpha beta gamma", encoder);
        }, Throws.TypeOf<CheckpointException>().With.Message.StartsWith($"{folder["bad"]}: a malformed index"));
    }

    [Test]
    public void An_LED_encodes_with_its_encoder_and_its_first_token_global()
    {
        string led = Path.Combine(TinyCheckpoints.Root, "led-encoder");
        RandomCheckpoint.Write(led, new LedConfiguration
        {
            VocabSize = Tokenizer.Load(TinyCheckpoints.TokenizerFolder).VocabularySize, DModel = 16, EncoderLayers = 2, DecoderLayers = 1,
            EncoderAttentionHeads = 2, DecoderAttentionHeads = 2, EncoderFfnDim = 16, DecoderFfnDim = 16, MaxEncoderPositionEmbeddings = 64,
            MaxDecoderPositionEmbeddings = 16, AttentionWindow = [8],
        }, seed: 4);
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, file), Path.Combine(led, file), overwrite: true);
        using DocumentEncoder encoder = DocumentEncoder.Load(led);
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(led);
        using TensorScope scope = new();
        string[] texts = ["alpha beta gamma", "delta"];
        for (int i = 0; i < texts.Length; i++)
        {
            int[] ids = encoder.Tokenizer.Encode(texts[i]).Ids.ToArray();
            using LongformerInterop.Models.Led.LedEncodedDocuments states = model.Encode(new LedInputs { Documents = [new DocumentTokens(ids,
                [0])] });
            float[] mean = states.States.Mean([0]).ToArray<float>();
            Assert.That(encoder.Encode(texts)[i], Is.EqualTo(mean).Within(1e-5));
        }
    }

    [GeneratedRegex(@"\p{IsCJKUnifiedIdeographs}|[a-zäöüß]+")]
    private static partial Regex Word();
}
