using System.CommandLine;
using System.Globalization;
using LongformerInterop.Models;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer random</c>: seeded random checkpoints in HF's format, for tests, demonstrations and measurements.</summary>
internal static class RandomVerb
{
    private static readonly string[] TokenizerFiles =
        ["tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

    internal static Command Create()
    {
        Command command = new("random", "Writes a checkpoint with seeded random weights in HF's format.");
        Argument<string> folder = new("folder") { Description = "Where to write; no checkpoint may be there", HelpName = "FOLDER" };
        Option<string> size = new("--size")
        {
            Description = "tiny (2 layers of 64, 512 tokens) or base (12 layers of 768, window 512, 4096 tokens); "
                + "led-tiny (2 + 2 layers of 64, 1024 tokens) or led-base (6 + 6 layers of 768, window 1024, 16384 tokens)",
            HelpName = "SIZE",
            DefaultValueFactory = _ => "tiny",
        };
        size.OnlyFrom("tiny", "base", "led-tiny", "led-base");
        Option<long> seed = new("--seed") { Description = "Another seed, other weights", HelpName = "N", DefaultValueFactory = _ => 0 };
        string[] heads = [.. Architecture.All.Select(a => a.Head).Distinct()];
        Option<string?> head = new("--head")
        {
            Description = $"{string.Join(", ", heads)} (default: none; of an LED conditional-generation)",
            HelpName = "HEAD",
        };
        head.OnlyFrom(heads);
        Option<string?> labels = new("--labels") { Description = "Label names for a classifier, such as O,B-PER,I-PER", HelpName = "A,B,..." };
        Option<string?> tokenizer =
            new("--tokenizer") { Description = "Folder whose tokenizer files are copied; its size becomes the vocabulary", HelpName = "FOLDER" };
        Option<int?> layers = new("--layers") { Description = "Layers, in place of the size's", HelpName = "N" };
        Option<int?> tokens = new("--tokens") { Description = "Longest document, in place of the size's", HelpName = "N" };
        Option<int?> window = new("--window") { Description = "Two-sided attention window, in place of the size's", HelpName = "N" };
        foreach (Option<int?> number in new[] { layers, tokens, window })
            number.AtLeastOne();
        foreach (Option option in new Option[] { size, seed, head, labels, tokenizer, layers, tokens, window })
            command.Add(option);
        command.Add(folder);
        command.SetAction(parsed => Program.Run(_ =>
        {
            string chosen = parsed.GetValue(size)!;
            ModelFamily family = chosen.StartsWith("led-", StringComparison.Ordinal) ? ModelFamily.Led : ModelFamily.Longformer;
            Sizes sizes = new(parsed.GetValue(layers), parsed.GetValue(tokens), parsed.GetValue(window));
            Tokenizer? known = parsed.GetValue(tokenizer) is { } source ? Tokenizer.Load(source) : null;
            ModelConfiguration configuration = family == ModelFamily.Led
                ? Led(chosen == "led-base", sizes, known)
                : Longformer(chosen == "base", sizes, known);
            Architecture architecture = ClassOf(family, parsed.GetValue(head));
            if (parsed.GetValue(labels) is { } names)
            {
                configuration = configuration with { Id2Label =
                    names.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) };
            }
            if (configuration.Id2Label.Count < 1)
                throw new UsageException("--labels: at least one label is needed");
            Write(parsed.GetRequiredValue(folder), configuration, parsed.GetValue(seed), architecture, parsed.GetValue(tokenizer));
            return 0;
        }));
        return command;
    }

    private sealed record Sizes(int? Layers, int? Tokens, int? Window);

    private static Architecture ClassOf(ModelFamily family, string? head)
    {
        string wanted = head ?? (family == ModelFamily.Led ? "conditional-generation" : "none");
        return Architecture.Of(family).FirstOrDefault(a => a.Head == wanted) ?? throw new UsageException(
            $"--head: expected {string.Join(", ", Architecture.Of(family).Select(a => a.Head))} for "
            + $"{(family == ModelFamily.Led ? "an LED" : "a Longformer")}, given {wanted}");
    }

    private static LongformerConfiguration Longformer(bool large, Sizes sizes, Tokenizer? tokenizer)
    {
        LongformerConfiguration configuration = large ? new() : Tiny();
        if (tokenizer is not null)
            configuration = WithTokenizer(configuration, tokenizer);
        if (sizes.Layers is { } layers)
            configuration = configuration with { NumHiddenLayers = layers, AttentionWindow = [configuration.AttentionWindow[^1]] };
        if (sizes.Tokens is { } longest)
            configuration = configuration with { MaxPositionEmbeddings = longest + configuration.PadTokenId + 1 };
        return sizes.Window is { } width ? configuration with { AttentionWindow = [width] } : configuration;
    }

    private static LongformerConfiguration Tiny() => new()
    {
        VocabSize = 1000,
        HiddenSize = 64,
        NumHiddenLayers = 2,
        NumAttentionHeads = 4,
        IntermediateSize = 128,
        MaxPositionEmbeddings = 514,
        AttentionWindow = [16, 32],
    };

    private static LongformerConfiguration WithTokenizer(LongformerConfiguration configuration, Tokenizer tokenizer)
    {
        SpecialTokenIds special = tokenizer.SpecialTokens;
        int padding = special.Padding ?? configuration.PadTokenId;
        return configuration with
        {
            VocabSize = tokenizer.VocabularySize,
            MaxPositionEmbeddings = configuration.MaxTokens + padding + 1,
            PadTokenId = padding,
            BosTokenId = special.Begin ?? special.Classifier ?? configuration.BosTokenId,
            EosTokenId = special.End ?? special.Separator ?? configuration.EosTokenId,
            SepTokenId = special.Separator ?? special.End ?? configuration.SepTokenId,
        };
    }

    private static LedConfiguration Led(bool large, Sizes sizes, Tokenizer? tokenizer)
    {
        LedConfiguration c = large ? new() : new()
        {
            VocabSize = 1000, DModel = 64, EncoderLayers = 2, DecoderLayers = 2, EncoderAttentionHeads = 4, DecoderAttentionHeads = 4,
            EncoderFfnDim = 128,
            DecoderFfnDim = 128, MaxEncoderPositionEmbeddings = 1024, MaxDecoderPositionEmbeddings = 128, AttentionWindow = [32],
        };
        return c with
        {
            EncoderLayers = sizes.Layers ?? c.EncoderLayers,
            DecoderLayers = sizes.Layers ?? c.DecoderLayers,
            MaxEncoderPositionEmbeddings = sizes.Tokens ?? c.MaxEncoderPositionEmbeddings,
            AttentionWindow = sizes.Window is { } width ? [width] : c.AttentionWindow,
            VocabSize = tokenizer?.VocabularySize ?? c.VocabSize,
        };
    }

    private static void Write(string folder, ModelConfiguration configuration, long seed, Architecture architecture, string? tokenizer)
    {
        Refuse(folder);
        IReadOnlyList<ParameterShape> shapes = RandomCheckpoint.Write(folder, configuration, seed, architecture.Name);
        Finish(folder, architecture.Name, shapes, seed, tokenizer);
    }

    private static void Refuse(string folder)
    {
        foreach (string file in new[] { "config.json", "model.safetensors" })
        {
            if (File.Exists(Path.Combine(folder, file)))
                throw new IOException($"{folder} already holds {file}; a checkpoint is not overwritten");
        }
    }

    private static void Finish(string folder, string architecture, IEnumerable<ParameterShape> shapes, long seed, string? tokenizer)
    {
        if (tokenizer is not null)
        {
            foreach (string file in TokenizerFiles)
            {
                if (File.Exists(Path.Combine(tokenizer, file)))
                    File.WriteAllBytes(Path.Combine(folder, file), File.ReadAllBytes(Path.Combine(tokenizer, file)));
            }
        }
        long parameters = shapes.Sum(p => p.Shape.Aggregate(1L, (product, size) => product * size));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{folder}: {architecture}, {parameters:N0} parameters, seed {seed}"));
    }
}
