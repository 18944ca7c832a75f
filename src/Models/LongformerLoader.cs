using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// Loads a Longformer class from a checkpoint folder, strictly, whatever its tensors are called: allenai's names, RoBERTa's, those of
/// wrapping modules and LayerNorm's old ones are read as Hugging Face's (<see cref="NameMap"/>).
/// </summary>
internal sealed class LongformerLoader
{
    // What the body lies under: beside a head, and as a bare model. One without global projections is a RoBERTa by its names.
    private static readonly string[] Prefixes = ["longformer.", "roberta.", ""];

    private readonly Weights _weights;
    private readonly string _prefix;

    private LongformerLoader(LongformerConfiguration configuration, LoadOptions options, Checkpoint checkpoint, string architecture)
    {
        Configuration = configuration;
        Options = options;
        _weights = new Weights(checkpoint, architecture);
        _prefix = Prefixes.FirstOrDefault(prefix => checkpoint.Contains(prefix + "embeddings.word_embeddings.weight"))
            ?? (architecture == nameof(LongformerModel) ? "" : "longformer.");
        string words = _prefix + "embeddings.word_embeddings.weight";
        if (configuration.TieWordEmbeddings)
        {
            _weights.Tie(words, "lm_head.decoder.weight");
            _weights.Tie("lm_head.bias", "lm_head.decoder.bias");
        }
        DType stored = checkpoint.Contains(words) && checkpoint.Entry(words).Type.ToDType() is DType dtype ? dtype : DType.Float32;
        // libtorch has no half precision matrix products on the CPU.
        DType wanted = options.DType ?? (stored == DType.Float16 && options.Device == Device.Cpu ? DType.Float32 : stored);
        Root = new ParameterLoader(_weights, options, wanted);
        Body = architecture == nameof(LongformerModel) ? Root.At(_prefix, "") : Root.At(_prefix, "longformer.");
    }

    public LongformerConfiguration Configuration { get; }

    public LoadOptions Options { get; }

    /// <summary>The whole checkpoint: heads lie here.</summary>
    public ParameterLoader Root { get; }

    /// <summary>Where the body lies.</summary>
    public ParameterLoader Body { get; }

    /// <summary>Opens a folder, lets <paramref name="create"/> take what it needs, and refuses what is left over.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static T Load<T>(string folder, LoadOptions? options, string architecture, Func<LongformerLoader, T> create)
        where T : PretrainedModel
    {
        options ??= new LoadOptions();
        options.Prepare();
        LongformerConfiguration configuration = LongformerConfiguration.Load(folder);
        using Checkpoint files = Checkpoint.Open(folder);
        using Checkpoint checkpoint = files.Rename(NameMap.RecognizeIn(files));
        CheckHead(checkpoint, configuration, architecture);
        var loader = new LongformerLoader(configuration, options, checkpoint, architecture);
        try
        {
            T model = create(loader);
            loader._weights.Finish(loader.Ignored(architecture));
            return model;
        }
        catch (Exception e)
        {
            foreach (NamedParameter parameter in loader.Root.Loaded)
                parameter.Tensor.Dispose();
            if (e is DeviceException { IsOutOfMemory: true } full)
                throw loader.Root.TooLarge(checkpoint, full);
            throw;
        }
    }

    /// <summary>The class whose head the weights hold, for a configuration that names none.</summary>
    public static string GuessArchitecture(string folder)
    {
        using Checkpoint files = Checkpoint.Open(folder);
        using Checkpoint checkpoint = files.Rename(NameMap.RecognizeIn(files));
        if (checkpoint.Contains("classifier.weight"))
            throw new CheckpointException(
                $"{folder}: config.json names no architectures, and classifier.weight may be that of a token classifier or of multiple choice; add \"architectures\"");
        return checkpoint.Contains("lm_head.dense.weight") ? nameof(LongformerForMaskedLM)
            : checkpoint.Contains("qa_outputs.weight") ? nameof(LongformerForQuestionAnswering)
            : checkpoint.Contains("classifier.out_proj.weight") ? nameof(LongformerForSequenceClassification)
            : nameof(LongformerModel);
    }

    private static void CheckHead(Checkpoint checkpoint, LongformerConfiguration configuration, string architecture)
    {
        string[] head = [.. LongformerParameters.Head(configuration, architecture).Select(p => p.Name)];
        if (head.Length > 0 && !head.Any(checkpoint.Contains))
            throw new CheckpointException(
                $"{checkpoint.Path} does not hold the head of {architecture}: {string.Join(", ", head)} are missing"
                + (configuration.Architectures.Count > 0 ? $"; its config.json says {configuration.Architectures[0]}" : ""));
    }

    /// <summary>What a checkpoint may hold besides: buffers, the pooler and heads that this class does not use, parts that tying makes idle.</summary>
    private string[] Ignored(string architecture)
    {
        List<string> ignored = ["*position_ids", _prefix + "pooler.*"];
        if (architecture == nameof(LongformerModel))
            ignored.AddRange(["lm_head.*", "qa_outputs.*", "classifier.*"]);
        if (architecture == nameof(LongformerForMaskedLM) && !Configuration.TieWordEmbeddings)
            ignored.Add("lm_head.bias");
        if (Configuration.AttentionMode == AttentionMode.FullAttention)
            ignored.Add("*_global.*");
        return [.. ignored];
    }
}
