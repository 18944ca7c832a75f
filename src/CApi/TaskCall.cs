using LongformerInterop.Tasks;

namespace LongformerInterop.CApi;

/// <summary>One call of a task: its options are read first, then its callbacks go to work.</summary>
internal sealed class TaskCall : IDisposable
{
    private readonly Lease<CallSettings> _settings;
    private CallWatch? _watch;

    public TaskCall(nint options)
    {
        _settings = Handles.UseOptional<CallSettings>(options, "options");
        Reader = new OptionReader(_settings.OrNull) { TakesWatch = true };
    }

    public OptionReader Reader { get; }

    /// <summary>The options that all tasks take.</summary>
    public T Apply<T>(T options) where T : TaskOptions => options with
    {
        Truncate = Reader.Flag("truncate") ?? false,
        Global = Reader.Text("global") is { } global ? GlobalTokens.Parse(global) : GlobalTokens.TaskDefault,
        TokensPerBatch = Reader.Int("tokens_per_batch") is { } tokens
            ? tokens >= 1 ? tokens : throw new Torch.InputException($"tokens_per_batch: expected at least 1, given {tokens}")
            : options.TokensPerBatch,
    };

    /// <summary>All options are read: refuses the others, and asks the cancel callback for the first time.</summary>
    public CallWatch Start(string function)
    {
        Reader.Finish(function);
        return _watch = new CallWatch(_settings.OrNull);
    }

    public void Dispose()
    {
        _watch?.Dispose();
        _settings.Dispose();
    }
}
