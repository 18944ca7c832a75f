using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Models.Led;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The base of every LED class: encoder and decoder, and the passage from checked inputs to outputs.</summary>
/// <typeparam name="TOutputs">The outputs of the class.</typeparam>
public abstract class LedPretrained<TOutputs> : PretrainedModel
    where TOutputs : LedOutputs
{
    private protected LedPretrained(LedLoader loader)
        : base(loader)
    {
        Configuration = loader.Configuration;
        Body = new LedBody(loader);
    }

    /// <inheritdoc/>
    public sealed override LedConfiguration Configuration { get; }

    /// <summary>Encoder, decoder, and the embeddings that they share.</summary>
    private protected LedBody Body { get; }

    /// <summary>Whether labels are tokens, which the decoder is given when it is given nothing else.</summary>
    private protected virtual bool LabelsAreTokens => false;

    /// <summary>Runs the model. The outputs join the caller's <see cref="TensorScope"/>; everything in between is freed on return.</summary>
    /// <param name="inputs">The arguments.</param>
    /// <param name="cancellation">Looked at before every layer of encoder and decoder; a pass that is cancelled frees everything that it
    /// made.</param>
    /// <exception cref="InputException">The shape or a value of an argument is wrong: the message names it, with expected and given.</exception>
    /// <exception cref="OperationCanceledException">The pass was cancelled.</exception>
    public TOutputs Forward(LedInputs inputs, CancellationToken cancellation = default) => Forward(inputs, null, cancellation);

    private TOutputs Forward(LedInputs inputs, WordVectors? sources, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using TensorScope scope = new();
        if (inputs.OutputAttentions && inputs.IsPacked)
            throw new InputException("OutputAttentions", "a padded batch", "a packed batch");
        SequenceBatch batch = InputReader.Read(inputs, Configuration.Limits, GlobalRule.None, Device, DType);
        LedDropout dropout = new(inputs.DropoutSeed, Configuration);
        if (GradientTape.Current is { RecomputesLayers: true } tape)
            tape.Hold(batch.ReadByLayers);
        Tensor? words = sources is null || batch.InputIds is null ? null
            : sources.LookUp("grad_input_embeds", batch.InputIds, Body.Encoder.Words, inputs.IsPacked ? 1 : batch.SequenceCount);
        LedEncoderOutputs encoder = Body.Encoder.Forward(batch, dropout, inputs.OutputHiddenStates, inputs.OutputAttentions, cancellation, words);
        using AttentionTrace? trace = encoder.Trace;
        LedDecoderBatch decoderBatch = LedInputReader.ReadDecoder(inputs, Configuration, batch, encoder.LastHiddenState, LabelsAreTokens);
        words = sources is null || decoderBatch.InputIds is null ? null
            : sources.LookUp("grad_decoder_input_embeds", decoderBatch.InputIds, Body.Decoder.Words, decoderBatch.Rows);
        LedDecoderOutputs decoder =
            Body.Decoder.Forward(decoderBatch, dropout, inputs.OutputHiddenStates, inputs.OutputAttentions, cancellation, words);
        Tensor Decoded(Tensor hidden) => Differentiable.Reshape(hidden, decoderBatch.Rows, decoderBatch.Length, Configuration.DModel);

        TOutputs outputs = Compute(inputs, decoder.LastHiddenState, decoderBatch, batch.Unflatten(encoder.LastHiddenState), dropout) with
        {
            EncoderHiddenStates = encoder.HiddenStates?.Select(batch.Unflatten).ToArray(),
            EncoderAttentions = trace?.Local,
            EncoderGlobalAttentions = trace?.Global,
            DecoderHiddenStates = decoder.HiddenStates?.Select(Decoded).ToArray(),
            DecoderAttentions = InScope(decoder.SelfAttentions),
            CrossAttentions = InScope(decoder.CrossAttentions),
        };
        foreach (Tensor tensor in outputs.ToDictionary().Values)
            scope.Keep(tensor);
        return outputs;

        // The layers kept their probabilities out of every scope, past their own ends.
        static Tensor[]? InScope(IReadOnlyList<Tensor>? kept) => kept?.Select(tensor =>
        {
            using (tensor)
                return tensor.Alias();
        }).ToArray();
    }

    /// <summary>Runs the encoder over a batch of documents, which needs no decoder: once for all that is generated from them, or for its states
    /// alone.</summary>
    /// <param name="inputs">The document's side of the inputs, padded or packed.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <returns>The encoded documents, outside every scope: the caller disposes them.</returns>
    /// <exception cref="InputException">The shape or a value of an argument is wrong.</exception>
    public LedEncodedDocuments Encode(LedInputs inputs, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        using TensorScope scope = new();
        SequenceBatch batch = InputReader.Read(inputs, Configuration.Limits, GlobalRule.None, Device, DType);
        LedEncoderOutputs encoder = Body.Encoder.Forward(batch, new LedDropout(null, Configuration), false, false, cancellation);
        return new LedEncodedDocuments(encoder.LastHiddenState.Keep(), batch.Visible?.Keep(), batch.Layout.HidesTokens, batch.Offsets);
    }

    /// <inheritdoc/>
    public sealed override IReadOnlyDictionary<string, Tensor> Run(
        IReadOnlyDictionary<string, Tensor> inputs, bool outputHiddenStates = false, bool outputAttentions = false,
        CancellationToken cancellation = default) =>
        Forward(LedInputs.FromNames(inputs) with
        {
            OutputHiddenStates = outputHiddenStates,
            OutputAttentions = outputAttentions,
        }, cancellation).ToDictionary();

    private protected sealed override (Tensor? Loss,
        IReadOnlyList<(string Name, Tensor Words)> Words) LossOf(IReadOnlyDictionary<string, Tensor> inputs, GradientTape tape)
    {
        WordVectors words = new(tape, Configuration.PadTokenId);
        Tensor? loss = Forward(LedInputs.FromNames(inputs), words, CancellationToken.None).ToDictionary().GetValueOrDefault("loss");
        return (loss, words.LookedUp);
    }

    /// <summary>
    /// The word embeddings [..., C] of ids [...], to be given as <see cref="ModelInputs.InputsEmbeds"/> or
    /// <see cref="LedInputs.DecoderInputsEmbeds"/>. The padding row gets no gradient.
    /// </summary>
    public Tensor WordEmbeddings(Tensor ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        return Differentiable.Embedding(ids, Body.Encoder.Words, Configuration.PadTokenId);
    }

    /// <inheritdoc/>
    public sealed override void Save(string folder) =>
        WriteFolder(folder, (Configuration with { Architectures = [Architecture], IsInt8 = IsInt8 }).ToJson());

    /// <summary>Computes the outputs of the class from the decoder's last hidden states, [B * S, C].</summary>
    private protected abstract TOutputs Compute(LedInputs inputs, Tensor hidden, LedDecoderBatch batch, Tensor encoderStates, LedDropout dropout);
}

/// <summary>The word vectors that a pass looks up, to take gradients of.</summary>
internal sealed class WordVectors(GradientTape tape, int padding)
{
    private readonly List<(string Name, Tensor Words)> _lookedUp = [];

    /// <summary>The names that their gradients get, and the vectors [B, T, C].</summary>
    public IReadOnlyList<(string Name, Tensor Words)> LookedUp => _lookedUp;

    /// <summary>[N, C] of ids [N], which are those of B sequences.</summary>
    public Tensor LookUp(string name, Tensor ids, Tensor table, long sequences)
    {
        using TensorScope scope = new();
        Tensor words = Differentiable.Reshape(Differentiable.Embedding(ids, table, padding), sequences, -1, table.Size(1));
        tape.Watch(words);
        _lookedUp.Add((name, words));
        return scope.Keep(Differentiable.Reshape(words, ids.ElementCount, table.Size(1)));
    }
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
            if (loader.Body.Has("shared.weight"))
                Table("shared");
            Encoder = new LedEncoder(loader, Table("encoder.embed_tokens"));
            Decoder = new LedDecoder(loader, Table("decoder.embed_tokens"));
        }
    }

    public LedEncoder Encoder { get; }

    public LedDecoder Decoder { get; }

    /// <summary>The table that a tied output shares; null where the output has its own.</summary>
    public Tensor? Output { get; }
}
