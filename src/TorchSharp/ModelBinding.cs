using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// The parameters of a module and the models over their memory: one whose passes can be differentiated, and one with packed weights for evaluation.
/// Both are made anew where the parameters are replaced, and the second where one was written to.
/// </summary>
internal sealed class ModelBinding<TModel> : IDisposable where TModel : class, IDisposable
{
    private readonly Lock _lock = new();
    private readonly ParameterTree _tree;
    private readonly LoadOptions _options;
    private readonly Over _over;
    private BoundModel<TModel> _bound;
    private PackedModel? _packed;

    /// <summary>Registers a model's parameters below a module.</summary>
    /// <param name="root">The module.</param>
    /// <param name="model">Loaded to be trained; it is disposed with this.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="options">As the caller gave them.</param>
    /// <param name="over">Makes a model like another over tensors by name.</param>
    public ModelBinding(torch.nn.Module root, TModel model, IReadOnlyList<NamedParameter> parameters, LoadOptions options, Over over)
    {
        (_options, _over) = (options, over);
        _tree = new ParameterTree(root, parameters);
        _bound = new BoundModel<TModel>(model, parameters.Select(p => p.Tensor), _tree.Current());
    }

    /// <summary>Makes a model like another over tensors.</summary>
    public delegate TModel Over(TModel like, IReadOnlyDictionary<string, Tensor> tensors, LoadOptions options);

    /// <summary>The model whose passes can be differentiated.</summary>
    public TModel Model => _bound.Model;

    /// <summary>Runs the module: differentiably where gradients are on and a parameter or an input requires one.</summary>
    /// <param name="module">The module.</param>
    /// <param name="recompute">Whether layers run again in the backward pass.</param>
    /// <param name="inputs">Inputs that require gradients, as TorchSharp and as the model knows them.</param>
    /// <param name="run">The forward pass; its outputs join the current scope.</param>
    /// <exception cref="InputException">A parameter is disposed, or not of the dtype and on the device of the others.</exception>
    public Dictionary<string, TorchTensor> Run(torch.nn.Module module, bool recompute, IEnumerable<(TorchTensor Argument, Tensor Leaf)> inputs,
        Func<TModel, IReadOnlyDictionary<string, Tensor>> run)
    {
        TorchTensor[] parameters = _tree.Current();
        if (torch.is_grad_enabled())
        {
            BoundModel<TModel> bound = Bound(parameters);
            List<(TorchTensor Argument, Tensor Leaf)> by = [.. parameters.Zip(bound.Tensors).Where(p => p.First.requires_grad), .. inputs];
            if (by.Count > 0)
            {
                return ModulePass.Run(module.GetName(), [.. by.Select(p => p.Argument)], [.. by.Select(p => p.Leaf)], recompute,
                    () => run(bound.Model));
            }
        }
        TModel model = module.training || !_options.PackWeights || parameters[0].device_type != global::TorchSharp.DeviceType.CPU
            ? Bound(parameters).Model : Packed(parameters);
        return run(model).ToDictionary(output => output.Key, output => output.Value.ToTorchSharp());
    }

    /// <summary>Forgets the packed weights, as after a change that no parameter shows.</summary>
    public void Repack()
    {
        lock (_lock)
        {
            _packed?.Dispose();
            _packed = null;
        }
    }

    /// <summary>Frees the models; the memory of the parameters lives as long as they do.</summary>
    public void Dispose()
    {
        Repack();
        _bound.Dispose();
    }

    private BoundModel<TModel> Bound(TorchTensor[] parameters)
    {
        lock (_lock)
        {
            if (_bound.IsOver(parameters))
                return _bound;
            BoundModel<TModel> made = BoundModel<TModel>.Over(_tree.Names, parameters,
                tensors => _over(_bound.Model, tensors, _options with { Trainable = true, PackWeights = false }));
            _bound.Dispose();
            return _bound = made;
        }
    }

    private TModel Packed(TorchTensor[] parameters)
    {
        lock (_lock)
        {
            if (_packed?.IsCurrent(parameters) == true)
                return _packed.Model;
            Repack();
            _packed = new PackedModel(BoundModel<TModel>.Over(_tree.Names, parameters,
                tensors => _over(_bound.Model, tensors, _options with { Trainable = false })), parameters);
            return _packed.Model;
        }
    }

    /// <summary>A model with packed weights, for as long as no parameter is written to.</summary>
    private sealed class PackedModel(BoundModel<TModel> model, TorchTensor[] parameters) : IDisposable
    {
        private readonly ParameterWatch _watch = new(parameters);

        public TModel Model => model.Model;

        public bool IsCurrent(TorchTensor[] now) => model.IsOver(now) && _watch.IsCurrent();

        public void Dispose()
        {
            _watch.Dispose();
            model.Dispose();
        }
    }
}
