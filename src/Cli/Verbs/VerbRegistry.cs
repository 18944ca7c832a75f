using System.CommandLine;

namespace LongformerInterop.Cli.Verbs;

/// <summary>Every verb of the command line, in the order of the help. A verb is a file of this folder and a line here.</summary>
internal static class VerbRegistry
{
    internal static IReadOnlyList<Func<Command>> Verbs { get; } =
    [
        InfoVerb.Create,
        EncodeVerb.Create,
        AnswerVerb.Create,
        ClassifyVerb.Create,
        TagVerb.Create,
        ChooseVerb.Create,
        FillMaskVerb.Create,
        SpansVerb.Create,
        CorefVerb.Create,
        SummarizeVerb.Create,
        IndexVerb.Create,
        SearchVerb.Create,
        TrainVerb.Create,
        EvaluateVerb.Create,
        CharacterVerbs.CreateGenerate,
        ConvertVerb.Create,
        ParityVerb.Create,
        BenchVerb.Create,
        RandomVerb.Create,
    ];
}
