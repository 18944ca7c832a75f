using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Led;

/// <summary>Loads an LED class from a checkpoint folder, strictly. allenai's names (model.encoder...) are read as HF's (led.encoder...).</summary>
internal sealed class LedLoader
{
    private static readonly string[] EmbeddingTables = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

    private readonly Weights _weights;

    private LedLoader(LedConfiguration configuration, LoadOptions options, Checkpoint checkpoint, string architecture)
    {
        Configuration = configuration;
        Options = options;
        Prefix = checkpoint.Names.Any(n => n.StartsWith("led.", StringComparison.Ordinal)) ? "led." : "";
        _weights = new Weights(checkpoint, architecture);
        string[] tables = [.. EmbeddingTables.Select(name => Prefix + name)];
        if (configuration.TieWordEmbeddings) _weights.Tie([.. tables, "lm_head.weight"]);
        string words = tables.FirstOrDefault(checkpoint.Contains, tables[0]);
        DType stored = checkpoint.Contains(words) && checkpoint.Entry(words).Type.ToDType() is DType dtype ? dtype : DType.Float32;
        // libtorch has no half precision matrix products on the CPU.
        DType wanted = options.DType ?? (stored == DType.Float16 && options.Device == Device.Cpu ? DType.Float32 : stored);
        Root = new ParameterLoader(_weights, options, wanted);
        Body = Root.At(Prefix, architecture == nameof(LedModel) ? "" : "led.");
    }

    public LedConfiguration Configuration { get; }

    public LoadOptions Options { get; }

    /// <summary>What the body lies under in the file: "led." beside a head, else nothing.</summary>
    public string Prefix { get; }

    /// <summary>The whole checkpoint: heads lie here.</summary>
    public ParameterLoader Root { get; }

    /// <summary>Where the body lies.</summary>
    public ParameterLoader Body { get; }

    /// <summary>Opens a folder, lets <paramref name="create"/> take what it needs, and refuses what is left over.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static T Load<T>(string folder, LoadOptions? options, string architecture, string head, Func<LedLoader, T> create)
    {
        options ??= new LoadOptions();
        options.Prepare();
        LedConfiguration configuration = LedConfiguration.Load(folder);
        using Checkpoint files = Checkpoint.Open(folder);
        using Checkpoint checkpoint = files.Rename(NameMap.RecognizeIn(files));
        if (head.Length > 0 && !checkpoint.Names.Any(n => n.StartsWith(head, StringComparison.Ordinal)))
        {
            throw new CheckpointException($"{checkpoint.Path} does not hold the head of {architecture}: no tensor {head}*"
                + (configuration.Architectures.Count > 0 ? $"; its config.json says {configuration.Architectures[0]}" : ""));
        }
        var loader = new LedLoader(configuration, options, checkpoint, architecture);
        try
        {
            T model = create(loader);
            loader._weights.Finish([.. Ignored(architecture)]);
            return model;
        }
        catch (Exception e)
        {
            foreach (NamedParameter parameter in loader.Root.Loaded) parameter.Tensor.Dispose();
            if (e is DeviceException { IsOutOfMemory: true } full) throw loader.Root.TooLarge(checkpoint, full);
            throw;
        }
    }

    /// <summary>Loads the class that <c>architectures[0]</c> names; allenai's say BartForConditionalGeneration. Without one: by the heads in the file.</summary>
    /// <exception cref="CheckpointException">The architecture is not served, or configuration or weights do not fit.</exception>
    public static PretrainedModel LoadAny(string folder, LoadOptions? options)
    {
        IReadOnlyList<string> architectures = LedConfiguration.Load(folder).Architectures;
        string name = architectures.Count > 0 ? architectures[0] : GuessArchitecture(folder);
        return name.Replace("Bart", "LED", StringComparison.Ordinal).Replace("LongformerEncoderDecoder", "LED", StringComparison.Ordinal) switch
        {
            "LEDModel" => LedModel.Load(folder, options),
            "LEDForConditionalGeneration" => LedForConditionalGeneration.Load(folder, options),
            "LEDForQuestionAnswering" => LedForQuestionAnswering.Load(folder, options),
            "LEDForSequenceClassification" => LedForSequenceClassification.Load(folder, options),
            _ => throw new CheckpointException($"{folder}: the architecture {name} is not served; expected one of {string.Join(", ", LedParameters.Architectures)}"),
        };
    }

    private static string GuessArchitecture(string folder)
    {
        using Checkpoint files = Checkpoint.Open(folder);
        using Checkpoint checkpoint = files.Rename(NameMap.RecognizeIn(files));
        return checkpoint.Contains("qa_outputs.weight") ? "LEDForQuestionAnswering"
            : checkpoint.Contains("classification_head.dense.weight") ? "LEDForSequenceClassification"
            : checkpoint.Contains("final_logits_bias") || checkpoint.Contains("lm_head.weight") ? "LEDForConditionalGeneration"
            : "LEDModel";
    }

    /// <summary>Heads that the file may hold besides the one that is loaded: BART's checkpoints carry several.</summary>
    private static IEnumerable<string> Ignored(string architecture)
    {
        if (architecture != nameof(LedForConditionalGeneration)) yield return "lm_head.*";
        if (architecture != nameof(LedForConditionalGeneration)) yield return "final_logits_bias";
        if (architecture != nameof(LedForQuestionAnswering)) yield return "qa_outputs.*";
        if (architecture != nameof(LedForSequenceClassification)) yield return "classification_head.*";
    }
}
