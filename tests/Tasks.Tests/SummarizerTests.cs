using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tests;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Tasks.Tests;

public sealed class SummarizerTests
{
    private static readonly string[] Documents =
    [
        "The bridge was closed after a storm damaged two of its cables.", "Short.",
        "Engineers said that repairs would take three weeks; ferries run every hour.",
    ];

    [Test]
    public void The_pieces_that_are_told_are_the_summary([Values(1, 3)] int beams, [Values] bool sample)
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        List<string> pieces = new();
        GenerationOptions options = new() { Beams = beams, Sample = sample, MaxTokens = 20, Seed = 5 };
        string text = summarizer.Summarize(Documents[0], options, onText: pieces.Add);
        Assert.That(string.Concat(pieces), Is.EqualTo(text));
        Assert.That(text, Does.Not.Contain("</s>").And.Not.Empty);
    }

    [Test]
    public async Task The_asynchronous_stream_gives_the_summary()
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        GenerationOptions options = new() { MaxTokens = 20 };
        List<string> pieces = new();
        await foreach (string piece in summarizer.SummarizeAsync(Documents[0], options))
            pieces.Add(piece);
        Assert.That(string.Concat(pieces), Is.EqualTo(summarizer.Summarize(Documents[0], options)));

        // An enumeration that is left early ends the work and frees it.
        await foreach (string piece in summarizer.SummarizeAsync(Documents[0], options))
            break;
        Assert.That(async () =>
        {
            await foreach (string piece in summarizer.SummarizeAsync("", options))
            {
            }
        }, Throws.InstanceOf<InputException>());
    }

    [Test]
    public void Batches_of_any_size_give_the_same_summaries([Values(1, 30, 8192)] int tokensPerBatch)
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        GenerationOptions options = new() { Beams = 2, MaxTokens = 15, NBest = 2 };
        IReadOnlyList<Summary>[] all = [.. summarizer.Summarize(Documents, options, new TaskOptions { TokensPerBatch = tokensPerBatch })];
        Assert.That(all, Has.Length.EqualTo(3).And.All.Count.EqualTo(2));
        for (int i = 0; i < 3; i++)
            Assert.That(all[i][0].Text, Is.EqualTo(summarizer.Summarize(Documents[i], options)));
    }

    [Test]
    public void Options_of_the_checkpoint_hold_unless_others_are_given()
    {
        string folder = Path.Combine(TinyCheckpoints.Root, "led-options");
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.EnumerateFiles(TinyCheckpoints.Led))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(folder, "generation_config.json"),
            """{"num_beams": 3, "max_length": 12, "num_return_sequences": 3, "min_length": 12}""");
        using Summarizer summarizer = Summarizer.Load(folder);
        IReadOnlyList<Summary> results = summarizer.Summarize([Documents[0]]).Single();
        Assert.That(results, Has.Count.EqualTo(3));
        Assert.That(results[0].Sequence.Ids, Has.Count.EqualTo(12));
        Assert.That(summarizer.Summarize([Documents[0]], new GenerationOptions { MaxTokens = 5, MinTokens = 5 }).Single()[0].Sequence.Ids,
            Has.Count.EqualTo(6));
    }

    [Test]
    public void The_global_token_reaches_the_encoder()
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        GenerationOptions options = new() { MaxTokens = 5 };
        float Score(GlobalTokens global) =>
            summarizer.Summarize([Documents[0]], options, new TaskOptions { Global = global }).Single()[0].Sequence.TokenScores[0];
        Assert.That(Score(GlobalTokens.TaskDefault), Is.EqualTo(Score(GlobalTokens.First)).And.Not.EqualTo(Score(GlobalTokens.None)));
    }

    [Test]
    public void A_document_beyond_the_positions_is_refused_or_cut()
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        string text = string.Concat(Enumerable.Repeat(Documents[0], 10));
        Assert.That(() => summarizer.Summarize(text),
            Throws.InstanceOf<InputException>().With.Message.Contains("the checkpoint has positions for 96"));
        Assert.That(summarizer.Summarize(text, new GenerationOptions { MaxTokens = 4 }, new TaskOptions { Truncate = true }), Is.Not.Null);
        Assert.That(() => summarizer.Summarize(Documents, new GenerationOptions { Beams = 0 }),
            Throws.InstanceOf<InputException>().With.Message.Contains("Beams: expected at least 1"));
        Assert.That(() => summarizer.Summarize(["a", ""]), Throws.InstanceOf<InputException>());
    }

    [Test]
    public void Progress_counts_documents_and_tokens()
    {
        using Summarizer summarizer = Summarizer.Load(TinyCheckpoints.Led);
        List<SummaryProgress> seen = new();
        _ = summarizer.Summarize(Documents, new GenerationOptions { MaxTokens = 6 }, new TaskOptions { TokensPerBatch = 1 }, new Log(seen)).ToList();
        Assert.That(seen[^1].Done, Is.EqualTo(3));
        Assert.That(seen.Select(p => p.Done), Is.Ordered.Ascending);
        Assert.That(seen, Has.All.Matches<SummaryProgress>(p => p.Total == 3 && p.Step >= 1 && p.Step <= 6 && p.MaxSteps == 6));
    }

    private sealed class Log(List<SummaryProgress> seen) : IProgress<SummaryProgress>
    {
        public void Report(SummaryProgress value) => seen.Add(value);
    }
}
