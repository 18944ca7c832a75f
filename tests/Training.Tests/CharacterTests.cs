using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;
using LongformerInterop.Training.CharacterLm;

namespace LongformerInterop.Training.Tests;

/// <summary>The character model's training in phases, its evaluations and its texts, on a tiny model of a tiny text.</summary>
public sealed class CharacterTests
{
    private static readonly string[] Words = ["the harbour ", "was quiet ", "and the boats ", "lay still. ", "fog came "];

    private static string Text(int characters, int seed)
    {
        Random random = new(seed);
        System.Text.StringBuilder text = new();
        while (text.Length < characters)
            text.Append(Words[random.Next(Words.Length)]);
        return text.ToString()[..characters];
    }

    private static CharacterSchedule Tiny { get; } = new()
    {
        Model = new() { VocabularySize = 1, Layers = 2, HiddenSize = 32, Heads = 2, HeadSize = 16, InnerSize = 64, PreNorm = true, Dropout = 0.05,
            Activation = HiddenActivation.Gelu },
        Phases =
        [
            new() { Steps = 24, SequenceLength = 32, Batch = 8, LearningRate = 1e-2, WarmupSteps = 2, Window = [4, 8], Dilation = [[1, 1], [1, 2]] },
            new() { Steps = 6, SequenceLength = 64, Batch = 4, LearningRate = 5e-3, WarmupSteps = 2, Window = [8, 16], Dilation = [[1, 1], [1, 2]] },
        ],
    };

    private static CharacterTrainerOptions Options(TestFolder folder, string output = "out") => new()
    {
        Data = folder["text"], Output = folder[output], Schedule = Tiny, Seed = 3, SaveEvery = 7, EvaluateEvery = 10, SequencesPerPass = 4,
    };

    private static TestFolder Prepared(int characters = 6000)
    {
        TestFolder folder = new();
        folder.Write("text", Text(characters, 1));
        return folder;
    }

    [Test]
    public void A_model_learns_in_phases_and_its_folder_writes_text()
    {
        using TestFolder folder = Prepared();
        List<TrainingEvent> events = [];
        CharacterTrainer trainer = new(Options(folder));
        trainer.Reported += events.Add;
        TrainingResult result = trainer.Run();
        Assert.That((result.Steps, result.Stopped), Is.EqualTo((30L, false)));
        double[] bits = [.. events.Where(e => e.Kind == TrainingEventKind.Evaluated).Select(e => e.Metrics!["bits_per_character"])];
        Assert.That(bits, Has.Length.EqualTo(4), "at 10, 20, the end of the first phase and that of the second, which is 30");
        // 19 symbols are 4.2 bits.
        Assert.That(bits[^1], Is.LessThan(3.2).And.LessThan(bits[0]));
        double[] rates = [.. events.Where(e => e.Kind == TrainingEventKind.Step).Select(e => e.LearningRate)];
        Assert.That((rates[0], rates[1], rates[2], rates[24], rates[25], rates[29]), Is.EqualTo((0, 5e-3, 1e-2, 0, 2.5e-3, 5e-3)));
        using CharacterGenerator generator = CharacterGenerator.Load(result.Folder);
        Assert.That(generator.Model.Configuration.Window, Is.EqualTo(new[] { 8, 16 }));
        CharacterGenerationOptions options = new() { MaxCharacters = 60, Seed = 4, Temperature = 0.8, TopK = 10, TopP = 0.95 };
        string first = string.Concat(generator.Write("the ", options));
        Assert.That(first, Has.Length.EqualTo(60));
        Assert.That(string.Concat(generator.Write("the ", options)), Is.EqualTo(first), "the same seed");
        Assert.That(string.Concat(generator.Write("the ", options with { Seed = 5 })), Is.Not.EqualTo(first));
        Assert.That(File.ReadAllText(folder["out/schedule.json"]), Does.Contain("\"sequence_length\":64"));
    }

    [Test]
    public void The_most_probable_characters_are_those_of_whole_passes()
    {
        using TestFolder folder = Prepared();
        TrainingResult result = new CharacterTrainer(Options(folder)).Run();
        using CharacterGenerator generator = CharacterGenerator.Load(result.Folder);
        List<int> ids = [.. generator.Vocabulary.Encode("fog ")];
        int[] written = [.. generator.WriteIds([.. ids], new() { MaxCharacters = 40, Sample = false })];
        using TensorScope scope = new();
        foreach (int next in written)
        {
            Tensor hidden = generator.Model.Forward(Tensor.From<long>([.. ids.Select(id => (long)id)], 1, ids.Count));
            float[] scores = generator.Model.Logits(hidden.Narrow(1, ids.Count - 1, 1)).Reshape(-1).ToArray<float>();
            Assert.That(scores[next], Is.EqualTo(scores.Max()).Within(1e-4), $"character {ids.Count}");
            ids.Add(next);
        }
    }

    [Test]
    public void A_run_that_is_stopped_and_resumed_ends_with_the_same_bytes([Values(1, 13, 24, 27)] int after)
    {
        using TestFolder folder = Prepared();
        new CharacterTrainer(Options(folder, "whole")).Run();
        using CancellationTokenSource stop = new();
        CharacterTrainer first = new(Options(folder));
        first.Reported += e =>
        {
            if (e.Kind == TrainingEventKind.Step && e.Step == after)
                stop.Cancel();
        };
        Assert.That(first.Run(stop.Token).Stopped, Is.True);
        Assert.That(File.Exists(folder["out/model.safetensors"]), Is.False);
        TrainingResult resumed = new CharacterTrainer(Options(folder) with { Resume = true }).Run();
        Assert.That(resumed.Stopped, Is.False);
        foreach (string file in (string[])["model.safetensors", "config.json", "vocabulary.json"])
            Assert.That(File.ReadAllBytes(folder[$"out/{file}"]), Is.EqualTo(File.ReadAllBytes(folder[$"whole/{file}"])), file);
    }

    [Test]
    public void One_pass_gives_the_bits_of_overlapping_sequences_where_the_reach_ends_inside_them()
    {
        using TestFolder folder = Prepared();
        TrainingResult result = new CharacterTrainer(Options(folder)).Run();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(result.Folder);
        using CharacterText text = CharacterText.Open(folder["text"], CharacterVocabulary.In(result.Folder)!, folder["work"]);
        CharacterSpan part = new(text, 0, 1500);
        // 8 and 16 * 2 characters back.
        Assert.That(model.Configuration.Reach, Is.EqualTo(40));
        List<double> overlapping = [], once = [];
        CharacterScore a = CharacterEvaluation.Overlapping(model, part, 72, 32, overlapping.AddRange);
        CharacterScore b = CharacterEvaluation.OverlappingInOnePass(model, part, 72, 32, once.AddRange);
        Assert.That(CharacterEvaluation.CanBeOnePass(model, 72, 32), Is.True);
        Assert.That((b.Count, once.Count), Is.EqualTo((a.Count, overlapping.Count)));
        Assert.That(a.Count, Is.EqualTo(32 * (((1500 - 1 - 72) / 32) + 1)));
        for (int i = 0; i < once.Count; i++)
            Assert.That(once[i], Is.EqualTo(overlapping[i]).Within(1e-4), $"character {i}");
        Assert.That(CharacterEvaluation.CanBeOnePass(model, 71, 32), Is.False);
        Assert.That(() => CharacterEvaluation.Overlapping(model, part with { Length = 72 }, 72, 32),
            Throws.TypeOf<InputException>().With.Message.Contains("expected at least 73 characters").And.Message.Contains("given 72"));
        Assert.That(() => CharacterEvaluation.Overlapping(model, part, 72, 73), Throws.TypeOf<InputException>().With.Message.Contains("step"));
    }

    [Test]
    public void Characters_are_read_from_a_file_of_their_ids()
    {
        using TestFolder folder = new();
        folder.Write("text", string.Concat(Enumerable.Repeat("äöü😀 abc ", 200)));
        CharacterVocabulary vocabulary = CharacterVocabulary.Of(folder["text"], isBytes: false);
        using CharacterText text = CharacterText.Open(folder["text"], vocabulary, folder["work"]);
        Assert.That((text.Length, vocabulary.Count), Is.EqualTo((1800L, 8)));
        int[] ids = new int[9];
        text.Read(900, ids);
        Assert.That(vocabulary.Decode(ids), Is.EqualTo("äöü😀 abc "));
        Assert.That(() => text.Read(1795, ids), Throws.TypeOf<InputException>().With.Message.Contains("1800"));
        TrainingResult result = new CharacterTrainer(Options(folder) with { Bytes = false }).Run();
        using CharacterGenerator generator = CharacterGenerator.Load(result.Folder);
        Assert.That(string.Concat(generator.Write("äöü", new() { MaxCharacters = 5 })).EnumerateRunes().Count(), Is.EqualTo(5));
    }

    [Test]
    public void The_published_sizes_are_split_as_published()
    {
        using TestFolder folder = Prepared(2000);
        using CharacterText text = CharacterText.Open(folder["text"], CharacterVocabulary.Of(folder["text"], true), folder["work"]);
        Assert.That(CharacterSpan.Split(text).Select(p => (p.From, p.Length)), Is.EqualTo(new[] { (0L, 1800L), (1800, 100), (1900, 100) }));
        Assert.That(CharacterSpan.Split(text, [1000, 400, 0])[1], Is.EqualTo(new CharacterSpan(text, 1000, 400)));
        Assert.That(() => CharacterSpan.Split(text, [1000, 1000, 1]), Throws.TypeOf<InputException>().With.Message.Contains("2001"));
        Assert.That(() => CharacterSpan.Split(text, [1000]), Throws.TypeOf<InputException>().With.Message.Contains("three"));
    }

    [Test]
    public void The_papers_schedules_are_its_tables()
    {
        CharacterSchedule small = CharacterSchedule.Small, large = CharacterSchedule.Large;
        Assert.That(small.Problems().Concat(large.Problems()), Is.Empty);
        Assert.That(small.Phases.Select(p => (p.Steps, p.SequenceLength, p.Batch, p.LearningRate, p.WarmupSteps)), Is.EqualTo(new[]
        {
            (430_000L, 2_048, 32, 2.5e-4, 10_000L), (50_000, 4_096, 32, 1.25e-4, 5_000), (50_000, 8_192, 16, 6.25e-5, 5_000),
            (35_000, 16_384, 16, 3.125e-5, 3_500), (5_000, 23_040, 16, 1.5625e-5, 500),
        }));
        Assert.That(large.Phases.Select(p => p.Steps), Is.EqualTo(new[] { 350_000, 25_000, 10_000, 5_000, 5_000 }));
        Assert.That((small.Phases[0].Window[0], small.Phases[0].Window[^1], small.Phases[4].Window[0], small.Phases[4].Window[^1]),
            Is.EqualTo((32, 512, 512, 8192)));
        Assert.That(small.Phases[0].Window.Average(), Is.EqualTo(230).Within(1));
        Assert.That(small.Phases[0].Dilation!.Select(layer => layer[7]), Is.EqualTo(new[] { 1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4 }));
        Assert.That(small.Phases[0].Dilation![11], Is.EqualTo(new[] { 1, 1, 1, 1, 1, 1, 4, 4 }));
        Assert.That((large.Phases[0].Dilation![14][7], large.Phases[0].Dilation![15][7], large.Phases[0].Dilation![29][6]), Is.EqualTo((1, 2, 4)));
        Assert.That((small.Model.Dropout, large.Model.Dropout, large.Model.Layers), Is.EqualTo((0.2, 0.4, 30)));
        using TestFolder folder = new();
        folder.Write("schedule.json", large.ToJson());
        Assert.That(CharacterSchedule.Load(folder["schedule.json"]).ToJson(), Is.EqualTo(large.ToJson()));
    }

    [TestCase("\"window\":[8,16]", "\"window\":[8,7]", "phase 2: window of layer 1: expected at least 8, that of phase 1, given 7")]
    [TestCase("\"sequence_length\":64", "\"sequence_length\":16", "phase 2: sequence_length: expected at least 32")]
    [TestCase("\"window\":[4,8]", "\"window\":[4]", "phase 1: window has 1 values for 2 layers")]
    [TestCase("\"batch\":8", "\"batch\":0", "phase 1: batch: expected 1 or more, given 0")]
    [TestCase("\"phases\"", "\"stages\"", "no schedule")]
    [TestCase("\"gelu\"", "\"softplus\"", "activation: expected one of gelu, gelu_python, gelu_new")]
    [TestCase("{\"weight", "[{\"weight", "no schedule")]
    public void A_schedule_that_cannot_be_is_told(string before, string after, string words)
    {
        using TestFolder folder = new();
        string json = Tiny.ToJson();
        Assert.That(json, Does.Contain(before));
        folder.Write("schedule.json", json.Replace(before, after, StringComparison.Ordinal));
        Assert.That(() => CharacterSchedule.Load(folder["schedule.json"]), Throws.TypeOf<InputException>().With.Message.Contains(words));
    }

    [Test]
    public void What_does_not_fit_a_run_is_told()
    {
        using TestFolder folder = Prepared();
        void Refused(CharacterTrainerOptions options, string words) =>
            Assert.That(() => new CharacterTrainer(options).Run(), Throws.InstanceOf<LongformerException>().With.Message.Contains(words));
        folder.Write("short", Text(60, 1));
        Refused(Options(folder, "a") with { Data = folder["short"] }, "expected at least 65 characters to train on in phase 2, given 54");
        Refused(Options(folder, "b") with { Data = folder["none"] }, "none");
        Refused(Options(folder, "c") with { DType = DType.Float16 }, "dtype");
        using CancellationTokenSource stop = new();
        CharacterTrainer trainer = new(Options(folder));
        trainer.Reported += e => stop.Cancel();
        trainer.Run(stop.Token);
        CharacterSchedule other = Tiny with { Phases = [Tiny.Phases[0] with { Steps = 25 }, Tiny.Phases[1]] };
        Refused(Options(folder) with { Resume = true, Schedule = other }, "begun with another schedule");
        Refused(Options(folder) with { Resume = true, Seed = 4 }, "begun with seed 3, given 4");
        Refused(Options(folder), "not empty");
        folder.Write("text", Text(6000, 2));
        Refused(Options(folder) with { Resume = true }, "another text");
        folder.Write("foreign", Text(6000, 1) + "X");
        Refused(Options(folder, "d") with { Data = folder["foreign"], Checkpoint = Trained(folder) }, "byte 0x58 'X' at byte 6000");
    }

    private static string Trained(TestFolder folder)
    {
        folder.Write("text", Text(6000, 1));
        return new CharacterTrainer(Options(folder, "trained")).Run().Folder;
    }
}
