using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// A loaded model of any class. It is immutable: any number of threads may run it at once, and <see cref="IDisposable.Dispose"/> frees its weights
/// when all of them are done.
/// </summary>
public abstract class PretrainedModel : IDisposable
{
    private readonly ParameterLoader _parameters;

    /// <summary>Makes a model; the constructors of the classes take what they need out of the loader afterwards.</summary>
    private protected PretrainedModel(ModelLoader loader)
    {
        Architecture = loader.Architecture.Name;
        Options = loader.Options;
        _parameters = loader.Root;
    }

    /// <summary>The class name of HF, for example <c>LongformerForQuestionAnswering</c>.</summary>
    public string Architecture { get; }

    /// <summary>The configuration of the checkpoint.</summary>
    public abstract ModelConfiguration Configuration { get; }

    /// <summary>The options that it was loaded with.</summary>
    public LoadOptions Options { get; }

    /// <summary>Tensors of the checkpoint without a place in the model: of a loss, of another head, of a criterion. They change
    /// nothing.</summary>
    public IReadOnlyList<string> UnusedTensors { get; internal set; } = [];

    /// <summary>Dtype of the weights and the hidden states; of a model of eight bits that of everything but the products' weights.</summary>
    public DType DType => _parameters.DType;

    /// <summary>Whether the weights of the layers' products have eight bits: loaded with <see cref="DType.Int8"/>, or stored so.</summary>
    public bool IsInt8 => _parameters.IsInt8;

    /// <summary>Where the weights live.</summary>
    public Device Device => Options.Device;

    /// <summary>
    /// The parameters under their HF names, in the order of the computation, each tied one once. The tensors belong to the model
    /// and are not to be changed, unless it was loaded with <see cref="LoadOptions.Trainable"/>: the layers may compute with a packed copy.
    /// </summary>
    public IReadOnlyList<NamedParameter> NamedParameters => _parameters.Loaded;

    /// <summary>Loads the class that <c>architectures[0]</c> of the folder's <c>config.json</c> names (without one: the class that the weights
    /// fit).</summary>
    /// <exception cref="CheckpointException">The folder is no checkpoint, its architecture is not served, or configuration or weights do not
    /// fit.</exception>
    public static PretrainedModel Load(string folder, LoadOptions? options = null)
    {
        string described = options?.BaseFolder is { } given ? Checkpoint.FolderOf(folder, given) : folder;
        ModelConfiguration configuration = Models.Architecture.ReadConfiguration(described);
        return ModelLoader.Load(Models.Architecture.In(described, configuration), folder, configuration, options);
    }

    /// <summary>
    /// Runs the model on tensors under HF's argument names and returns its outputs under HF's output names
    /// (<c>last_hidden_state</c>, <c>logits</c>, <c>hidden_states.0</c>...). The outputs join the caller's scope.
    /// </summary>
    /// <param name="inputs">The arguments.</param>
    /// <param name="outputHiddenStates">Whether to return the hidden states before the first layer and after every layer.</param>
    /// <param name="outputAttentions">Whether to return the attention probabilities.</param>
    /// <param name="cancellation">Looked at before every layer; a pass that is cancelled frees everything that it made.</param>
    /// <exception cref="InputException">An argument is unknown or its shape or values are wrong.</exception>
    public abstract IReadOnlyDictionary<string, Tensor> Run(
        IReadOnlyDictionary<string, Tensor> inputs, bool outputHiddenStates = false, bool outputAttentions = false,
        CancellationToken cancellation = default);

    /// <summary>
    /// The loss and its gradients: <c>loss</c>, <c>grad.NAME</c> for every parameter that the loss depends on, and with ids <c>grad_input_embeds</c>,
    /// the gradient with respect to the word embedding of every token (padding_idx included); with the ids of an LED's decoder also
    /// <c>grad_decoder_input_embeds</c>. The outputs join the caller's scope. For gradients that add up over several passes, or of anything but the
    /// loss: a <see cref="GradientTape"/> around the forward pass.
    /// </summary>
    /// <exception cref="InputException">The inputs hold no labels, or are wrong.</exception>
    /// <exception cref="InvalidOperationException">The model was not loaded with <see cref="LoadOptions.Trainable"/>.</exception>
    public IReadOnlyDictionary<string, Tensor> LossAndGradients(IReadOnlyDictionary<string, Tensor> inputs)
    {
        if (!Options.Trainable)
            throw new InvalidOperationException("gradients need a model that was loaded with Trainable = true");
        using TensorScope scope = new();
        using GradientSet gradients = CreateGradients();
        using GradientTape tape = new(gradients);
        (Tensor? loss, IReadOnlyList<(string Name, Tensor Words)> words) = LossOf(inputs, tape);
        tape.Backward(loss ?? throw new InputException("labels", $"the labels of {Architecture}", "none"));
        Dictionary<string, Tensor> results = new() { ["loss"] = loss };
        foreach ((string name, Tensor tensor) in NamedParameters.Where(p => p.IsTrained).Select(p => ("grad." + p.Name, p.Tensor)).Concat(words))
        {
            if (gradients[tensor] is { } gradient)
                results[name] = gradient.Alias();
        }
        scope.Keep(results.Values);
        return results;
    }

    /// <summary>A set for the gradients of all parameters that are trained: none where the model was not loaded with
    /// <see cref="LoadOptions.Trainable"/>.</summary>
    public GradientSet CreateGradients() => new(NamedParameters.Where(p => p.IsTrained).Select(p => p.Tensor));

    /// <summary>The loss, null without labels, and the word vectors of a pass by the names that their gradients get; the tape watches them.</summary>
    private protected abstract (Tensor? Loss, IReadOnlyList<(string Name, Tensor Words)> Words) LossOf(IReadOnlyDictionary<string, Tensor> inputs,
        GradientTape tape);

    /// <summary>
    /// Writes <c>config.json</c> and <c>model.safetensors</c> under HF's names, beside the folder first: a full disk leaves what
    /// was there. Other files of an existing folder, the tokenizer's, stay. A model of eight bits is written in eight bits.
    /// </summary>
    /// <exception cref="CheckpointException">The files cannot be written.</exception>
    public abstract void Save(string folder);

    private protected void WriteFolder(string folder, string configuration)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string path = Path.GetFullPath(folder);
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(path)) ?? path);
            using StagedFolder staged = new(path);
            ShardedWriter.Write(staged.Path, NamedParameters.Select(p => TensorSource.From(p.Name, p.Tensor)));
            File.WriteAllText(Path.Combine(staged.Path, "config.json"), configuration);
            staged.Commit();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{folder}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        foreach (NamedParameter parameter in NamedParameters)
            parameter.Tensor.Dispose();
        foreach (IDisposable part in _parameters.Owned)
            part.Dispose();
        GC.SuppressFinalize(this);
    }
}
