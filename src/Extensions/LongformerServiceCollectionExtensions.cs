using LongformerInterop.Extensions;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>
/// Registers checkpoints as services: <see cref="LongformerService{TTask}"/> of a task, for embeddings
/// <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> too, with a health check of the task's name. The options are named after the task and can
/// be bound from configuration or changed with <c>services.Configure</c>.
/// </summary>
public static class LongformerServiceCollectionExtensions
{
    /// <summary>Embeddings of documents.</summary>
    /// <param name="services">The services.</param>
    /// <param name="folder">The checkpoint folder.</param>
    /// <param name="configure">Changes the options.</param>
    public static IServiceCollection AddLongformerEmbeddings(this IServiceCollection services, string folder,
        Action<LongformerEmbeddingOptions>? configure = null) => services.AddEmbeddings(Set(folder, configure));

    /// <summary>Embeddings of documents, with options of a section of the configuration.</summary>
    public static IServiceCollection AddLongformerEmbeddings(this IServiceCollection services, IConfiguration section) =>
        services.AddEmbeddings(Bind<LongformerEmbeddingOptions>(section));

    /// <summary>Answers to questions about documents: <c>LongformerService&lt;QuestionAnswerer&gt;</c>.</summary>
    /// <inheritdoc cref="AddLongformerEmbeddings(IServiceCollection, string, Action{LongformerEmbeddingOptions}?)"/>
    public static IServiceCollection AddLongformerAnswers(this IServiceCollection services, string folder,
        Action<LongformerOptions>? configure = null) =>
        services.AddTask(Set(folder, configure), QuestionAnswerer.Load);

    /// <summary>The same with options of a section of the configuration.</summary>
    public static IServiceCollection AddLongformerAnswers(this IServiceCollection services, IConfiguration section) =>
        services.AddTask(Bind<LongformerOptions>(section), QuestionAnswerer.Load);

    /// <summary>Summaries of documents: <c>LongformerService&lt;Summarizer&gt;</c>.</summary>
    /// <inheritdoc cref="AddLongformerEmbeddings(IServiceCollection, string, Action{LongformerEmbeddingOptions}?)"/>
    public static IServiceCollection AddLongformerSummaries(this IServiceCollection services, string folder,
        Action<LongformerOptions>? configure = null) =>
        services.AddTask(Set(folder, configure), Summarizer.Load);

    /// <summary>The same with options of a section of the configuration.</summary>
    public static IServiceCollection AddLongformerSummaries(this IServiceCollection services, IConfiguration section) =>
        services.AddTask(Bind<LongformerOptions>(section), Summarizer.Load);

    /// <summary>Labels of documents: <c>LongformerService&lt;TextClassifier&gt;</c>.</summary>
    /// <inheritdoc cref="AddLongformerEmbeddings(IServiceCollection, string, Action{LongformerEmbeddingOptions}?)"/>
    public static IServiceCollection AddLongformerClassification(this IServiceCollection services, string folder,
        Action<LongformerOptions>? configure = null) =>
        services.AddTask(Set(folder, configure), TextClassifier.Load);

    /// <summary>The same with options of a section of the configuration.</summary>
    public static IServiceCollection AddLongformerClassification(this IServiceCollection services, IConfiguration section) =>
        services.AddTask(Bind<LongformerOptions>(section), TextClassifier.Load);

    /// <summary>Labels of the words of documents: <c>LongformerService&lt;TokenClassifier&gt;</c>.</summary>
    /// <inheritdoc cref="AddLongformerEmbeddings(IServiceCollection, string, Action{LongformerEmbeddingOptions}?)"/>
    public static IServiceCollection AddLongformerTagging(this IServiceCollection services, string folder,
        Action<LongformerOptions>? configure = null) =>
        services.AddTask(Set(folder, configure), TokenClassifier.Load);

    /// <summary>The same with options of a section of the configuration.</summary>
    public static IServiceCollection AddLongformerTagging(this IServiceCollection services, IConfiguration section) =>
        services.AddTask(Bind<LongformerOptions>(section), TokenClassifier.Load);

    private static IServiceCollection AddEmbeddings(this IServiceCollection services, Action<OptionsBuilder<LongformerEmbeddingOptions>> configure)
    {
        services.AddTask(configure, DocumentEncoder.Load);
        return services.AddSingleton<IEmbeddingGenerator<string, Embedding<float>>, LongformerEmbeddingGenerator>();
    }

    private static IServiceCollection AddTask<TTask, TOptions>(this IServiceCollection services, Action<OptionsBuilder<TOptions>> configure,
        Func<string, LoadOptions?, TTask> load)
        where TTask : TextTask
        where TOptions : LongformerOptions
    {
        ArgumentNullException.ThrowIfNull(services);
        string name = typeof(TTask).Name;
        configure(services.AddOptions<TOptions>(name));
        services.AddSingleton(provider => new LongformerService<TTask>(provider.GetRequiredService<IOptionsMonitor<TOptions>>().Get(name),
            options => load(options.Folder, options.ForLoading()),
            provider.GetService<ILoggerFactory>()?.CreateLogger($"LongformerInterop.{name}") ?? NullLogger.Instance));
        services.AddHealthChecks().Add(new HealthCheckRegistration(name,
            provider => new LongformerHealthCheck<TTask>(provider.GetRequiredService<LongformerService<TTask>>()), null, null));
        return services;
    }

    private static Action<OptionsBuilder<TOptions>> Set<TOptions>(string folder, Action<TOptions>? configure) where TOptions : LongformerOptions
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return builder => builder.Configure(options =>
        {
            options.Folder = folder;
            configure?.Invoke(options);
        });
    }

    private static Action<OptionsBuilder<TOptions>> Bind<TOptions>(IConfiguration section) where TOptions : LongformerOptions
    {
        ArgumentNullException.ThrowIfNull(section);
        return builder => builder.Bind(section);
    }
}
