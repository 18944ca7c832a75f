using LongformerInterop.Cli.Tests;
using LongformerInterop.Tasks;
using LongformerInterop.Tests;
using LongformerInterop.Torch;
using Parquet.Schema;

namespace LongformerInterop.Corpora.Tests;

/// <summary>What cannot be worked through: one message that names the place, and what was done stays.</summary>
[TestFixture]
public sealed class BadCorpusTests
{
    private TestFolder _root = null!;
    private DocumentEncoder _encoder = null!;

    [OneTimeSetUp]
    public void Load() => _encoder = DocumentEncoder.Load(TinyCheckpoints.Base);

    [OneTimeTearDown]
    public void Unload() => _encoder.Dispose();

    [SetUp]
    public void Begin() => _root = new TestFolder();

    [TearDown]
    public void End() => _root.Dispose();

    [Test]
    public void What_is_wrong_with_Parquet_is_said()
    {
        string file = WriteCorpus("in.parquet", CorpusFiles.Texts(30, 8));
        Assert.That(() => Run([file], "a", new CorpusOptions { TextColumn = "body" }),
            Throws.TypeOf<InputException>().With.Message.Contains("no column \"body\"; there are"));
        Assert.That(() => Run([file], "b", new CorpusOptions { Keep = ["nothing"] }),
            Throws.TypeOf<InputException>().With.Message.Contains("no column \"nothing\""));
        Assert.That(() => Run([file], "c", new CorpusOptions { TextColumn = "id" }), Throws.Nothing, "ids are texts here");
        CorpusFiles.WriteParquet(At("numbers.parquet"), [(new DataField("text", typeof(int), true),
            (g, f) => g.WriteAsync<int>(f, (ReadOnlyMemory<int?>)new int?[] { 1 }).GetAwaiter().GetResult())]);
        Assert.That(() => Run([At("numbers.parquet")], "d", new CorpusOptions()),
            Throws.TypeOf<InputException>().With.Message.Contains("holds Int32, expected texts"));
        byte[] bytes = File.ReadAllBytes(file);
        Array.Fill(bytes, (byte)0xA5, 8, 60);
        File.WriteAllBytes(At("broken.parquet"), bytes);
        Assert.That(() => Run([At("broken.parquet")], "e", new CorpusOptions()),
            Throws.TypeOf<InputException>().With.Message.Contains("broken.parquet: row group 1").And.Message.Contains("cannot be read"));
        CorpusProgress done = Run([At("broken.parquet")], "f", new CorpusOptions { Skip = true });
        Assert.That((done.Rows, done.Failed), Is.EqualTo((0L, 1L)));
        File.WriteAllText(At("none.parquet"), "PAR1 but no more");
        Assert.That(() => Run([At("none.parquet")], "g", new CorpusOptions()),
            Throws.TypeOf<InputException>().With.Message.Contains("not a Parquet file"));
        Assert.That(() => CorpusFormats.Find([file, WriteCorpus("x.jsonl", ["a"])]),
            Throws.TypeOf<InputException>().With.Message.Contains("expected Parquet"));
        Assert.That(() => CorpusFormats.Find([At("no.jsonl")]), Throws.TypeOf<InputException>().With.Message.Contains("no such file"));
        File.WriteAllBytes(At("cut.jsonl.gz"), File.ReadAllBytes(WriteCorpus("whole.jsonl.gz", CorpusFiles.Texts(300, 9)))[..400]);
        Assert.That(() => Run([At("cut.jsonl.gz")], "h", new CorpusOptions()), Throws.TypeOf<InputException>().With.Message.Contains("cut.jsonl.gz"));
    }

    [Test]
    public void Nulls_of_Parquet_end_the_run_or_are_listed_by_their_rows()
    {
        string?[] texts = CorpusFiles.Texts(20, 21);
        (texts[7], texts[13]) = (null, null);
        string file = CorpusFiles.WriteCorpus(At("in.parquet"), texts, rowsOfGroup: 6);
        CorpusOptions options = new() { Suffix = ".jsonl", RowsPerPart = 5 };
        Assert.That(() => Run([file], "out", options),
            Throws.TypeOf<InputException>().With.Message.EqualTo($"{file}: row 8: the column \"text\" holds null, expected a text"));
        Assert.That(Directory.GetFiles(At("out"), "part-*").Select(Path.GetFileName), Is.EqualTo(new[] { "part-00000.jsonl" }), "what was done");
        // The run that stopped continues past the rows.
        CorpusProgress done = Run([file], "out", options with { Skip = true, Resume = true });
        Assert.That((done.Found, done.Parts, done.Rows, done.Failed), Is.EqualTo((1, 3, 13L, 2L)));
        Assert.That(Run([file], "out", options with { Skip = true, Resume = true }).Failed, Is.EqualTo(2), "rows of parts that were there");
        Assert.That(File.ReadAllText(At("out/part-00001.failed.jsonl")), Does.Contain("row 8").And.Contain("holds null"));
        Run([file], "whole", options with { Skip = true });
        Assert.That(CorpusFiles.Content(At("out")), Is.EqualTo(CorpusFiles.Content(At("whole"))));
    }

    [Test]
    public void A_broken_row_group_leaves_those_before_it_and_behind_it()
    {
        string file = CorpusFiles.WriteCorpus(At("in.parquet"), CorpusFiles.Texts(30, 22), rowsOfGroup: 10);
        byte[] bytes = File.ReadAllBytes(file);
        using (FileStream stream = File.OpenRead(file))
        {
            Parquet.ParquetReader reader = Parquet.ParquetReader.CreateAsync(stream).GetAwaiter().GetResult();
            long begin = reader.Metadata!.RowGroups[1].Columns[1].MetaData!.DataPageOffset;
            Array.Fill(bytes, (byte)0xA5, (int)begin, 40);
            reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
        File.WriteAllBytes(file, bytes);
        CorpusOptions options = new() { Suffix = ".jsonl", RowsPerPart = 10 };
        Assert.That(() => Run([file], "out", options),
            Throws.TypeOf<InputException>().With.Message.Contains("row group 2 (10 rows): cannot be read"));
        byte[] first = File.ReadAllBytes(At("out/part-00000.jsonl"));
        CorpusProgress done = Run([file], "out", options with { Skip = true, Resume = true });
        Assert.That((done.Found, done.Rows, done.Failed), Is.EqualTo((1, 10L, 1L)));
        Assert.That(File.ReadAllBytes(At("out/part-00000.jsonl")), Is.EqualTo(first));
        string[] rows = [.. Directory.GetFiles(At("out"), "part-*.jsonl").Where(f => !f.EndsWith(".failed.jsonl", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal).SelectMany(File.ReadAllLines)];
        Assert.That(rows, Has.Length.EqualTo(20));
        Assert.That(rows[10], Does.StartWith("""{"id":"20","embedding":"""));
    }

    [Test]
    public void Two_processes_do_not_work_on_one_share()
    {
        string file = WriteCorpus("in.jsonl", CorpusFiles.Texts(4, 7));
        Directory.CreateDirectory(At("out"));
        foreach (string held in new[] { ".lock-1-of-1", ".lock-2-of-3" })
        {
            using (new FileStream(At($"out/{held}"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
            {
                Assert.That(() => Run([file], "out", new CorpusOptions { Suffix = ".jsonl" }),
                    Throws.TypeOf<InputException>().With.Message.Contains("another process works on this output"), held);
                // The lock that another process holds, asked for by the program.
                Assert.That(Longformer.Fails(1, "encode", TinyCheckpoints.Base, "--corpus", file, "--parts", At("out"), "--format", "jsonl"),
                    Does.Contain("another process works on this output"), held);
            }
        }
        Assert.That(Run([file], "out", new CorpusOptions { Suffix = ".jsonl" }).Parts, Is.EqualTo(1));
    }

    [Test]
    public void A_full_disk_leaves_what_was_done()
    {
        // The column of the second half is wide.
        string file = At("in.jsonl");
        File.WriteAllLines(file, CorpusFiles.Texts(200, 12).Select((t, i) =>
            $$"""{"text": "{{t}}", "wide": "{{new string('w', i < 100 ? 1 : 4000)}}"}"""));
        string[] Command(string output, params string[] more) =>
            ["encode", TinyCheckpoints.Base, "--corpus", file, "--parts", At(output), "--rows-per-part", "10", "--format", "jsonl", "--threads", "1",
                .. more];
        Longformer.Result result = Longformer.RunLimited(16, Command("out"));
        Assert.That(result.Status, Is.EqualTo(1), result.Error);
        Assert.That(result.Error, Does.Contain("part-00010.jsonl: cannot be written").And.Contain("--resume"));
        Assert.That(result.Error.Trim(), Does.Not.Contain('\n'), "one line");
        Assert.That(Directory.GetFiles(At("out"), "*part*"), Has.Length.EqualTo(10), "the parts before it, and nothing half");
        Longformer.Succeeds(Command("out", "--resume"));
        Longformer.Succeeds(Command("whole"));
        Assert.That(CorpusFiles.Content(At("out")), Is.EqualTo(CorpusFiles.Content(At("whole"))));
    }

    [Test]
    public void Options_of_corpora_without_one_are_wrong_usage()
    {
        string file = CorpusFiles.WriteCorpus(At("in.jsonl"), ["ada"]);
        string Fails(params string[] more) => Longformer.Fails(2, ["encode", TinyCheckpoints.Base, .. more]);
        Assert.That(Fails("--jsonl", file, "--resume"), Does.Contain("--resume needs a corpus"));
        Assert.That(Fails("--jsonl", file, "--parts", At("out")), Does.Contain("--parts needs a corpus"));
        Assert.That(Fails("--jsonl", file, "--corpus", file, "--parts", At("out")), Does.Contain("--input and --jsonl do not go with --parts"));
        Assert.That(Fails("--corpus", file), Does.Contain("--corpus needs --parts DIR"));
        Assert.That(Fails("--corpus", file, "--parts", At("out"), "--shard", "3/2"), Does.Contain("--shard: expected I/N"));
        Assert.That(Fails("--jsonl", file, "--column", "body"), Does.Contain("--text-column needs --parquet FILE"));
    }

    private string At(string name) => _root[name];

    private string WriteCorpus(string name, string[] texts) => CorpusFiles.WriteCorpus(At(name), texts);

    private CorpusProgress Run(IReadOnlyList<string> files, string output, CorpusOptions options) =>
        CorpusRun.Run(files, At(output), CorpusTask.Encode(_encoder), options);
}
