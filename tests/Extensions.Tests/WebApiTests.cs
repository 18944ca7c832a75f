using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tests;

namespace LongformerInterop.Extensions.Tests;

/// <summary>The sample as a program, with a real client on a real port of this machine.</summary>
public sealed class WebApiTests
{
    private const string Text = "The bridge was closed after a storm damaged two of its cables.";
    private Process _server = null!;
    private HttpClient _client = null!;

    [OneTimeSetUp]
    public async Task Start()
    {
        string program = Path.Combine(Repository.Root, "build", "dotnet", "bin", "WebApi", "release", "WebApi.dll");
        ProcessStartInfo start = new("dotnet",
            [program, "--urls", "http://127.0.0.1:0", "--Embeddings:Folder", TinyCheckpoints.Base, "--Answers:Folder",
            TinyCheckpoints.QuestionAnswering, "--Summaries:Folder", Checkpoints.Led])
        { RedirectStandardOutput = true, WorkingDirectory = Path.GetDirectoryName(program)! };
        _server = Process.Start(start)!;
        List<string> said = [];
        TaskCompletionSource<string?> found = new();
        _server.OutputDataReceived += (_, line) =>
        {
            if (line.Data is null)
                found.TrySetResult(null);
            else if (line.Data.IndexOf("http://127.0.0.1:", StringComparison.Ordinal) is >= 0 and int at)
                found.TrySetResult(line.Data[at..].Trim());
            else
                said.Add(line.Data);
        };
        _server.BeginOutputReadLine();
        string? address = await found.Task.WaitAsync(TimeSpan.FromMinutes(3));
        Assert.That(address, Is.Not.Null, string.Join('\n', said));
        _client = new HttpClient { BaseAddress = new Uri(address!), Timeout = TimeSpan.FromMinutes(5) };
    }

    [OneTimeTearDown]
    public void Stop()
    {
        _client?.Dispose();
        _server.Kill();
        _server.WaitForExit();
        _server.Dispose();
    }

    [Test]
    public async Task Many_clients_at_once_get_what_one_gets()
    {
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base);
        float[] expected = encoder.Encode([Text])[0];
        await Parallel.ForEachAsync(Enumerable.Range(0, 48), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
        {
            JsonElement reply = await Post("/embed", new { texts = new[] { Text, $"text {i}" } });
            Assert.That(reply.GetProperty("vectors")[0].EnumerateArray().Select(v => v.GetSingle()), Is.EqualTo(expected).Within(1e-5));
            Assert.That(reply.GetProperty("tokens").GetInt32(), Is.GreaterThan(4));
        });
    }

    [Test]
    public async Task Answers_are_the_tasks()
    {
        using QuestionAnswerer task = QuestionAnswerer.Load(TinyCheckpoints.QuestionAnswering);
        JsonElement reply = await Post("/answer", new { question = "What was closed?", document = Text, top = 3 });
        Assert.That(reply.EnumerateArray().Select(a => a.GetProperty("text").GetString()),
            Is.EqualTo(task.Answer("What was closed?", Text, 3).Select(a => a.Text)));
    }

    [Test]
    public async Task A_summary_comes_piece_by_piece()
    {
        using Summarizer summarizer = Summarizer.Load(Checkpoints.Led);
        string expected = summarizer.Summarize(Text, new GenerationOptions { Beams = 1, MaxTokens = 20 });
        using HttpRequestMessage request =
            new(HttpMethod.Post, "/summarize") { Content = JsonContent.Create(new { document = Text, maxTokens = 20 }) };
        using HttpResponseMessage response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.That(response.Content.Headers.ContentType!.MediaType, Is.EqualTo("text/event-stream"));
        List<string> pieces = [];
        List<string> data = [];
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync());
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.StartsWith("data:", StringComparison.Ordinal))
                data.Add(line["data:".Length..] is [' ', .. string rest] ? rest : line["data:".Length..]);
            if (line.Length > 0 || data.Count == 0)
                continue;
            pieces.Add(string.Join('\n', data));
            data.Clear();
        }

        Assert.That(string.Concat(pieces).Replace("\r", "", StringComparison.Ordinal),
            Is.EqualTo(expected.Replace("\r", "", StringComparison.Ordinal)));
        Assert.That(pieces, Has.Count.GreaterThan(3));
    }

    [Test]
    public async Task Clients_that_leave_do_not_hold_up_the_others()
    {
        string[] many = [.. Enumerable.Range(0, 20_000).Select(i => $"{Text} {i}")];
        Stopwatch watch = Stopwatch.StartNew();
        JsonElement whole = await Post("/embed", new { texts = many });
        TimeSpan complete = watch.Elapsed;
        Assert.That(whole.GetProperty("vectors").GetArrayLength(), Is.EqualTo(many.Length));
        for (int i = 0; i < 4; i++)
        {
            using CancellationTokenSource source = new(complete / 3);
            try
            {
                using HttpResponseMessage _ = await _client.PostAsJsonAsync("/embed", new { texts = many }, source.Token);
            }
            catch (OperationCanceledException)
            {
            }
        }

        // Whoever comes next is served, as correctly as before.
        JsonElement reply = await Post("/embed", new { texts = new[] { Text } });
        Assert.That(reply.GetProperty("vectors").GetArrayLength(), Is.EqualTo(1));
    }

    [Test]
    public async Task What_a_client_can_mend_is_told()
    {
        async Task Refused(string path, object body, string start)
        {
            using HttpResponseMessage response = await _client.PostAsJsonAsync(path, body);
            JsonElement reply = await response.Content.ReadFromJsonAsync<JsonElement>();
            Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.BadRequest));
            Assert.That(reply.GetProperty("error").GetString(), Does.StartWith(start));
        }

        await Refused("/embed", new { texts = new[] { "good", "" } }, "documents[1]");
        await Refused("/answer", new { question = "", document = Text }, "question");
        using HttpResponseMessage broken = await _client.PostAsync("/embed", new StringContent("{", System.Text.Encoding.UTF8, "application/json"));
        Assert.That(broken.StatusCode, Is.EqualTo(HttpStatusCode.BadRequest));
        Assert.That(await _client.GetStringAsync("/health"), Is.EqualTo("Healthy"));
    }

    private async Task<JsonElement> Post(string path, object body)
    {
        using HttpResponseMessage response = await _client.PostAsJsonAsync(path, body);
        string text = await response.Content.ReadAsStringAsync();
        Assert.That(response.StatusCode, Is.EqualTo(HttpStatusCode.OK), text);
        return JsonDocument.Parse(text).RootElement;
    }
}
