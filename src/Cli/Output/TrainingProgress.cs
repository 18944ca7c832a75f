using System.Globalization;
using LongformerInterop.Training;

namespace LongformerInterop.Cli.Output;

/// <summary>
/// How a training gets on, on standard error: on a terminal one line that is redrawn, with the loss, the rate, the tokens in a second and the time
/// that is left; evaluations and other events on their own lines everywhere.
/// </summary>
internal sealed class TrainingProgress : IDisposable
{
    private const int Width = 24, Line = 110;
    private readonly bool _visible = !Console.IsErrorRedirected;
    private bool _drawn;

    internal void Report(TrainingEvent e)
    {
        switch (e.Kind)
        {
            case TrainingEventKind.Step:
                int filled = (int)(Width * e.Step / Math.Max(1, e.TotalSteps));
                string bar = new string('#', filled) + new string('.', Width - filled);
                Draw(string.Create(CultureInfo.InvariantCulture, $"[{bar}] {e.Step}/{e.TotalSteps}  loss {e.Loss:F4}  rate {e.LearningRate:0.##e+0}  "
                    + $"{e.TokensPerSecond:N0} tokens/s  {Left(e.Remaining)} left"));
                break;
            case TrainingEventKind.Preparing:
                Draw(string.Create(CultureInfo.InvariantCulture, $"{e.Examples:N0} examples tokenized"));
                break;
            case TrainingEventKind.Evaluating:
                Draw(string.Create(CultureInfo.InvariantCulture, $"step {e.Step}: {e.Examples:N0} examples measured"));
                break;
            case TrainingEventKind.Evaluated:
                IEnumerable<string> metrics = e.Metrics!.Select(m => string.Create(CultureInfo.InvariantCulture, $"{m.Key} {m.Value:0.####}"));
                Print($"step {e.Step}: {string.Join("  ", metrics)}");
                break;
            case TrainingEventKind.Note:
                Print(CommandFailure.OneLine(e.Message!));
                break;
        }
    }

    /// <summary>Wipes the line away.</summary>
    internal void Clear()
    {
        if (_drawn)
            Console.Error.Write($"\r{new string(' ', Line)}\r");
        _drawn = false;
    }

    public void Dispose() => Clear();

    private static string Left(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours}:{time.Minutes:D2} h")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time.Seconds:D2}");

    private void Draw(string text)
    {
        if (!_visible)
            return;
        Console.Error.Write($"\r{text.PadRight(Line)[..Line]}");
        _drawn = true;
    }

    private void Print(string text)
    {
        Clear();
        Console.Error.WriteLine(text);
    }
}
