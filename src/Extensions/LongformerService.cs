using System.Diagnostics;
using System.Runtime.CompilerServices;
using LongformerInterop.Tasks;
using Microsoft.Extensions.Logging;

namespace LongformerInterop.Extensions;

/// <summary>
/// A task's model as a service: loaded once, when it is first asked for (or by <see cref="Load"/>), freed with the container. Calls run on threads of
/// the pool, as many at once as <see cref="LongformerOptions.MaxConcurrency"/> says; the others wait and can be cancelled while they do.
/// </summary>
/// <typeparam name="TTask">For example <see cref="QuestionAnswerer"/>.</typeparam>
public sealed partial class LongformerService<TTask> : IDisposable where TTask : TextTask
{
    private readonly Lazy<TTask> _task;
    private readonly SemaphoreSlim _gate;

    internal LongformerService(LongformerOptions options, Func<LongformerOptions, TTask> load, ILogger logger)
    {
        if (options.Problem() is { } problem)
            throw new ArgumentException($"{typeof(TTask).Name}: {problem}", nameof(options));
        Options = options;
        Logger = logger;
        _gate = new SemaphoreSlim(options.MaxConcurrency);
        _task = new Lazy<TTask>(() =>
        {
            long start = Stopwatch.GetTimestamp();
            TTask task = load(options);
            double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            Loaded(logger, typeof(TTask).Name, options.Folder, options.Device, milliseconds);
            return task;
        });
    }

    /// <summary>How it is loaded and run.</summary>
    public LongformerOptions Options { get; }

    /// <summary>Where its calls are logged.</summary>
    public ILogger Logger { get; }

    /// <summary>Whether the model is in memory.</summary>
    public bool IsLoaded => _task.IsValueCreated;

    /// <summary>Loads the model where that has not been done. One that cannot be loaded throws the same exception each time.</summary>
    /// <returns>The task, which belongs to the service. Calls of its own methods do not wait for their turn.</returns>
    public TTask Load() => _task.Value;

    /// <summary>The options of a call.</summary>
    public TaskOptions CallOptions => new() { Truncate = Options.Truncate, TokensPerBatch = Options.TokensPerBatch, Logger = Logger };

    /// <summary>Runs a call in its turn, on a thread of the pool.</summary>
    /// <param name="call">Uses the task; it is given the cancellation to hand on.</param>
    /// <param name="cancellation">Ends the waiting and the call.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public async Task<TResult> RunAsync<TResult>(Func<TTask, CancellationToken, TResult> call, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(call);
        await _gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            return await Task.Run(() => call(Load(), cancellation), cancellation).ConfigureAwait(false);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Runs a call that gives its result in pieces; it keeps its turn until the last one is read or the enumeration is left.</summary>
    /// <param name="call">Uses the task; it is given the cancellation to hand on.</param>
    /// <param name="cancellation">Ends the waiting and the call.</param>
    public async IAsyncEnumerable<TItem> StreamAsync<TItem>(Func<TTask, CancellationToken, IAsyncEnumerable<TItem>> call,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(call);
        await _gate.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            TTask task = await Task.Run(Load, cancellation).ConfigureAwait(false);
            await foreach (TItem item in call(task, cancellation).WithCancellation(cancellation).ConfigureAwait(false))
                yield return item;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        if (_task.IsValueCreated)
            _task.Value.Dispose();
        _gate.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Task} of {Folder} loaded on {Device} in {Milliseconds:F0} ms")]
    private static partial void Loaded(ILogger logger, string task, string folder, string device, double milliseconds);
}
