using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Led;

namespace LongformerInterop.Models;

/// <summary>The two kinds of model; each has its configuration, its body and its names of tensors.</summary>
public enum ModelFamily
{
    /// <summary>The encoder: <see cref="LongformerConfiguration"/>.</summary>
    Longformer,

    /// <summary>The encoder-decoder: <see cref="LedConfiguration"/>.</summary>
    Led,
}

/// <summary>
/// A model class: its names, how a checkpoint is recognised as one, and how it is made. <see cref="All"/> is the one table of them, by which
/// loading, guessing, random checkpoints, conversion and the command line go: a new head is its class and a line there.
/// </summary>
public sealed record Architecture
{
    private Architecture(string name, ModelFamily family, string head, Type model, Func<ModelLoader, PretrainedModel> create) =>
        (Name, Family, Head, Model, Create) = (name, family, head, model, create);

    /// <summary>Every model class that is served. The bare model of a family comes first; of several heads in one file the first one
    /// counts.</summary>
    public static IReadOnlyList<Architecture> All { get; } =
    [
        Longformer("LongformerModel", "none", l => new LongformerModel(l)) with { Aliases = ["Longformer"] },
        Longformer("LongformerForMaskedLM", "masked-lm", l => new LongformerForMaskedLM(l))
            with { Marks = ["lm_head.dense.weight"], Aliases = ["LongformerLongForMaskedLM"], Verb = "fill-mask" },
        Longformer("LongformerForSequenceClassification", "sequence-classification", l => new LongformerForSequenceClassification(l))
            with { Marks = ["classifier.out_proj.weight"], Verb = "classify", HasLabels = true },
        Longformer("LongformerForQuestionAnswering", "question-answering", l => new LongformerForQuestionAnswering(l))
            with { Marks = ["qa_outputs.weight"], Verb = "answer" },
        Longformer("LongformerForTokenClassification", "token-classification", l => new LongformerForTokenClassification(l))
            with { Marks = ["classifier.weight"], Verb = "tag", HasLabels = true },
        Longformer("LongformerForMultipleChoice", "multiple-choice", l => new LongformerForMultipleChoice(l))
            with { Marks = ["classifier.weight"], Verb = "choose" },
        Longformer("LongformerForSpanClassification", "span-classification", l => new LongformerForSpanClassification(l))
            with { Marks = ["span_classifier.weight"], Verb = "spans", HasLabels = true },
        Longformer("LongformerForCandidateScoring", "candidate-scoring", l => new LongformerForCandidateScoring(l))
            with { Marks = ["answer_score.weight"] },
        Longformer("LongformerForHotpotQA", "hotpotqa", l => new LongformerForHotpotQA(l)) with { Marks = ["paragraph_scorer.dense.weight"] },
        Longformer("LongformerForCoreference", "coreference", l => new LongformerForCoreference(l))
            with { Marks = ["coref.coarse_bilinear.weight"], Verb = "coref" },
        Led("LEDModel", "none", l => new LedModel(l)),
        Led("LEDForQuestionAnswering", "question-answering", l => new LedForQuestionAnswering(l)) with { Marks = ["qa_outputs.weight"] },
        Led("LEDForSequenceClassification", "sequence-classification", l => new LedForSequenceClassification(l))
            with { Marks = ["classification_head.dense.weight"], HasLabels = true },
        Led("LEDForConditionalGeneration", "conditional-generation", l => new LedForConditionalGeneration(l))
            with { Marks = ["final_logits_bias", "lm_head.weight"], Verb = "summarize" },
    ];

    /// <summary>HF's class name, for example <c>LongformerForQuestionAnswering</c>.</summary>
    public string Name { get; }

    /// <summary>Which body the class has.</summary>
    public ModelFamily Family { get; }

    /// <summary>The head in the words of the command line (<c>longformer random --head</c>); <c>none</c> for the bare model.</summary>
    public string Head { get; }

    /// <summary>Other names of the class in <c>architectures</c>.</summary>
    public IReadOnlyList<string> Aliases { get; private init; } = [];

    /// <summary>Tensors of the head; a checkpoint with any of them may be of this class. None for the bare model.</summary>
    public IReadOnlyList<string> Marks { get; private init; } = [];

    /// <summary>The verb of the command line that runs the head; null: none does.</summary>
    public string? Verb { get; private init; }

    /// <summary>Whether the class reads the pooler of pretraining (the bare model: where the checkpoint has one), found by a dry load.</summary>
    public bool HasPooler => Family == ModelFamily.Longformer
        && Parameters(new LongformerConfiguration { NumHiddenLayers = 1 }).Any(p => p.Name.Contains("pooler.dense.", StringComparison.Ordinal));

    /// <summary>Whether the head has an output per label.</summary>
    public bool HasLabels { get; private init; }

    /// <summary>Whether this is the body alone.</summary>
    public bool IsBare => Marks.Count == 0;

    internal Type Model { get; }

    internal Func<ModelLoader, PretrainedModel> Create { get; }

    /// <summary>The class of a name in <c>architectures</c>; null: it is not served.</summary>
    /// <param name="name">HF's or allenai's name.</param>
    /// <param name="family">The family that the configuration describes, since allenai's names are those of RoBERTa and BART.</param>
    public static Architecture? Find(string name, ModelFamily family)
    {
        ArgumentNullException.ThrowIfNull(name);
        string known = family == ModelFamily.Longformer
            ? name.Replace("Roberta", "Longformer", StringComparison.Ordinal)
            : name.Replace("Bart", "LED", StringComparison.Ordinal).Replace("LongformerEncoderDecoder", "LED", StringComparison.Ordinal);
        return Of(family).FirstOrDefault(a => a.Name == known || a.Aliases.Contains(known));
    }

    /// <summary>The classes of a family.</summary>
    public static IEnumerable<Architecture> Of(ModelFamily family) => All.Where(a => a.Family == family);

    /// <summary>The classes whose heads the names of a checkpoint fit, the bare model where none does. Several: the names do not separate them
    /// apart.</summary>
    /// <param name="family">The family.</param>
    /// <param name="contains">Whether the checkpoint has a tensor of this name, in HF's terms.</param>
    public static IReadOnlyList<Architecture> Recognize(ModelFamily family, Func<string, bool> contains)
    {
        ArgumentNullException.ThrowIfNull(contains);
        Architecture[] known = [.. Of(family)];
        Architecture? first = known.FirstOrDefault(a => a.Marks.Any(contains));
        return first is null ? [known[0]] : [.. known.Where(a => a.Marks.SequenceEqual(first.Marks))];
    }

    /// <summary>Reads the configuration of a checkpoint folder, Longformer's or LED's.</summary>
    /// <exception cref="CheckpointException">There is none, it describes another model, or it has problems.</exception>
    public static ModelConfiguration ReadConfiguration(string folder) =>
        LedConfiguration.IsIn(folder) ? LedConfiguration.Load(folder) : LongformerConfiguration.Load(folder);

    /// <summary>The class of a checkpoint folder: the one that <c>config.json</c> names, else the one that the tensors fit.</summary>
    /// <exception cref="CheckpointException">The class is not served, or nothing gives it.</exception>
    public static Architecture In(string folder, ModelConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        ModelFamily family = configuration.Family;
        if (configuration.Architectures is [string name, ..])
        {
            return Find(name, family) ?? throw new CheckpointException(
                $"{folder}: the architecture {name} is not served; expected one of {string.Join(", ", Of(family).Select(a => a.Name))}");
        }
        using Checkpoint files = Checkpoint.Open(folder);
        using Checkpoint checkpoint = files.Rename(NameMap.RecognizeIn(files));
        IReadOnlyList<Architecture> fitting = Recognize(family, checkpoint.Contains);
        return fitting.Count == 1 ? fitting[0] : throw new CheckpointException($"{folder}: config.json names no architectures, and "
            + $"{fitting[0].Marks[0]} may be that of {string.Join(" or ", fitting.Select(a => a.Name))}; add \"architectures\"");
    }

    /// <summary>
    /// The parameters that a model of this class has, as <c>save_pretrained</c> writes them (a tied one once), in the order of the computation:
    /// found by making the model of nothing but shapes.
    /// </summary>
    /// <param name="configuration">The sizes.</param>
    /// <param name="optional">Whether a parameter that not every checkpoint has is there; absent: all are.</param>
    /// <exception cref="ArgumentException">The configuration is that of another family.</exception>
    public IReadOnlyList<ParameterShape> Parameters(ModelConfiguration configuration, Func<string, bool>? optional = null)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        if (configuration.Family != Family)
            throw new ArgumentException($"expected the configuration of a {Family}, given that of a {configuration.Family}", nameof(configuration));
        return ModelLoader.DryLoad(this, configuration, optional ?? (_ => true));
    }

    private static Architecture Longformer<T>(string name, string head, Func<LongformerLoader, T> create) where T : PretrainedModel =>
        new(name, ModelFamily.Longformer, head, typeof(T), loader => create((LongformerLoader)loader));

    private static Architecture Led<T>(string name, string head, Func<LedLoader, T> create) where T : PretrainedModel =>
        new(name, ModelFamily.Led, head, typeof(T), loader => create((LedLoader)loader));
}

/// <summary>A parameter's place: its name in HF's checkpoints and its shape.</summary>
/// <param name="Name">HF's name.</param>
/// <param name="Shape">Sizes.</param>
public readonly record struct ParameterShape(string Name, long[] Shape);
