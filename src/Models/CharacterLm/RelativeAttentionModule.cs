using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.CharacterLm;

/// <summary>
/// One attention layer of transformer-xl by itself (<c>RelPartialLearnableMultiHeadAttn</c>), with residual and LayerNorm, over a causal window: to
/// look at, and to compare with other implementations. The folder's <c>config.json</c> has <c>d_model</c>, <c>n_head</c>, <c>d_head</c>,
/// <c>pre_lnorm</c>, <c>window</c> (null: all earlier positions) and <c>dilation</c>, one for each head.
/// </summary>
public sealed class RelativeAttentionModule : IDisposable
{
    private readonly CharacterLanguageModelConfiguration _configuration;
    private readonly ParameterLoader _parameters;
    private readonly RelativeAttention _attention;
    private readonly LoadOptions _options;

    private RelativeAttentionModule(CharacterLanguageModelConfiguration configuration, ParameterLoader parameters, LoadOptions options)
    {
        (_configuration, _parameters, _options) = (configuration, parameters, options);
        _attention = new RelativeAttention(parameters, null, configuration, options);
    }

    /// <summary>Loads a layer.</summary>
    /// <exception cref="CheckpointException">Configuration or weights do not fit.</exception>
    public static RelativeAttentionModule Load(string folder, LoadOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        LoadOptions used = options ?? new LoadOptions();
        used.Prepare();
        CharacterLanguageModelConfiguration configuration = Read(folder);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        ParameterSource source = ParameterSource.From(checkpoint, nameof(RelativeAttentionModule));
        ParameterLoader root = new(source, used, used.DType ?? source.TypeOf("qkv_net.weight") ?? DType.Float32);
        RelativeAttentionModule module = new(configuration, root, used);
        source.Finish();
        return module;
    }

    /// <summary>The layer's output [B, T, C] of hidden states [B, T, C].</summary>
    public Tensor Forward(Tensor hidden)
    {
        ArgumentNullException.ThrowIfNull(hidden);
        if (hidden.Rank != 3 || hidden.Size(2) != _configuration.HiddenSize)
            throw new InputException("hidden", $"[B, T, {_configuration.HiddenSize}]", InputReader.Show(hidden.Shape));
        using TensorScope scope = new();
        Tensor rows = hidden.To(_options.Device).To(_parameters.DType).Reshape(-1, _configuration.HiddenSize);
        LayerPattern pattern = new(_configuration.WindowOf(0), _configuration.DilationOf(0));
        Tensor table = _attention.Table(DistanceEmbedding.Of(pattern.TableRows(hidden.Size(1)), _configuration.HiddenSize, 0, _parameters.DType,
            _options.Device));
        (Tensor query, Tensor key, Tensor value) = _attention.Project(rows);
        Tensor attended = _attention.Attend(query, key, value, table, pattern, hidden.Size(0), 0, 0);
        return scope.Keep(_attention.Close(attended, rows, x => x).Reshape(hidden.Shape));
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        _attention.Dispose();
        foreach (NamedParameter parameter in _parameters.Loaded)
            parameter.Tensor.Dispose();
    }

    private static CharacterLanguageModelConfiguration Read(string folder)
    {
        string path = Path.Combine(folder, "config.json");
        try
        {
            using JsonDocument document = JsonText.Parse(File.ReadAllBytes(path));
            ConfigurationReader json = new(document.RootElement);
            CharacterLanguageModelConfiguration configuration = new()
            {
                VocabularySize = 1, Layers = 1, HiddenSize = json.Integer("d_model", 2), Heads = json.Integer("n_head", 1),
                HeadSize = json.Integer("d_head", 1), PreNorm = json.Boolean("pre_lnorm", false),
                Window = json.IntegerOrList("window"), Dilation = json.IntegerOrList("dilation") is { } dilation ? [dilation] : null,
            };
            ConfigurationReader.ThrowIfAny([.. json.Problems, .. configuration.Problems()], path);
            return configuration;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new CheckpointException($"{path}: cannot be read: {e.Message}", e);
        }
    }
}
