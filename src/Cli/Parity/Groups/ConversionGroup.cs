using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Conversion;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// Conversions. A case with <c>before.safetensors</c> is converted to the model that its <c>config.json</c> describes: every tensor must
/// equal those of <c>model.safetensors</c> and <c>full.safetensors</c>, from the reference's own result under its old names too, and the
/// converted model must give the expected outputs. A case with torch's files only is read.
/// </summary>
internal sealed class ConversionGroup : ParityGroup
{
    internal override string Name => "conversion";

    internal override bool DependsOnImplementation(ParityCase parityCase) => IsConversion(parityCase);

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        if (IsConversion(parityCase))
            RunConversion(parityCase, call, report);
        else
            ReadFiles(parityCase, report);
    }

    private static bool IsConversion(ParityCase parityCase) => File.Exists(parityCase.PathOf("before.safetensors"));

    private static void RunConversion(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("longformer-conversion-");
        try
        {
            bool led = parityCase.Has("encoder_layers");
            ConversionOptions options = new()
            {
                To = led ? ConversionTarget.Led : ConversionTarget.Longformer,
                Positions = led ? parityCase.Integer("max_encoder_position_embeddings")
                    : parityCase.Integer("max_position_embeddings") - parityCase.Integer("pad_token_id") - 1,
                Window = ParityCase.Integers(parityCase.Configuration, "attention_window"),
                ConfigurationFile = parityCase.PathOf("before.config.json"),
            };
            string output = Path.Combine(folder.FullName, "converted");
            CheckpointConverter.Convert(parityCase.PathOf("before.safetensors"), output, options);
            Compare(parityCase, report, "model.safetensors", output);
            if (File.Exists(parityCase.PathOf("full.safetensors")))
                CompareFull(parityCase, report, output);
            // The result of the reference's own procedure, under its names: only names and unused rows change.
            foreach ((string weights, string configuration) in new[] { ("after.safetensors", "config.json"),
                ("allenai.safetensors", "allenai.config.json") })
            {
                if (!File.Exists(parityCase.PathOf(weights)))
                    continue;
                string renamed = Path.Combine(folder.FullName, weights);
                CheckpointConverter.Convert(parityCase.PathOf(weights), renamed,
                    new ConversionOptions { To = options.To, ConfigurationFile = parityCase.PathOf(configuration) });
                Compare(parityCase, report, "model.safetensors", renamed, weights);
            }
            using PretrainedModel model = PretrainedModel.Load(output, call.Load);
            report.Compare(model.Run(parityCase.Inputs(), report.ExpectsAny("hidden_states."), report.ExpectsAny("attentions.")));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>The same names with the same values, to the bit.</summary>
    private static void Compare(ParityCase parityCase, ParityReport report, string file, string output, string? item = null)
    {
        using Checkpoint converted = Checkpoint.Open(output);
        using Checkpoint expected = Checkpoint.Open(parityCase.PathOf(file));
        string[] missing = [.. expected.Names.Except(converted.Names)], extra = [.. converted.Names.Except(expected.Names)];
        string? note = missing.Length > 0 ? $"{missing.Length} missing, first {missing[0]}" : extra.Length > 0
            ? $"{extra.Length} too many, first {extra[0]}" : null;
        AddRow(parityCase, report, item ?? file, expected.Names.Intersect(converted.Names).Select(n => (expected.Get(n), converted.Get(n))), note);
    }

    /// <summary>The state dict with its tied duplicates and buffers: what the converted file has not, it has under the name it is tied to.</summary>
    private static void CompareFull(ParityCase parityCase, ParityReport report, string output)
    {
        using Checkpoint converted = Checkpoint.Open(output);
        using Checkpoint expected = Checkpoint.Open(parityCase.PathOf("full.safetensors"));
        string[] lost = [.. expected.Names.Where(n => !converted.Contains(n) && !n.EndsWith("position_ids", StringComparison.Ordinal)
            && !expected.Names.Any(kept => converted.Contains(kept) && expected.AreEqual(n, kept)))];
        AddRow(parityCase, report, "full.safetensors", expected.Names.Where(converted.Contains).Select(n => (expected.Get(n), converted.Get(n))),
            lost.Length > 0 ? $"{lost[0]} is neither there nor tied to a tensor that is" : null);
    }

    private static void ReadFiles(ParityCase parityCase, ParityReport report)
    {
        string[] files = [.. Directory.EnumerateFiles(parityCase.Folder)
            .Where(f => Path.GetExtension(f) is ".bin" or ".pt" or ".pth" or ".ckpt").Order(StringComparer.Ordinal)];
        if (files.Length == 0)
            throw new IOException($"{parityCase.Folder}: expected before.safetensors, or files of torch.save");
        // The file with the most tensors has the name of the case; every other one gets its own row.
        Dictionary<string, Checkpoint> open = [];
        try
        {
            foreach (string file in files)
                open.Add(file, Checkpoint.Open(file));
            string main = files.MaxBy(f => open[f].Names.Count)!;
            report.Compare(open[main].Names.ToDictionary(n => n, open[main].Get));
            Dictionary<string, Tensor> expected = parityCase.Tensors("expected.safetensors");
            foreach (string file in files.Where(f => f != main))
            {
                string? stranger = open[file].Names.FirstOrDefault(n => !expected.ContainsKey(n));
                // A file in half precision holds the expected values rounded to it.
                AddRow(parityCase, report, Path.GetFileName(file), open[file].Names.Where(expected.ContainsKey).Select(n =>
                {
                    Tensor value = open[file].Get(n);
                    return (expected[n].To(value.DType), value);
                }), stranger is null ? null : $"{stranger} is not expected");
            }
        }
        finally
        {
            foreach (Checkpoint checkpoint in open.Values)
                checkpoint.Dispose();
        }
    }

    private static void AddRow(ParityCase parityCase, ParityReport report, string item,
        IEnumerable<(Tensor Expected, Tensor Value)> pairs, string? note)
    {
        double largest = 0;
        foreach ((Tensor expected, Tensor value) in pairs)
        {
            if (expected.DType != value.DType || !expected.Shape.SequenceEqual(value.Shape))
            {
                note ??= $"{value.DType} [{string.Join(", ", value.Shape)}], expected {expected.DType} [{string.Join(", ", expected.Shape)}]";
                continue;
            }
            if (expected.ElementCount == 0)
                continue;
            using TensorScope scope = new();
            double difference = (expected.To(DType.Float64) - value.To(DType.Float64)).Abs().Max().ToDouble();
            largest = double.IsNaN(difference) ? double.NaN : Math.Max(largest, difference);
        }
        report.Add(new ParityRow(parityCase.Id, item, largest, 0, note is null && largest == 0 ? ParityOutcome.Pass : ParityOutcome.Fail, note));
    }
}
