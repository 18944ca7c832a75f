using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// The character language model as a TorchSharp module. Its parameters are TorchSharp's, named as in transformer-xl's state dict
/// (<c>layers.0.dec_attn.qkv_net.weight</c>), and behave as those of <see cref="PretrainedModule"/>: in training mode the dropouts of the
/// configuration are on, seeded by torch's generator; one backward pass for each forward pass, and no gradients of gradients.
/// </summary>
public sealed class CharacterLanguageModule : torch.nn.Module<TorchTensor, TorchTensor?, ModuleOutputs>
{
    private readonly ModelBinding<CharacterLanguageModel> _binding;
    private readonly string _folder;
    private bool _isDisposed;

    private CharacterLanguageModule(CharacterLanguageModel model, string folder, LoadOptions options)
        : base(nameof(CharacterLanguageModel))
    {
        _folder = folder;
        _binding = new ModelBinding<CharacterLanguageModel>(this, model, model.NamedParameters, options,
            (like, tensors, how) => CharacterLanguageModel.Over(like.Configuration, tensors, how));
        RegisterComponents();
    }

    /// <summary>Sizes and windows.</summary>
    public CharacterLanguageModelConfiguration Configuration => _binding.Model.Configuration;

    /// <summary>Whether of every layer only the input is kept: the backward pass runs the layer again.</summary>
    public bool RecomputeLayers { get; set; }

    /// <summary>Whether to return the hidden states before the first layer and after every layer, without gradients.</summary>
    public bool OutputHiddenStates { get; set; }

    /// <summary>Loads a folder with <c>config.json</c> and the weights, in safetensors or as PyTorch's state dict.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">Device, dtype, attention, whether to pack; the parameters can always be trained.</param>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static CharacterLanguageModule Load(string folder, LoadOptions? options = null)
    {
        OneLibtorch.Ensure();
        return new CharacterLanguageModule(CharacterLanguageModel.Load(folder, (options ?? new()) with { Trainable = true }), folder,
            options ?? new());
    }

    /// <summary>Runs the model on sequences of one length; nothing is remembered between them.</summary>
    /// <param name="ids">Integers [B, T], each 0 .. vocabulary - 1. Leave them on the CPU, where they are checked.</param>
    /// <param name="targets">The character after each, [B, T]: with them there is a loss in place of the scores, the mean negative log-likelihood
    /// in nats; null: none.</param>
    /// <returns><c>last_hidden_state</c> [B, T, C] with <c>logits</c> [B, T, V] or <c>loss</c>, in the current dispose scope.</returns>
    /// <exception cref="InputException">An argument is disposed, or its shape, dtype or a value is wrong; the message names it.</exception>
    /// <exception cref="ObjectDisposedException">The module is disposed.</exception>
    public override ModuleOutputs forward(TorchTensor ids, TorchTensor? targets)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ReturnedGradients.Release();
        using DisposeScope outer = torch.NewDisposeScope();
        using TensorScope scope = new();
        Tensor given = TensorExchange.Borrow(ids, "ids");
        Tensor? after = targets is null ? null : TensorExchange.Borrow(targets, "targets");
        Dictionary<string, TorchTensor> outputs = _binding.Run(this, RecomputeLayers, [], model => Forward(model, given, after));
        foreach (TorchTensor tensor in outputs.Values)
            tensor.MoveToOuterDisposeScope();
        return new ModuleOutputs(outputs);
    }

    /// <summary>Runs the model without targets: hidden states and scores.</summary>
    public ModuleOutputs forward(TorchTensor ids) => call(ids, null);

    /// <summary>Gives the model other windows and dilations, as of the next phase of its training; they are saved with it.</summary>
    /// <param name="window">For each layer; null: all earlier characters.</param>
    /// <param name="dilation">For each layer and head; null: 1.</param>
    /// <exception cref="CheckpointException">They do not fit the layers and heads.</exception>
    public void SetWindows(IReadOnlyList<int>? window, IReadOnlyList<IReadOnlyList<int>>? dilation)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        _binding.Model.SetWindows(window, dilation);
        _binding.Repack();
    }

    /// <summary>
    /// Writes <c>config.json</c>, <c>model.safetensors</c> and, where the module's folder has one, <c>vocabulary.json</c>. A full disk leaves what
    /// was there.
    /// </summary>
    /// <exception cref="CheckpointException">The files cannot be written.</exception>
    public void SaveFolder(string folder)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using TensorScope scope = new();
        Dictionary<string, Tensor> tensors = state_dict()
            .ToDictionary(p => p.Key, p => TensorExchange.Borrow(p.Value, p.Key), StringComparer.Ordinal);
        CharacterVocabulary? vocabulary = CharacterVocabulary.In(_folder);
        using CharacterLanguageModel model =
            CharacterLanguageModel.Over(Configuration, tensors, new LoadOptions { Trainable = true, PackWeights = false });
        model.Save(folder);
        vocabulary?.Save(folder);
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

    private Dictionary<string, Tensor> Forward(CharacterLanguageModel model, Tensor ids, Tensor? targets)
    {
        using IDisposable off = torch.no_grad();
        long? seed = training ? ModulePass.DrawSeed() : null;
        List<Tensor>? states = OutputHiddenStates ? [] : null;
        Dictionary<string, Tensor> outputs = [];
        if (targets is null)
        {
            Tensor hidden = model.Forward(ids, seed, states);
            outputs["last_hidden_state"] = hidden;
            (long rows, long width) = (ids.ElementCount, model.Configuration.HiddenSize);
            outputs["logits"] = Differentiable.Reshape(model.Logits(Differentiable.Reshape(hidden, rows, width)), ids.Size(0), ids.Size(1), -1);
        }
        else
        {
            (outputs["last_hidden_state"], outputs["loss"]) = model.ForwardWithLoss(ids, targets, seed, states);
        }

        foreach ((int layer, Tensor state) in (states ?? []).Index())
            outputs[$"hidden_states.{layer}"] = state;
        return outputs;
    }
}
