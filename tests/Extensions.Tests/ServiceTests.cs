using LongformerInterop.Tasks;
using LongformerInterop.Tests;
using LongformerInterop.Torch;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;

namespace LongformerInterop.Extensions.Tests;

public class ServiceTests
{
    private static readonly string[] Texts = ["The bridge was closed after a storm.", "Ferries run every hour.", "A third text."];

    private static ServiceProvider Build(Action<IServiceCollection> add)
    {
        ServiceCollection services = new();
        services.AddLogging();
        add(services);
        return services.BuildServiceProvider();
    }

    [Test]
    public async Task Embeddings_are_the_encoders_with_usage_and_metadata()
    {
        await using ServiceProvider provider = Build(s => s.AddLongformerEmbeddings(TinyCheckpoints.Base, o => o.Normalize = true));
        IEmbeddingGenerator<string, Embedding<float>> generator = provider.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();
        using DocumentEncoder encoder = DocumentEncoder.Load(TinyCheckpoints.Base);
        GeneratedEmbeddings<Embedding<float>> made = await generator.GenerateAsync(Texts);
        Assert.That(made.Select(e => e.Vector.ToArray()), Is.EqualTo(encoder.Encode(Texts, options: new EmbeddingOptions { Normalize = true })));
        Assert.That(made.Usage!.InputTokenCount, Is.EqualTo(encoder.CountTokens(Texts).Sum()));
        EmbeddingGeneratorMetadata metadata = generator.GetRequiredService<EmbeddingGeneratorMetadata>();
        Assert.That((metadata.ProviderName, metadata.DefaultModelId, metadata.DefaultModelDimensions),
            Is.EqualTo(("LongformerInterop", "LongformerModel", 32)));
        Assert.That(made[0].ModelId, Is.EqualTo(metadata.DefaultModelId));
        Assert.That(generator.GetService<DocumentEncoder>(), Is.SameAs(provider.GetRequiredService<LongformerService<DocumentEncoder>>().Load()));
        Assert.That(async () => await generator.GenerateAsync(Texts, new() { Dimensions = 31 }),
            Throws.ArgumentException.With.Message.StartsWith("Dimensions: expected 32"));
        Assert.That(async () => await generator.GenerateAsync(Texts, new() { ModelId = "other" }),
            Throws.ArgumentException.With.Message.StartsWith("ModelId: expected LongformerModel"));
        Assert.That(async () => await generator.GenerateAsync(["good", ""]), Throws.TypeOf<InputException>().With.Message.StartsWith("documents[1]"));
    }

    [Test]
    public async Task Options_come_from_configuration_and_each_task_has_its_own()
    {
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["E:Folder"] = TinyCheckpoints.Base, ["E:DType"] = "Float64", ["E:Pooling"] = "Cls", ["E:MaxConcurrency"] = "3",
            ["A:Folder"] = TinyCheckpoints.QuestionAnswering, ["A:PackWeights"] = "false",
        }).Build();
        await using ServiceProvider provider =
            Build(s => s.AddLongformerEmbeddings(configuration.GetSection("E")).AddLongformerAnswers(configuration.GetSection("A")));
        LongformerService<DocumentEncoder> embeddings = provider.GetRequiredService<LongformerService<DocumentEncoder>>();
        LongformerService<QuestionAnswerer> answers = provider.GetRequiredService<LongformerService<QuestionAnswerer>>();
        Assert.That(embeddings.Options, Is.InstanceOf<LongformerEmbeddingOptions>().With.Property("DType").EqualTo(DType.Float64)
            .And.Property("Pooling").EqualTo(Pooling.Cls)
            .And.Property("MaxConcurrency").EqualTo(3));
        Assert.That((answers.Options.Folder, answers.Options.PackWeights, answers.Options.MaxConcurrency),
            Is.EqualTo((TinyCheckpoints.QuestionAnswering, false, 1)));
        using QuestionAnswerer expected = QuestionAnswerer.Load(TinyCheckpoints.QuestionAnswering);
        IReadOnlyList<Answer> found = await answers.RunAsync((task, stop) => task.Answer("What was closed?", Texts[0], 2, cancellation: stop));
        Assert.That(found.Select(a => a.Text), Is.EqualTo(expected.Answer("What was closed?", Texts[0], 2).Select(a => a.Text)));
    }

    [TestCase("", "Folder: expected a checkpoint folder, given none")]
    [TestCase("/nowhere", "Folder: expected a checkpoint folder, given /nowhere, which does not exist")]
    public void A_folder_that_is_not_there_is_told_when_the_service_is_made(string folder, string message)
    {
        IConfiguration configuration = new ConfigurationBuilder()
            .AddInMemoryCollection(new Dictionary<string, string?> { ["Folder"] = folder }).Build();
        using ServiceProvider provider = Build(s => s.AddLongformerClassification(configuration));
        Assert.That(() => provider.GetRequiredService<LongformerService<TextClassifier>>(), Throws.ArgumentException.With.Message.Contains(message));
    }

    [Test]
    public async Task Calls_wait_for_their_turn_and_can_be_cancelled_meanwhile()
    {
        await using ServiceProvider provider = Build(s => s.AddLongformerClassification(TinyCheckpoints.Classifier));
        LongformerService<TextClassifier> service = provider.GetRequiredService<LongformerService<TextClassifier>>();
        using ManualResetEventSlim inside = new(), go = new();
        Task<bool> first = service.RunAsync((_, stop) =>
        {
            inside.Set();
            return go.Wait(TimeSpan.FromMinutes(1), stop);
        });
        inside.Wait();
        using CancellationTokenSource source = new();
        Task<string> second = service.RunAsync((task, stop) => task.Classify(Texts[0], null, stop)[0].Label, source.Token);
        Task<string> third = service.RunAsync((task, stop) => task.Classify(Texts[0], null, stop)[0].Label);
        await source.CancelAsync();
        Assert.That(async () => await second, Throws.InstanceOf<OperationCanceledException>());
        Assert.That(third.IsCompleted, Is.False);
        go.Set();
        Assert.That(await first, Is.True);
        Assert.That(await third, Is.AnyOf("bad", "neutral", "good"));
    }

    [Test]
    public async Task Health_tells_a_loaded_model_and_why_one_cannot_be_loaded()
    {
        string broken = Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "broken")).FullName;
        await using ServiceProvider provider = Build(s => s.AddLongformerEmbeddings(TinyCheckpoints.Base).AddLongformerAnswers(broken));
        HealthReport report = await provider.GetRequiredService<HealthCheckService>().CheckHealthAsync();
        Assert.That(report.Entries["DocumentEncoder"].Status, Is.EqualTo(HealthStatus.Healthy));
        Assert.That(report.Entries["DocumentEncoder"].Data["maxTokens"], Is.EqualTo(TinyCheckpoints.MaxTokens));
        Assert.That(report.Entries["QuestionAnswerer"].Status, Is.EqualTo(HealthStatus.Unhealthy));
        Assert.That(report.Entries["QuestionAnswerer"].Description, Does.Contain("config.json"));
    }

    [Test]
    public async Task Loading_is_logged_and_the_container_frees_the_model()
    {
        Lines lines = new();
        LongformerService<DocumentEncoder> service;
        await using (ServiceProvider provider = Build(s => s.AddLongformerEmbeddings(TinyCheckpoints.Base).AddSingleton<ILoggerProvider>(lines)))
        {
            service = provider.GetRequiredService<LongformerService<DocumentEncoder>>();
            Assert.That(service.IsLoaded, Is.False);
            service.Load();
            Assert.That(service.IsLoaded, Is.True);
        }

        Assert.That(lines.All, Has.Exactly(1).Matches(@"^LongformerInterop.DocumentEncoder: DocumentEncoder of .* loaded on cpu in \d+ ms$"));
        Assert.That(() => service.Load().Encode(Texts), Throws.TypeOf<ObjectDisposedException>());
    }

    private sealed class Lines : ILoggerProvider
    {
        public List<string> All { get; } = [];

        public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

        public void Dispose()
        {
        }

        private sealed class Logger(Lines lines, string category) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
                Func<TState, Exception?, string> formatter)
            {
                lock (lines.All)
                    lines.All.Add($"{category}: {formatter(state, exception)}");
            }
        }
    }
}
