using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using LongformerInterop.Cli.Bench;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary>
/// <c>longformer bench</c>: speed and memory by length, window, batch, dtype and threads, against the machine's own peak, which is measured in
/// the same run.
/// </summary>
internal static class BenchVerb
{
    private const int DefaultTokens = 4096, DefaultRuns = 3;

    internal static Command Create()
    {
        Command command = new("bench",
            "Speed and memory of encode, with --generate of generation, with --train of training, against the machine's own measured peak.");
        Argument<string?> folder = new("checkpoint")
        {
            Description = "Checkpoint folder (default: seeded random weights of base size)",
            HelpName = "FOLDER",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<int[]> tokens = Numbers("--tokens", "Lengths of a document; positions past the checkpoint's are tiled (default 4096)");
        Option<int[]> batch = Numbers("--batch", "Documents in one pass (default 1)");
        Option<int[]> packed = Numbers("--packed",
            "Lengths of documents that go through in one pass, without padding, and one by one; in place of --tokens");
        Option<int[]> window = Numbers("--window", "Attention windows, both sides together (default: the checkpoint's)");
        Option<int[]> threads = Numbers("--threads", "Threads of the CPU operators (default: all cores)");
        Option<string[]> dtype = List<string>("--dtype", "float32, bfloat16, float16 or int8 (default float32)", "DTYPE,...", text => text);
        Option<int?> layers = new("--layers") { Description = "Only the first N layers", HelpName = "N" };
        Option<int> runs = new("--runs") { Description = "Measured passes of each case; the best counts (default 3)", HelpName = "N",
            DefaultValueFactory = _ => DefaultRuns };
        Option<int?> generate = new("--generate") { Description = "An LED generates exactly N tokens; with --train its targets have N",
            HelpName = "N" };
        Option<bool> train = new("--train") { Description = "Steps of training: masked LM, or with --generate an LED" };
        Option<bool> recompute = new("--recompute") {
            Description = "With --train: layers run again in the backward pass instead of keeping their results" };
        Option<int?> recomputeLayers = new("--recompute-layers") { Description = "With --train: the first N layers alone", HelpName = "N" };
        Option<int[]> beams = Numbers("--beams", "Beams of the generation (default 4)");
        Option<string> device = new("--device") { Description = "cpu, cuda or cuda:N", HelpName = "DEVICE", DefaultValueFactory = _ => "cpu" };
        Option<bool> kernel = new("--kernel") { Description = "The window attention alone, forward and backward, 12 heads of 64" };
        Option<bool> tf32 = new("--tf32") { Description = "Let a GPU round float32 products to TF32" };
        Option<string> attention =
            new("--attention") { Description = "fused, chunks or loop", HelpName = "NAME", DefaultValueFactory = _ => "fused" };
        Option<bool> json = new("--json") { Description = "Print machine-readable results" };
        attention.OnlyFrom(ModelOptions.Implementations);
        dtype.Validators.Add(result =>
        {
            foreach (string name in result.Tokens.SelectMany(t => t.Value.Split(',')))
            {
                if (name is not ("float32" or "bfloat16" or "float16" or "int8"))
                    result.AddError($"--dtype must be float32, bfloat16, float16 or int8; given {name}");
            }
        });
        layers.AtLeastOne();
        runs.AtLeastOne();
        generate.AtLeastOne();
        recomputeLayers.AtLeastOne();
        command.Add(folder);
        foreach (Option option in new Option[] { tokens, batch, packed, window, dtype, threads, layers, runs, generate, beams, train, recompute,
            recomputeLayers, kernel, device, attention, tf32, json })
        {
            command.Add(option);
        }
        command.SetAction(parsed => Program.Run(cancellation => Run(new Request(
            parsed.GetValue(folder),
            Or(parsed.GetValue(tokens), DefaultTokens),
            Or(parsed.GetValue(batch), 1),
            parsed.GetValue(packed) ?? [],
            parsed.GetValue(window) is { Length: > 0 } windows ? [.. windows.Select(w => (int?)w)] : [null],
            [.. (parsed.GetValue(dtype) is { Length: > 0 } names ? names : ["float32"]).Select(DTypeOf)],
            Or(parsed.GetValue(threads), TorchRuntime.ThreadCount),
            parsed.GetValue(layers),
            parsed.GetValue(runs),
            parsed.GetValue(generate),
            Or(parsed.GetValue(beams), 4),
            parsed.GetValue(kernel),
            parsed.GetValue(train),
            parsed.GetValue(recompute) || parsed.GetValue(recomputeLayers) is not null,
            parsed.GetValue(recomputeLayers),
            new LoadOptions
            {
                Device = Device.Parse(parsed.GetValue(device)!),
                Attention = ModelOptions.Implementation(parsed.GetValue(attention)!),
                TF32 = parsed.GetValue(tf32),
            }),
            new BenchReport(parsed.GetValue(json)), cancellation)));
        return command;
    }

    private sealed record Request(string? Folder, int[] Tokens, int[] Batch, int[] Packed, int?[] Windows, DType[] DTypes, int[] Threads,
        int? Layers, int Runs,
        int? Generate, int[] Beams, bool Kernel, bool Train, bool Recompute, int? RecomputeLayers,
        LoadOptions Load);

    private static int Run(Request request, BenchReport report, CancellationToken cancellation)
    {
        if (request.Windows.FirstOrDefault(w => w is < 2 || w % 2 != 0) is { } odd)
            throw new UsageException($"--window counts both sides: expected even numbers from 2, given {odd}");
        if (request.Recompute && !request.Train)
            throw new UsageException("--recompute is a way of training: expected --train beside it");
        if (request.Packed.Length > 0 && request.Generate is not null && !request.Train)
            throw new UsageException("--packed measures encoding: not with --generate");
        TorchRuntime.RequireDevice(request.Load.Device);
        if (request.Load.TF32 is { } allowed)
            TorchRuntime.AllowTF32 = allowed;
        if (request.Kernel)
            return Kernels(request, report, cancellation);
        using BenchFolder folder =
            new(request.Folder, request.Generate is not null, request.Layers, (request.Packed.Length > 0 ? request.Packed : request.Tokens).Max(),
            request.Train ? TrainBenchmark.ArchitectureOf(request.Generate is not null) : null);
        if (folder.IsLed && request.Generate is null)
            throw new UsageException($"{request.Folder}: an LED is measured with --generate N");
        if (!folder.IsLed && request.Generate is not null)
            throw new UsageException($"{request.Folder}: --generate needs an LED");
        foreach (DType dtype in request.DTypes)
        {
            foreach (int threads in request.Threads)
            {
                TorchRuntime.ThreadCount = threads;
                MachineSpeed machine = MachineSpeed.Measure(dtype, request.Load.Device);
                report.Machine(dtype, threads, machine);
                foreach (int? window in request.Windows)
                {
                    string of = folder.WithWindow(window);
                    if (request.Train)
                    {
                        foreach (int[] lengths in Documents(request))
                        {
                            TrainCase measured = new(lengths, request.Generate ?? 0, window, dtype, threads, request.Recompute)
                            {
                                RecomputeLayers = request.RecomputeLayers,
                            };
                            report.Add(TrainBenchmark.Run(of, request.Load, measured, request.Runs, cancellation), machine);
                        }
                    }
                    else if (request.Generate is { } newTokens)
                    {
                        foreach ((int batch, int tokens, int beams) in Combinations(request))
                        {
                            report.Add(GenerateBenchmark.Run(of, request.Load, new(tokens, batch, window, dtype, threads, newTokens, beams),
                                request.Runs, cancellation), machine);
                        }
                    }
                    else
                    {
                        foreach (int[] lengths in Documents(request))
                        {
                            report.Add(EncodeBenchmark.Run(of, request.Load, new(lengths, window, dtype, threads), request.Runs, cancellation),
                                machine);
                        }
                    }
                }
            }
        }
        report.Finish(request.Folder);
        return 0;
    }

    private static int Kernels(Request request, BenchReport report, CancellationToken cancellation)
    {
        const int heads = 12, headSize = 64, window = 512;
        foreach (DType dtype in request.DTypes)
        {
            foreach (int? given in request.Windows)
            {
                foreach (int batch in request.Batch)
                {
                    foreach (int tokens in request.Tokens)
                    {
                        cancellation.ThrowIfCancellationRequested();
                        report.Add(KernelBenchmark.Run(new KernelCase(tokens, batch, heads, headSize, given ?? window, dtype), request.Load.Device,
                            request.Load.Attention, request.Runs));
                    }
                }
            }
        }
        report.Finish(null);
        return 0;
    }

    /// <summary>The lengths of the documents of every pass to measure.</summary>
    private static IEnumerable<int[]> Documents(Request request) => request.Packed.Length > 0
        ? [request.Packed]
        : request.Batch.SelectMany(batch => request.Tokens.Select(tokens => Enumerable.Repeat(tokens, batch).ToArray()));

    private static IEnumerable<(int Batch, int Tokens, int Beams)> Combinations(Request request) =>
        from batch in request.Batch from tokens in request.Tokens from beams in request.Beams select (batch, tokens, beams);

    private static int[] Or(int[]? given, int otherwise) => given is { Length: > 0 } ? given : [otherwise];

    private static DType DTypeOf(string name) => name switch
    {
        "bfloat16" => DType.BFloat16,
        "float16" => DType.Float16,
        "int8" => DType.Int8,
        _ => DType.Float32,
    };

    private static Option<int[]> Numbers(string name, string description)
    {
        Option<int[]> option = List(name, description, "N,...", text => int.TryParse(text, CultureInfo.InvariantCulture, out int n) ? n : 0);
        option.Validators.Add(result =>
        {
            foreach (Token token in result.Tokens)
            {
                foreach (string text in token.Value.Split(','))
                {
                    if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int n) || n < 1)
                        result.AddError($"{name}: expected whole numbers from 1, separated by commas; given {token.Value}");
                }
            }
        });
        return option;
    }

    /// <summary>An option that takes several values, separated by commas or by blanks.</summary>
    private static Option<T[]> List<T>(string name, string description, string help, Func<string, T> parse) => new(name)
    {
        Description = description,
        HelpName = help,
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = true,
        CustomParser = result => [.. result.Tokens.SelectMany(t => t.Value.Split(',')).Select(parse)],
    };
}
