using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using LongformerInterop.Cli.Output;
using LongformerInterop.Cli.Tests;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tests;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using Parquet;
using Parquet.Schema;

namespace LongformerInterop.Corpora.Tests;

/// <summary>Corpora: their files, the order and the columns of the results, resuming after a stop, shares, and refusals.</summary>
[TestFixture]
public sealed class CorpusTests
{
    private string _root = "";
    private DocumentEncoder _encoder = null!;

    [OneTimeSetUp]
    public void Load() => _encoder = DocumentEncoder.Load(TinyCheckpoints.Base);

    [OneTimeTearDown]
    public void Unload() => _encoder.Dispose();

    [SetUp]
    public void Begin() => _root = Directory.CreateTempSubdirectory("longformer-corpus-").FullName;

    [TearDown]
    public void End() => Directory.Delete(_root, recursive: true);

    [TestCase(".jsonl", ".jsonl")]
    [TestCase(".jsonl.gz", ".parquet")]
    [TestCase(".jsonl.zst", ".jsonl.gz")]
    [TestCase(".parquet", ".parquet")]
    [TestCase(".parquet", ".jsonl.zst")]
    public void Results_stand_in_the_order_of_the_input_with_its_columns(string from, string to)
    {
        string[] texts = CorpusFiles.Texts(23, 1);
        string file = WriteCorpus($"in{from}", texts);
        CorpusProgress done = Run([file], "out", new CorpusOptions { Suffix = to, RowsPerPart = 5, Keep = ["id"] });
        Assert.That((done.Parts, done.Rows, done.Failed, done.Fraction), Is.EqualTo((5, 23L, 0L, 1.0)));
        List<(string Id, float[] Vector, int Tokens)> rows = ReadParts("out", to);
        Assert.That(rows.Select(r => r.Id), Is.EqualTo(Enumerable.Range(0, 23).Select(i => $"{i}")));
        for (int i = 0; i < texts.Length; i++)
        {
            Assert.That(rows[i].Vector, Is.EqualTo(_encoder.Encode([texts[i]])[0]).Within(1e-5), $"row {i}");
            Assert.That(rows[i].Tokens, Is.EqualTo(_encoder.CountTokens([texts[i]])[0]));
        }
        Assert.That(done.Tokens, Is.EqualTo(rows.Sum(r => (long)r.Tokens)));
    }

    [Test]
    public void Values_of_Parquet_keep_their_types_and_nulls()
    {
        string file = At("in.parquet");
        (DataField Field, Action<ParquetRowGroupWriter, DataField> Write)[] columns =
        [
            (new DataField("text", typeof(string), true), (g, f) => g.WriteAsync(f, ["ada", "wrote", "the"]).GetAwaiter().GetResult()),
            (new DataField("n", typeof(int), true), (g, f) =>
                g.WriteAsync<int>(f, (ReadOnlyMemory<int?>)new int?[] { 1, null, -3 }).GetAwaiter().GetResult()),
            (new DataField("x", typeof(double), true),
                (g, f) => g.WriteAsync<double>(f, (ReadOnlyMemory<double?>)new double?[] { 0.5, 1e300, null }).GetAwaiter().GetResult()),
            (new DataField("ok", typeof(bool), true),
                (g, f) => g.WriteAsync<bool>(f, (ReadOnlyMemory<bool?>)new bool?[] { true, false, null }).GetAwaiter().GetResult()),
            (new DataField("name", typeof(string), true),
                (g, f) => g.WriteAsync(f, (IReadOnlyCollection<string>)["é", null!, ""]).GetAwaiter().GetResult()),
        ];
        CorpusFiles.WriteParquet(file, columns);
        Run([file], "out", new CorpusOptions { Suffix = ".parquet" });
        Run([file], "lines", new CorpusOptions { Suffix = ".jsonl" });
        ParquetReaderRows again = new([Directory.GetFiles(At("out"), "part-*.parquet").Single()], "name", ["n", "x", "ok"]);
        Assert.That(again.Carried!.Select(c => c.Type), Is.EqualTo(new[] { typeof(int), typeof(double), typeof(bool) }));
        object?[][] values = [.. again.Rows().Select(r => r.Read()).Where(r => r.Text is not null)
            .Select(r => r.Carried.Select(v => v.Value).ToArray())];
        Assert.That(values, Is.EqualTo(new object?[][] { [1, 0.5, true], [-3, null, null] }));
        string[] lines = File.ReadAllLines(At("lines/part-00000.jsonl"));
        Assert.That(lines[0], Does.StartWith("""{"n":1,"x":0.5,"ok":true,"name":"é","embedding":["""));
        Assert.That(lines[1], Does.StartWith("""{"n":null,"x":1E+300,"ok":false,"name":null,"embedding":["""));
    }

    [Test]
    public void Labels_come_with_their_scores()
    {
        using TextClassifier classifier = TextClassifier.Load(TinyCheckpoints.Classifier);
        string[] texts = CorpusFiles.Texts(70, 3);
        CorpusProgress done = CorpusRun.Run([WriteCorpus("in.jsonl", texts)], At("out"), CorpusTask.Classify(classifier),
            new CorpusOptions { Suffix = ".jsonl" });
        Assert.That(done.Tokens, Is.GreaterThan(70));
        string[] lines = File.ReadAllLines(At("out/part-00000.jsonl"));
        for (int i = 0; i < texts.Length; i += 13)
        {
            using JsonDocument row = JsonDocument.Parse(lines[i]);
            IReadOnlyList<LabelScore> expected = classifier.Classify(texts[i]);
            Assert.That(row.RootElement.GetProperty("label").GetString(), Is.EqualTo(expected[0].Label));
            Assert.That(row.RootElement.GetProperty("scores").EnumerateArray().Select(s => s.GetSingle()),
                Is.EqualTo(expected.Select(e => e.Score)).Within(1e-5));
        }
    }

    [Test]
    public void Rows_that_fail_are_listed_aside_or_end_the_run()
    {
        string[] lines = [.. CorpusFiles.Texts(9, 4).Select((t, i) => JsonSerializer.Serialize(new { id = i, text = t }))];
        (lines[1], lines[4], lines[6], lines[7]) =
            ("{oops", "{\"id\": 4, \"text\": \"\"}", "{\"id\": 6, \"text\": null}", "{\"id\": 7, \"body\": \"x\"}");
        File.WriteAllLines(At("in.jsonl"), lines);
        Assert.That(() => Run([At("in.jsonl")], "stop", new CorpusOptions { Suffix = ".jsonl" }),
            Throws.TypeOf<InputException>().With.Message.Contains("in.jsonl:2: not JSON"));
        CorpusProgress done = Run([At("in.jsonl")], "out", new CorpusOptions { Suffix = ".jsonl", RowsPerPart = 4, Skip = true });
        Assert.That((done.Rows, done.Failed), Is.EqualTo((5L, 4L)));
        string[] listed = [.. Directory.GetFiles(At("out"), "*.failed.jsonl").Order(StringComparer.Ordinal).SelectMany(File.ReadAllLines)];
        (int Line, string Problem)[] expected = [(2, "not JSON"), (5, "the text is empty"), (7, "holds null"), (8, "no column")];
        Assert.That(listed, Has.Length.EqualTo(expected.Length));
        foreach ((string line, (int number, string problem)) in listed.Zip(expected))
            Assert.That(line, Does.Contain($"in.jsonl:{number}\"").And.Contain(problem));
    }

    [Test]
    public void Shares_together_are_the_whole()
    {
        string file = WriteCorpus("in.jsonl", CorpusFiles.Texts(40, 5));
        Run([file], "whole", new CorpusOptions { Suffix = ".jsonl", RowsPerPart = 6 });
        // Again and again, since they begin at once.
        for (int round = 0; round < 10; round++)
        {
            string output = $"shares{round}";
            Parallel.For(1, 4, shard => Run([file], output, new CorpusOptions { Suffix = ".jsonl", RowsPerPart = 6, Shard = shard, Shards = 3 }));
            Assert.That(Content(output), Is.EqualTo(Content("whole")));
        }
    }

    [Test]
    public void An_output_is_gone_on_with_under_the_same_settings_alone()
    {
        string file = WriteCorpus("in.jsonl", CorpusFiles.Texts(12, 6));
        CorpusOptions options = new() { Suffix = ".jsonl", RowsPerPart = 3 };
        Run([file], "out", options);
        byte[] before = Content("out");
        File.Delete(At("out/part-00002.jsonl"));
        Assert.That(() => Run([file], "out", options), Throws.TypeOf<InputException>().With.Message.Contains("--resume"));
        CorpusProgress done = Run([file], "out", options with { Resume = true });
        Assert.That((done.Parts, done.Found), Is.EqualTo((1, 3)));
        Assert.That(Content("out"), Is.EqualTo(before));
        Assert.That(() => Run([file], "out", options with { Resume = true, RowsPerPart = 4 }),
            Throws.TypeOf<InputException>().With.Message.Contains("begun with rows in a part 3, now it is 4"));
        File.AppendAllText(file, "\"more\"\n");
        Assert.That(() => Run([file], "out", options with { Resume = true }), Throws.TypeOf<InputException>().With.Message.Contains("input 1"));
        Directory.CreateDirectory(At("other"));
        File.WriteAllText(At("other/notes.txt"), "");
        Assert.That(() => Run([file], "other", options), Throws.TypeOf<InputException>().With.Message.Contains("not empty"));
    }

    [Test]
    public void A_run_that_is_killed_again_and_again_ends_with_the_same_bytes()
    {
        string file = WriteCorpus("in.jsonl.gz", CorpusFiles.Texts(9000, 10));
        string[] Command(string output, params string[] more) =>
            ["encode", TinyCheckpoints.Base, "--corpus", file, "--parts", At(output), "--rows-per-part", "40", "--threads", "1", "--keep", "id",
                "--json", .. more];
        Longformer.Result whole = Longformer.Succeeds(Command("whole"));
        Assert.That(whole.Json.GetProperty("rows").GetInt64(), Is.EqualTo(9000));
        Random random = new(11);
        int Parts() => Directory.Exists(At("killed")) ? Directory.GetFiles(At("killed"), "part-*").Length : 0;
        int kills = 0;
        // A fast machine writes a dozen parts a time, so that twenty times may be all.
        for (; kills < 20 && Parts() < 180; kills++)
        {
            // Killed some moments after it has written from one to six parts more.
            int until = Parts() + random.Next(1, 7), moments = random.Next(0, 15);
            Longformer.Result end = Longformer.RunKilled(() =>
            {
                bool now = Parts() >= until;
                if (now)
                    Thread.Sleep(moments);
                return now;
            }, Command("killed", Directory.Exists(At("killed")) ? ["--resume"] : []));
            Assert.That(end.Status, Is.EqualTo(137), end.Error);
        }
        int there = Parts();
        Longformer.Result last = Longformer.Succeeds(Command("killed", "--resume"));
        Assert.That(last.Json.GetProperty("parts_found").GetInt32(), Is.EqualTo(there).And.InRange(20, 224));
        Assert.That(kills, Is.GreaterThanOrEqualTo(8));
        Assert.That(Content("killed"), Is.EqualTo(Content("whole")));
        Assert.That(Directory.GetFiles(At("killed"), "part-*").Length, Is.EqualTo(225));
    }

    [Test]
    public void Workers_do_what_one_process_does()
    {
        string file = WriteCorpus("in.parquet", CorpusFiles.Texts(300, 13));
        string[] Command(string output, params string[] more) =>
            ["encode", TinyCheckpoints.Base, "--corpus", file, "--parts", At(output), "--rows-per-part", "16", "--threads", "1", "--shared-weights",
                "--json", .. more];
        Longformer.Succeeds(Command("one"));
        JsonElement done = Longformer.Succeeds(Command("three", "--workers", "3")).Json;
        Assert.That((done.GetProperty("rows").GetInt64(), done.GetProperty("parts").GetInt32()), Is.EqualTo((300L, 19)));
        Assert.That(Content("three"), Is.EqualTo(Content("one")));
        Assert.That(Longformer.Fails(1, Command("three", "--workers", "2")), Does.Contain("--resume"));
        Assert.That(Longformer.Succeeds(Command("three", "--workers", "2", "--resume")).Json.GetProperty("parts_found").GetInt32(), Is.EqualTo(19));
        Assert.That(Longformer.Run(Command("three", "--workers", "2", "--resume", "--normalize")).Error, Does.Contain("begun with options"));
    }

    [Test]
    public void Parquet_gives_documents_or_with_parts_a_corpus()
    {
        string file = At("in.parquet");
        CorpusFiles.WriteParquet(file, [(new DataField("body", typeof(string), true),
            (g, f) => g.WriteAsync(f, (IReadOnlyCollection<string>)["ada wrote", null!, "the first program"]).GetAwaiter().GetResult())]);
        string[] command = ["encode", TinyCheckpoints.Base, "--parquet", file, "--column", "body"];
        Assert.That(Longformer.Fails(1, command), Does.Contain("row 2: the column \"body\" holds null"));
        Assert.That(Longformer.Fails(1, command[..4]), Does.Contain("no column \"text\"; there are \"body\""));
        Longformer.Result few = Longformer.Run([.. command, "--json", "--on-error", "skip"]);
        Assert.That((few.Status, few.Json.GetProperty("documents").GetArrayLength()), Is.EqualTo((1, 2)), few.Error);
        Assert.That(few.Json.GetProperty("documents")[1].GetProperty("source").GetString(), Does.EndWith("in.parquet: row 3"));
        string[] parts = [.. command, "--on-error", "skip", "--parts", At("out"), "--format", "jsonl", "--rows-per-part", "2"];
        Assert.That(Longformer.Run([.. parts, "--shard", "2/2"]).Status, Is.Zero);
        Longformer.Result rest = Longformer.Run([.. parts, "--shard", "1/2", "--resume", "--json"]);
        Assert.That((rest.Status, rest.Json.GetProperty("rows").GetInt64(), rest.Json.GetProperty("failed").GetInt64()), Is.EqualTo((1, 1L, 1L)));
        Assert.That(Directory.GetFiles(At("out"), "part-*").Select(Path.GetFileName).Order(StringComparer.Ordinal),
            Is.EqualTo(new[] { "part-00000.failed.jsonl", "part-00000.jsonl", "part-00001.jsonl" }));
    }

    [Test]
    public void Progress_tells_the_remaining_time_from_what_this_run_did()
    {
        // A quarter was there, a quarter took 100 seconds: half is left.
        CorpusProgress half = new(0.5, 10, 20480, 0, 4_000_000, 10);
        Assert.That(CorpusProgressLine.Text(half, 0.25, 100),
            Is.EqualTo("[############............] 50.0 %  20480 rows  40,000 tokens/s  0.00:03:20 left"));
        Assert.That(CorpusProgressLine.Text(half with { Fraction = 0.25 }, 0.25, 1), Does.Not.Contain("left"));
    }

    [Test]
    public void Every_verb_works_through_corpora()
    {
        string file = WriteCorpus("in.jsonl", CorpusFiles.Texts(5, 14));
        string led = At("led");
        Longformer.Succeeds("random", led, "--size", "led-tiny", "--tokenizer", TinyCheckpoints.TokenizerFolder);
        (string Verb, string Folder, string[] More, string Column)[] verbs =
        [
            ("encode", TinyCheckpoints.Base, [], "embedding"), ("summarize", led, ["--max-tokens", "6", "--beams", "2"], "summary"),
            ("classify", TinyCheckpoints.Classifier, [], "scores"), ("tag", TinyCheckpoints.Tagger, [], "entities"),
            ("answer", TinyCheckpoints.QuestionAnswering, ["--question", "who?"], "answer"),
        ];
        foreach ((string verb, string folder, string[] more, string column) in verbs)
        {
            JsonElement done = Longformer.Succeeds([verb, folder, "--corpus", file, "--parts", At(verb), "--format", "jsonl", "--json", .. more])
                .Json;
            Assert.That(done.GetProperty("rows").GetInt64(), Is.EqualTo(5), verb);
            Assert.That(File.ReadAllLines(At($"{verb}/part-00000.jsonl")), Has.Length.EqualTo(5).And.All.Contains($"\"{column}\":"), verb);
        }
    }

    [TestCase(".jsonl")]
    [TestCase(".parquet")]
    public void Several_summaries_of_a_text_are_a_list_with_their_scores(string suffix)
    {
        string[] texts = CorpusFiles.Texts(20, 15);
        string file = WriteCorpus("in.jsonl", texts);
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        GenerationOptions how = new() { Beams = 3, NBest = 3, MaxTokens = 6 };
        CorpusProgress done = CorpusRun.Run([file], At("several"), CorpusTask.Summarize(summarizer, how), new CorpusOptions { Suffix = suffix });
        Assert.That(done.Tokens, Is.EqualTo(texts.Sum(text => summarizer.Tokenizer.Encode(text).Count)));
        DataRow[] rows = [.. DataFiles.Read([At($"several/part-00000{suffix}")])];
        Assert.That(rows, Has.Length.EqualTo(texts.Length));
        for (int i = 0; i < rows.Length; i++)
        {
            IReadOnlyList<Summary> expected = summarizer.Summarize([texts[i]], how).Single();
            Assert.That(rows[i].Texts("summaries"), Is.EqualTo(expected.Select(s => s.Text)));
            Assert.That(rows[i].Text("summary"), Is.EqualTo(expected[0].Text));
            Assert.That(rows[i].List("scores").Select(s => DataRow.AsNumber(s)!.Value),
                Is.EqualTo(expected.Select(s => s.Sequence.Score)).Within(1e-5));
        }
    }

    private string At(string name) => Path.Combine(_root, name);

    private CorpusProgress Run(IReadOnlyList<string> files, string output, CorpusOptions options) =>
        CorpusRun.Run(files, At(output), CorpusTask.Encode(_encoder), options);

    private string WriteCorpus(string name, string[] texts) => CorpusFiles.WriteCorpus(At(name), texts);

    private byte[] Content(string output) => CorpusFiles.Content(At(output));

    private List<(string Id, float[] Vector, int Tokens)> ReadParts(string output, string suffix)
    {
        List<(string, float[], int)> rows = [];
        foreach (string file in Directory.GetFiles(At(output), $"part-*{suffix}").Order(StringComparer.Ordinal))
        {
            if (CorpusFormats.IsParquet(suffix))
            {
                rows.AddRange(ReadParquet(file));
                continue;
            }
            using FileStream bytes = File.OpenRead(file);
            using StreamReader reader = new(CorpusFormats.Decompress(file, bytes));
            while (reader.ReadLine() is { } line)
            {
                using JsonDocument row = JsonDocument.Parse(line);
                JsonElement root = row.RootElement;
                rows.Add((root.GetProperty("id").ToString(), [.. root.GetProperty("embedding").EnumerateArray().Select(v => v.GetSingle())],
                    root.GetProperty("tokens").GetInt32()));
            }
        }
        return rows;
    }

    private static List<(string, float[], int)> ReadParquet(string file)
    {
        using FileStream stream = File.OpenRead(file);
        ParquetReader reader = ParquetReader.CreateAsync(stream).GetAwaiter().GetResult();
        List<(string, float[], int)> rows = [];
        using ParquetRowGroupReader group = reader.OpenRowGroupReader(0);
        DataField Field(string name) => reader.Schema.DataFields.Single(f => f.Path.ToString().StartsWith(name, StringComparison.Ordinal));
        Parquet.Data.RawColumnData<ReadOnlyMemory<char>> ids =
            (Parquet.Data.RawColumnData<ReadOnlyMemory<char>>)group.ReadRawColumnDataBaseAsync(Field("id")).AsTask().GetAwaiter().GetResult();
        Parquet.Data.RawColumnData<float> vectors = (Parquet.Data.RawColumnData<float>)group.ReadRawColumnDataBaseAsync(Field("embedding")).AsTask()
            .GetAwaiter().GetResult();
        Parquet.Data.RawColumnData<int> tokens = (Parquet.Data.RawColumnData<int>)group.ReadRawColumnDataBaseAsync(Field("tokens")).AsTask()
            .GetAwaiter().GetResult();
        int width = vectors.Values.Length / ids.Values.Length;
        for (int i = 0; i < ids.Values.Length; i++)
            rows.Add((ids.Values[i].ToString(), vectors.Values.Slice(i * width, width).ToArray(), tokens.Values[i]));
        reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return rows;
    }
}
