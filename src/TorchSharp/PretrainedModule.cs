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
    private readonly ModelBinding<PretrainedModel> _binding;
    private readonly string _folder;
    private bool _isDisposed;

    internal PretrainedModule(LoadedCheckpoint loaded)
        : base(loaded.Model.Architecture)
    {
        _folder = loaded.Folder;
        _binding = new ModelBinding<PretrainedModel>(this, loaded.Model, loaded.Model.NamedParameters, loaded.Options, Over);
        RegisterComponents();
    }

    /// <summary>HF's class name, for example <c>LongformerForQuestionAnswering</c>.</summary>
    public string Architecture => _binding.Model.Architecture;

    /// <summary>The configuration of the checkpoint.</summary>
    public ModelConfiguration Configuration => _binding.Model.Configuration;

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
        Dictionary<string, TorchTensor> outputs = _binding.Run(this, RecomputeLayers,
            inputs.Named().Where(i => i.Name.EndsWith("inputs_embeds", StringComparison.Ordinal) && i.Tensor is { requires_grad: true })
                .Select(i => (i.Tensor!, named[i.Name])),
            model => Forward(model, inputs, named));
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
            _binding.Dispose();
        }
        base.Dispose(disposing);
    }

    private static LoadOptions Trainable(LoadOptions? options) => (options ?? new()) with { Trainable = true };

    private static PretrainedModel Over(PretrainedModel like, IReadOnlyDictionary<string, Tensor> tensors, LoadOptions options) =>
        ModelLoader.Over(Models.Architecture.Find(like.Architecture, like.Configuration.Family)!, like.Configuration, tensors, options);

    private IReadOnlyDictionary<string, Tensor> Forward(PretrainedModel model, ModuleInputs inputs, Dictionary<string, Tensor> named)
    {
        using IDisposable off = torch.no_grad();
        return ModelCall.Run(model, named, inputs.OutputHiddenStates, inputs.OutputAttentions, training ? ModulePass.DrawSeed() : null);
    }
}

/// <summary>A model that is loaded and can be trained, and where it came from.</summary>
/// <param name="Model">It becomes the module's.</param>
/// <param name="Folder">The checkpoint folder.</param>
/// <param name="Options">As the caller gave them.</param>
internal sealed record LoadedCheckpoint(PretrainedModel Model, string Folder, LoadOptions Options);
