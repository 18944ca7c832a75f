using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The base of every Longformer class: the body, and the passage from checked inputs to outputs.</summary>
/// <typeparam name="TOutputs">The outputs of the class.</typeparam>
public abstract class LongformerPretrained<TOutputs> : PretrainedModel
    where TOutputs : LongformerOutputs
{
    private readonly GlobalRule _globalRule;

    /// <summary>Takes the body.</summary>
    /// <param name="loader">The checkpoint.</param>
    /// <param name="globalRule">Which tokens are global where the caller does not say.</param>
    private protected LongformerPretrained(LongformerLoader loader, GlobalRule globalRule)
        : base(loader)
    {
        Configuration = loader.Configuration;
        Body = new LongformerBody(loader);
        _globalRule = globalRule;
    }

    /// <inheritdoc/>
    public sealed override LongformerConfiguration Configuration { get; }

    /// <summary>Embeddings and encoder layers.</summary>
    private protected LongformerBody Body { get; }

    /// <summary>Runs the model. The outputs join the caller's <see cref="TensorScope"/>; everything in between is freed on return.</summary>
    /// <param name="inputs">The arguments.</param>
    /// <param name="cancellation">Looked at before every layer; a pass that is cancelled frees everything that it made.</param>
    /// <exception cref="InputException">The shape or a value of an argument is wrong: the message names it, with expected and given.</exception>
    /// <exception cref="OperationCanceledException">The pass was cancelled.</exception>
    public TOutputs Forward(LongformerInputs inputs, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using TensorScope scope = new();
        SequenceBatch batch = InputReader.Read(inputs, Configuration.Limits, _globalRule, Device, DType);
        if (inputs.OutputAttentions
            && (batch.IsPacked || Configuration.AttentionMode is AttentionMode.FullAttention or AttentionMode.SlidingChunksNoOverlap))
        {
            throw new InputException("OutputAttentions", "a padded batch and a window attention mode",
                batch.IsPacked ? "a packed batch" : $"attention mode {Configuration.AttentionMode}");
        }
        Dropout dropout = new(inputs.DropoutSeed, Configuration.HiddenDropoutProb, Configuration.AttentionProbsDropoutProb);
        using AttentionTrace? trace = inputs.OutputAttentions ? new AttentionTrace() : null;
        List<Tensor>? states = inputs.OutputHiddenStates ? [] : null;
        if (GradientTape.Current is { RecomputesLayers: true } tape)
            tape.Hold(batch.ReadByLayers);
        Tensor hidden = Body.Forward(batch, dropout, states, trace, cancellation);
        LongformerOutputs head = Compute(inputs, batch, hidden, dropout);
        TOutputs outputs = (TOutputs)(head with
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
        IReadOnlyDictionary<string, Tensor> inputs, bool outputHiddenStates = false, bool outputAttentions = false,
        CancellationToken cancellation = default) =>
        Forward(LongformerInputs.FromNames(inputs) with
        {
            OutputHiddenStates = outputHiddenStates,
            OutputAttentions = outputAttentions,
        }, cancellation).ToDictionary();

    private protected sealed override (Tensor? Loss,
        IReadOnlyList<(string Name, Tensor Words)> Words) LossOf(IReadOnlyDictionary<string, Tensor> inputs, GradientTape tape)
    {
        LongformerInputs named = LongformerInputs.FromNames(inputs);
        if (named.InputIds is null)
            return (Forward(named).ToDictionary().GetValueOrDefault("loss"), []);
        Tensor words = WordEmbeddings(named.InputIds.To(Device));
        tape.Watch(words);
        return (Forward(named with { WordVectors = words }).ToDictionary().GetValueOrDefault("loss"), [("grad_input_embeds", words)]);
    }

    /// <summary>The word embeddings [..., C] of ids [...], to be given as <see cref="ModelInputs.InputsEmbeds"/>.</summary>
    public Tensor WordEmbeddings(Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return Body.Embeddings.Words(ids);
    }

    /// <inheritdoc/>
    public sealed override void Save(string folder) => WriteFolder(folder, (Configuration with
    {
        Architectures = [Architecture],
        IsInt8 = IsInt8,
        // HF gives its question answering head as many outputs as there are labels; it has two, start and end.
        Id2Label = Architecture == nameof(LongformerForQuestionAnswering) && Configuration.NumLabels != 2
            ? ModelConfiguration.GenericLabels(2)
            : Configuration.Id2Label,
    }).ToJson());

    /// <summary>Computes the outputs of the class from the last hidden states, [N, C].</summary>
    private protected abstract TOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout);
}
