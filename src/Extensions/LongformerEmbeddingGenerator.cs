using LongformerInterop.Tasks;
using Microsoft.Extensions.AI;

namespace LongformerInterop.Extensions;

/// <summary>
/// Embeddings of documents of any length behind the interface of Microsoft.Extensions.AI: batches of unequal lengths without padding, cancellation
/// between two layers, the tokens used, and metadata. It does not own the service.
/// </summary>
/// <param name="service">The model.</param>
public sealed class LongformerEmbeddingGenerator(LongformerService<DocumentEncoder> service) : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly LongformerEmbeddingOptions _options = service.Options as LongformerEmbeddingOptions ?? new();

    /// <summary>Encodes in its turn, on a thread of the pool.</summary>
    /// <param name="values">The documents.</param>
    /// <param name="options">Dimensions, where given, must be the model's; a model's name must be that of <see cref="Metadata"/>.</param>
    /// <param name="cancellationToken">Ends the waiting and the call.</param>
    /// <exception cref="ArgumentException">Other dimensions or another model are asked for.</exception>
    /// <exception cref="Torch.InputException">A document is empty or too long; the message names it.</exception>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        string[] documents = [.. values];
        return service.RunAsync((encoder, cancellation) => Generate(encoder, documents, options, cancellation), cancellationToken);
    }

    /// <summary>The model's name (its folder's) and the width of a vector; loads the model.</summary>
    public EmbeddingGeneratorMetadata Metadata
    {
        get
        {
            DocumentEncoder encoder = service.Load();
            return new EmbeddingGeneratorMetadata("LongformerInterop", null, ModelName, encoder.WidthOf(_options.Pooling ?? encoder.DefaultPooling));
        }
    }

    private string ModelName => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(service.Options.Folder)));

    /// <summary>This, the metadata, the service or its encoder, by type.</summary>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType.IsInstanceOfType(this) ? this
            : serviceType == typeof(EmbeddingGeneratorMetadata) ? Metadata
            : serviceType.IsInstanceOfType(service) ? service
            : serviceType == typeof(DocumentEncoder) ? service.Load()
            : null;
    }

    /// <summary>Does nothing: the model belongs to the service.</summary>
    public void Dispose()
    {
    }

    private GeneratedEmbeddings<Embedding<float>> Generate(DocumentEncoder encoder, string[] documents, EmbeddingGenerationOptions? options,
        CancellationToken cancellation)
    {
        int width = encoder.WidthOf(_options.Pooling ?? encoder.DefaultPooling);
        if (options?.Dimensions is { } dimensions && dimensions != width)
            throw new ArgumentException($"Dimensions: expected {width}, those of the model, given {dimensions}", nameof(options));
        if (options?.ModelId is { } model && model != ModelName)
            throw new ArgumentException($"ModelId: expected {ModelName}, given {model}", nameof(options));
        EmbeddingOptions settings = new()
        {
            Normalize = _options.Normalize, Truncate = _options.Truncate, TokensPerBatch = _options.TokensPerBatch, Logger = service.Logger,
        };
        GeneratedEmbeddings<Embedding<float>> result = [];
        long tokens = 0;
        foreach (DocumentEmbedding embedding in encoder.EncodeEach(documents, _options.Pooling, settings, null, cancellation))
        {
            result.Add(new Embedding<float>(embedding.Values) { CreatedAt = DateTimeOffset.UtcNow, ModelId = ModelName });
            tokens += embedding.Tokens;
        }

        result.Usage = new UsageDetails { InputTokenCount = tokens, TotalTokenCount = tokens };
        return result;
    }
}
