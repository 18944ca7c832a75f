using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// A Longformer or LED of any class as a TorchSharp module. Its parameters are TorchSharp's, named as HF names them: <c>named_parameters</c>,
/// <c>state_dict</c>, <c>to</c>, <c>train</c>, <c>eval</c>, <c>save</c> and <c>load</c> behave as those of any module, optimizers change them in
/// place, and one with <c>requires_grad = false</c> never changes. To libtorch the whole pass is one differentiable function.
/// <para>
/// In training mode the dropouts of the configuration are on, seeded by torch's generator. Without gradients and in evaluation mode the products are
/// computed with packed weights, made anew when a parameter was written to. A backward pass may run once for every forward pass, and gradients of
/// gradients are not recorded. Several threads may run a module at once where none trains, converts or disposes it.
/// </para>
/// </summary>
public class PretrainedModule : torch.nn.Module<ModuleInputs, ModuleOutputs>
{
    private readonly Lock _lock = new();
    private readonly ParameterTree _tree;
    private readonly LoadOptions _options;
    private readonly string _folder;
    private BoundModel _bound;
    private PackedModel? _packed;
    private bool _isDisposed;

    internal PretrainedModule(LoadedCheckpoint loaded)
        : base(loaded.Model.Architecture)
    {
        (_options, _folder) = (loaded.Options, loaded.Folder);
        _tree = new ParameterTree(this, loaded.Model.NamedParameters);
        _bound = new BoundModel(loaded.Model, _tree.Current());
        RegisterComponents();
    }

    /// <summary>HF's class name, for example <c>LongformerForQuestionAnswering</c>.</summary>
    public string Architecture => _bound.Model.Architecture;

    /// <summary>The configuration of the checkpoint.</summary>
    public ModelConfiguration Configuration => _bound.Model.Configuration;

    /// <summary>
    /// Whether of every layer only the input is kept: the backward pass runs the layer again, which costs about a third more time and leaves
    /// the memory of one layer instead of all.
    /// </summary>
    public bool RecomputeLayers { get; set; }

    /// <summary>Loads the class that the folder's <c>config.json</c> names.</summary>
    /// <param name="folder">A checkpoint folder.</param>
    /// <param name="options">Device, dtype, attention, whether to pack; the parameters can always be trained.</param>
    /// <exception cref="CheckpointException">The folder is no checkpoint, its architecture is not served, or configuration or weights do not
    /// fit.</exception>
    public static PretrainedModule Load(string folder, LoadOptions? options = null)
    {
        OneLibtorch.Ensure();
        return ModuleClasses.Make(new LoadedCheckpoint(PretrainedModel.Load(folder, Trainable(options)), folder, options ?? new()));
    }

    /// <summary>Runs the module on a padded batch; hooks do not run, as with any module's <c>forward</c> (<c>call</c> runs them).</summary>
    /// <param name="inputs">The arguments.</param>
    /// <returns>Tensors in the current dispose scope.</returns>
    /// <exception cref="InputException">An argument is disposed, or its shape, dtype or a value is wrong; the message names it.</exception>
    /// <exception cref="ObjectDisposedException">The module is disposed.</exception>
    public override ModuleOutputs forward(ModuleInputs inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ReturnedGradients.Release();
        using DisposeScope outer = torch.NewDisposeScope();
        using TensorScope scope = new();
        Dictionary<string, Tensor> named = new(StringComparer.Ordinal);
        foreach ((string name, TorchTensor? tensor) in inputs.Named())
        {
            if (tensor is not null)
                named[name] = TensorExchange.Borrow(tensor, name);
        }
        TorchTensor[] parameters = _tree.Current();
        Dictionary<string, TorchTensor> outputs = torch.is_grad_enabled()
            ? Recorded(inputs, named, parameters) ?? Plain(inputs, named, parameters) : Plain(inputs, named, parameters);
        foreach (TorchTensor tensor in outputs.Values)
            tensor.MoveToOuterDisposeScope();
        return new ModuleOutputs(outputs);
    }

    /// <summary>Runs the module on ids [B, T], with masks and labels where they are given.</summary>
    public ModuleOutputs forward(TorchTensor inputIds, TorchTensor? attentionMask = null, TorchTensor? globalAttentionMask = null,
        TorchTensor? labels = null) =>
        call(new ModuleInputs { InputIds = inputIds, AttentionMask = attentionMask, GlobalAttentionMask = globalAttentionMask, Labels = labels });

    /// <summary>
    /// Writes a checkpoint folder as HF writes it: <c>config.json</c>, <c>model.safetensors</c> and, where the module came from a folder, its
    /// tokenizer's files. A full disk leaves what was there.
    /// </summary>
    /// <exception cref="CheckpointException">The files cannot be written.</exception>
    public void SaveFolder(string folder)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        CheckpointFolder.Save(this, Configuration, Architecture, folder, _folder);
    }

    /// <summary>Loads a folder as a class by HF's name.</summary>
    private protected static LoadedCheckpoint LoadAs(string architecture, string folder, LoadOptions? options)
    {
        OneLibtorch.Ensure();
        Architecture known = Models.Architecture.All.First(a => a.Name == architecture);
        return new LoadedCheckpoint(ModelLoader.Load(known, folder, Trainable(options)), folder, options ?? new());
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && !_isDisposed)
        {
            _isDisposed = true;
            _bound.Dispose();
            _packed?.Dispose();
        }
        base.Dispose(disposing);
    }

    private static LoadOptions Trainable(LoadOptions? options) => (options ?? new()) with { Trainable = true };

    /// <summary>A pass with gradients; null where none of its inputs requires one.</summary>
    private Dictionary<string, TorchTensor>? Recorded(ModuleInputs inputs, Dictionary<string, Tensor> named, TorchTensor[] parameters)
    {
        BoundModel bound = Bound(parameters);
        List<(TorchTensor Argument, Tensor Leaf)> by = [];
        for (int i = 0; i < parameters.Length; i++)
        {
            if (parameters[i].requires_grad)
                by.Add((parameters[i], bound.Tensors[i]));
        }
        foreach ((string name, TorchTensor? tensor) in inputs.Named())
        {
            if (name.EndsWith("inputs_embeds", StringComparison.Ordinal) && tensor is { requires_grad: true })
                by.Add((tensor, named[name]));
        }
        if (by.Count == 0)
            return null;
        return ModulePass.Run(Architecture, [.. by.Select(p => p.Argument)], [.. by.Select(p => p.Leaf)], RecomputeLayers,
            () => Forward(bound.Model, inputs, named));
    }

    private Dictionary<string, TorchTensor> Plain(ModuleInputs inputs, Dictionary<string, Tensor> named, TorchTensor[] parameters)
    {
        PretrainedModel model = training || !_options.PackWeights || parameters[0].device_type != global::TorchSharp.DeviceType.CPU
            ? Bound(parameters).Model : Packed(parameters);
        return Forward(model, inputs, named).ToDictionary(output => output.Key, output => output.Value.ToTorchSharp());
    }

    private IReadOnlyDictionary<string, Tensor> Forward(PretrainedModel model, ModuleInputs inputs, Dictionary<string, Tensor> named)
    {
        using IDisposable off = torch.no_grad();
        long? seed = null;
        if (training)
        {
            using TorchTensor drawn = torch.randint(long.MaxValue, 1, dtype: torch.ScalarType.Int64);
            seed = drawn.item<long>();
        }
        return ModelCall.Run(model, named, inputs.OutputHiddenStates, inputs.OutputAttentions, seed);
    }

    private BoundModel Bound(TorchTensor[] parameters)
    {
        lock (_lock)
        {
            if (_bound.IsOver(parameters))
                return _bound;
            BoundModel made = BoundModel.Over(_bound.Model, _tree.Names, parameters, _options with { Trainable = true, PackWeights = false });
            _bound.Dispose();
            return _bound = made;
        }
    }

    private PretrainedModel Packed(TorchTensor[] parameters)
    {
        lock (_lock)
        {
            if (_packed?.IsCurrent(parameters) == true)
                return _packed.Model;
            _packed?.Dispose();
            _packed = null;
            return (_packed = new PackedModel(_bound.Model, _tree.Names, parameters, _options)).Model;
        }
    }

    /// <summary>A model with packed weights, for as long as no parameter is written to.</summary>
    private sealed class PackedModel(PretrainedModel like, IEnumerable<string> names, TorchTensor[] parameters, LoadOptions options) : IDisposable
    {
        private readonly BoundModel _model = BoundModel.Over(like, names, parameters, options with { Trainable = false });
        private readonly ParameterWatch _watch = new(parameters);

        public PretrainedModel Model => _model.Model;

        public bool IsCurrent(TorchTensor[] now) => _model.IsOver(now) && _watch.IsCurrent();

        public void Dispose()
        {
            _watch.Dispose();
            _model.Dispose();
        }
    }
}

/// <summary>A model that is loaded and can be trained, and where it came from.</summary>
/// <param name="Model">It becomes the module's.</param>
/// <param name="Folder">The checkpoint folder.</param>
/// <param name="Options">As the caller gave them.</param>
internal sealed record LoadedCheckpoint(PretrainedModel Model, string Folder, LoadOptions Options);
