using System.Reflection;
using LongformerInterop.Models;
using LongformerInterop.Tests;

namespace LongformerInterop.DotNet.Tests;

/// <summary>Every recipe of docs/dotnet.md, in a folder with tiny checkpoints under the names that it uses.</summary>
[NonParallelizable]
public sealed class RecipeTests
{
    private static readonly Dictionary<int, string> Expected = new()
    {
        [1] = @"^2 vectors of 32 numbers\n$", [2] = @"^(.+ \[\d+\.\.\d+\] \d\.\d\d\n){3}$", [3] = ".+\n$", [4] = @"^32 numbers each, \d+ tokens\n$",
        [5] = @"^\d+ tokens; the first (2\d|30) end at character \d+\n$", [6] = @"^1 x 5 x 32\n$", [7] = @"^(loss \d\.\d\d\d\n){3}$",
        [8] = @"^LabelScore \{ Label = (bad|neutral|good), .*\n$", [9] = "^True\n$", [10] = "^10, 20, 30, 40\n$",
    };

    private static string desk = "", before = "";

    private static IEnumerable<int> Numbers => Expected.Keys;

    [OneTimeSetUp]
    public void Furnish()
    {
        (before, desk) = (Environment.CurrentDirectory, Directory.CreateDirectory(Path.Combine(TinyCheckpoints.Root, "desk")).FullName);
        string led = Path.Combine(TinyCheckpoints.Root, "led");
        RandomCheckpoint.Write(led, new LedConfiguration
        {
            VocabSize = Tokenizers.Tokenizer.Load(TinyCheckpoints.TokenizerFolder).VocabularySize, DModel = 32, EncoderLayers = 2, DecoderLayers = 2,
            EncoderAttentionHeads = 4, DecoderAttentionHeads = 2, EncoderFfnDim = 48, DecoderFfnDim = 40, MaxEncoderPositionEmbeddings = 2000,
            MaxDecoderPositionEmbeddings = 40, AttentionWindow = [8],
        }, seed: 3);
        foreach (string file in new[] { "vocab.json", "merges.txt" })
            File.Copy(Path.Combine(TinyCheckpoints.TokenizerFolder, file), Path.Combine(led, file));
        foreach ((string name, string folder) in new[] { ("longformer-base-4096", TinyCheckpoints.Base),
            ("longformer-triviaqa", TinyCheckpoints.QuestionAnswering),
            ("longformer-imdb", TinyCheckpoints.Classifier), ("led-base-16384", led) })
            Directory.CreateSymbolicLink(Path.Combine(desk, name), folder);
        File.WriteAllText(Path.Combine(desk, "book.txt"), string.Concat(Enumerable.Repeat("The storm closed the bridge. ", 3)));
        Environment.CurrentDirectory = desk;
    }

    [OneTimeTearDown]
    public void Leave() => Environment.CurrentDirectory = before;

    [TestCaseSource(nameof(Numbers))]
    public async Task A_recipe_runs_as_it_stands(int number)
    {
        Type recipe = Assembly.GetExecutingAssembly().GetType($"Recipe{number}.Recipe")!;
        using StringWriter output = new() { NewLine = "\n" };
        TextWriter console = Console.Out;
        Console.SetOut(output);
        try
        {
            await (Task)recipe.GetMethod("Run")!.Invoke(null, null)!;
        }
        finally
        {
            Console.SetOut(console);
        }

        Assert.That(output.ToString(), Does.Match(Expected[number]));
    }

    [Test]
    public void Every_recipe_is_run() =>
        Assert.That(Assembly.GetExecutingAssembly().GetTypes().Select(t => t.FullName!).Where(n => n.EndsWith(".Recipe", StringComparison.Ordinal)),
            Is.EquivalentTo(Expected.Keys.Select(n => $"Recipe{n}.Recipe")));
}
