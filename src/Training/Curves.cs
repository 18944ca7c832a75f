using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace LongformerInterop.Training;

/// <summary>The picture of a run: the loss of every step and its running mean, the loss and the metric on held-out data, the learning rate.</summary>
internal static class Curves
{
    private const double Width = 900, Height = 520, Smoothing = 0.95;
    // More could not be seen apart, and a long run would have a picture of megabytes.
    private const int MostPoints = 400;

    /// <summary>SVG of the lines of a log.</summary>
    /// <param name="lines">The log.</param>
    /// <param name="metric">The metric on held-out data that is drawn, on its own axis; null or <c>loss</c>: none.</param>
    /// <param name="title">Of the picture.</param>
    public static string Svg(IReadOnlyList<LogLine> lines, string? metric, string title)
    {
        PlotModel model = new() { Title = title, TitleFontSize = 14, Background = OxyColors.White };
        model.Axes.Add(new LinearAxis { Position = AxisPosition.Bottom, Title = "step", MajorGridlineStyle = LineStyle.Solid,
            MajorGridlineColor = OxyColor.FromRgb(230, 230, 230) });
        model.Axes.Add(new LinearAxis { Position = AxisPosition.Left, Title = "loss", MajorGridlineStyle = LineStyle.Solid,
            MajorGridlineColor = OxyColor.FromRgb(230, 230, 230) });
        LogLine[] steps = [.. lines.Where(l => l.Loss is not null && double.IsFinite(l.Loss.Value))],
            evaluations = [.. lines.Where(l => l.Metrics is not null)];
        model.Series.Add(
            Line("loss of a step", OxyColor.FromRgb(190, 205, 230), Thin([.. steps.Select(l => new DataPoint(l.Step, l.Loss!.Value))]), 1));
        model.Series.Add(Line("its running mean", OxyColor.FromRgb(40, 90, 170), Thin([.. Smooth(steps)]), 2));
        if (evaluations.Length > 0)
            model.Series.Add(Line("loss on held-out data", OxyColor.FromRgb(200, 80, 40), Points(evaluations, "loss"), 2, MarkerType.Circle));
        if (metric is not null and not "loss" && evaluations.Length > 0)
        {
            model.Axes.Add(new LinearAxis { Position = AxisPosition.Right, Title = metric, Key = "metric" });
            LineSeries series = Line($"{metric} on held-out data", OxyColor.FromRgb(50, 140, 70), Points(evaluations, metric), 2, MarkerType.Square);
            series.YAxisKey = "metric";
            model.Series.Add(series);
        }
        model.Legends.Add(new Legend { LegendPosition = LegendPosition.RightTop, LegendBackground = OxyColor.FromAColor(200, OxyColors.White) });
        return new SvgExporter { Width = Width, Height = Height, UseVerticalTextAlignmentWorkaround = true }.ExportToString(model);
    }

    private static IEnumerable<DataPoint> Points(LogLine[] evaluations, string metric) =>
        evaluations.Where(l => l.Metrics!.TryGetValue(metric, out double value) && double.IsFinite(value)).Select(l =>
            new DataPoint(l.Step, l.Metrics![metric]));

    /// <summary>The means of neighbours, where there are too many to be seen.</summary>
    private static IEnumerable<DataPoint> Thin(DataPoint[] points) => points.Length <= MostPoints ? points
        : points.Chunk((points.Length + MostPoints - 1) / MostPoints).Select(some => new DataPoint(some[^1].X, some.Average(p => p.Y)));

    private static IEnumerable<DataPoint> Smooth(LogLine[] steps)
    {
        (double sum, double weight) = (0, 0);
        foreach (LogLine line in steps)
        {
            sum = (Smoothing * sum) + ((1 - Smoothing) * line.Loss!.Value);
            weight = (Smoothing * weight) + (1 - Smoothing);
            yield return new DataPoint(line.Step, sum / weight);
        }
    }

    private static LineSeries Line(string title, OxyColor color, IEnumerable<DataPoint> points, double width, MarkerType marker = MarkerType.None)
    {
        LineSeries series = new() { Title = title, Color = color, StrokeThickness = width, MarkerType = marker, MarkerFill = color,
            MarkerSize = 3.5 };
        series.Points.AddRange(points);
        return series;
    }
}
