using LongformerInterop.Checkpoints;
using LongformerInterop.Models.CharacterLm;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// The paper's character language model: Transformer-XL without memory (relative positions by sinusoids, tied embeddings times sqrt(C), pre- or
/// post-LayerNorm) with causal windows that may differ from layer to layer and dilation for each head. Parameters have the names of transformer-xl's
/// state dict. Immutable, and for any number of threads at once, unless it was loaded to be trained.
/// </summary>
public sealed class CharacterLanguageModel : IDisposable
{
    private readonly ParameterLoader _parameters;
    private readonly CharacterLayer[] _layers;
    private readonly PlainLinear _decoder;
    private readonly Tensor _table;
    private LayerPattern[] _patterns;

    private CharacterLanguageModel(ParameterLoader root, CharacterLanguageModelConfiguration configuration, LoadOptions options)
    {
        (_parameters, Configuration, Options) = (root, configuration, options);
        CharacterLanguageModelConfiguration c = configuration;
        _table = root.Get("word_emb.emb_layers.0.weight", c.VocabularySize, c.HiddenSize);
        (Tensor, Tensor)? biases = c.UntieBiases ? null : (root.Get("r_w_bias", c.Heads, c.HeadSize), root.Get("r_r_bias", c.Heads, c.HeadSize));
        _layers = [.. Enumerable.Range(0, c.Layers).Select(i => new CharacterLayer(root / $"layers.{i}", biases, c, i, options))];
        Tensor output = c.TieWeights ? _table : root.Get("crit.out_layers.0.weight", c.VocabularySize, c.HiddenSize);
        _decoder = new PlainLinear(output, root.Get("crit.out_layers.0.bias", c.VocabularySize), packs: false);
        _patterns = PatternsOf(c);
    }

    /// <summary>Sizes and windows. Those of a trainable model change with <see cref="SetWindows"/>.</summary>
    public CharacterLanguageModelConfiguration Configuration { get; private set; }

    /// <summary>The options that it was loaded with.</summary>
    public LoadOptions Options { get; }

    /// <summary>Tensors of the folder without a place in the model.</summary>
    public IReadOnlyList<string> UnusedTensors { get; private set; } = [];

    /// <summary>Dtype of the weights and the hidden states.</summary>
    public DType DType => _parameters.DType;

    /// <summary>Where the weights live.</summary>
    public Device Device => Options.Device;

    /// <summary>The parameters under transformer-xl's names, a tied one once. They belong to the model.</summary>
    public IReadOnlyList<NamedParameter> NamedParameters => _parameters.Loaded;

    internal IReadOnlyList<CharacterLayer> LayersInOrder => _layers;

    internal IReadOnlyList<LayerPattern> Patterns => _patterns;

    /// <summary>Loads a folder with <c>config.json</c> and the weights, in safetensors or as PyTorch's state dict.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit; everything is listed.</exception>
    public static CharacterLanguageModel Load(string folder, LoadOptions? options = null)
    {
        LoadOptions used = options ?? new LoadOptions();
        used.Prepare();
        CharacterLanguageModelConfiguration configuration = CharacterLanguageModelConfiguration.Load(folder);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        ParameterSource source = ParameterSource.From(checkpoint, nameof(CharacterLanguageModel));
        Tie(source, configuration);
        if (used.DType == DType.Int8)
            throw new InputException("DType", "Float32, BFloat16 or Float16 for a character model", "Int8");
        DType stored = source.TypeOf("word_emb.emb_layers.0.weight") ?? DType.Float32;
        ParameterLoader root = new(source, used, used.DType ?? (stored == DType.Float16 && used.Device == Device.Cpu ? DType.Float32 : stored));
        try
        {
            CharacterLanguageModel model = new(root, configuration, used);
            model.UnusedTensors = source.Finish("pos_emb.inv_freq", "*.pos_emb.inv_freq");
            return model;
        }
        catch (Exception e)
        {
            foreach (NamedParameter parameter in root.Loaded)
                parameter.Tensor.Dispose();
            if (e is DeviceException { IsOutOfMemory: true } full)
                throw root.TooLarge(checkpoint, full);
            throw;
        }
    }

    /// <summary>
    /// A model over tensors that are there already: nothing is copied, and whoever changes one changes the model. The tensors become the model's,
    /// which disposes them; where this throws, they stay the caller's.
    /// </summary>
    /// <param name="configuration">The sizes and windows.</param>
    /// <param name="tensors">Under transformer-xl's names, a tied one once, all of one dtype and on one device.</param>
    /// <param name="options">How; device and dtype are the tensors'.</param>
    /// <exception cref="CheckpointException">One is missing, is of another shape, or belongs nowhere; everything is listed.</exception>
    internal static CharacterLanguageModel Over(CharacterLanguageModelConfiguration configuration, IReadOnlyDictionary<string, Tensor> tensors,
        LoadOptions options)
    {
        GivenTensors given = new(tensors, nameof(CharacterLanguageModel));
        ParameterSource source = ParameterSource.From(given);
        Tie(source, configuration);
        LoadOptions used = options with { Device = given.Device, DType = given.DType };
        CharacterLanguageModel model = new(new ParameterLoader(source, used, given.DType), configuration, used);
        source.Finish();
        return model;
    }

    /// <summary>Names and shapes of the parameters that a configuration means.</summary>
    public static IReadOnlyList<ParameterShape> ParametersOf(CharacterLanguageModelConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        configuration.Check();
        using TensorScope scope = new();
        LoadOptions options = new() { PackWeights = false };
        using CharacterLanguageModel model = new(new ParameterLoader(ParameterSource.Dry(_ => true), options, DType.Float32), configuration, options);
        return [.. model.NamedParameters.Select(p => new ParameterShape(p.Name, p.Tensor.Shape))];
    }

    /// <summary>Gives a trainable model other windows and dilations, as of the next phase of its training; they are saved with it.</summary>
    /// <param name="window">For each layer; null: all earlier characters.</param>
    /// <param name="dilation">For each layer and head; null: 1.</param>
    /// <exception cref="InvalidOperationException">The model was not loaded to be trained: others may be running it.</exception>
    /// <exception cref="CheckpointException">They do not fit the layers and heads.</exception>
    public void SetWindows(IReadOnlyList<int>? window, IReadOnlyList<IReadOnlyList<int>>? dilation)
    {
        if (!Options.Trainable)
            throw new InvalidOperationException("windows change only in a model that was loaded with Trainable = true");
        CharacterLanguageModelConfiguration changed = Configuration with { Window = window, Dilation = dilation };
        changed.Check();
        (Configuration, _patterns) = (changed, PatternsOf(changed));
    }

    /// <summary>The hidden states behind the last layer of sequences of one length; nothing is remembered between them.</summary>
    /// <param name="ids">Integers [B, T], each 0 .. vocabulary - 1.</param>
    /// <param name="seed">Of the dropouts of a training pass; null: nothing is dropped.</param>
    /// <param name="states">Gets the hidden states [B, T, C] before the first layer and behind each; they join the current scope.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <returns>[B, T, C].</returns>
    /// <exception cref="InputException">The ids have another shape, or one is no symbol.</exception>
    public Tensor Forward(Tensor ids, long? seed = null, ICollection<Tensor>? states = null, CancellationToken cancellation = default)
    {
        long[] values = CheckedIds(ids, "ids");
        (long sequences, long length) = (ids.Size(0), ids.Size(1));
        CharacterLanguageModelConfiguration c = Configuration;
        Dropout dropout = new(seed, c.Dropout, c.AttentionDropout);
        using TensorScope scope = new();
        Tensor hidden = Embed(values, dropout);
        long rows = _patterns.Max(pattern => pattern.TableRows(length));
        Tensor distances = dropout.Apply(DistanceEmbedding.Of(rows, c.HiddenSize, c.ClampLength, DType, Device), -1, 1);
        GradientTape.Current?.Hold(distances);
        Tensor? held = null;
        for (int i = 0; i < _layers.Length; i++)
        {
            CancelPoll.ThrowIfStopped(cancellation, often: true);
            states?.Add(Kept(scope, hidden, sequences, length));
            (CharacterLayer layer, LayerPattern pattern) = (_layers[i], _patterns[i]);
            Tensor next = GradientTape.Layer([hidden], inputs => layer.Forward(inputs[0], distances, pattern, sequences, dropout));
            held?.Dispose();
            held = hidden = next;
        }
        states?.Add(Kept(scope, hidden, sequences, length));
        Tensor last = dropout.Apply(hidden, _layers.Length, 0);
        return scope.Keep(Differentiable.Reshape(last, sequences, length, c.HiddenSize));
    }

    /// <summary>The scores of every symbol, [..., V] of hidden states [..., C].</summary>
    public Tensor Logits(Tensor hidden) => _decoder.Forward(hidden);

    /// <summary>
    /// The negative log-likelihood of the character after each position, in nats: the sum where a gradient is recorded or
    /// <paramref name="seed"/> is given, computed in blocks so that no logits of a whole sequence exist.
    /// </summary>
    /// <param name="ids">Integers [B, T].</param>
    /// <param name="targets">Integers [B, T]: the character after each.</param>
    /// <param name="seed">Of the dropouts of a training pass; null: nothing is dropped.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <returns>A number: the sum over all positions.</returns>
    /// <exception cref="InputException">Ids or targets have another shape, or one is no symbol.</exception>
    public Tensor LossSum(Tensor ids, Tensor targets, long? seed = null, CancellationToken cancellation = default)
    {
        long[] labels = CheckedTargets(ids, targets);
        using TensorScope scope = new();
        return scope.Keep(LossSum(Forward(ids, seed, null, cancellation), labels));
    }

    /// <summary>The hidden states [B, T, C] with the mean of the losses in nats, both differentiable.</summary>
    internal (Tensor Hidden, Tensor Loss) ForwardWithLoss(Tensor ids, Tensor targets, long? seed, ICollection<Tensor>? states)
    {
        long[] labels = CheckedTargets(ids, targets);
        using TensorScope scope = new();
        Tensor hidden = Forward(ids, seed, states);
        scope.Keep(states ?? []);
        return (scope.Keep(hidden), scope.Keep(Differentiable.Scale(LossSum(hidden, labels), 1.0 / labels.Length)));
    }

    /// <summary>The negative log-likelihood of the character after each position, in nats, each by itself: Float32 [B, T] (Float64 for a Float64
    /// model).</summary>
    /// <param name="ids">Integers [B, T].</param>
    /// <param name="targets">Integers [B, T]: the character after each.</param>
    /// <exception cref="InputException">Ids or targets have another shape, or one is no symbol.</exception>
    public Tensor NegativeLogLikelihood(Tensor ids, Tensor targets)
    {
        long[] labels = CheckedTargets(ids, targets);
        using TensorScope scope = new();
        return scope.Keep(NegativeLogLikelihood(Forward(ids).Reshape(labels.Length, Configuration.HiddenSize), labels).Reshape(ids.Shape));
    }

    /// <summary>The same of hidden states behind the last layer [N, C] and the N characters after them: [N].</summary>
    /// <exception cref="InputException">They are not as many, or one is no symbol.</exception>
    public Tensor LossesOf(Tensor hidden, ReadOnlySpan<int> targets)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        if (hidden.Rank != 2 || hidden.Size(0) != targets.Length)
            throw new InputException("targets", $"one for each of {InputReader.Show(hidden.Shape)} hidden states", $"{targets.Length}");
        long[] labels = new long[targets.Length];
        for (int i = 0; i < labels.Length; i++)
        {
            labels[i] = (uint)targets[i] < (uint)Configuration.VocabularySize ? targets[i]
                : throw new InputException("targets", $"symbols 0..{Configuration.VocabularySize - 1}", $"{targets[i]}");
        }
        return NegativeLogLikelihood(hidden, labels);
    }

    /// <summary>The same of hidden states [N, C] and their N targets: [N].</summary>
    internal Tensor NegativeLogLikelihood(Tensor hidden, ReadOnlySpan<long> labels)
    {
        const int rows = 1024;
        using TensorScope scope = new();
        DType wide = DType == DType.Float64 ? DType.Float64 : DType.Float32;
        Tensor losses = Tensor.Empty([labels.Length], wide, Device), targets = HostBuffer.Upload(labels, Device);
        for (int from = 0; from < labels.Length; from += rows)
        {
            using TensorScope block = new();
            int count = Math.Min(rows, labels.Length - from);
            Tensor logits = Logits(hidden.Narrow(0, from, count)).To(wide);
            losses.Narrow(0, from, count).CopyInPlace(Functional.CrossEntropy(logits, targets.Narrow(0, from, count), reduction: Reduction.None));
        }
        return scope.Keep(losses);
    }

    /// <summary>
    /// How well each character of a text is predicted by all before it, as far as the windows reach: one pass over a text of any length, with the
    /// keys and values that a window still needs.
    /// </summary>
    /// <param name="ids">At least two symbols.</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <returns>The negative log-likelihoods in nats of the symbols behind the first: one less than ids.</returns>
    /// <exception cref="InputException">There are fewer than two, or one is no symbol.</exception>
    public double[] Score(ReadOnlySpan<int> ids, CancellationToken cancellation = default)
    {
        const int piece = 4096;
        if (ids.Length < 2)
            throw new InputException("ids", "at least two symbols: the first predicts the second", $"{ids.Length}");
        using CharacterContext context = new(this);
        double[] losses = new double[ids.Length - 1];
        for (int from = 0; from < losses.Length; from += piece)
        {
            using TensorScope scope = new();
            int count = Math.Min(piece, losses.Length - from);
            Tensor hidden = context.Read(ids.Slice(from, count), cancellation);
            LossesOf(hidden, ids.Slice(from + 1, count)).To(Device.Cpu).To(DType.Float64).ToArray<double>().CopyTo(losses, from);
        }
        return losses;
    }

    /// <summary>
    /// Runs the model and names its outputs: <c>last_hidden_state</c> [B, T, C]; with targets <c>losses</c> [B, T] in nats and <c>loss</c>, their
    /// mean. They join the caller's scope.
    /// </summary>
    /// <param name="ids">Integers [B, T].</param>
    /// <param name="targets">Integers [B, T], the character after each; null: no losses.</param>
    /// <param name="outputLogits">Whether to return <c>logits</c> [B, T, V], the scores of every symbol.</param>
    /// <param name="outputHiddenStates">Whether to return <c>hidden_states.0</c> before the first layer, <c>hidden_states.1</c> behind it and so on,
    /// [B, T, C].</param>
    /// <param name="cancellation">Looked at before every layer.</param>
    /// <exception cref="InputException">Ids or targets have another shape, or one is no symbol.</exception>
    public IReadOnlyDictionary<string, Tensor> Run(Tensor ids, Tensor? targets = null, bool outputLogits = false, bool outputHiddenStates = false,
        CancellationToken cancellation = default)
    {
        using TensorScope scope = new();
        long[]? labels = targets is null ? null : CheckedTargets(ids, targets);
        List<Tensor>? states = outputHiddenStates ? [] : null;
        Tensor hidden = Forward(ids, null, states, cancellation);
        Dictionary<string, Tensor> outputs = new() { ["last_hidden_state"] = hidden };
        if (outputLogits)
            outputs["logits"] = Logits(hidden);
        if (labels is not null)
        {
            Tensor losses = NegativeLogLikelihood(hidden.Reshape(labels.Length, Configuration.HiddenSize), labels).Reshape(ids.Shape);
            (outputs["losses"], outputs["loss"]) = (losses, losses.Sum() * (1.0 / labels.Length));
        }
        foreach ((int i, Tensor state) in (states ?? []).Index())
            outputs[$"hidden_states.{i}"] = state;
        scope.Keep(outputs.Values);
        return outputs;
    }

    /// <summary><c>loss</c>, the mean negative log-likelihood in nats, and its gradients, <c>grad.NAME</c> for every parameter. They join the
    /// caller's scope. For anything else: a <see cref="GradientTape"/> around the forward pass.</summary>
    /// <param name="ids">Integers [B, T].</param>
    /// <param name="targets">Integers [B, T], the character after each.</param>
    /// <exception cref="InputException">Ids or targets have another shape, or one is no symbol.</exception>
    /// <exception cref="InvalidOperationException">The model was not loaded with <see cref="LoadOptions.Trainable"/>.</exception>
    public IReadOnlyDictionary<string, Tensor> LossAndGradients(Tensor ids, Tensor targets)
    {
        if (!Options.Trainable)
            throw new InvalidOperationException("gradients need a model that was loaded with Trainable = true");
        using TensorScope scope = new();
        using GradientSet gradients = CreateGradients();
        using GradientTape tape = new(gradients);
        Tensor loss = Differentiable.Scale(LossSum(ids, targets), 1.0 / ids.ElementCount);
        tape.Backward(loss);
        Dictionary<string, Tensor> results = new() { ["loss"] = loss };
        foreach (NamedParameter parameter in NamedParameters.Where(p => p.IsTrained))
        {
            if (gradients[parameter.Tensor] is { } gradient)
                results["grad." + parameter.Name] = gradient.Alias();
        }
        scope.Keep(results.Values);
        return results;
    }

    /// <summary>The hidden states of symbols before the first layer, [N, C].</summary>
    internal Tensor Embed(ReadOnlySpan<long> ids, Dropout dropout)
    {
        using TensorScope scope = new();
        Tensor rows = Differentiable.Embedding(HostBuffer.Upload(ids, Device), _table, -1);
        return scope.Keep(dropout.Apply(Differentiable.Scale(rows, Math.Sqrt(Configuration.HiddenSize)), -1, 0));
    }

    /// <summary>A set for the gradients of all parameters: none where the model was not loaded to be trained.</summary>
    public GradientSet CreateGradients() => new(NamedParameters.Where(p => p.IsTrained).Select(p => p.Tensor));

    /// <summary>Writes <c>config.json</c> and <c>model.safetensors</c>, beside the folder first: a full disk leaves what was there.</summary>
    /// <exception cref="CheckpointException">The files cannot be written.</exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string path = Path.GetFullPath(folder);
        try
        {
            Directory.CreateDirectory(path);
            using StagedFolder staged = new(path);
            ShardedWriter.Write(staged.Path, NamedParameters.Select(p => TensorSource.From(p.Name, p.Tensor)));
            File.WriteAllText(Path.Combine(staged.Path, "config.json"), Configuration.ToJson());
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
        foreach (CharacterLayer layer in _layers)
            layer.Dispose();
        foreach (NamedParameter parameter in NamedParameters)
            parameter.Tensor.Dispose();
    }

    /// <summary>Whether products are to be packed.</summary>
    internal static bool Packs(LoadOptions options, DType dtype) =>
        options is { PackWeights: true, Trainable: false } && options.Device == Device.Cpu && dtype != DType.Float64;

    private static void Tie(ParameterSource source, CharacterLanguageModelConfiguration configuration)
    {
        if (configuration.TieWeights)
            source.Tie("word_emb.emb_layers.0.weight", "crit.out_layers.0.weight");
    }

    private Tensor LossSum(Tensor hidden, long[] labels) => Differentiable.VocabularyLoss(
        Differentiable.Reshape(hidden, labels.Length, Configuration.HiddenSize), _decoder.Weight, _decoder.Bias, HostBuffer.Upload(labels, Device));

    private static LayerPattern[] PatternsOf(CharacterLanguageModelConfiguration c) =>
        [.. Enumerable.Range(0, c.Layers).Select(i => new LayerPattern(c.WindowOf(i), c.DilationOf(i)))];

    private static Tensor Kept(TensorScope scope, Tensor hidden, long sequences, long length) =>
        scope.Keep(hidden.Clone().Reshape(sequences, length, hidden.Size(1)));

    private long[] CheckedTargets(Tensor ids, Tensor targets)
    {
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentNullException.ThrowIfNull(targets);
        if (!targets.Shape.SequenceEqual(ids.Shape))
            throw new InputException("targets", $"shape {InputReader.Show(ids.Shape)}, as the ids", InputReader.Show(targets.Shape));
        return CheckedIds(targets, "targets");
    }

    private long[] CheckedIds(Tensor ids, string name)
    {
        ArgumentNullException.ThrowIfNull(ids);
        if (ids.Rank != 2 || ids.DType is not (DType.Int64 or DType.Int32))
            throw new InputException(name, "int64 [B, T]", $"{ids.DType} {InputReader.Show(ids.Shape)}");
        if (ids.ElementCount == 0)
            throw new InputException(name, "at least one symbol", InputReader.Show(ids.Shape));
        long[] values = HostValues.ToInt64(ids);
        foreach (long value in values)
        {
            if ((ulong)value >= (ulong)Configuration.VocabularySize)
                throw new InputException(name, $"symbols 0..{Configuration.VocabularySize - 1}", $"{value}");
        }
        return values;
    }
}
