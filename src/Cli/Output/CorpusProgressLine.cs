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
    private double _begun = -1;
    private bool _drawn;

    internal void Report(CorpusProgress value)
    {
        // Parts that were there took no time: the estimate counts the parts that were done now.
        if (_begun < 0 || value.Parts == 0)
        {
            _begun = value.Fraction;
            _clock.Restart();
        }
        if (!_visible)
            return;
        double done = value.Fraction - _begun, seconds = _clock.Elapsed.TotalSeconds;
        string left = done > 0 ? $"{TimeSpan.FromSeconds(Math.Min(seconds * (1 - value.Fraction) / done, 8e6)):d\\.hh\\:mm\\:ss} left" : "";
        string bar = new string('#', (int)(Width * value.Fraction)).PadRight(Width, '.');
        string text = string.Create(CultureInfo.InvariantCulture,
            $"[{bar}] {value.Fraction:P1}  {value.Rows} rows  {value.Tokens / Math.Max(0.001, seconds):N0} tokens/s  {left}");
        Console.Error.Write($"\r{text.PadRight(Line)[..Line]}");
        _drawn = true;
    }

    public void Dispose()
    {
        if (_drawn)
            Console.Error.Write($"\r{new string(' ', Line)}\r");
    }
}
