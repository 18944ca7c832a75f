using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// Some steps of training: the loss, the gradient's norm and the learning rate of each, and the parameters after the last. The reference's batches
/// are padded; here their rows are packed, as in every training of this program.
/// </summary>
internal sealed class TrainingGroup : ParityGroup
{
    internal override string Name => "training";

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        if (CharacterTrainingCases.Has(parityCase))
        {
            CharacterTrainingCases.Run(parityCase, call, report);
            return;
        }
        JsonElement settings = parityCase.Description.GetProperty("settings");
        JsonElement loss = settings.GetProperty("loss"), optimizing = settings.GetProperty("optimizer");
        double smoothing = loss.TryGetProperty("epsilon", out JsonElement epsilon) ? epsilon.GetDouble() : 0;
        using TrainingHead head = TrainingHead.Of(PretrainedModel.Load(parityCase.Folder, call.Load with { Trainable = true }), smoothing);
        using IOptimizer optimizer = Optimizer(optimizing);
        ParameterPlan plan = new() { WeightDecay = optimizing.GetProperty("weight_decay").GetDouble() };
        JsonElement norm = settings.GetProperty("max_grad_norm");
        using TrainingStep training = new(head, plan, optimizer,
            ScheduleOf(settings.GetProperty("schedule"), optimizing.GetProperty("lr").GetDouble()),
            norm.ValueKind == JsonValueKind.Null ? null : norm.GetDouble());
        Dictionary<string, Tensor> inputs = parityCase.Tensors("batches.safetensors");
        int steps = ParityCase.Integer(settings, "steps"), batches = ParityCase.Integer(settings, "accumulation");
        StepResult[] results = [.. Enumerable.Range(0, steps).Select(step =>
            training.Run(step, [.. Enumerable.Range(0, batches).Select(micro => Examples(inputs, $"{step}.{micro}"))]))];
        report.Compare("loss", Values(results, r => r.Loss));
        report.Compare("grad_norm", Values(results, r => r.GradientNorm));
        report.Compare("learning_rate", Values(results, r => r.LearningRate));
        foreach (NamedParameter parameter in head.Model.NamedParameters)
        {
            if (report.Expects($"final.{parameter.Name}"))
                report.Compare($"final.{parameter.Name}", parameter.Tensor);
        }
    }

    private static Tensor Values(StepResult[] results, Func<StepResult, double> of) => Tensor.From<float>([.. results.Select(r => (float)of(r))]);

    private static IOptimizer Optimizer(JsonElement settings)
    {
        double Number(string key) => settings.GetProperty(key).GetDouble();
        if (settings.GetProperty("name").GetString() != "Adafactor")
            return new AdamW(new AdamWOptions { Beta1 = Number("beta1"), Beta2 = Number("beta2"), Epsilon = Number("eps") });
        JsonElement epsilon = settings.GetProperty("eps");
        return new Adafactor(new AdafactorOptions
        {
            Epsilon = epsilon[0].GetDouble(), LeastScale = epsilon[1].GetDouble(), ClipThreshold = Number("clip_threshold"),
            DecayExponent = Number("decay_rate"),
            ScaleByParameter = settings.GetProperty("scale_parameter").GetBoolean(),
        });
    }

    private static Schedule ScheduleOf(JsonElement settings, double rate)
    {
        double Number(string key, double absent) => settings.TryGetProperty(key, out JsonElement value) ? value.GetDouble() : absent;
        return new Schedule
        {
            LearningRate = rate,
            Kind = settings.GetProperty("name").GetString() switch
            {
                "linear" => ScheduleKind.Linear,
                "cosine" => ScheduleKind.Cosine,
                "polynomial" => ScheduleKind.Polynomial,
                "constant_with_warmup" => ScheduleKind.Constant,
                string other => throw new IOException($"case.json: the schedule {other} is not known"),
                null => throw new IOException("case.json: expected the name of a schedule"),
            },
            WarmupSteps = (long)Number("warmup_steps", 0),
            TotalSteps = (long)Number("total_steps", 0),
            Power = Number("power", 1),
            EndRate = Number("lr_end", 0),
            Cycles = Number("num_cycles", 0.5),
        };
    }

    /// <summary>The rows of a padded batch as examples without padding.</summary>
    private static TrainingExample[] Examples(Dictionary<string, Tensor> inputs, string batch)
    {
        long[]? Values(string name) => inputs.TryGetValue($"{batch}.{name}", out Tensor? tensor) ? tensor.To(DType.Int64).Contiguous().ToArray<long>()
            : null;
        Tensor ids = inputs[$"{batch}.input_ids"];
        (int rows, int length) = ((int)ids.Size(0), (int)ids.Size(1));
        long[] mask = Values("attention_mask")!, tokens = Values("input_ids")!;
        long[]? globals = Values("global_attention_mask"), labels = Values("labels"), starts = Values("start_positions"),
            ends = Values("end_positions");
        return [.. Enumerable.Range(0, rows).Select(row =>
        {
            int[] kept = [.. Enumerable.Range(0, length).Where(i => mask[(row * length) + i] != 0)];
            int[] Row(long[] values) => Array.ConvertAll(values[(row * values.Length / rows)..((row + 1) * values.Length / rows)], v => (int)v);
            int[]? Positions(long[]? values) => values is null ? null : [.. Row(values).Where(v => v >= 0)];
            int[]? own = labels is null ? null : Row(labels);
            return new TrainingExample
            {
                Ids = [.. kept.Select(i => (int)tokens[(row * length) + i])],
                Globals = globals is null ? null : [.. kept.Index().Where(i => globals[(row * length) + i.Item] != 0).Select(i => i.Index)],
                // One for each token, or a target that has its own length.
                Labels = own is not null && own.Length == length ? [.. kept.Select(i => own[i])] : own,
                Starts = Positions(starts),
                Ends = Positions(ends),
                Source = $"{batch}[{row}]",
            };
        })];
    }
}
