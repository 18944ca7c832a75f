using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>What every Longformer class shares: the body, and the passage from checked inputs to outputs.</summary>
/// <typeparam name="TOutputs">What the class returns.</typeparam>
public abstract class LongformerPretrained<TOutputs> : PretrainedModel
    where TOutputs : LongformerOutputs
{
    private readonly LongformerBody _body;

    private protected LongformerPretrained(string architecture, LongformerLoader loader, LongformerBody body)
        : base(architecture, loader.Options, loader.Root)
    {
        Configuration = loader.Configuration;
        _body = body;
    }

    /// <summary>The configuration of the checkpoint.</summary>
    public LongformerConfiguration Configuration { get; }

    /// <summary>Which tokens are global where the caller does not say.</summary>
    private protected abstract GlobalRule GlobalRule { get; }

    /// <summary>Runs the model. The outputs join the caller's <see cref="TensorScope"/>; everything in between is freed on return.</summary>
    /// <exception cref="InputException">The shape or a value of an argument is wrong: the message names it, with expected and given.</exception>
    public TOutputs Forward(LongformerInputs inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using var scope = new TensorScope();
        SequenceBatch batch = InputReader.Read(inputs, Configuration, GlobalRule, Device, DType);
        if (inputs.OutputAttentions && (batch.IsPacked || Configuration.AttentionMode is AttentionMode.FullAttention or AttentionMode.SlidingChunksNoOverlap))
            throw new InputException(
                "OutputAttentions: expected a padded batch and a window attention mode, "
                + $"given {(batch.IsPacked ? "a packed batch" : $"attention mode {Configuration.AttentionMode}")}");
        var dropout = new Dropout(inputs.DropoutSeed, Configuration.HiddenDropoutProb, Configuration.AttentionProbsDropoutProb);
        using AttentionTrace? trace = inputs.OutputAttentions ? new AttentionTrace() : null;
        List<Tensor>? states = inputs.OutputHiddenStates ? [] : null;
        if (GradientTape.Current is { RecomputesLayers: true } tape) tape.Hold(batch.ReadByLayers);
        Tensor hidden = _body.Forward(batch, dropout, states, trace);
        LongformerOutputs head = Compute(inputs, batch, hidden, dropout);
        var outputs = (TOutputs)(head with
        {
            HiddenStates = states?.ConvertAll(batch.Unflatten),
            Attentions = trace?.Local,
            GlobalAttentions = trace?.Global,
        });
        scope.Keep(outputs.ToDictionary().Values);
        return outputs;
    }

    /// <inheritdoc/>
    public sealed override IReadOnlyDictionary<string, Tensor> Run(
        IReadOnlyDictionary<string, Tensor> inputs, bool outputHiddenStates = false, bool outputAttentions = false, Action? beforeLayer = null) =>
        Forward(LongformerInputs.FromNames(inputs) with
        {
            OutputHiddenStates = outputHiddenStates,
            OutputAttentions = outputAttentions,
            BeforeLayer = beforeLayer,
        }).ToDictionary();

    private protected sealed override (Tensor? Loss, IReadOnlyList<(string Name, Tensor Words)> Words) LossOf(IReadOnlyDictionary<string, Tensor> inputs, GradientTape tape)
    {
        LongformerInputs named = LongformerInputs.FromNames(inputs);
        if (named.InputIds is null) return (Forward(named).ToDictionary().GetValueOrDefault("loss"), []);
        Tensor words = WordEmbeddings(named.InputIds.To(Device));
        tape.Watch(words);
        return (Forward(named with { WordVectors = words }).ToDictionary().GetValueOrDefault("loss"), [("grad_input_embeds", words)]);
    }

    /// <summary>The word embeddings [..., C] of ids [...], to be given as <see cref="LongformerInputs.InputsEmbeds"/>.</summary>
    public Tensor WordEmbeddings(Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return _body.Embeddings.Words(ids);
    }

    /// <inheritdoc/>
    public sealed override void Save(string folder) => WriteFolder(folder, (Configuration with
    {
        Architectures = [Architecture],
        // Hugging Face gives its question answering head as many outputs as there are labels; it has two, start and end.
        Id2Label = Architecture == nameof(LongformerForQuestionAnswering) && Configuration.NumLabels != 2 ? LongformerConfiguration.GenericLabels(2) : Configuration.Id2Label,
    }).ToJson());

    /// <summary>What the class makes of the last hidden states, [N, C].</summary>
    private protected abstract TOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout);
}
