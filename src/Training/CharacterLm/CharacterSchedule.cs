using System.Globalization;
using System.Text;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.CharacterLm;

/// <summary>One phase of a training: so many steps of sequences of one length, with the windows that the model has in them.</summary>
public sealed record CharacterPhase
{
    /// <summary>Steps.</summary>
    public required long Steps { get; init; }

    /// <summary>Characters of a sequence.</summary>
    public required int SequenceLength { get; init; }

    /// <summary>Sequences of a step.</summary>
    public required int Batch { get; init; }

    /// <summary>The learning rate behind the warm-up; it stays for the phase.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Steps in which the rate rises from 0 in a straight line; the first step of a phase with one has the rate 0.</summary>
    public long WarmupSteps { get; init; }

    /// <summary>Keys to the left of each layer, in steps of its dilation.</summary>
    public required IReadOnlyList<int> Window { get; init; }

    /// <summary>Dilation of each layer and head; null: 1.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? Dilation { get; init; }
}

/// <summary>
/// The training of a character model: its phases, and the settings of all of them. A schedule file is JSON:
/// <code>
/// {"weight_decay": 0.01, "max_grad_norm": 0.25, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "dropout": 0.2, "dropatt": 0,
///  "model": {"n_layer": 12, "d_model": 512, "n_head": 8, "d_head": 64, "d_inner": 2048, "pre_lnorm": true, "activation": "gelu"},
///  "phases": [{"steps": 430000, "sequence_length": 2048, "batch": 32, "learning_rate": 2.5e-4, "warmup_steps": 10000,
///              "window": [32, 32, 64], "dilation": [[1, 1], [1, 1], [1, 2]]}]}
/// </code>
/// Only the phases must be there; the other values above are the defaults.
/// </summary>
public sealed record CharacterSchedule
{
    private const long MostWarmup = 10_000;
    private static readonly int[] SmallWindows = [32, 32, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512];

    /// <summary>The phases in their order.</summary>
    public required IReadOnlyList<CharacterPhase> Phases { get; init; }

    /// <summary>The sizes of the model: layers, widths, norm, activation, dropouts. Vocabulary and windows are not looked at.</summary>
    public CharacterLanguageModelConfiguration Model { get; init; } = new()
    {
        VocabularySize = 1, PreNorm = true, Activation = HiddenActivation.Gelu, Dropout = 0.2,
    };

    /// <summary>Decay of weights; biases and LayerNorm weights have none.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Gradients with a larger norm are scaled down to it; null: none are.</summary>
    public double? MaxGradNorm { get; init; } = 0.25;

    /// <summary>Of AdamW.</summary>
    public Optimization.AdamWOptions AdamW { get; init; } = new();

    /// <summary>Steps of all phases.</summary>
    public long TotalSteps => Phases.Sum(phase => phase.Steps);

    /// <summary>
    /// The paper's small model (12 layers, 41 million parameters) in its five phases. The paper leaves open: which heads are dilated (here the
    /// last two), and the windows between the lowest and the highest layer (here those whose mean over the layers is the paper's 230).
    /// </summary>
    public static CharacterSchedule Small { get; } =
        Paper(12, 0.2, [430_000, 50_000, 50_000, 35_000, 5_000], layer => layer < 6 ? 1 : ((layer - 6) / 2) + 2);

    /// <summary>The paper's large model (30 layers, 102 million parameters) in its five phases.</summary>
    public static CharacterSchedule Large { get; } =
        Paper(30, 0.4, [350_000, 25_000, 10_000, 5_000, 5_000], layer => layer < 15 ? 1 : ((layer - 15) / 5) + 2);

    /// <summary>The phase that a step belongs to, and the steps before it.</summary>
    /// <param name="step">From 0.</param>
    public (int Phase, long Before) PhaseAt(long step)
    {
        long before = 0;
        for (int i = 0; i < Phases.Count; i++)
        {
            if (step < before + Phases[i].Steps)
                return (i, before);
            before += Phases[i].Steps;
        }
        throw new ArgumentOutOfRangeException(nameof(step), step, $"the schedule has {before} steps");
    }

    /// <summary>The learning rate of a step.</summary>
    /// <param name="step">From 0; the warm-up begins again in each phase.</param>
    public double RateAt(long step)
    {
        (int index, long before) = PhaseAt(step);
        CharacterPhase phase = Phases[index];
        return step - before < phase.WarmupSteps ? phase.LearningRate * (step - before) / phase.WarmupSteps : phase.LearningRate;
    }

    /// <summary>The model's configuration in a phase.</summary>
    public CharacterLanguageModelConfiguration Configuration(int vocabulary, int phase) =>
        Model with { VocabularySize = vocabulary, Window = Phases[phase].Window, Dilation = Phases[phase].Dilation };

    /// <summary>Every way in which the schedule cannot be, one sentence each.</summary>
    public IEnumerable<string> Problems()
    {
        if (Phases.Count == 0)
            yield return "phases: expected at least one, given none";
        for (int i = 0; i < Phases.Count; i++)
        {
            CharacterPhase phase = Phases[i];
            string name = $"phase {i + 1}";
            if (phase.Steps < 1)
                yield return $"{name}: steps: expected 1 or more, given {phase.Steps}";
            if (phase.SequenceLength < 2)
                yield return $"{name}: sequence_length: expected 2 or more, given {phase.SequenceLength}";
            if (phase.Batch < 1)
                yield return $"{name}: batch: expected 1 or more, given {phase.Batch}";
            if (!(phase.LearningRate > 0) || !double.IsFinite(phase.LearningRate))
                yield return string.Create(CultureInfo.InvariantCulture, $"{name}: learning_rate: expected more than 0, given {phase.LearningRate}");
            if (phase.WarmupSteps < 0 || phase.WarmupSteps > phase.Steps)
                yield return $"{name}: warmup_steps: expected 0 to its {phase.Steps} steps, given {phase.WarmupSteps}";
            foreach (string problem in (Model with { Window = phase.Window, Dilation = phase.Dilation }).Problems())
                yield return $"{name}: {problem}";
            if (i == 0)
                continue;
            CharacterPhase last = Phases[i - 1];
            if (phase.SequenceLength < last.SequenceLength)
                yield return $"{name}: sequence_length: expected at least {last.SequenceLength}, that of phase {i}, given {phase.SequenceLength}";
            for (int layer = 0; layer < Math.Min(phase.Window.Count, last.Window.Count); layer++)
            {
                if (phase.Window[layer] < last.Window[layer])
                {
                    yield return $"{name}: window of layer {layer}: expected at least {last.Window[layer]}, that of phase {i}, given "
                    + $"{phase.Window[layer]}";
                }
            }
        }
    }

    /// <summary>Reads a schedule file.</summary>
    /// <exception cref="InputException">It cannot be read, or cannot be; all problems are listed.</exception>
    public static CharacterSchedule Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            return Parse(File.ReadAllBytes(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Reads a schedule from the text of a file.</summary>
    /// <exception cref="InputException">It is no schedule, or cannot be; all problems are listed.</exception>
    public static CharacterSchedule Parse(string json) => Parse(Encoding.UTF8.GetBytes(json), "schedule");

    private static CharacterSchedule Parse(byte[] json, string place)
    {
        try
        {
            using JsonDocument document = JsonText.Parse(json);
            CharacterSchedule schedule = Read(document.RootElement);
            string[] problems = [.. schedule.Problems()];
            return problems.Length == 0 ? schedule : throw new InputException($"{place}: {string.Join("; ", problems)}");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new InputException($"{place}: no schedule: {e.Message}", e);
        }
    }

    /// <summary>The schedule as a file has it.</summary>
    public string ToJson()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            json.WriteNumber("weight_decay", WeightDecay);
            if (MaxGradNorm is { } norm)
                json.WriteNumber("max_grad_norm", norm);
            else
                json.WriteNull("max_grad_norm");
            json.WriteNumber("beta1", AdamW.Beta1);
            json.WriteNumber("beta2", AdamW.Beta2);
            json.WriteNumber("epsilon", AdamW.Epsilon);
            json.WriteNumber("dropout", Model.Dropout);
            json.WriteNumber("dropatt", Model.AttentionDropout);
            json.WriteStartObject("model");
            json.WriteNumber("n_layer", Model.Layers);
            json.WriteNumber("d_model", Model.HiddenSize);
            json.WriteNumber("n_head", Model.Heads);
            json.WriteNumber("d_head", Model.HeadSize);
            json.WriteNumber("d_inner", Model.InnerSize);
            json.WriteBoolean("pre_lnorm", Model.PreNorm);
            json.WriteString("activation", Activations.NameOf(Model.Activation));
            json.WriteEndObject();
            json.WriteStartArray("phases");
            foreach (CharacterPhase phase in Phases)
                Write(json, phase);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Write(Utf8JsonWriter json, CharacterPhase phase)
    {
        json.WriteStartObject();
        json.WriteNumber("steps", phase.Steps);
        json.WriteNumber("sequence_length", phase.SequenceLength);
        json.WriteNumber("batch", phase.Batch);
        json.WriteNumber("learning_rate", phase.LearningRate);
        json.WriteNumber("warmup_steps", phase.WarmupSteps);
        json.WriteStartArray("window");
        foreach (int window in phase.Window)
            json.WriteNumberValue(window);
        json.WriteEndArray();
        if (phase.Dilation is not null)
        {
            json.WriteStartArray("dilation");
            foreach (IReadOnlyList<int> layer in phase.Dilation)
            {
                json.WriteStartArray();
                foreach (int dilation in layer)
                    json.WriteNumberValue(dilation);
                json.WriteEndArray();
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private static CharacterSchedule Read(JsonElement root)
    {
        JsonElement model = root.TryGetProperty("model", out JsonElement given) ? given : default;
        int Size(string name, int fallback) => model.ValueKind == JsonValueKind.Object && model.TryGetProperty(name, out JsonElement v)
            ? v.GetInt32()
            : fallback;
        double Number(string name, double fallback) => root.TryGetProperty(name, out JsonElement v) ? v.GetDouble() : fallback;
        string activation = model.ValueKind == JsonValueKind.Object && model.TryGetProperty("activation", out JsonElement a)
            ? a.GetString() ?? ""
            : "gelu";
        double? norm = root.TryGetProperty("max_grad_norm", out JsonElement n) ? n.ValueKind == JsonValueKind.Null ? null : n.GetDouble() : 0.25;
        return new CharacterSchedule
        {
            WeightDecay = Number("weight_decay", 0.01),
            MaxGradNorm = norm,
            AdamW = new() { Beta1 = Number("beta1", 0.9), Beta2 = Number("beta2", 0.999), Epsilon = Number("epsilon", 1e-8) },
            Model = new()
            {
                VocabularySize = 1, Layers = Size("n_layer", 12), HiddenSize = Size("d_model", 512), Heads = Size("n_head", 8),
                HeadSize = Size("d_head", 64), InnerSize = Size("d_inner", 2048),
                PreNorm = model.ValueKind != JsonValueKind.Object || !model.TryGetProperty("pre_lnorm", out JsonElement pre) || pre.GetBoolean(),
                Activation = Activations.Named(activation)
                    ?? throw new FormatException($"activation: expected one of {Activations.Names}, given \"{activation}\""),
                Dropout = Number("dropout", 0.2),
                AttentionDropout = Number("dropatt", 0),
            },
            Phases = [.. root.GetProperty("phases").EnumerateArray().Select(ReadPhase)],
        };
    }

    private static CharacterPhase ReadPhase(JsonElement phase) => new()
    {
        Steps = phase.GetProperty("steps").GetInt64(),
        SequenceLength = phase.GetProperty("sequence_length").GetInt32(),
        Batch = phase.GetProperty("batch").GetInt32(),
        LearningRate = phase.GetProperty("learning_rate").GetDouble(),
        WarmupSteps = phase.TryGetProperty("warmup_steps", out JsonElement warmup) ? warmup.GetInt64() : 0,
        Window = [.. phase.GetProperty("window").EnumerateArray().Select(w => w.GetInt32())],
        Dilation = phase.TryGetProperty("dilation", out JsonElement dilation) && dilation.ValueKind == JsonValueKind.Array
            ? [.. dilation.EnumerateArray().Select(layer => (IReadOnlyList<int>)[.. layer.EnumerateArray().Select(d => d.GetInt32())])] : null,
    };

    private static CharacterSchedule Paper(int layers, double dropout, long[] steps, Func<int, int> dilationOf)
    {
        int[] lengths = [2_048, 4_096, 8_192, 16_384, 23_040], batches = [32, 32, 16, 16, 16];
        const int heads = 8, dilatedHeads = 2;
        IReadOnlyList<IReadOnlyList<int>> dilation = [.. Enumerable.Range(0, layers).Select(layer =>
            (IReadOnlyList<int>)[.. Enumerable.Range(0, heads).Select(head => head < heads - dilatedHeads ? 1 : dilationOf(layer))])];
        return new CharacterSchedule
        {
            Model = new() { VocabularySize = 1, Layers = layers, PreNorm = true, Activation = HiddenActivation.Gelu, Dropout = dropout },
            Phases = [.. steps.Select((count, i) => new CharacterPhase
            {
                Steps = count, SequenceLength = lengths[i], Batch = batches[i], LearningRate = 2.5e-4 / (1 << i),
                WarmupSteps = Math.Min(count / 10, MostWarmup),
                Window = [.. Enumerable.Range(0, layers).Select(layer => SmallWindows[layer * SmallWindows.Length / layers] << i)],
                Dilation = dilation,
            })],
        };
    }
}
