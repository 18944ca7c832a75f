// Embeddings, answers and summaries of long documents over HTTP.
//   dotnet run -- --Embeddings:Folder=longformer-base-4096 --Answers:Folder=longformer-triviaqa --Summaries:Folder=led-large-16384-arxiv
// POST /embed {"texts": [...]}, POST /answer {"question": ..., "document": ..., "top": 3}, POST /summarize {"document": ...} (server-sent events),
// GET /health. Each section of the configuration takes every option of LongformerOptions, such as Device or DType.
using LongformerInterop.Extensions;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.Extensions.AI;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.Services.AddLongformerEmbeddings(builder.Configuration.GetSection("Embeddings"));
builder.Services.AddLongformerAnswers(builder.Configuration.GetSection("Answers"));
builder.Services.AddLongformerSummaries(builder.Configuration.GetSection("Summaries"));
WebApplication app = builder.Build();

// A client's mistake is a 400 with the reason: an empty text, one that is too long.
app.UseExceptionHandler(errors => errors.Run(async context =>
{
    Exception? error = context.Features.Get<IExceptionHandlerFeature>()?.Error;
    context.Response.StatusCode = error is InputException ? StatusCodes.Status400BadRequest : StatusCodes.Status500InternalServerError;
    await context.Response.WriteAsJsonAsync(new { error = error is LongformerException ? error.Message : "the server failed" });
}));

app.MapPost("/embed", async (EmbedRequest request, IEmbeddingGenerator<string, Embedding<float>> generator, CancellationToken cancellation) =>
{
    GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync(request.Texts, cancellationToken: cancellation);
    return new { vectors = embeddings.Select(e => e.Vector), tokens = embeddings.Usage?.InputTokenCount };
});

app.MapPost("/answer", async (AnswerRequest request, LongformerService<QuestionAnswerer> service, CancellationToken cancellation) =>
    await service.RunAsync((task, stop) => task.Answer(request.Question, request.Document, request.Top, cancellation: stop), cancellation));

app.MapPost("/summarize", (SummarizeRequest request, LongformerService<Summarizer> service, CancellationToken cancellation) =>
{
    GenerationOptions generation = new() { Beams = request.Beams, MaxTokens = request.MaxTokens };
    return TypedResults.ServerSentEvents(service.StreamAsync(
        (task, stop) => task.SummarizeAsync(request.Document, generation, service.CallOptions, stop), cancellation));
});

app.MapHealthChecks("/health");
app.Run();

internal sealed record EmbedRequest(string[] Texts);

internal sealed record AnswerRequest(string Question, string Document, int Top = 1);

internal sealed record SummarizeRequest(string Document, int Beams = 1, int? MaxTokens = null);
