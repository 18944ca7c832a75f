using LongformerInterop.Tasks;

namespace LongformerInterop.CApi;

/// <summary>One call of a task: its options are read first, then its callbacks go to work.</summary>
internal sealed class TaskCall : IDisposable
{
    private readonly Lease<CallSettings> _settings;
    private CallContext? _watch;

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
            ? tokens >= 1 ? tokens : throw new Torch.InputException("tokens_per_batch", "at least 1", $"{tokens}")
            : options.TokensPerBatch,
    };

    /// <summary>All options are read: refuses the others, and asks the cancel callback for the first time.</summary>
    public CallContext Start(string function)
    {
        Reader.Finish(function);
        return _watch = new CallContext(_settings.OrNull);
    }

    public void Dispose()
    {
        _watch?.Dispose();
        _settings.Dispose();
    }
}

/// <summary>The use of a task of one class by one call.</summary>
internal readonly struct TaskLease<T> : IDisposable where T : TextTask
{
    private readonly Lease<TaskHandle> _lease;

    /// <exception cref="CallException">The handle is null, was freed, or is of another class.</exception>
    public TaskLease(nint handle, string argument) => _lease = Handles.UseTask<T>(handle, argument);

    /// <summary>The task.</summary>
    public T Task => (T)_lease.Value.Task;

    /// <summary>The task with the memory of its texts.</summary>
    public TaskHandle Handle => _lease.Value;

    public void Dispose() => _lease.Dispose();
}
