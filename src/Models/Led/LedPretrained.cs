using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Layers;
using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>What every LED class shares: encoder and decoder, and the passage from checked inputs to outputs.</summary>
/// <typeparam name="TOutputs">What the class returns.</typeparam>
public abstract class LedPretrained<TOutputs> : PretrainedModel
    where TOutputs : LedOutputs
{
    private protected LedPretrained(string architecture, LedLoader loader, LedBody body)
        : base(architecture, loader.Options, loader.Root)
    {
        Configuration = loader.Configuration;
        Body = body;
    }

    /// <summary>The configuration of the checkpoint.</summary>
    public LedConfiguration Configuration { get; }

    /// <summary>Encoder, decoder, and the embeddings that they share.</summary>
    private protected LedBody Body { get; }

    /// <summary>Whether labels are tokens, which the decoder is given when it is given nothing else.</summary>
    private protected virtual bool LabelsAreTokens => false;

    /// <summary>Runs the model. The outputs join the caller's <see cref="TensorScope"/>; everything in between is freed on return.</summary>
    /// <exception cref="InputException">The shape or a value of an argument is wrong: the message names it, with expected and given.</exception>
    public TOutputs Forward(LedInputs inputs) => Forward(inputs, null);

    private TOutputs Forward(LedInputs inputs, WordVectors? sources)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using var scope = new TensorScope();
        if (inputs.OutputAttentions && inputs.SequenceOffsets is not null)
            throw new InputException("OutputAttentions: expected a padded batch, given a packed batch");
        SequenceBatch batch = LedInputReader.ReadDocuments(inputs, Configuration, Device, DType);
        var dropout = new LedDropout(inputs.DropoutSeed, Configuration);
        if (sources is not null && batch.InputIds is not null) sources.Encoder = scope.Keep(WordEmbeddings(batch.InputIds));
        LedEncoderOutputs encoder = Body.Encoder.Forward(batch, dropout, inputs.OutputHiddenStates, inputs.OutputAttentions, sources?.Encoder);
        using AttentionTrace? trace = encoder.Trace;
        LedDecoderBatch decoderBatch = LedInputReader.ReadDecoder(inputs, Configuration, batch, encoder.LastHiddenState, LabelsAreTokens);
        if (sources is not null && decoderBatch.InputIds is not null) sources.Decoder = scope.Keep(WordEmbeddings(decoderBatch.InputIds));
        LedDecoderOutputs decoder = Body.Decoder.Forward(decoderBatch, dropout, inputs.OutputHiddenStates, inputs.OutputAttentions, sources?.Decoder);
        Tensor Decoded(Tensor hidden) => hidden.View(decoderBatch.Rows, decoderBatch.Length, Configuration.DModel);

        TOutputs outputs = Compute(inputs, decoder.LastHiddenState, decoderBatch, batch.Unflatten(encoder.LastHiddenState), dropout) with
        {
            EncoderHiddenStates = encoder.HiddenStates?.Select(batch.Unflatten).ToArray(),
            EncoderAttentions = trace?.Local,
            EncoderGlobalAttentions = trace?.Global,
            DecoderHiddenStates = decoder.HiddenStates?.Select(Decoded).ToArray(),
            DecoderAttentions = InScope(decoder.SelfAttentions),
            CrossAttentions = InScope(decoder.CrossAttentions),
        };
        foreach (Tensor tensor in outputs.ToDictionary().Values) scope.Keep(tensor);
        return outputs;

        // The layers kept their probabilities out of every scope, past their own ends.
        static Tensor[]? InScope(IReadOnlyList<Tensor>? kept) => kept?.Select(tensor =>
        {
            using (tensor) return tensor.Alias();
        }).ToArray();
    }

    /// <inheritdoc/>
    public sealed override IReadOnlyDictionary<string, Tensor> Run(
        IReadOnlyDictionary<string, Tensor> inputs, bool outputHiddenStates = false, bool outputAttentions = false, Action? beforeLayer = null) =>
        Forward(LedInputs.FromNames(inputs) with
        {
            OutputHiddenStates = outputHiddenStates,
            OutputAttentions = outputAttentions,
            BeforeLayer = beforeLayer,
        }).ToDictionary();

    /// <inheritdoc/>
    /// <remarks>Besides, <c>grad_decoder_input_embeds</c>: the same for the tokens of the decoder.</remarks>
    public sealed override IReadOnlyDictionary<string, Tensor> LossAndGradients(IReadOnlyDictionary<string, Tensor> inputs)
    {
        if (!Options.Trainable)
            throw new InvalidOperationException("gradients need a model that was loaded with Trainable = true");
        using var scope = new TensorScope();
        LedInputs named = LedInputs.FromNames(inputs);
        var words = new WordVectors();
        Tensor loss = Forward(named, words).ToDictionary().GetValueOrDefault("loss")
            ?? throw new InputException($"labels: expected what {Architecture} is trained on, given none");
        List<(string Name, Tensor Tensor)> sources = [.. NamedParameters.Where(p => p.Tensor.RequiresGrad).Select(p => ("grad." + p.Name, p.Tensor))];
        if (words.Encoder is not null) sources.Add(("grad_input_embeds", words.Encoder));
        if (words.Decoder is not null) sources.Add(("grad_decoder_input_embeds", words.Decoder));
        Tensor?[] gradients = loss.Gradients([.. sources.Select(s => s.Tensor)], allowUnused: true);
        var results = new Dictionary<string, Tensor> { ["loss"] = loss };
        for (int i = 0; i < gradients.Length; i++)
        {
            if (gradients[i] is not { } gradient) continue;
            string name = sources[i].Name;
            results[name] = name.StartsWith("grad.", StringComparison.Ordinal) ? gradient
                : gradient.View(SequenceCount(named, gradient.Size(0), name), -1, Configuration.DModel);
        }
        scope.Keep(results.Values);
        return results;
    }

    /// <summary>
    /// The word embeddings [..., C] of ids [...], to be given as <see cref="LedInputs.InputsEmbeds"/> or
    /// <see cref="LedInputs.DecoderInputsEmbeds"/>. The padding row gets no gradient.
    /// </summary>
    public Tensor WordEmbeddings(Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return Functional.Embedding(ids, Body.Encoder.Words, Configuration.PadTokenId);
    }

    /// <inheritdoc/>
    public sealed override void Save(string folder) => WriteFolder(folder, (Configuration with { Architectures = [Architecture] }).ToJson());

    /// <summary>B, by which flat gradients of word vectors get the caller's layout; packed documents stay [1, N, C].</summary>
    private static long SequenceCount(LedInputs inputs, long tokens, string name) =>
        inputs.SequenceOffsets is { } offsets ? (name == "grad_input_embeds" ? 1 : offsets.Count - 1)
            : inputs.InputIds is { } ids && ids.Size(0) > 0 && tokens % ids.Size(0) == 0 ? ids.Size(0) : (inputs.Labels?.Size(0) ?? 1);

    /// <summary>What the class makes of the decoder's last hidden states, [B * S, C].</summary>
    private protected abstract TOutputs Compute(LedInputs inputs, Tensor hidden, LedDecoderBatch batch, Tensor encoderStates, LedDropout dropout);
}

/// <summary>The word vectors that a pass looked up, [N, C] and [B * S, C], to take gradients of.</summary>
internal sealed class WordVectors
{
    public Tensor? Encoder { get; set; }

    public Tensor? Decoder { get; set; }
}

/// <summary>Encoder, decoder, and the embeddings that they share.</summary>
internal sealed class LedBody
{
    public LedBody(LedLoader loader)
    {
        LedConfiguration c = loader.Configuration;
        Tensor Table(string path) => (loader.Body / path).Get("weight", c.VocabSize, c.DModel);
        if (c.TieWordEmbeddings)
        {
            Tensor shared = Table("shared");
            (Encoder, Decoder, Output) = (new LedEncoder(loader, shared), new LedDecoder(loader, shared), shared);
        }
        else
        {
            // HF then keeps a table for each side, and one that nothing reads.
            if (loader.Body.Has("shared.weight")) Table("shared");
            Encoder = new LedEncoder(loader, Table("encoder.embed_tokens"));
            Decoder = new LedDecoder(loader, Table("decoder.embed_tokens"));
        }
    }

    public LedEncoder Encoder { get; }

    public LedDecoder Decoder { get; }

    /// <summary>The table that a tied output shares; null where the output has its own.</summary>
    public Tensor? Output { get; }
}
