using Microsoft.Extensions.AI;

namespace LongformerInterop.Tasks;

/// <summary>
/// A <see cref="DocumentEncoder"/> behind the interface that vector stores and retrieval libraries of .NET expect. It does not own
/// the encoder.
/// </summary>
/// <param name="encoder">The encoder.</param>
/// <param name="pooling">One vector per document: <see cref="Pooling.Cls"/> or <see cref="Pooling.Mean"/>; null: the encoder's default.</param>
/// <param name="settings">Options of every call.</param>
public sealed class DocumentEmbeddingGenerator(DocumentEncoder encoder, Pooling? pooling = null, EmbeddingOptions? settings = null)
    : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly Pooling? _pooling = pooling != Pooling.Tokens
        ? pooling
        : throw new ArgumentException("expected one vector per document (Cls or Mean), given Tokens", nameof(pooling));

    /// <summary>Encodes on a thread of the pool.</summary>
    /// <exception cref="ArgumentException">Another number of dimensions is asked for than the model has.</exception>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values,
        EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (options?.Dimensions is { } dimensions && dimensions != encoder.WidthOf(encoder.DefaultPooling))
        {
            throw new ArgumentException($"expected {encoder.WidthOf(encoder.DefaultPooling)} dimensions, those of the model, given {dimensions}",
                nameof(options));
        }
        string[] documents = [.. values];
        return Task.Run(() => Generate(documents, cancellationToken), cancellationToken);
    }

    /// <summary>The encoder, or this, by type.</summary>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType.IsInstanceOfType(this) ? this
            : serviceType.IsInstanceOfType(encoder) ? encoder
            : null;
    }

    /// <summary>Does nothing: the encoder belongs to the caller.</summary>
    public void Dispose()
    {
    }

    private GeneratedEmbeddings<Embedding<float>> Generate(string[] documents, CancellationToken cancellation)
    {
        GeneratedEmbeddings<Embedding<float>> result = [];
        long tokens = 0;
        foreach (DocumentEmbedding embedding in encoder.EncodeEach(documents, _pooling, settings, null, cancellation))
        {
            result.Add(new Embedding<float>(embedding.Values));
            tokens += embedding.Tokens;
        }
        result.Usage = new UsageDetails { InputTokenCount = tokens, TotalTokenCount = tokens };
        return result;
    }
}
