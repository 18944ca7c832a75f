using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Tasks;
using LongformerInterop.Tests;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Pairs;

namespace LongformerInterop.Training.Tests;

[TestFixture]
public sealed class PairsTests
{
    private static readonly string[] Things = ["alpha", "beta", "gamma", "delta", "one", "two", "three", "four"];

    private static string Encoder(TestFolder folder)
    {
        string tokenizer = Repository.Golden("tokenizer", "tiny"), path = folder["encoder"];
        if (Directory.Exists(path))
            return path;
        RandomCheckpoint.Write(path, new LongformerConfiguration
        {
            VocabSize = Tokenizer.Load(tokenizer).VocabularySize, HiddenSize = 32, NumHiddenLayers = 1, NumAttentionHeads = 4, IntermediateSize = 32,
            MaxPositionEmbeddings = 66, AttentionWindow = [8],
        }, seed: 5, "LongformerModel");
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(tokenizer, file), Path.Combine(path, file));
        return path;
    }

    /// <summary>A query names two things; its text names them among others.</summary>
    private static string Pairs(TestFolder folder, string name, int count, int seed)
    {
        Random random = new(seed);
        return folder.Write(name, string.Concat(Enumerable.Range(0, count).Select(_ =>
        {
            string a = Things[random.Next(8)], b = Things[random.Next(8)], c = Things[random.Next(8)];
            return JsonSerializer.Serialize(new { question = $"{a} {b} {c}", document = $"it is {c} and {a} and then {b}" }) + "\n";
        })));
    }

    [Test]
    public void Rows_are_scaled_to_length_one_and_their_gradient_is_that_of_small_steps()
    {
        using TensorScope scope = new();
        Random random = new(1);
        Tensor x = Tensor.Randn([5, 7], random).To(DType.Float64), weight = Tensor.Randn([5, 7], random).To(DType.Float64);
        double Value(Tensor of) => (Differentiable.NormalizeRows(of) * weight).Sum().ToDouble();
        using GradientSet set = new(x);
        using (GradientTape tape = new(set))
            tape.Backward(Differentiable.NormalizeRows(x), weight);
        double[] values = x.ToArray<double>(), gradient = set[x]!.ToArray<double>();
        for (int i = 0; i < values.Length; i++)
        {
            double[] up = [.. values], down = [.. values];
            up[i] += 1e-6;
            down[i] -= 1e-6;
            double slope = (Value(Tensor.From<double>(up, 5, 7)) - Value(Tensor.From<double>(down, 5, 7))) / 2e-6;
            Assert.That(gradient[i], Is.EqualTo(slope).Within(1e-7));
        }
        Assert.That(Differentiable.NormalizeRows(Tensor.Zeros([1, 3])).ToArray<float>(), Is.All.Zero);
    }

    [Test]
    public void Metrics_are_those_of_counting_by_hand()
    {
        using TensorScope scope = new();
        float[] queries = [1, 0, 0, 1, 1, 1], texts = [2, 0, 1, 1, 3, 0];
        // Scores: 2 1 3, 0 1 0, 2 2 3: the ranks of the right ones are 2, 1 and 1.
        Dictionary<string, double> metrics = PairsMetrics.Of(Tensor.From<float>(queries, 3, 2), Tensor.From<float>(texts, 3, 2));
        Assert.That(metrics["recall_at_1"], Is.EqualTo(2 / 3.0));
        Assert.That(metrics["recall_at_10"], Is.EqualTo(1));
        Assert.That(metrics["mrr"], Is.EqualTo(2.5 / 3));
        // Vectors that are all the same find nothing.
        Assert.That(PairsMetrics.Of(Tensor.Ones([20, 2]), Tensor.Ones([20, 2]))["recall_at_10"], Is.Zero);
    }

    [Test]
    public void A_training_finds_held_out_texts_and_its_folder_gives_the_vectors_that_were_measured()
    {
        using TestFolder folder = new();
        string data = Pairs(folder, "train.jsonl", 400, 1), held = Pairs(folder, "held.jsonl", 60, 2), output = folder["out"];
        List<TrainingEvent> events = [];
        PairsTrainer trainer = new(new PairsOptions
        {
            Checkpoint = Encoder(folder), Data = [data], EvaluationData = [held], Output = output, Dimension = 24, BatchSize = 50, Epochs = 20,
                MaxTokens = 64,
            Poolings = ["mean", "max"],
        });
        trainer.Reported += events.Add;
        TrainingResult result = trainer.Run();
        double[] losses = [.. events.Where(e => e.Kind == TrainingEventKind.Step).Select(e => e.Loss)];
        Assert.That(losses, Has.Length.EqualTo(160));
        Assert.That(losses[^8..].Average(), Is.LessThan(losses[..8].Average() * 0.7));
        Assert.That(Directory.Exists(Path.Combine(output, "states")), Is.False);

        (string Query, string Text)[] pairs = [.. File.ReadLines(held).Select(l => JsonDocument.Parse(l).RootElement)
            .Select(r => (r.GetProperty("question").GetString()!, r.GetProperty("document").GetString()!))];
        using DocumentEncoder trained = DocumentEncoder.Load(output);
        Assert.That(trained.WidthOf(trained.DefaultPooling), Is.EqualTo(24));
        using TensorScope scope = new();
        Tensor Of(IEnumerable<string> texts) => Tensor.From<float>([.. trained.Encode([.. texts]).SelectMany(v => v)], pairs.Length, 24);
        Dictionary<string, double> again = PairsMetrics.Of(Of(pairs.Select(p => p.Query)), Of(pairs.Select(p => p.Text)));
        Assert.That(again["mrr"], Is.EqualTo(result.Metrics!["mrr"]).Within(0.01));

        // Better than the encoder's own mean.
        using DocumentEncoder plain = DocumentEncoder.Load(Encoder(folder));
        Tensor Plain(IEnumerable<string> texts) =>
            Tensor.From<float>([.. plain.Encode([.. texts], options: new EmbeddingOptions { Normalize = true }).SelectMany(v => v)], pairs.Length,
                32);
        Assert.That(result.Metrics["mrr"], Is.GreaterThan(PairsMetrics.Of(Plain(pairs.Select(p => p.Query)), Plain(pairs.Select(p =>
            p.Text)))["mrr"]));
    }

    [Test]
    public void A_run_that_was_stopped_goes_on_with_the_states_that_it_has_and_ends_alike()
    {
        using TestFolder folder = new();
        string data = Pairs(folder, "train.jsonl", 60, 3);
        PairsOptions options = new() { Checkpoint = Encoder(folder), Data = [data], Output = folder["whole"], Dimension = 8, BatchSize = 20,
            Epochs = 2, MaxTokens = 64 };
        new PairsTrainer(options).Run();
        using CancellationTokenSource stop = new();
        PairsTrainer first = new(options with { Output = folder["stopped"] });
        first.Reported += e =>
        {
            if (e.Kind == TrainingEventKind.Step)
                stop.Cancel();
        };
        Assert.That(() => first.Run(stop.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(() => new PairsTrainer(options with { Output = folder["stopped"] }).Run(),
            Throws.TypeOf<InputException>().With.Message.Contains("resume"));
        long passed = 0;
        PairsTrainer second = new(options with { Output = folder["stopped"], Resume = true });
        second.Reported += e => passed += e.Kind == TrainingEventKind.Preparing ? e.Tokens : 0;
        second.Run();
        Assert.That(passed, Is.Zero);
        string dense = Path.Combine("2_Dense", "model.safetensors");
        Assert.That(File.ReadAllBytes(Path.Combine(folder["stopped"], dense)), Is.EqualTo(File.ReadAllBytes(Path.Combine(folder["whole"], dense))));
    }

    [Test]
    public void Wrong_settings_and_data_are_named()
    {
        using TestFolder folder = new();
        PairsOptions options = new() { Checkpoint = Encoder(folder), Data = [folder.Write("x.jsonl", "{\"question\": \"a\", \"other\": \"b\"}\n")],
            Output = folder["o"] };
        Assert.That(() => new PairsTrainer(options).Run(), Throws.TypeOf<InputException>().With.Message.Contains(
            "x.jsonl:1: no column for the text"));
        Assert.That(() => new PairsTrainer(options with { Poolings = ["median"] }), Throws.TypeOf<InputException>().With.Message.Contains("median"));
        Assert.That(() => new PairsTrainer(options with { Dropout = 1 }), Throws.TypeOf<InputException>().With.Message.Contains("dropout"));
        string one = folder.Write("one.jsonl", "{\"question\": \"a\", \"text\": \"b\"}\n");
        Assert.That(() => new PairsTrainer(options with { Data = [one], Output = folder["p"] }).Run(),
            Throws.TypeOf<InputException>().With.Message.Contains("two pairs"));
    }
}
