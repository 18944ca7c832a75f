using System.CommandLine;
using System.Globalization;
using LongformerInterop.Models;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Cli.Verbs;

/// <summary><c>longformer random</c>: seeded random checkpoints in Hugging Face's format, for tests, demonstrations and measurements.</summary>
internal static class RandomVerb
{
    private static readonly Dictionary<string, string> Heads = new()
    {
        ["none"] = "LongformerModel",
        ["masked-lm"] = "LongformerForMaskedLM",
        ["sequence-classification"] = "LongformerForSequenceClassification",
        ["question-answering"] = "LongformerForQuestionAnswering",
        ["token-classification"] = "LongformerForTokenClassification",
        ["multiple-choice"] = "LongformerForMultipleChoice",
    };

    private static readonly string[] TokenizerFiles =
        ["tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

    internal static Command Create()
    {
        Command command = new("random", "Writes a checkpoint with seeded random weights in Hugging Face's format.");
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
        Option<string> head = new("--head") { Description = string.Join(", ", Heads.Keys), HelpName = "HEAD", DefaultValueFactory = _ => "none" };
        head.OnlyFrom([.. Heads.Keys]);
        Option<string?> labels = new("--labels") { Description = "Label names for a classifier, such as O,B-PER,I-PER", HelpName = "A,B,..." };
        Option<string?> tokenizer = new("--tokenizer") { Description = "Folder whose tokenizer files are copied; its size becomes the vocabulary", HelpName = "FOLDER" };
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
            if (parsed.GetValue(size)!.StartsWith("led-", StringComparison.Ordinal))
            {
                if (parsed.GetValue(head) != "none" || parsed.GetValue(labels) is not null)
                    throw new UsageException("an LED is written with its language modeling head: --head and --labels are for the others");
                WriteLed(parsed.GetRequiredValue(folder), parsed.GetValue(size) == "led-base", parsed.GetValue(seed), parsed.GetValue(tokenizer),
                    parsed.GetValue(layers), parsed.GetValue(tokens), parsed.GetValue(window));
                return 0;
            }
            LongformerConfiguration configuration = parsed.GetValue(size) == "base" ? new() : Tiny();
            if (parsed.GetValue(tokenizer) is { } source)
                configuration = WithTokenizer(configuration, Tokenizer.Load(source));
            if (parsed.GetValue(labels) is { } names)
                configuration = configuration with { Id2Label = names.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) };
            if (parsed.GetValue(layers) is { } n)
                configuration = configuration with { NumHiddenLayers = n, AttentionWindow = [configuration.AttentionWindow[^1]] };
            if (parsed.GetValue(tokens) is { } longest)
                configuration = configuration with { MaxPositionEmbeddings = longest + configuration.PadTokenId + 1 };
            if (parsed.GetValue(window) is { } width)
                configuration = configuration with { AttentionWindow = [width] };
            if (configuration.Id2Label.Count < 1)
                throw new UsageException("--labels: at least one label is needed");
            Write(parsed.GetRequiredValue(folder), configuration, parsed.GetValue(seed), Heads[parsed.GetValue(head)!], parsed.GetValue(tokenizer));
            return 0;
        }));
        return command;
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

    private static void WriteLed(string folder, bool large, long seed, string? tokenizer, int? layers, int? tokens, int? window)
    {
        LedConfiguration c = large ? new() : new()
        {
            VocabSize = 1000, DModel = 64, EncoderLayers = 2, DecoderLayers = 2, EncoderAttentionHeads = 4, DecoderAttentionHeads = 4, EncoderFfnDim = 128,
            DecoderFfnDim = 128, MaxEncoderPositionEmbeddings = 1024, MaxDecoderPositionEmbeddings = 128, AttentionWindow = [32],
        };
        c = c with
        {
            EncoderLayers = layers ?? c.EncoderLayers,
            DecoderLayers = layers ?? c.DecoderLayers,
            MaxEncoderPositionEmbeddings = tokens ?? c.MaxEncoderPositionEmbeddings,
            AttentionWindow = window is { } width ? [width] : c.AttentionWindow,
            VocabSize = tokenizer is null ? c.VocabSize : Tokenizer.Load(tokenizer).VocabularySize,
        };
        Refuse(folder);
        const string architecture = "LEDForConditionalGeneration";
        RandomCheckpoint.Write(folder, c, seed, architecture);
        Finish(folder, architecture, LedParameters.Of(c, architecture), seed, tokenizer);
    }

    private static void Write(string folder, LongformerConfiguration configuration, long seed, string architecture, string? tokenizer)
    {
        Refuse(folder);
        RandomCheckpoint.Write(folder, configuration, seed, architecture);
        Finish(folder, architecture, LongformerParameters.Of(configuration, architecture), seed, tokenizer);
    }

    private static void Refuse(string folder)
    {
        foreach (string file in new[] { "config.json", "model.safetensors" })
            if (File.Exists(Path.Combine(folder, file)))
                throw new IOException($"{folder} already holds {file}; a checkpoint is not overwritten");
    }

    private static void Finish(string folder, string architecture, IEnumerable<ParameterShape> shapes, long seed, string? tokenizer)
    {
        if (tokenizer is not null)
            foreach (string file in TokenizerFiles)
                if (File.Exists(Path.Combine(tokenizer, file)))
                    File.WriteAllBytes(Path.Combine(folder, file), File.ReadAllBytes(Path.Combine(tokenizer, file)));
        long parameters = shapes.Sum(p => p.Shape.Aggregate(1L, (product, size) => product * size));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{folder}: {architecture}, {parameters:N0} parameters, seed {seed}"));
    }
}
