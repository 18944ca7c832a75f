using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.CharacterLm;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// The character model's cases of the group "training": steps in phases, in which the windows double and the optimizer keeps its state, and the
/// evaluation by overlapping sequences.
/// </summary>
internal static class CharacterTrainingCases
{
    internal static bool Has(ParityCase parityCase) => parityCase.Name.StartsWith("charlm_", StringComparison.Ordinal);

    internal static void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        if (parityCase.Name == "charlm_evaluation")
            Evaluate(parityCase, call, report);
        else
            Train(parityCase, call, report);
    }

    private static void Train(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        JsonElement settings = parityCase.Description.GetProperty("settings"), optimizing = settings.GetProperty("optimizer");
        double Number(string key) => optimizing.GetProperty(key).GetDouble();
        using CharacterLanguageModel model = CharacterLanguageModel.Load(parityCase.Folder, call.Load with { Trainable = true });
        CharacterSchedule schedule = new()
        {
            Model = model.Configuration,
            Phases = [.. settings.GetProperty("phases").EnumerateArray().Select(phase => new CharacterPhase
            {
                Steps = phase.GetProperty("steps").GetInt64(),
                SequenceLength = phase.GetProperty("sequence_length").GetInt32(),
                Batch = 2,
                LearningRate = phase.GetProperty("lr").GetDouble(),
                WarmupSteps = phase.GetProperty("warmup_steps").GetInt64(),
                Window = ParityCase.Integers(phase, "window"),
                Dilation = model.Configuration.Dilation,
            })],
        };
        using AdamW optimizer = new(new AdamWOptions { Beta1 = Number("beta1"), Beta2 = Number("beta2"), Epsilon = Number("eps") });
        using CharacterStep stepping = new(model, optimizer, Number("weight_decay"), settings.GetProperty("max_grad_norm").GetDouble());
        Dictionary<string, Tensor> batches = parityCase.Tensors("batches.safetensors");
        List<StepResult> results = [];
        for (int step = 0; step < schedule.TotalSteps; step++)
        {
            CharacterPhase phase = schedule.Phases[schedule.PhaseAt(step).Phase];
            model.SetWindows(phase.Window, phase.Dilation);
            results.Add(stepping.Run(step, schedule.RateAt(step), [(batches[$"{step}.0.ids"], batches[$"{step}.0.targets"])]));
        }
        report.Compare("loss", Values(results.Select(r => r.Loss)));
        report.Compare("grad_norm", Values(results.Select(r => r.GradientNorm)));
        report.Compare("learning_rate", Values(results.Select(r => r.LearningRate)));
        foreach (NamedParameter parameter in model.NamedParameters)
            report.Compare($"final.{parameter.Name}", parameter.Tensor);
    }

    private static void Evaluate(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        JsonElement settings = parityCase.Description.GetProperty("settings");
        (int length, int step) = (ParityCase.Integer(settings, "sequence_length"), ParityCase.Integer(settings, "step"));
        using CharacterLanguageModel model = CharacterLanguageModel.Load(parityCase.Folder, call.Load);
        byte[] ids = [.. parityCase.Inputs()["ids"].ToArray<long>().Select(id => (byte)id)];
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, ids);
            CharacterVocabulary vocabulary = new(true, [.. Enumerable.Range(0, model.Configuration.VocabularySize)]);
            using CharacterText text = CharacterText.Open(path, vocabulary, Path.GetTempPath());
            CharacterSpan all = new(text, 0, text.Length);
            List<double> bits = [];
            CharacterScore score = CharacterEvaluation.Overlapping(model, all, length, step, bits.AddRange);
            report.Compare("bits", Tensor.From<float>([.. bits.Select(b => (float)b)], bits.Count / step, step));
            report.Compare("total_bits", Tensor.From((float)score.TotalBits));
            report.Compare("count", Tensor.From(score.Count));
            report.Compare("bits_per_character", Tensor.From((float)score.BitsPerCharacter));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static Tensor Values(IEnumerable<double> values) => Tensor.From<float>([.. values.Select(v => (float)v)]);
}
