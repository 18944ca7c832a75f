using System.Diagnostics;
using LongformerInterop.Cli.Output;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Bench;

/// <summary>One case of generation: so many tokens, with so many beams, from documents of this length.</summary>
internal sealed record GenerateCase(int Tokens, int Batch, int? Window, DType DType, int Threads, int NewTokens, int Beams);

/// <summary>The result of one case.</summary>
/// <param name="Case">The case.</param>
/// <param name="Load">Seconds until the model was ready.</param>
/// <param name="Encode">Seconds of the fastest run until the first token was chosen: the encoder, the cross-attention's keys and values, one
/// step.</param>
/// <param name="Steps">Median seconds of the later decode steps of that run.</param>
/// <param name="Runs">Seconds of every run.</param>
/// <param name="StepBytes">The bytes that one decode step must read: the decoder's weights, the output table, the cross-attention's keys and values
/// of every document.</param>
/// <param name="PeakBytes">Peak resident memory.</param>
/// <param name="DeviceBytes">Memory of a GPU that this process took for the case; 0 on the CPU.</param>
internal sealed record GenerateResult(GenerateCase Case, double Load, double Encode, double Steps, IReadOnlyList<double> Runs,
    long StepBytes, long PeakBytes,
    long DeviceBytes)
{
    public double Best => Runs.Min();

    /// <summary>GB/s that the decode steps read.</summary>
    public double ReadRate => StepBytes / Steps * 1e-9;
}

/// <summary>Times an LED from tokens to tokens: exactly so many new ones, independent of the weights.</summary>
internal static class GenerateBenchmark
{
    /// <summary>Measures one case with a freshly loaded model.</summary>
    public static GenerateResult Run(string folder, LoadOptions options, GenerateCase c, int runs, CancellationToken cancellation)
    {
        TorchRuntime.ThreadCount = c.Threads;
        ProcessMemory.ResetPeak();
        long free = TorchRuntime.DeviceMemory(options.Device).Free;
        long start = Stopwatch.GetTimestamp();
        using LedForConditionalGeneration model = LedForConditionalGeneration.Load(folder, options with { DType = c.DType });
        double load = Stopwatch.GetElapsedTime(start).TotalSeconds;
        TextGenerator generator = new(model);
        // The first run packs weights and is not counted, unless it is the only one.
        List<double> seconds = [];
        double best = double.MaxValue, encode = 0, step = 0;
        for (int i = Math.Min(0, 1 - runs); i < runs; i++)
        {
            Clock clock = new();
            clock.Start();
            generator.Generate(Documents(model.Configuration, c), Options(c), progress: clock, cancellation: cancellation);
            double whole = clock.Elapsed;
            if (i < 0)
                continue;
            seconds.Add(whole);
            if (whole >= best)
                continue;
            (best, encode) = (whole, clock.Steps[0]);
            double[] steps = [.. clock.Steps.Zip(clock.Steps.Skip(1), (a, b) => b - a).Order()];
            step = steps.Length == 0 ? 0 : steps[steps.Length / 2];
        }
        return new GenerateResult(c, load, encode, step, seconds, StepBytes(model, c), ProcessMemory.PeakBytes(),
            free - TorchRuntime.DeviceMemory(options.Device).Free);
    }

    private static GenerationDocument[] Documents(LedConfiguration configuration, GenerateCase c)
    {
        Random random = new(0);
        return [.. Enumerable.Range(0, c.Batch).Select(_ => new GenerationDocument(
            [.. Enumerable.Range(0, c.Tokens).Select(_ => random.Next(Math.Min(5, configuration.VocabSize - 1), configuration.VocabSize))]))];
    }

    private static GenerationOptions Options(GenerateCase c) => new()
    {
        Beams = c.Beams,
        MinTokens = c.NewTokens,
        MaxTokens = c.NewTokens,
        Sample = false,
    };

    private static long StepBytes(LedForConditionalGeneration model, GenerateCase c)
    {
        LedConfiguration configuration = model.Configuration;
        long size = model.DType.ElementSize();
        long read = 0;
        foreach (NamedParameter parameter in model.NamedParameters)
        {
            bool decoder = parameter.Name.Contains(".decoder.layers.", StringComparison.Ordinal);
            bool once = parameter.Name.Contains("encoder_attn.k_proj", StringComparison.Ordinal)
                || parameter.Name.Contains("encoder_attn.v_proj", StringComparison.Ordinal);
            if (decoder && !once)
                read += parameter.Tensor.ElementCount * parameter.Tensor.DType.ElementSize();
        }
        // The scores are computed with a copy of the table in eight bits, where the layers have eight.
        return read + ((long)configuration.VocabSize * configuration.DModel * (model.IsInt8 ? sizeof(sbyte) : size))
            + (2L * configuration.DecoderLayers * c.Tokens * c.Batch * configuration.DModel * size);
    }

    private sealed class Clock : IProgress<GenerationProgress>
    {
        private long _start;

        public List<double> Steps { get; } = [];

        public double Elapsed => Stopwatch.GetElapsedTime(_start).TotalSeconds;

        public void Start() => _start = Stopwatch.GetTimestamp();

        public void Report(GenerationProgress value) => Steps.Add(Elapsed);
    }
}
