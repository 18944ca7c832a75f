using System.Text;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;
using LongformerInterop.Training.CharacterLm;

namespace LongformerInterop.PythonNet;

/// <summary>The character model in terms that pythonnet can pass.</summary>
public static class CharacterBridge
{
    /// <summary>The symbols of a folder's vocabulary; none where it has no vocabulary.</summary>
    public static CharacterVocabulary? Vocabulary(string folder, CharacterLanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        int size = model.Configuration.VocabularySize;
        return CharacterVocabulary.In(folder) is not { } vocabulary ? null : vocabulary.Count == size ? vocabulary
            : throw new CheckpointException($"{folder}: vocabulary.json: expected {size} symbols, those of the model, given {vocabulary.Count}");
    }

    /// <summary>The symbols in the order of their ids.</summary>
    public static int[] Symbols(CharacterVocabulary vocabulary)
    {
        ArgumentNullException.ThrowIfNull(vocabulary);
        return [.. vocabulary.Symbols];
    }

    /// <summary>A text as ids, int64 [T]; the receiver disposes them.</summary>
    public static Tensor Encode(CharacterVocabulary vocabulary, string text)
    {
        ArgumentNullException.ThrowIfNull(vocabulary);
        long[] ids = Array.ConvertAll(vocabulary.Encode(text), id => (long)id);
        return Tensor.From<long>(ids, ids.Length);
    }

    /// <summary>Ids as text.</summary>
    public static string Decode(CharacterVocabulary vocabulary, int[] ids)
    {
        ArgumentNullException.ThrowIfNull(vocabulary);
        return vocabulary.Decode(ids);
    }

    /// <summary>Runs the model on ids and targets, which are disposed.</summary>
    public static NamedTensors Run(CharacterLanguageModel model, Tensor ids, Tensor? targets, bool logits, bool hiddenStates, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(watch);
        return Disposing([ids, targets], () => model.Run(ids, targets, logits, hiddenStates, watch.Token));
    }

    /// <summary>The loss and its gradients for ids and targets, which are disposed.</summary>
    public static NamedTensors Gradients(CharacterLanguageModel model, Tensor ids, Tensor targets)
    {
        ArgumentNullException.ThrowIfNull(model);
        return Disposing([ids, targets], () => model.LossAndGradients(ids, targets));
    }

    /// <summary>The parameters, without a copy.</summary>
    public static NamedTensors Parameters(CharacterLanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new NamedTensors([.. model.NamedParameters.Select(p => p.Name)], [.. model.NamedParameters.Select(p => p.Tensor.Alias().Keep())]);
    }

    /// <summary>Writes the folder.</summary>
    public static void Save(CharacterLanguageModel model, CharacterVocabulary? vocabulary, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        model.Save(folder);
        vocabulary?.Save(folder);
    }

    /// <summary>The losses of a text's symbols behind the first, float64 in nats; the receiver disposes them.</summary>
    public static Tensor Score(CharacterLanguageModel model, CharacterVocabulary vocabulary, string text, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(vocabulary);
        ArgumentNullException.ThrowIfNull(watch);
        double[] losses = model.Score(vocabulary.Encode(text), watch.Token);
        return Tensor.From<double>(losses, losses.Length);
    }

    /// <summary>Continues a prompt; the watch gets the text as it comes.</summary>
    public static string Generate(CharacterLanguageModel model, CharacterVocabulary vocabulary, string prompt, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        CharacterGenerationOptions how = CharacterSettings.ForGeneration(given);
        given.Finish("generate");
        using CharacterGenerator generator = new(model, vocabulary);
        StringBuilder text = new();
        foreach (string piece in generator.Write(prompt, how, n => watch.OnProgress?.Invoke(n, how.MaxCharacters, n), watch.Token))
        {
            text.Append(piece);
            watch.OnText?.Invoke(piece);
        }
        watch.Token.ThrowIfCancellationRequested();
        return text.ToString();
    }

    /// <summary>Measures a text file: the metrics as a JSON object.</summary>
    public static string Evaluate(CharacterLanguageModel model, CharacterVocabulary vocabulary, string file, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        CharacterEvaluationOptions how = CharacterSettings.ForEvaluation(given);
        given.Finish("evaluate");
        CharacterFileScore found = CharacterEvaluation.OfFile(model, vocabulary, file, how, null, watch, watch.Token);
        return new Training.Recipes.Evaluation(found.Metrics(), []).MetricsJson();
    }

    private static NamedTensors Disposing(Tensor?[] inputs, Func<IReadOnlyDictionary<string, Tensor>> call)
    {
        try
        {
            using TensorScope scope = new();
            IReadOnlyDictionary<string, Tensor> outputs = call();
            foreach (Tensor output in outputs.Values)
                output.Keep();
            return new NamedTensors([.. outputs.Keys], [.. outputs.Values]);
        }
        finally
        {
            foreach (Tensor? input in inputs)
                input?.Dispose();
        }
    }
}
