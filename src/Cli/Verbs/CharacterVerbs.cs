using System.CommandLine;
using System.Globalization;
using System.Text;
using LongformerInterop.Cli.Output;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;
using LongformerInterop.Training;
using LongformerInterop.Training.CharacterLm;

namespace LongformerInterop.Cli.Verbs;

/// <summary>The character language model: <c>train char-lm</c>, <c>evaluate char-lm</c> and <c>generate</c>.</summary>
internal static class CharacterVerbs
{
    private static readonly string[] Parts = ["train", "dev", "test", "all"];

    /// <summary><c>longformer train char-lm</c>: the paper's phases, or those of a schedule file.</summary>
    internal static Command CreateTrain()
    {
        Command command = new("char-lm", "A character language model in phases of growing windows: text8, enwik8 or any text file");
        Argument<string?> checkpoint = new("checkpoint") { Description = "A character model to start from (default: new)", HelpName = "FOLDER",
            Arity = ArgumentArity.ZeroOrOne };
        Option<string> data = new("--data") { Description = "The text, one file: 90, 5 and 5 percent of it are for training, development and test",
            HelpName = "FILE", Required = true };
        Option<string> output = new("--output") { Description = "The output folder", HelpName = "FOLDER", Required = true };
        Option<string?> preset = new("--preset") { Description = "The paper's phases: small (41 million parameters) or large (102)",
            HelpName = "NAME" };
        Option<string?> schedule = new("--schedule") { Description = "A schedule file, in place of a preset", HelpName = "FILE" };
        Option<bool> resume = new("--resume") { Description = "Go on from the last checkpoint of the output folder" };
        Option<bool> characters = new("--characters") { Description = "Symbols are the characters of UTF-8 (default: bytes)" };
        Option<string?> split = Split();
        Option<long> seed = new("--seed") { Description = "Of the weights, the order and the dropouts", HelpName = "N",
            DefaultValueFactory = _ => 42 };
        Option<int?> perPass = new("--sequences-per-pass") { Description = "Sequences in one pass (default: all of a step)",
            HelpName = "N" };
        Option<bool> recompute = new("--recompute") { Description = "Run layers again in the backward pass instead of keeping their results" };
        Option<long?> evalEvery =
            new("--eval-every") { Description = "Steps between evaluations, besides those at the end of each phase", HelpName = "N" };
        Option<long?> evalCharacters = new("--eval-characters") { Description = "Most characters of an evaluation (default: the whole part)",
            HelpName = "N" };
        Option<long> saveEvery = new("--save-every") { Description = "Steps between checkpoints", HelpName = "N", DefaultValueFactory = _ => 1000 };
        Option<int> keep = new("--keep") { Description = "Checkpoints that are kept, besides the best", HelpName = "N",
            DefaultValueFactory = _ => 2 };
        RunOptions run = new(command);
        preset.OnlyFrom("small", "large");
        command.Add(checkpoint);
        foreach (Option option in (Option[])[data, output, preset, schedule, resume, characters, split, seed, perPass, recompute, evalEvery,
            evalCharacters, saveEvery, keep])
        {
            command.Add(option);
        }
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            (string? named, string? file) = (parsed.GetValue(preset), parsed.GetValue(schedule));
            if ((named is null) == (file is null))
                throw new UsageException("expected one of --preset small|large and --schedule FILE");
            LoadOptions load = run.Load(parsed);
            CharacterTrainer trainer = new(new CharacterTrainerOptions
            {
                Data = parsed.GetRequiredValue(data), Output = parsed.GetRequiredValue(output), Checkpoint = parsed.GetValue(checkpoint),
                Schedule = file is not null ? CharacterSchedule.Load(file) : named == "small" ? CharacterSchedule.Small : CharacterSchedule.Large,
                Bytes = !parsed.GetValue(characters), Split = LengthsOf(parsed.GetValue(split)), Resume = parsed.GetValue(resume),
                Seed = parsed.GetValue(seed), SequencesPerPass = parsed.GetValue(perPass), Recompute = parsed.GetValue(recompute),
                EvaluateEvery = parsed.GetValue(evalEvery), EvaluateCharacters = parsed.GetValue(evalCharacters),
                SaveEvery = parsed.GetValue(saveEvery),
                KeepLast = parsed.GetValue(keep), Device = load.Device, DType = load.DType ?? DType.Float32, Attention = load.Attention,
                TF32 = load.TF32,
            });
            using TrainingProgress progress = new();
            trainer.Reported += progress.Report;
            TrainingResult result = trainer.Run(cancellation);
            progress.Clear();
            return TrainVerb.Report(result, run.Json(parsed));
        }));
        return command;
    }

    /// <summary><c>longformer evaluate char-lm</c>: bits per character.</summary>
    internal static Command CreateEvaluate()
    {
        Command command = new("char-lm",
            "Bits per character of a text: by the paper's overlapping sequences, or in one pass");
        Argument<string> folder = Folder();
        Option<string> data = new("--data") { Description = "The text, one file", HelpName = "FILE", Required = true };
        Option<string> part = new("--part") { Description = "train, dev, test (as in training) or all", HelpName = "PART",
            DefaultValueFactory = _ => "test" };
        Option<string?> split = Split();
        Option<int> length = new("--length") { Description = "Characters of a sequence", HelpName = "N",
            DefaultValueFactory = _ => CharacterEvaluation.PaperLength };
        Option<int> step = new("--step") { Description = "Characters between two sequences, which are those that are counted", HelpName = "N",
            DefaultValueFactory = _ => CharacterEvaluation.PaperStep };
        Option<bool> onePass = new("--one-pass") { Description = "Compute every character once, with the keys and values of those before; counts the "
            + "same characters" };
        Option<bool> every = new("--every-character") { Description = "With --one-pass: count from the first character on" };
        Option<string?> output = new("--output") { Description = "The bits of each counted character, one a line", HelpName = "FILE" };
        part.OnlyFrom(Parts);
        RunOptions run = new(command);
        command.Add(folder);
        foreach (Option option in (Option[])[data, part, split, length, step, onePass, every, output])
            command.Add(option);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            if (parsed.GetValue(every) && !parsed.GetValue(onePass))
                throw new UsageException("--every-character needs --one-pass");
            CharacterEvaluationOptions options = new()
            {
                Part = (CharacterPart)Array.IndexOf(Parts, parsed.GetValue(part)), Split = LengthsOf(parsed.GetValue(split)),
                Length = parsed.GetValue(length), Step = parsed.GetValue(step), OnePass = parsed.GetValue(onePass),
                EveryCharacter = parsed.GetValue(every),
            };
            using CharacterGenerator loaded = CharacterGenerator.Load(parsed.GetRequiredValue(folder), run.Load(parsed));
            using OutputFile? written = parsed.GetValue(output) is { } file ? new OutputFile(file) : null;
            // Ended before the file is put in its place, and not again behind that.
            StreamWriter? writer = written is null ? null : new StreamWriter(written.Stream, leaveOpen: true);
            void Write(double[] bits)
            {
                foreach (double bit in bits)
                    writer?.Write(bit.ToString("0.######\n", CultureInfo.InvariantCulture));
            }
            CharacterFileScore found = CharacterEvaluation.OfFile(loaded.Model, loaded.Vocabulary, parsed.GetRequiredValue(data), options, Write,
                null, cancellation);
            writer?.Dispose();
            written?.Commit();
            Print(found.Score, found.EqualsOverlapping, run.Json(parsed));
            return 0;
        }));
        return command;
    }

    /// <summary><c>longformer generate</c>: text from a character model, as it is written.</summary>
    internal static Command CreateGenerate()
    {
        Command command = new("generate", "Text from a character language model.");
        Argument<string> folder = Folder();
        Option<string?> prompt = new("--prompt") { Description = "The text to continue", HelpName = "TEXT" };
        Option<string?> input = new("--input") { Description = "A file with the text to continue (- for standard input)", HelpName = "FILE" };
        Option<int> characters = new("--characters") { Description = "How many to write", HelpName = "N", DefaultValueFactory = _ => 256 };
        Option<bool> greedy = new("--greedy") { Description = "Always the most probable character" };
        Option<double> temperature = new("--temperature") { Description = "Below 1 the probable characters become more so", HelpName = "X",
            DefaultValueFactory = _ => 1 };
        Option<int> topK = new("--top-k") { Description = "Draw from the K most probable characters only (0: all)", HelpName = "K" };
        Option<double> topP = new("--top-p") { Description = "Draw from the most probable characters of this probability together", HelpName = "P",
            DefaultValueFactory = _ => 1 };
        Option<ulong> seed = new("--seed") { Description = "The same seed writes the same text", HelpName = "N" };
        RunOptions run = new(command);
        command.Add(folder);
        foreach (Option option in (Option[])[prompt, input, characters, greedy, temperature, topK, topP, seed])
            command.Add(option);
        command.SetAction(parsed => Program.Run(cancellation =>
        {
            (string? given, string? file) = (parsed.GetValue(prompt), parsed.GetValue(input));
            if ((given is null) == (file is null))
                throw new UsageException("expected one of --prompt TEXT and --input FILE");
            string start = given ?? (file == "-" ? Console.In.ReadToEnd() : File.ReadAllText(file!));
            using CharacterGenerator generator = CharacterGenerator.Load(parsed.GetRequiredValue(folder), run.Load(parsed));
            CharacterGenerationOptions options = new()
            {
                MaxCharacters = parsed.GetValue(characters), Sample = !parsed.GetValue(greedy), Temperature = parsed.GetValue(temperature),
                TopK = parsed.GetValue(topK), TopP = parsed.GetValue(topP), Seed = parsed.GetValue(seed),
            };
            bool json = run.Json(parsed);
            StringBuilder text = new();
            foreach (string piece in generator.Write(start, options, cancellation))
            {
                text.Append(piece);
                if (!json)
                    Console.Write(piece);
            }
            if (json)
                JsonOutput.Print(writer => writer.WriteString("text", text.ToString()));
            else
                Console.WriteLine();
            return 0;
        }));
        return command;
    }

    private static Argument<string> Folder() =>
        new("checkpoint") { Description = "Folder of a character model: config.json, model.safetensors, vocabulary.json", HelpName = "FOLDER" };

    private static Option<string?> Split() => new("--split")
    {
        Description = "Characters for training, development and test (default: 90000000,5000000,5000000 of 100 million; else 90, 5 and 5 percent)",
        HelpName = "N,N,N",
    };

    private static long[]? LengthsOf(string? split)
    {
        if (split is null)
            return null;
        string[] parts = split.Split(',');
        long[] lengths = [.. parts.Select(part => long.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out long n) ? n : -1)];
        return lengths.Length == 3 && !lengths.Contains(-1) ? lengths
            : throw new UsageException($"--split: expected three lengths, as 90000000,5000000,5000000, given {split}");
    }

    private static void Print(CharacterScore score, bool? isTheSame, bool json)
    {
        if (json)
        {
            JsonOutput.Print(writer =>
            {
                writer.WriteNumber("bits_per_character", score.BitsPerCharacter);
                writer.WriteNumber("total_bits", score.TotalBits);
                writer.WriteNumber("characters", score.Count);
                if (isTheSame is { } same)
                    writer.WriteBoolean("equals_overlapping", same);
            });
            return;
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"bits per character",-24} {score.BitsPerCharacter:0.######}"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"characters",-24} {score.Count}"));
        if (isTheSame is { } equal)
        {
            Console.WriteLine($"{"overlapping sequences",-24} "
            + $"{(equal ? "would give the same" : "would give less context: the layers reach further than a sequence")}");
        }
    }

    /// <summary>How and where a character model runs.</summary>
    private sealed class RunOptions
    {
        private readonly Option<string> _device = new("--device") { Description = "cpu, cuda or cuda:N", HelpName = "DEVICE",
            DefaultValueFactory = _ => "cpu" };
        private readonly Option<string?> _dtype = new("--dtype") { Description = "Compute in float32, bfloat16 or float16 (default: as stored)",
            HelpName = "DTYPE" };
        private readonly Option<string> _attention = new("--attention") { Description = "Implementation of the attention: fused, chunks or loop",
            HelpName = "NAME", DefaultValueFactory = _ => "fused" };
        private readonly Option<bool> _tf32 = new("--tf32") { Description = "Let a GPU round float32 products to TF32" };
        private readonly Option<int?> _threads = new("--threads") { Description = "Threads of the CPU operators", HelpName = "N" };
        private readonly Option<bool> _json = new("--json") { Description = "Print machine-readable results" };

        public RunOptions(Command command)
        {
            _attention.OnlyFrom(ModelOptions.Implementations);
            _dtype.OnlyFrom(ModelOptions.FloatingDTypes);
            _threads.AtLeastOne();
            foreach (Option option in (Option[])[_device, _dtype, _attention, _tf32, _threads, _json])
                command.Add(option);
        }

        public bool Json(ParseResult parsed) => parsed.GetValue(_json);

        public LoadOptions Load(ParseResult parsed)
        {
            if (parsed.GetValue(_threads) is { } threads)
                TorchRuntime.ThreadCount = threads;
            return new LoadOptions
            {
                Device = Device.Parse(parsed.GetValue(_device)!), DType = ModelOptions.DTypeOf(parsed.GetValue(_dtype)),
                Attention = ModelOptions.Implementation(parsed.GetValue(_attention)!), TF32 = parsed.GetValue(_tf32),
            };
        }
    }
}
