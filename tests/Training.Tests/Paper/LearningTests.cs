using LongformerInterop.Training.Data;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Training.Tests.Paper;

/// <summary>
/// The point of the paper on a tiny IMDB: words that decide are far from the first token, so that a window does not reach them. The larger runs,
/// of every task, are in <c>benchmarks/learn_tasks.py</c>.
/// </summary>
public sealed class LearningTests
{
    private const int Words = 150, FirstDecisive = 60, Cut = 50;

    [Test]
    public void A_review_is_learned_with_global_attention_and_neither_without_nor_when_it_is_cut()
    {
        using TestFolder folder = new();
        Write(folder);
        double whole = Train(folder, "whole", new RecipeOptions()), alone = Train(folder, "alone", new RecipeOptions { NoGlobalAttention = true }),
            cut = Train(folder, "cut", new RecipeOptions { MaxTokens = Cut });
        Assert.That(whole, Is.GreaterThanOrEqualTo(0.95));
        Assert.That(Math.Max(alone, cut), Is.LessThan(0.8));
    }

    private static double Train(TestFolder folder, string name, RecipeOptions recipe) => new Trainer(new TrainingOptions
    {
        Task = TrainingTask.Imdb, Checkpoint = folder["start"], Data = [folder["train"]], EvaluationData = [folder["held"]], Output = folder[name],
        Cache = folder["cache"], Recipe = recipe, LearningRate = 3e-3, WarmupRatio = 0.1, Epochs = 5, Seed = 42,
        Batches = new BatchPlan { ExamplesPerStep = 8 }, SaveEvery = 1_000, EvaluateEvery = 50,
    }).Run().Metrics!["accuracy"];

    /// <summary>Reviews of filler with six decisive words, and a configuration with a tokenizer of whole words and no weights.</summary>
    private static void Write(TestFolder folder)
    {
        Random random = new(1);
        foreach ((string part, int count) in new[] { ("train", 160), ("held", 40) })
        {
            for (int i = 0; i < count; i++)
            {
                string[] words = [.. Enumerable.Range(0, Words).Select(_ => $"w{random.Next(20)}")];
                for (int word = 0; word < 6; word++)
                    words[random.Next(FirstDecisive, Words - 4)] = i % 2 == 0 ? "awful" : "lovely";
                folder.Write(i % 2 == 0 ? $"{part}/neg/{i}_2.txt" : $"{part}/pos/{i}_9.txt", string.Join(' ', words));
            }
        }
        string[] vocabulary = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]", .. Enumerable.Range(0, 20).Select(i => $"w{i}"), "lovely", "awful"];
        folder.Write("start/vocab.txt", string.Join('\n', vocabulary) + "\n");
        folder.Write("start/tokenizer_config.json", "{\"tokenizer_class\": \"BertTokenizer\"}");
        folder.Write("start/config.json", $$"""
            {"model_type": "longformer", "vocab_size": {{vocabulary.Length}}, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 64, "max_position_embeddings": {{Words + 12}}, "attention_window": [8, 8], "sep_token_id": 2,
             "type_vocab_size": 1, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.05,
             "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
            """);
    }
}
