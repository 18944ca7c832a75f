using System.Diagnostics;
using System.Globalization;
using LongformerInterop.Corpora;

namespace LongformerInterop.Cli.Output;

/// <summary>One line on standard error that is redrawn after every part; silent unless standard error is a terminal.</summary>
internal sealed class CorpusProgressLine : IDisposable
{
    private const int Width = 24, Line = 100;
    private readonly bool _visible = !Console.IsErrorRedirected;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private double _begun;
    private bool _drawn;

    internal void Report(CorpusProgress value)
    {
        // Parts that were there took no time: the estimate counts the parts that were done now.
        if (value.Parts == 0)
        {
            _begun = value.Fraction;
            _clock.Restart();
        }
        if (!_visible)
            return;
        string text = Text(value, _begun, _clock.Elapsed.TotalSeconds);
        Console.Error.Write($"\r{text.PadRight(Line)[..Line]}");
        _drawn = true;
    }

    /// <summary>The line.</summary>
    /// <param name="value">How far the run is.</param>
    /// <param name="begun">How far it was when the time began.</param>
    /// <param name="seconds">The time since then.</param>
    internal static string Text(CorpusProgress value, double begun, double seconds)
    {
        double done = value.Fraction - begun;
        string left = done > 0 ? $"{TimeSpan.FromSeconds(Math.Min(seconds * (1 - value.Fraction) / done, 8e6)):d\\.hh\\:mm\\:ss} left" : "";
        string bar = new string('#', (int)(Width * value.Fraction)).PadRight(Width, '.');
        return string.Create(CultureInfo.InvariantCulture,
            $"[{bar}] {value.Fraction:P1}  {value.Rows} rows  {value.Tokens / Math.Max(0.001, seconds):N0} tokens/s  {left}");
    }

    public void Dispose()
    {
        if (_drawn)
            Console.Error.Write($"\r{new string(' ', Line)}\r");
    }
}
