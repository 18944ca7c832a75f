using Microsoft.Extensions.Logging;

namespace LongformerInterop.PythonNet;

/// <summary>Where the tasks' messages go: to a function of Python's.</summary>
public sealed class LogBridge : ILogger
{
    private static volatile Target _target = new(null, LogLevel.None);

    private LogBridge()
    {
    }

    /// <summary>The logger that the tasks are given.</summary>
    public static ILogger Logger { get; } = new LogBridge();

    /// <summary>Sends messages of this level and above to a function, for the whole process.</summary>
    /// <param name="receive">Called with a <see cref="LogLevel"/> and a message; null: no messages.</param>
    /// <param name="level">The least <see cref="LogLevel"/>.</param>
    public static void Set(Action<int, string>? receive, int level) => _target = new Target(receive, (LogLevel)level);

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => _target is { Receive: not null } now && logLevel >= now.Level && logLevel != LogLevel.None;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        ArgumentNullException.ThrowIfNull(formatter);
        if (IsEnabled(logLevel))
            _target.Receive?.Invoke((int)logLevel, formatter(state, exception));
    }

    private sealed record Target(Action<int, string>? Receive, LogLevel Level);
}
