using LongformerInterop.Cli.Parity.Groups;
using LongformerInterop.Cli.Parity.Metrics;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity;

/// <summary>Runs the cases below given folders and yields a row per expected tensor, or per case of a scorer.</summary>
internal static class ParityRunner
{
    private static readonly EnumerationOptions Search = new() { RecurseSubdirectories = true, MaxRecursionDepth = 16, IgnoreInaccessible = true };

    /// <summary>The kinds of cases that are built.</summary>
    internal static IReadOnlyList<ParityGroup> Groups { get; } =
    [
        new AttentionGroup(),
        new SelfAttentionGroup(),
        new ModelsGroup(),
        new TokenizerGroup(),
        new GradientsGroup(),
        new TrainingGroup(),
        new LedGroup(),
        new CharacterGroup(),
        new ConversionGroup(),
        new SentencesGroup(),
    ];

    /// <summary>The cases at or below a folder, in the order of their names: folders with case.json, and files of scorers.</summary>
    /// <exception cref="IOException">There is no such folder, or no case below it.</exception>
    internal static List<string> FindCases(string folder)
    {
        if (!Directory.Exists(folder))
            throw new IOException($"{folder}: no such folder");
        List<string> cases = [.. Directory.EnumerateFiles(folder, "case.json", Search).Select(f => Path.GetDirectoryName(f)!)];
        cases.AddRange(Directory.EnumerateFiles(folder, "*.json", Search).Where(f => MetricFile.Of(f) is not null));
        if (cases.Count == 0)
        {
            throw new IOException($"{folder}: no case below it (a case is a folder with case.json, or a file of a scorer: "
                + $"{string.Join(", ", MetricFile.All.Select(m => m.FileName))})");
        }
        cases.Sort(StringComparer.Ordinal);
        return cases;
    }

    /// <summary>Runs one case folder or file of a scorer. Never throws for what is wrong with the case: that is a row.</summary>
    internal static IEnumerable<ParityRow> Run(string folder, ParitySettings settings)
    {
        if (File.Exists(folder) && MetricFile.Of(folder) is { } metric)
            return metric.Run(folder);
        ParityCase parityCase;
        try
        {
            parityCase = ParityCase.Load(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [new ParityRow(folder, "case.json", null, null, ParityOutcome.Fail, CommandFailure.Describe(e))];
        }
        if (Groups.FirstOrDefault(g => g.Name == parityCase.Group) is not { } group)
            return [new ParityRow(parityCase.Id, "-", null, null, ParityOutcome.Skip, $"cases of the kind \"{parityCase.Group}\" are not built yet")];
        try
        {
            if (group.SkipReason(parityCase) is { } reason)
                return [new ParityRow(parityCase.Id, "-", null, null, ParityOutcome.Skip, reason)];
        }
#pragma warning disable CA1031 // A case that cannot be read is a failed row; the next one still runs.
        catch (Exception e)
        {
            return [new ParityRow(parityCase.Id, "-", null, null, ParityOutcome.Fail, CommandFailure.Describe(e))];
        }
        IEnumerable<AttentionImplementation> implementations = group.DependsOnImplementation(parityCase)
            ? settings.Implementations
            : settings.Implementations.Take(1);
        bool named = settings.Implementations.Count > 1 && group.DependsOnImplementation(parityCase);
        return implementations.SelectMany(implementation =>
        {
            string label = named ? $"{parityCase.Id}[{implementation.ToString().ToLowerInvariant()}]" : parityCase.Id;
            return RunOnce(group, parityCase, new ParityCall(
                new LoadOptions { Device = settings.Device, DType = settings.DType, Attention = implementation }, settings.Repeat), label);
        });
    }

    private static IReadOnlyList<ParityRow> RunOnce(ParityGroup group, ParityCase parityCase, ParityCall call, string label)
    {
        using TensorScope scope = new();
        ParityReport? report = null;
        try
        {
            report = new ParityReport(parityCase, label, group.ExpectedFile is { } file ? parityCase.Tensors(file) : []);
            group.Run(parityCase, call, report);
            return report.Finish();
        }
        catch (Exception e)
#pragma warning restore CA1031
        {
            report?.Add(new ParityRow(label, "-", null, null, ParityOutcome.Fail, CommandFailure.Describe(e)));
            return report?.Finish() ?? [new ParityRow(label, "-", null, null, ParityOutcome.Fail, CommandFailure.Describe(e))];
        }
    }
}
