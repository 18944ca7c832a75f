using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Tasks;

namespace LongformerInterop.Cli.Output;

/// <summary>One line on standard error that is redrawn during the work; silent unless standard error is a terminal.</summary>
internal sealed class ProgressBar : IProgress<TaskProgress>, IDisposable
{
    private const int Width = 30;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);
    private readonly bool _visible = !Console.IsErrorRedirected;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private TimeSpan _next = Interval;
    private bool _drawn;

    public void Report(TaskProgress value)
    {
        if (!_visible || value.Total <= 0 || (_clock.Elapsed < _next && value.Done < value.Total))
            return;
        _next = _clock.Elapsed + Interval;
        int filled = (int)((long)Width * value.Done / value.Total);
        double perSecond = value.Tokens / Math.Max(0.001, _clock.Elapsed.TotalSeconds);
        Console.Error.Write(string.Create(CultureInfo.InvariantCulture,
            $"\r[{new string('#', filled)}{new string('.', Width - filled)}] {value.Done}/{value.Total}  {perSecond:N0} tokens/s "));
        _drawn = true;
    }

    public void Dispose()
    {
        if (_drawn)
            Console.Error.Write($"\r{new string(' ', Width + 40)}\r");
    }
}
