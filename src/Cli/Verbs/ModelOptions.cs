using System.CommandLine;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Verbs;

/// <summary>The options that every verb with a model has: the checkpoint folder, and how and where it runs.</summary>
internal sealed class ModelOptions
{
    internal static readonly string[] Implementations = ["fused", "chunks", "loop"];
    internal static readonly string[] FloatingDTypes = ["float32", "bfloat16", "float16"];
    internal static readonly string[] DTypes = [.. FloatingDTypes, "int8"];

    private readonly Argument<string?> _folder;

    private readonly Option<string> _device = new("--device")
    {
        Description = "cpu, cuda or cuda:N",
        HelpName = "DEVICE",
        DefaultValueFactory = _ => "cpu",
    };

    private readonly Option<string?> _dtype =
        new("--dtype") { Description = "Compute in float32, bfloat16, float16 or int8 (default: as stored)", HelpName = "DTYPE" };

    private readonly Option<string> _attention = new("--attention")
    {
        Description = "Implementation of the attention: fused, chunks or loop",
        HelpName = "NAME",
        DefaultValueFactory = _ => "fused",
    };

    private readonly Option<bool> _tf32 = new("--tf32") { Description = "Let a GPU round float32 products to TF32" };
    private readonly Option<int?> _threads = new("--threads") { Description = "Threads of the CPU operators", HelpName = "N" };
    private readonly Option<string?> _base =
        new("--base") { Description = "The base's folder, where the checkpoint is a LoRA adapter", HelpName = "FOLDER" };
    private readonly Option<bool> _json = new("--json") { Description = "Print machine-readable results" };

    /// <param name="command">The verb.</param>
    /// <param name="hasDefault">Whether the model in the box serves the verb where no folder is named.</param>
    internal ModelOptions(Command command, bool hasDefault = false)
    {
        _folder = new Argument<string?>("checkpoint")
        {
            Description = "Checkpoint folder: config.json, model.safetensors and the tokenizer's files"
                + (hasDefault ? " (default: the model in the box)" : ""),
            HelpName = "FOLDER",
            Arity = hasDefault ? ArgumentArity.ZeroOrOne : ArgumentArity.ExactlyOne,
        };
        _attention.OnlyFrom(Implementations);
        _dtype.OnlyFrom(DTypes);
        _threads.AtLeastOne();
        command.Add(_folder);
        command.Add(_device);
        command.Add(_dtype);
        command.Add(_attention);
        command.Add(_tf32);
        command.Add(_threads);
        command.Add(_base);
        command.Add(_json);
    }

    /// <exception cref="CheckpointException">None is named, and there is no model in the box.</exception>
    internal string Folder(ParseResult parsed) => parsed.GetValue(_folder) ?? DefaultModel.Folder;

    /// <summary>Whether the command line names a folder.</summary>
    internal bool IsNamed(ParseResult parsed) => parsed.GetValue(_folder) is not null;

    internal bool Json(ParseResult parsed) => parsed.GetValue(_json);

    /// <summary>Sets the thread count and gives the load options.</summary>
    internal LoadOptions Load(ParseResult parsed)
    {
        if (parsed.GetValue(_threads) is { } threads)
            TorchRuntime.ThreadCount = threads;
        return new LoadOptions
        {
            Device = Device.Parse(parsed.GetValue(_device)!),
            DType = DTypeOf(parsed.GetValue(_dtype)),
            Attention = Implementation(parsed.GetValue(_attention)!),
            TF32 = parsed.GetValue(_tf32),
            BaseFolder = parsed.GetValue(_base),
        };
    }

    /// <summary>One of <see cref="DTypes"/>; null for null.</summary>
    internal static DType? DTypeOf(string? name) => name switch
    {
        "float32" => DType.Float32,
        "bfloat16" => DType.BFloat16,
        "float16" => DType.Float16,
        "int8" => DType.Int8,
        _ => null,
    };

    internal static AttentionImplementation Implementation(string name) => name switch
    {
        "fused" => AttentionImplementation.Fused,
        "chunks" => AttentionImplementation.Chunks,
        "loop" => AttentionImplementation.Loop,
        _ => throw new UsageException($"--attention: expected {string.Join(", ", Implementations)}, given {name}"),
    };
}

/// <summary>The options of every verb that reads text.</summary>
internal sealed class TextOptions
{
    private readonly Option<string[]> _input = new("--input")
    {
        Description = "Text file, a whole document (repeatable; - for standard input)",
        HelpName = "FILE",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string[]> _jsonl = new("--jsonl")
    {
        Description = "JSON lines: a string, or an object with \"text\", per line, or an array of them (repeatable; - for standard input)",
        HelpName = "FILE",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string[]> _parquet = new("--parquet")
    {
        Description = "Parquet file, a document per row (repeatable)",
        HelpName = "FILE",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string?> _column = new("--text-column", "--column")
    {
        Description = "The column with the text, of Parquet and of a corpus (default: text, document or context)",
        HelpName = "NAME",
    };

    private readonly Option<bool> _truncate = new("--truncate") { Description = "Cut a document at the checkpoint's last position" };

    private readonly Option<string?> _global = new("--global")
    {
        Description = "Global attention: none, first, or positions I,J,... (default: the task's own)",
        HelpName = "POSITIONS",
    };

    private readonly Option<string[]> _globalToken = new("--global-token")
    {
        Description = "Make every token of this text global too, such as <doc-sep> (repeatable)",
        HelpName = "TEXT",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string> _onError = new("--on-error")
    {
        Description = "stop or skip: whether a document that fails ends the work, or is named at the end (exit status 1)",
        HelpName = "stop|skip",
        DefaultValueFactory = _ => "stop",
    };

    internal TextOptions(Command command)
    {
        _onError.OnlyFrom("stop", "skip");
        command.Add(_onError);
        command.Add(_globalToken);
        command.Add(_input);
        command.Add(_jsonl);
        command.Add(_parquet);
        command.Add(_column);
        command.Add(_truncate);
        command.Add(_global);
    }

    internal bool Truncate(ParseResult parsed) => parsed.GetValue(_truncate);

    /// <summary>Whether what fails is passed over.</summary>
    internal bool Skips(ParseResult parsed) => parsed.GetValue(_onError) == "skip";

    internal GlobalTokens Global(ParseResult parsed)
    {
        try
        {
            GlobalTokens positions = parsed.GetValue(_global) is { } text ? GlobalTokens.Parse(text) : GlobalTokens.TaskDefault;
            return parsed.GetValue(_globalToken) is { Length: > 0 } tokens ? positions.WithTokens(tokens) : positions;
        }
        catch (InputException e)
        {
            throw new UsageException($"--global: {e.Message}");
        }
    }

    /// <summary>The files of <c>--parquet</c>.</summary>
    internal string[] Parquet(ParseResult parsed) => parsed.GetValue(_parquet) ?? [];

    /// <summary>The column with the text; null: the usual ones.</summary>
    internal string? Column(ParseResult parsed) => parsed.GetValue(_column);

    /// <summary>Whether <c>--input</c> or <c>--jsonl</c> names a file.</summary>
    internal bool HasFiles(ParseResult parsed) => parsed.GetValue(_input) is { Length: > 0 } || parsed.GetValue(_jsonl) is { Length: > 0 };

    internal DocumentList Read(ParseResult parsed) =>
        Documents.Read(parsed.GetValue(_input) ?? [], parsed.GetValue(_jsonl) ?? [], Parquet(parsed), Column(parsed), Skips(parsed));
}
