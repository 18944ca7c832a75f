using System.Globalization;
using System.Text.Json;
using LongformerInterop.Cli.Output;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Bench;

/// <summary>The results as a table for people, row by row as they come, and as JSON for programs.</summary>
internal sealed class BenchReport(bool json)
{
    private const double Mebibyte = 1048576.0;

    private readonly List<(EncodeResult Result, MachineSpeed Machine)> _encoded = [];
    private readonly List<KernelResult> _kernels = [];
    private readonly List<(GenerateResult Result, MachineSpeed Machine)> _generated = [];
    private readonly List<(TrainResult Result, MachineSpeed Machine)> _trained = [];

    /// <summary>Reports the machine's own speed.</summary>
    public void Machine(DType dtype, int threads, MachineSpeed machine)
    {
        if (json)
            return;
        string chains = machine.MultiplyAdd > 0 ? Text($"multiply-adds {machine.MultiplyAdd:F0} GFLOP/s, ") : "";
        Console.WriteLine(Text($"machine, {threads} thread{(threads == 1 ? "" : "s")}, {Name(dtype)}: {chains}matrix product ")
            + Text($"{machine.MatrixProduct:F0} GFLOP/s, copy {machine.Copy:F1} GB/s"));
    }

    /// <summary>Adds a result.</summary>
    public void Add(EncodeResult r, MachineSpeed machine)
    {
        _encoded.Add((r, machine));
        if (json)
            return;
        EncodeCase c = r.Case;
        if (_encoded.Count == 1)
            Console.WriteLine("  tokens batch window dtype    threads    best s  median s  tokens/s  GFLOP/s  of peak  peak MiB  beyond weights MiB");
        Console.WriteLine(Text($"{Lengths(c.Lengths),8} {c.Lengths.Count,5} {r.Window,6} {Name(c.DType),-8} {c.Threads,7} {r.Best,9:F4} ")
            + Text($"{r.Median,9:F4} {r.TokensPerSecond,9:F0} {r.GigaflopsPerSecond,8:F1} ")
            + Text($"{r.GigaflopsPerSecond / machine.Peak,8:P1} {r.PeakBytes / Mebibyte,9:F0} {r.BeyondBytes / Mebibyte,9:F0}"));
        if (r.Apart is { } apart)
            Console.WriteLine(Text($"         {c.Tokens} tokens together; one document after the other {apart:F4} s, {r.Best / apart:P1} of it"));
        WriteStages(r.Stages);
    }

    /// <summary>Adds a result.</summary>
    public void Add(TrainResult r, MachineSpeed machine)
    {
        _trained.Add((r, machine));
        if (json)
            return;
        TrainCase c = r.Case;
        if (_trained.Count == 1)
        {
            Console.WriteLine("  tokens batch target dtype    recompute    best s  median s  tokens/s  GFLOP/s  of peak  peak MiB  state MiB"
                + "  kept MiB  (a step of training)");
        }
        string again = !c.Recompute ? "no" : c.RecomputeLayers is { } layers ? Text($"{layers}") : "yes";
        string sizes = Text($"{Lengths(c.Lengths),8} {c.Lengths.Count,5} {c.TargetTokens,6} {Name(c.DType),-8} {again,9}");
        string speed = Text($"{r.Best,9:F4} {r.Median,9:F4} {r.TokensPerSecond,9:F0} {r.GigaflopsPerSecond,8:F1}");
        string memory = Text($"{r.PeakBytes / Mebibyte,9:F0} {r.StateBytes / Mebibyte,10:F0} {r.KeptBytes / Mebibyte,9:F0}");
        Console.WriteLine(Text($"{sizes} {speed} {r.GigaflopsPerSecond / machine.Peak,8:P1} {memory}"));
        if (r.Apart is { } apart)
            Console.WriteLine(Text($"         {c.Tokens} tokens together; one document after the other {apart:F4} s, {r.Best / apart:P1} of it"));
        WriteStages(r.Stages);
    }

    private static void WriteStages(IReadOnlyList<Stage> stages)
    {
        double whole = stages.Sum(s => s.Seconds);
        Console.WriteLine(Text($"         of {whole:F3} s: ")
            + string.Join(", ", stages.Where(s => s.Seconds / whole >= 0.005).Select(s => Text($"{s.Name} {s.Seconds / whole:P1}"))));
    }

    /// <summary>Adds a result.</summary>
    public void Add(GenerateResult r, MachineSpeed machine)
    {
        _generated.Add((r, machine));
        if (json)
            return;
        GenerateCase c = r.Case;
        if (_generated.Count == 1)
            Console.WriteLine("  tokens batch   new beams dtype    threads    best s  encode s   step ms  read GB/s  of copy  peak MiB");
        Console.WriteLine(Text($"{c.Tokens,8} {c.Batch,5} {c.NewTokens,5} {c.Beams,5} {Name(c.DType),-8} {c.Threads,7} {r.Best,9:F3} ")
            + Text($"{r.Encode,9:F3} ")
            + Text($"{r.Steps * 1e3,9:F2} {r.ReadRate,10:F1} {r.ReadRate / machine.Copy,8:P1} {r.PeakBytes / Mebibyte,9:F0}"));
    }

    /// <summary>Adds a result.</summary>
    public void Add(KernelResult r)
    {
        _kernels.Add(r);
        if (json)
            return;
        KernelCase c = r.Case;
        if (_kernels.Count == 1)
            Console.WriteLine("  tokens batch window dtype    forward ms  TFLOP/s  backward ms  TFLOP/s   (window attention alone)");
        Console.WriteLine(Text($"{c.Tokens,8} {c.Batch,5} {c.Window,6} {Name(c.DType),-8} {r.Forward * 1e3,10:F3} {r.ForwardRate * 1e-12,8:F2} ")
            + Text($"{r.Backward * 1e3,12:F3} {r.BackwardRate * 1e-12,8:F2}"));
    }

    /// <summary>Prints the JSON, where that was asked for.</summary>
    public void Finish(string? checkpoint)
    {
        if (!json)
            return;
        JsonOutput.Print(writer =>
        {
            writer.WriteString("checkpoint", checkpoint ?? "random");
            writer.WriteString("libtorch", TorchRuntime.Version);
            writer.WriteNumber("cores", Environment.ProcessorCount);
            writer.WriteStartArray("results");
            foreach ((EncodeResult result, MachineSpeed machine) in _encoded)
                Object(writer, () => Write(writer, result, machine));
            foreach ((GenerateResult result, MachineSpeed machine) in _generated)
                Object(writer, () => Write(writer, result, machine));
            foreach ((TrainResult result, MachineSpeed machine) in _trained)
                Object(writer, () => Write(writer, result, machine));
            foreach (KernelResult result in _kernels)
                Object(writer, () => Write(writer, result));
            writer.WriteEndArray();
        });
    }

    private static void WritePass(Utf8JsonWriter writer, IReadOnlyList<int> lengths, double? apart, int window, double first, double tokensPerSecond)
    {
        if (apart is { } seconds)
        {
            writer.WriteStartArray("lengths");
            foreach (int length in lengths)
                writer.WriteNumberValue(length);
            writer.WriteEndArray();
            writer.WriteFinite("seconds_apart", seconds);
        }
        writer.WriteNumber("window", window);
        writer.WriteFinite("first_seconds", first);
        writer.WriteFinite("tokens_per_second", tokensPerSecond);
    }

    private static void Write(Utf8JsonWriter writer, EncodeResult r, MachineSpeed machine)
    {
        EncodeCase c = r.Case;
        writer.WriteString("work", "encode");
        Common(writer, c.Lengths.Max(), c.Lengths.Count, c.DType, c.Threads, r.Load, r.Runs, r.PeakBytes, r.DeviceBytes);
        WritePass(writer, c.Lengths, r.Apart, r.Window, r.First, r.TokensPerSecond);
        writer.WriteFinite("gflop", r.Flops * 1e-9);
        writer.WriteFinite("gflop_per_second", r.GigaflopsPerSecond);
        writer.WriteFinite("fraction_of_peak", r.GigaflopsPerSecond / machine.Peak);
        writer.WriteNumber("beyond_weights_bytes", r.BeyondBytes);
        writer.WriteNumber("weight_bytes", r.WeightBytes);
        Write(writer, machine);
        Write(writer, r.Stages);
    }

    private static void Write(Utf8JsonWriter writer, TrainResult r, MachineSpeed machine)
    {
        TrainCase c = r.Case;
        writer.WriteString("work", "train");
        Common(writer, c.Lengths.Max(), c.Lengths.Count, c.DType, c.Threads, r.Load, r.Runs, r.PeakBytes, 0);
        writer.WriteNumber("target_tokens", c.TargetTokens);
        writer.WriteBoolean("recompute", c.Recompute);
        if (c.RecomputeLayers is { } again)
            writer.WriteNumber("recompute_layers", again);
        WritePass(writer, c.Lengths, r.Apart, r.Window, r.First, r.TokensPerSecond);
        if (r.Flops > 0)
        {
            writer.WriteFinite("gflop", r.Flops * 1e-9);
            writer.WriteFinite("gflop_per_second", r.GigaflopsPerSecond);
            writer.WriteFinite("fraction_of_peak", r.GigaflopsPerSecond / machine.Peak);
        }
        writer.WriteNumber("state_bytes", r.StateBytes);
        writer.WriteNumber("kept_bytes", r.KeptBytes);
        Write(writer, machine);
        Write(writer, r.Stages);
    }

    private static void Write(Utf8JsonWriter writer, IReadOnlyList<Stage> stages)
    {
        writer.WriteStartArray("stages");
        double whole = stages.Sum(s => s.Seconds);
        foreach (Stage stage in stages)
        {
            Object(writer, () =>
            {
                writer.WriteString("name", stage.Name);
                writer.WriteFinite("seconds", stage.Seconds);
                writer.WriteFinite("share", stage.Seconds / whole);
                writer.WriteNumber("calls", stage.Calls);
            });
        }
        writer.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter writer, GenerateResult r, MachineSpeed machine)
    {
        GenerateCase c = r.Case;
        writer.WriteString("work", "generate");
        Common(writer, c.Tokens, c.Batch, c.DType, c.Threads, r.Load, r.Runs, r.PeakBytes, r.DeviceBytes);
        writer.WriteNumber("new_tokens", c.NewTokens);
        writer.WriteNumber("beams", c.Beams);
        writer.WriteFinite("encode_seconds", r.Encode);
        writer.WriteFinite("step_seconds", r.Steps);
        writer.WriteNumber("step_bytes", r.StepBytes);
        writer.WriteFinite("fraction_of_copy", r.ReadRate / machine.Copy);
        Write(writer, machine);
    }

    private static void Write(Utf8JsonWriter writer, KernelResult r)
    {
        KernelCase c = r.Case;
        writer.WriteString("work", "window attention");
        writer.WriteNumber("tokens", c.Tokens);
        writer.WriteNumber("batch", c.Batch);
        writer.WriteNumber("window", c.Window);
        writer.WriteString("dtype", Name(c.DType));
        writer.WriteFinite("forward_seconds", r.Forward);
        writer.WriteFinite("backward_seconds", r.Backward);
        writer.WriteFinite("forward_flop_per_second", r.ForwardRate);
        writer.WriteFinite("backward_flop_per_second", r.BackwardRate);
    }

    private static void Common(Utf8JsonWriter writer, int tokens, int batch, DType dtype, int threads, double load, IReadOnlyList<double> runs,
        long peak, long device)
    {
        writer.WriteNumber("tokens", tokens);
        writer.WriteNumber("batch", batch);
        writer.WriteString("dtype", Name(dtype));
        writer.WriteNumber("threads", threads);
        writer.WriteFinite("load_seconds", load);
        writer.WriteFinite("seconds", runs.Min());
        writer.WriteFinite("median_seconds", runs.Order().ElementAt(runs.Count / 2));
        writer.WriteStartArray("runs");
        foreach (double run in runs)
            writer.WriteFiniteValue(run);
        writer.WriteEndArray();
        writer.WriteNumber("peak_bytes", peak);
        if (device > 0)
            writer.WriteNumber("device_bytes", device);
    }

    private static void Write(Utf8JsonWriter writer, MachineSpeed machine)
    {
        writer.WritePropertyName("machine");
        Object(writer, () =>
        {
            writer.WriteFinite("multiply_add_gflop_per_second", machine.MultiplyAdd);
            writer.WriteFinite("matrix_product_gflop_per_second", machine.MatrixProduct);
            writer.WriteFinite("copy_gigabytes_per_second", machine.Copy);
        });
    }

    private static void Object(Utf8JsonWriter writer, Action properties)
    {
        writer.WriteStartObject();
        properties();
        writer.WriteEndObject();
    }

    private static string Lengths(IReadOnlyList<int> lengths) =>
        lengths.Distinct().Skip(1).Any() ? Text($"{lengths.Min()}-{lengths.Max()}") : Text($"{lengths[0]}");

    private static string Name(DType dtype) => dtype.ToString().ToLowerInvariant();

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
