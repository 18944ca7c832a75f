using System.Text;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Training;
using Microsoft.Extensions.Logging;

namespace LongformerInterop.CApi;

/// <summary>The callbacks of one running call: progress, cancelling, streams.</summary>
internal sealed unsafe class CallContext : IProgress<TaskProgress>, IProgress<SummaryProgress>, IProgress<GenerationProgress>, IDisposable
{
    // A callback may have to wait for its turn (Python's for the interpreter), and a small model has many layers in a second.
    private const long MillisecondsBetweenLayers = 20;

    private readonly CallSettings? _settings;
    private readonly CancellationTokenSource _source = new();
    private readonly CancelPoll? _poll;
    private long _asked;

    public CallContext(CallSettings? settings)
    {
        _settings = settings;
        _asked = Environment.TickCount64;
        if (settings is null || settings.Cancel is null)
            return;
        // The callback is asked on this thread, wherever the call looks at its token.
        _poll = new CancelPoll(often =>
        {
            if (!often || Environment.TickCount64 - _asked >= MillisecondsBetweenLayers)
                Poll();
        });
        Poll();
    }

    public CancellationToken Token => _source.Token;

    /// <summary>Total of <see cref="GenerationProgress"/>, which knows only what is open.</summary>
    public int Documents { get; init; }

    public bool WantsText => _settings is not null && _settings.OnText is not null;

    public bool WantsTokens => _settings is not null && _settings.OnToken is not null;

    public void Report(TaskProgress value) => Report(value.Done, value.Total, value.Tokens);

    public void Report(SummaryProgress value) => Report(value.Done, value.Total, value.Step);

    public void Report(GenerationProgress value) => Report(Documents - value.OpenDocuments, Documents, value.Step);

    /// <summary>Reports a training: the steps to the progress callback, everything as JSON to that of texts.</summary>
    public void Report(TrainingEvent value)
    {
        if (WantsText)
            Text(value.ToJson());
        if (value.Kind == TrainingEventKind.Step)
            Report(value.Step, value.TotalSteps, value.Tokens);
        else
            Poll();
    }

    /// <summary>Streams a piece of text.</summary>
    public void Text(string piece)
    {
        if (!WantsText)
            return;
        byte[] bytes = Encoding.UTF8.GetBytes(piece + '\0');
        fixed (byte* b = bytes)
        {
            if (_settings!.OnText(_settings.OnTextContext, b, (nuint)bytes.Length - 1) != 0)
                _source.Cancel();
        }
    }

    /// <summary>Streams a token.</summary>
    public void Generated(GeneratedToken token)
    {
        if (WantsTokens && _settings!.OnToken(_settings.OnTokenContext, token.Document, token.Sequence, token.Position, token.Id) != 0)
            _source.Cancel();
    }

    /// <summary>A callback of the last step may have asked to stop, too.</summary>
    public void Finish() => Token.ThrowIfCancellationRequested();

    public void Dispose()
    {
        _poll?.Dispose();
        _source.Dispose();
    }

    private void Report(long done, long total, long tokens)
    {
        if (_settings is not null && _settings.Progress is not null && _settings.Progress(_settings.ProgressContext, done, total, tokens) != 0)
            _source.Cancel();
        Poll();
    }

    private void Poll()
    {
        if (_settings is null || _settings.Cancel is null)
            return;
        long now = Environment.TickCount64;
        if (now - _asked < _settings.CancelInterval)
            return;
        _asked = now;
        if (_settings.Cancel(_settings.CancelContext) != 0)
            _source.Cancel();
    }
}

/// <summary>Where lf_set_log sends messages.</summary>
internal static unsafe class LogSink
{
    private static readonly Lock Gate = new();
    private static delegate* unmanaged[Cdecl]<void*, int, byte*, nuint, void> _callback;
    private static void* _context;
    private static LogLevel _level = LogLevel.None;

    /// <summary>The token that tasks and models are given.</summary>
    public static ILogger Logger { get; } = new SinkLogger();

    /// <summary>A task's options with this log in them.</summary>
    public static T In<T>(T options) where T : TaskOptions => options with { Logger = Logger };

    public static void Set(delegate* unmanaged[Cdecl]<void*, int, byte*, nuint, void> newCallback, void* newContext, int newLevel)
    {
        if (newCallback is not null && newLevel is < 1 or > 6)
            throw new Torch.InputException("level", "1 (debug) to 6 (none)", $"{newLevel}");
        lock (Gate)
        {
            _callback = newCallback;
            _context = newContext;
            _level = newCallback is null ? LogLevel.None : (LogLevel)newLevel;
        }
    }

    public static bool Wants(LogLevel asked)
    {
        lock (Gate)
            return _callback is not null && asked >= _level && asked != LogLevel.None;
    }

    public static void Write(LogLevel at, string message)
    {
        delegate* unmanaged[Cdecl]<void*, int, byte*, nuint, void> target;
        void* targetContext;
        lock (Gate)
        {
            target = _callback;
            targetContext = _context;
        }
        if (target is null)
            return;
        byte[] bytes = Encoding.UTF8.GetBytes(message + '\0');
        fixed (byte* b = bytes)
            target(targetContext, (int)at, b, (nuint)bytes.Length - 1);
    }

    private sealed class SinkLogger : ILogger
    {
        public bool IsEnabled(LogLevel logLevel) => Wants(logLevel);

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (Wants(logLevel))
                Write(logLevel, formatter(state, exception));
        }
    }
}
