using LongformerInterop.Checkpoints;
using LongformerInterop.Torch;
using Microsoft.Extensions.Logging;

namespace LongformerInterop.Models;

/// <summary>
/// Makes a model of a checkpoint folder, strictly, under any known names: allenai's, RoBERTa's and BART's, those of wrapping
/// modules and LayerNorm's old ones are read as HF's (<see cref="NameMap"/>).
/// </summary>
internal abstract partial class ModelLoader
{
    // Of a checkpoint of another class hundreds may be left.
    private const int NamesInLog = 20;
    private readonly ParameterSource _source;

    /// <summary>Shared by both families.</summary>
    /// <param name="architecture">The class to make.</param>
    /// <param name="options">How.</param>
    /// <param name="source">The tensors.</param>
    /// <param name="prefix">The prefix of the body's names in the file: "" or a name with its dot.</param>
    /// <param name="storesInt8">Whether the configuration says that the weights of products have eight bits.</param>
    /// <param name="backbone">HF's name for the body inside a model with a head, with its dot.</param>
    /// <param name="tables">Word embedding tables, whose stored dtype is the model's where the options say none.</param>
    protected ModelLoader(Architecture architecture, LoadOptions options, ParameterSource source, string prefix, bool storesInt8, string backbone,
        params ReadOnlySpan<string> tables)
    {
        _source = source;
        Architecture = architecture;
        Options = options;
        DType stored = DType.Float32;
        foreach (string table in tables)
        {
            if (!source.Contains(prefix + table))
                continue;
            stored = source.TypeOf(prefix + table) ?? DType.Float32;
            break;
        }
        // A device without products of eight bits gets the weights in Float32.
        bool int8 = options.DType == DType.Int8
            || (options.DType is null && storesInt8 && options.Device == Device.Cpu && !source.IsDry && !source.IsGiven);
        if (int8 && options.Trainable)
            throw LoadOptions.Int8IsNotTrained();
        // libtorch has no half precision matrix products on the CPU.
        DType wanted = int8 ? DType.Float32 : options.DType ?? (stored == DType.Float16 && options.Device == Device.Cpu ? DType.Float32 : stored);
        Root = new ParameterLoader(source, options, wanted, int8);
        Backbone = architecture.IsBare ? "" : backbone;
        Body = Root.At(prefix, Backbone);
    }

    public Architecture Architecture { get; }

    public LoadOptions Options { get; }

    /// <summary>The whole checkpoint: heads are here.</summary>
    public ParameterLoader Root { get; }

    /// <summary>The path of the body.</summary>
    public ParameterLoader Body { get; }

    /// <summary>HF's name of the body inside this class, with its dot; empty for the bare model.</summary>
    protected string Backbone { get; }

    /// <summary>Opens a folder, makes the class of the table, and refuses what is left over.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static T Load<T>(string folder, LoadOptions? options) where T : PretrainedModel
    {
        return (T)Load(Architecture.All.First(a => a.Model == typeof(T)), folder, options);
    }

    /// <summary>The same of a class by its line in the table, also where the folder's configuration names another.</summary>
    public static PretrainedModel Load(Architecture architecture, string folder, LoadOptions? options)
    {
        string described = options?.BaseFolder is { } given ? Checkpoint.FolderOf(folder, given) : folder;
        ModelConfiguration configuration = architecture.Family == ModelFamily.Led
            ? LedConfiguration.Load(described)
            : LongformerConfiguration.Load(described);
        return Load(architecture, folder, configuration, options);
    }

    /// <summary>
    /// A model over tensors that are there already: nothing is copied, and a change of one changes the model. The tensors become the model's,
    /// which disposes them; where this throws, they stay the caller's.
    /// </summary>
    /// <param name="architecture">The class.</param>
    /// <param name="configuration">The sizes.</param>
    /// <param name="tensors">Under HF's names, a tied one once, all of one dtype and on one device.</param>
    /// <param name="options">How; device and dtype are the tensors'.</param>
    /// <exception cref="CheckpointException">One is missing, is of another shape, or belongs nowhere; everything is listed.</exception>
    public static PretrainedModel Over(Architecture architecture, ModelConfiguration configuration, IReadOnlyDictionary<string, Tensor> tensors,
        LoadOptions options)
    {
        GivenTensors given = new(tensors, architecture.Name);
        ModelLoader loader = Create(architecture, configuration, options with { Device = given.Device, DType = given.DType },
            ParameterSource.From(given));
        PretrainedModel model = architecture.Create(loader);
        model.UnusedTensors = loader._source.Finish([.. loader.Ignored()]);
        return model;
    }

    /// <summary>The same of a class by its line in the table.</summary>
    public static PretrainedModel Load(Architecture architecture, string folder, ModelConfiguration configuration, LoadOptions? options)
    {
        options ??= new LoadOptions();
        options.Prepare();
        using Checkpoint files = Checkpoint.Open(folder, options.BaseFolder);
        using Checkpoint checkpoint = files.Rename(NameMap.RecognizeIn(files));
        if (architecture.HasLabels && Checkpoint.IsAdapter(folder))
            configuration = WithLabelsOf(checkpoint, architecture, configuration);
        ModelLoader loader = Create(architecture, configuration, options, ParameterSource.From(checkpoint, architecture.Name));
        try
        {
            PretrainedModel model = architecture.Create(loader);
            loader.RequireHead(checkpoint, configuration);
            model.UnusedTensors = loader._source.Finish([.. loader.Ignored()]);
            if (options.Logger is not null && model.UnusedTensors.Count > 0)
            {
                LogUnused(options.Logger, folder, model.UnusedTensors.Count, architecture.Name,
                    string.Join(", ", model.UnusedTensors.Take(NamesInLog)));
            }
            return model;
        }
        catch (Exception e)
        {
            loader.Dispose();
            if (e is DeviceException { IsOutOfMemory: true } full)
                throw loader.Root.TooLarge(checkpoint, full);
            throw;
        }
    }

    /// <summary>Names and shapes of the parameters that a class has, by making it without values.</summary>
    public static IReadOnlyList<ParameterShape> DryLoad(Architecture architecture, ModelConfiguration configuration, Func<string, bool> optional)
    {
        using TensorScope scope = new();
        ModelLoader loader = Create(architecture, configuration, new LoadOptions { PackWeights = false }, ParameterSource.Dry(optional));
        try
        {
            architecture.Create(loader);
            return [.. loader.Root.Loaded.Select(p => new ParameterShape(p.Name, p.Tensor.Shape))];
        }
        finally
        {
            loader.Dispose();
        }
    }

    /// <summary>
    /// The labels of an adapter's head, which the configuration of its base knows nothing of: as many as the head has outputs, called by their
    /// numbers unless the base has as many names.
    /// </summary>
    private static ModelConfiguration WithLabelsOf(Checkpoint checkpoint, Architecture architecture, ModelConfiguration configuration)
    {
        string[] outputs = ["classifier.out_proj.weight", "classification_head.out_proj.weight", .. architecture.Marks];
        string? output = Array.Find(outputs, checkpoint.Contains);
        if (output is null || checkpoint.Entry(output).Shape is not [var count, _] || count == configuration.NumLabels)
            return configuration;
        IReadOnlyList<string> labels = ModelConfiguration.GenericLabels((int)count);
        return configuration is LedConfiguration led
            ? led with { Id2Label = labels }
            : (LongformerConfiguration)configuration with { Id2Label = labels };
    }

    /// <summary>Patterns of further names that a checkpoint may hold: buffers, and parts that this class does not use.</summary>
    protected abstract IEnumerable<string> Ignored();

    /// <summary>Patterns for the heads of the family's other classes.</summary>
    protected IEnumerable<string> OtherHeads() => Architecture.Of(Architecture.Family).Where(a => a != Architecture).SelectMany(a => a.Marks)
        .Select(mark => mark.Split('.') is [string root, _, ..] ? $"{root}.*" : mark).Distinct();

    private static ModelLoader Create(Architecture architecture, ModelConfiguration configuration, LoadOptions options, ParameterSource source) =>
        configuration switch
        {
            LongformerConfiguration longformer => new LongformerLoader(architecture, longformer, options, source),
            LedConfiguration led => new Led.LedLoader(architecture, led, options, source),
            _ => throw new ArgumentException($"no model has a {configuration.GetType().Name}", nameof(configuration)),
        };

    /// <summary>A head that is missing as a whole is another class's checkpoint: said in one sentence instead of a list of its tensors.</summary>
    private void RequireHead(Checkpoint checkpoint, ModelConfiguration configuration)
    {
        string[] head = [.. Root.Loaded.Select(p => p.Name).Where(n => Backbone.Length > 0 && !n.StartsWith(Backbone, StringComparison.Ordinal))];
        if (head.Length > 0 && !head.Any(_source.Has))
        {
            throw new CheckpointException($"{checkpoint.Path} does not hold the head of {Architecture.Name}: {string.Join(", ", head)} are missing"
                + (configuration.Architectures.Count > 0 ? $"; its config.json says {configuration.Architectures[0]}" : ""));
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Folder}: {Count} tensors have no place in {Name} and are not used: {Names}")]
    private static partial void LogUnused(ILogger logger, string folder, int count, string name, string names);

    private void Dispose()
    {
        foreach (NamedParameter parameter in Root.Loaded)
            parameter.Tensor.Dispose();
        foreach (IDisposable owned in Root.Owned)
            owned.Dispose();
    }
}
