using System.Diagnostics;
using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Tests;

namespace LongformerInterop.Cli.Tests;

[TestFixture]
[Parallelizable(ParallelScope.None)]
public class VerbTests
{
    private const string Text = "Ada Lovelace wrote the first program. \U0001F600 She lived in London.";

    private static string TextFile(string name, string text)
    {
        string path = Path.Combine(TinyCheckpoints.Root, name);
        File.WriteAllText(path, text);
        return path;
    }

    [Test]
    public void Encode_prints_the_embeddings_time_tokens_and_peak_memory_as_json()
    {
        string file = TextFile("encode.txt", Text);
        JsonElement json = Longformer.Succeeds("encode", TinyCheckpoints.Base, "--input", file, "--json", "--normalize").Json;
        JsonElement document = json.GetProperty("documents")[0];
        Assert.That(document.GetProperty("source").GetString(), Is.EqualTo(file));
        float[] embedding = [.. document.GetProperty("embedding").EnumerateArray().Select(e => e.GetSingle())];
        Assert.That(embedding, Has.Length.EqualTo(json.GetProperty("hidden_size").GetInt32()));
        Assert.That(embedding.Sum(v => v * v), Is.EqualTo(1f).Within(1e-5));
        Assert.That(json.GetProperty("tokens").GetInt64(), Is.EqualTo(document.GetProperty("tokens").GetInt64()).And.GreaterThan(5));
        Assert.That(json.GetProperty("seconds").GetDouble(), Is.Positive);
        Assert.That(json.GetProperty("peak_memory_bytes").GetInt64(), Is.GreaterThan(1 << 20));
    }

    [Test]
    public void Spans_are_classified_from_the_command_line_or_from_json_lines()
    {
        JsonElement document = Longformer.Succeeds("spans", TinyCheckpoints.Spans, "--input", TextFile("spans.txt", Text),
            "--span", "0..12", "--span", "23..28", "--json").Json.GetProperty("documents")[0];
        JsonElement[] spans = [.. document.GetProperty("spans").EnumerateArray()];
        Assert.That(spans.Select(s => s.GetProperty("text").GetString()), Is.EqualTo(new[] { Text[..12], Text[23..28] }));
        Assert.That(spans[0].GetProperty("labels").EnumerateArray().Sum(l => l.GetProperty("score").GetDouble()), Is.EqualTo(1).Within(1e-5));
        string lines = TextFile("spans.jsonl", JsonSerializer.Serialize(new { text = Text, spans = new[] { new[] { 0, 12 } } }) + "\n");
        Assert.That(Longformer.Succeeds("spans", TinyCheckpoints.Spans, "--jsonl", lines).Output, Does.StartWith("[0..12]  Ada Lovelace"));
        Assert.That(Longformer.Fails(2, "spans", TinyCheckpoints.Spans, "--input", TextFile("spans.txt", Text)), Does.Contain("no spans"));
        Assert.That(Longformer.Fails(2, "spans", TinyCheckpoints.Spans, "--jsonl", lines, "--span", "4-9"), Does.Contain("START..END"));
        Assert.That(Longformer.Fails(1, "spans", TinyCheckpoints.Spans, "--input", TextFile("spans.txt", Text), "--span", "900..901"),
            Does.Contain("spans[0]: expected a range of at least one of the text's"));
    }

    [Test]
    public void Coreference_gives_clusters_with_character_ranges()
    {
        string text = string.Join(' ', Enumerable.Range(0, 40).Select(i => $"Ada saw number {i}. She sang with it."));
        JsonElement document = Longformer.Succeeds("coref", TinyCheckpoints.Coreference, "--input", TextFile("coref.txt", text), "--json").Json
            .GetProperty("documents")[0];
        JsonElement[] clusters = [.. document.GetProperty("clusters").EnumerateArray()];
        Assert.That(clusters, Is.Not.Empty);
        foreach (JsonElement mention in clusters.SelectMany(c => c.EnumerateArray()))
        {
            Assert.That(mention.GetProperty("text").GetString(),
                Is.EqualTo(text[mention.GetProperty("start").GetInt32()..mention.GetProperty("end").GetInt32()]));
        }
        Assert.That(Longformer.Succeeds("coref", TinyCheckpoints.Coreference, "--input", TextFile("coref.txt", text)).Output,
            Does.Match(@"^1\n  \[\d+\.\.\d+\]  "));
        Assert.That(Longformer.Fails(1, "coref", TinyCheckpoints.Coreference, "--input", TextFile("coref.txt", text), "--genre", "xx"),
            Does.Contain("genre: expected one of nw, bc, given \"xx\""));
        Assert.That(Longformer.Fails(2, "coref", TinyCheckpoints.Coreference, "--input", TextFile("coref.txt", text), "--truncate"),
            Does.Contain("--truncate"));
        Assert.That(Longformer.Fails(1, "coref", TinyCheckpoints.Spans, "--input", TextFile("coref.txt", text)),
            Does.Contain("LongformerForCoreference"));
    }

    [Test]
    public void Encode_writes_one_set_of_numbers_in_three_formats()
    {
        string jsonl = TextFile("documents.jsonl", "\"A first document.\"\n\n{\"text\": \"Another one, longer than the first.\"}\n");
        string npy = Path.Combine(TinyCheckpoints.Root, "x.npy");
        string safetensors = Path.Combine(TinyCheckpoints.Root, "x.safetensors");
        string lines = Path.Combine(TinyCheckpoints.Root, "x.jsonl");
        foreach (string output in new[] { npy, safetensors, lines })
        {
            Assert.That(Longformer.Succeeds("encode", TinyCheckpoints.Base, "--jsonl", jsonl, "--output", output).Output,
                Does.StartWith("2 documents"));
        }

        float[][] rows = [.. File.ReadLines(lines).Select(l =>
        {
            using JsonDocument document = JsonDocument.Parse(l);
            return document.RootElement.GetProperty("embedding").EnumerateArray().Select(e => e.GetSingle()).ToArray();
        })];
        float[] all = [.. rows.SelectMany(r => r)];
        Assert.That(rows, Has.Length.EqualTo(2));
        byte[] bytes = File.ReadAllBytes(npy);
        string header = Encoding.Latin1.GetString(bytes[..128]);
        Assert.That(header, Does.StartWith("\u0093NUMPY\u0001\0").And.Contain($"'shape': (2, {rows[0].Length})").And.Contain("'<f4'")
            .And.EndsWith("\n"));
        Assert.That(bytes[8] + (256 * bytes[9]), Is.EqualTo(118));
        Assert.That(Enumerable.Range(0, all.Length).Select(i => BitConverter.ToSingle(bytes, 128 + (4 * i))), Is.EqualTo(all));
        using SafetensorsFile file = SafetensorsFile.Open(safetensors);
        using Torch.Tensor embeddings = file.Get("embeddings");
        Assert.That(embeddings.Shape, Is.EqualTo(new long[] { 2, rows[0].Length }));
        Assert.That(embeddings.ToArray<float>(), Is.EqualTo(all));
        Assert.That(Directory.EnumerateFiles(TinyCheckpoints.Root, ".*"), Is.Empty, "no temporary file is left");
    }

    [Test]
    public void Encode_writes_a_vector_per_token()
    {
        string file = TextFile("tokens.txt", Text);
        string output = Path.Combine(TinyCheckpoints.Root, "tokens.safetensors");
        Longformer.Succeeds("encode", TinyCheckpoints.Base, "--input", file, "--input", file, "--pooling", "tokens", "--output", output);
        using SafetensorsFile tensors = SafetensorsFile.Open(output);
        using Torch.Tensor offsets = tensors.Get("offsets"), embeddings = tensors.Get("embeddings");
        long[] at = offsets.ToArray<long>();
        Assert.That(at, Has.Length.EqualTo(3));
        Assert.That(embeddings.Shape[0], Is.EqualTo(at[2]).And.EqualTo(2 * at[1]));
        Assert.That(Longformer.Fails(2, "encode", TinyCheckpoints.Base, "--input", file, "--input", file, "--pooling", "tokens", "--output", "x.npy"),
            Does.Contain("one matrix"));
    }

    [Test]
    public void Encode_reads_standard_input_and_gives_the_same_under_every_implementation()
    {
        float[][] results = [.. new[] { "fused", "chunks", "loop" }.Select(name =>
        {
            Longformer.Result result = Longformer.RunWith(Encoding.UTF8.GetBytes(Text), "encode", TinyCheckpoints.Base, "--input", "-", "--json",
                "--attention", name, "--threads", "1", "--global", "0,3");
            Assert.That(result.Status, Is.Zero, result.Error);
            return result.Json.GetProperty("documents")[0].GetProperty("embedding").EnumerateArray().Select(e => e.GetSingle()).ToArray();
        })];
        Assert.That(results[1], Is.EqualTo(results[0]).Within(1e-5));
        Assert.That(results[2], Is.EqualTo(results[0]).Within(1e-5));
    }

    [Test]
    public void Answer_gives_spans_with_character_ranges()
    {
        string file = TextFile("answer.txt", Text);
        JsonElement json = Longformer.Succeeds("answer", TinyCheckpoints.QuestionAnswering, "--input", file, "--question", "Who?", "--top",
            "3", "--json").Json;
        JsonElement[] answers = [.. json.GetProperty("documents")[0].GetProperty("answers").EnumerateArray()];
        Assert.That(answers, Has.Length.EqualTo(3));
        foreach (JsonElement answer in answers)
        {
            Assert.That(answer.GetProperty("text").GetString(),
                Is.EqualTo(Text[answer.GetProperty("start").GetInt32()..answer.GetProperty("end").GetInt32()]));
        }
        Assert.That(Longformer.Succeeds("answer", TinyCheckpoints.QuestionAnswering, "--input", file, "--question", "Who?").Output,
            Does.Match(@"^0\.\d{4}  \[\d+\.\.\d+\]  "));
    }

    [Test]
    public void A_json_line_brings_its_own_question()
    {
        string file = TextFile("questions.jsonl", """{"document": "Ada wrote it.", "question": "Who wrote it?"}""" + "\n");
        JsonElement json = Longformer.Succeeds("answer", TinyCheckpoints.QuestionAnswering, "--jsonl", file, "--json").Json;
        Assert.That(json.GetProperty("documents")[0].GetProperty("question").GetString(), Is.EqualTo("Who wrote it?"));
    }

    [Test]
    public void Classify_tag_choose_and_fill_mask_give_their_results()
    {
        string file = TextFile("task.txt", Text);
        JsonElement labels = Longformer.Succeeds("classify", TinyCheckpoints.Classifier, "--input", file, "--json").Json
            .GetProperty("documents")[0].GetProperty("labels");
        Assert.That(labels.GetArrayLength(), Is.EqualTo(3));
        JsonElement entities = Longformer.Succeeds("tag", TinyCheckpoints.Tagger, "--input", file, "--aggregation", "none", "--json").Json
            .GetProperty("documents")[0].GetProperty("entities");
        Assert.That(entities.EnumerateArray().Select(e => e.GetProperty("label").GetString()).Distinct(),
            Is.SubsetOf(new[] { "O", "B-PER", "I-PER" }));
        JsonElement choices = Longformer.Succeeds("choose", TinyCheckpoints.MultipleChoice, "--input", file, "--question", "Where?",
            "--choice", "Paris", "--choice", "London", "--json").Json.GetProperty("documents")[0].GetProperty("choices");
        Assert.That(choices.EnumerateArray().Select(c => c.GetProperty("choice").GetString()), Is.EquivalentTo(new[] { "Paris", "London" }));
        string masked = TextFile("masked.txt", "She lived in <mask>.");
        JsonElement masks = Longformer.Succeeds("fill-mask", TinyCheckpoints.MaskedLm, "--input", masked, "--top", "4", "--json").Json
            .GetProperty("documents")[0].GetProperty("masks");
        Assert.That(masks[0].GetProperty("candidates").GetArrayLength(), Is.EqualTo(4));
        foreach ((string verb, string folder, string input) in new[]
        {
            ("classify", TinyCheckpoints.Classifier, file), ("tag", TinyCheckpoints.Tagger, file), ("fill-mask", TinyCheckpoints.MaskedLm, masked),
        })
        {
            Longformer.Succeeds(verb, folder, "--input", input);
        }
    }

    [Test]
    public void Info_tells_what_a_checkpoint_is_and_serves()
    {
        JsonElement json = Longformer.Succeeds("info", TinyCheckpoints.QuestionAnswering, "--json").Json;
        Assert.That(json.GetProperty("architecture").GetString(), Is.EqualTo("LongformerForQuestionAnswering"));
        Assert.That(json.GetProperty("max_tokens").GetInt32(), Is.EqualTo(TinyCheckpoints.MaxTokens));
        Assert.That(json.GetProperty("windows").EnumerateArray().Select(w => w.GetInt32()), Is.EqualTo(new[] { 8, 16 }));
        Assert.That(json.GetProperty("tasks").EnumerateArray().Select(t => t.GetString()), Is.EqualTo(new[] { "encode", "answer" }));
        Assert.That(json.GetProperty("problems").GetArrayLength(), Is.Zero);
        Assert.That(json.GetProperty("tokenizer").GetString(), Does.Contain("1261"));
        Assert.That(Longformer.Succeeds("info", TinyCheckpoints.Base).Output, Does.Contain("LongformerModel").And.Contain("every tensor is there"));
    }

    [Test]
    public void Random_writes_the_same_checkpoint_for_the_same_seed_and_overwrites_none()
    {
        string[] folders = [.. new[] { "random-a", "random-b", "random-c" }.Select(n => Path.Combine(TinyCheckpoints.Root, n))];
        string[] seeds = ["7", "7", "8"];
        for (int i = 0; i < 3; i++)
        {
            Longformer.Succeeds("random", folders[i], "--seed", seeds[i], "--head", "token-classification", "--labels", "O,B-X,I-X",
                "--tokenizer", TinyCheckpoints.TokenizerFolder);
        }
        byte[][] weights = [.. folders.Select(f => File.ReadAllBytes(Path.Combine(f, "model.safetensors")))];
        Assert.That(weights[1], Is.EqualTo(weights[0]));
        Assert.That(weights[2], Is.Not.EqualTo(weights[0]));
        string file = TextFile("random.txt", Text);
        Longformer.Succeeds("tag", folders[0], "--input", file);
        Assert.That(Longformer.Fails(1, "random", folders[0]), Does.Contain("not overwritten"));
    }

    [Test]
    public void Ctrl_C_ends_the_work_with_one_line_and_leaves_no_file_behind()
    {
        string folder = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, Path.GetRandomFileName())).FullName;
        string documents = TextFile("many.jsonl", string.Concat(Enumerable.Repeat(JsonSerializer.Serialize(Text) + "\n", 50_000)));
        string output = Path.Combine(folder, "many.npy");
        Stopwatch clock = System.Diagnostics.Stopwatch.StartNew();
        // The output has a temporary name while the model runs.
        Longformer.Result result = Longformer.RunInterrupted(
            () => Directory.EnumerateFiles(folder).Any(), "encode", TinyCheckpoints.Base, "--jsonl", documents, "--output", output);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Status, Is.EqualTo(1), result.Output);
            Assert.That(result.Error, Is.EqualTo("longformer: cancelled\n"));
            Assert.That(result.Output, Is.Empty);
            Assert.That(Directory.EnumerateFiles(folder), Is.Empty);
        }
        TestContext.Out.WriteLine($"cancelled after {clock.Elapsed.TotalSeconds:F1} s");
    }

    [Test]
    public void Parity_prints_a_row_per_tensor_and_the_totals()
    {
        string goldens = Repository.Golden("attention");
        Longformer.Result result =
            Longformer.Succeeds("parity", Path.Combine(goldens, "dense_window_n37"), Path.Combine(goldens, "sliding_chunks_w2"));
        string[] lines = result.Output.TrimEnd('\n').Split('\n');
        Assert.That(lines, Has.Length.EqualTo(6));
        Assert.That(lines[..5], Is.All.Contains("pass"));
        Assert.That(lines[^1], Is.EqualTo("5 passed, 0 failed, 0 skipped"));
        string[] summary = Longformer.Succeeds("parity", "--summary", goldens).Output.TrimEnd('\n').Split('\n');
        Assert.That(summary, Has.Length.EqualTo(2));
        Assert.That(summary[0], Does.StartWith("attention").And.Contain("36 cases").And.Contain("95 tensors")
            .And.Contain("closest to its tolerance"));
        JsonElement all = Longformer.Succeeds("parity", Path.Combine(goldens, "dense_window_n37"), "--attention", "all", "--json").Json;
        Assert.That(all.GetProperty("passed").GetInt32(), Is.EqualTo(6));
    }

    [Test]
    public void Parity_fails_on_a_wrong_value_and_on_an_unreadable_case_and_skips_unknown_kinds()
    {
        string source = Repository.Golden("attention", "dense_window_n37");
        string root = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "cases")).FullName;
        foreach (string name in new[] { "wrong", "broken", "unknown", "incomplete" })
        {
            Directory.CreateDirectory(Path.Combine(root, name));
            foreach (string file in Directory.EnumerateFiles(source))
                File.WriteAllBytes(Path.Combine(root, name, Path.GetFileName(file)), File.ReadAllBytes(file));
        }
        byte[] expected = File.ReadAllBytes(Path.Combine(root, "wrong", "expected.safetensors"));
        expected[^3] ^= 0x40;
        File.WriteAllBytes(Path.Combine(root, "wrong", "expected.safetensors"), expected);
        File.WriteAllText(Path.Combine(root, "broken", "case.json"), "{");
        string description = Path.Combine(root, "unknown", "case.json");
        File.WriteAllText(description, File.ReadAllText(description)
            .Replace("\"group\": \"attention\"", "\"group\": \"telepathy\"", StringComparison.Ordinal));
        File.Delete(Path.Combine(root, "incomplete", "inputs.safetensors"));

        Longformer.Result result = Longformer.Run("parity", root);
        Assert.That(result.Status, Is.EqualTo(1));
        Assert.That(result.Error, Is.Empty);
        string[] lines = result.Output.TrimEnd('\n').Split('\n');
        Assert.That(lines[^1], Does.Match("^[0-9]+ passed, [0-9]+ failed, 1 skipped$"));
        Assert.That(lines.Count(l => l.Contains("FAIL", StringComparison.Ordinal)), Is.GreaterThanOrEqualTo(3));
        Assert.That(result.Output, Does.Contain("telepathy").And.Contain("not JSON"));

        // The summary shows the failures too, and no more.
        string[] summary = Longformer.Run("parity", "--summary", root).Output.TrimEnd('\n').Split('\n');
        Assert.That(summary[..^1].Where(l => l.Contains("FAIL", StringComparison.Ordinal)),
            Is.EqualTo(lines.Where(l => l.Contains("FAIL", StringComparison.Ordinal))));
        Assert.That(summary, Has.None.Contains("  pass"));
        Assert.That(summary[^1], Is.EqualTo(lines[^1]));
    }
}
