using System.Text.Json;
using LongformerInterop.Tasks;
using LongformerInterop.Torch;
using LongformerInterop.Training;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.PythonNet;

/// <summary>Training and measuring in terms that pythonnet can pass: settings and results as JSON objects.</summary>
public static class TrainingBridge
{
    /// <summary>Trains; <see cref="PythonCall.OnText"/> gets each event as JSON, <see cref="PythonCall.OnProgress"/> the steps.</summary>
    /// <param name="task">Its name.</param>
    /// <param name="checkpoint">Where to begin.</param>
    /// <param name="data">What to learn from.</param>
    /// <param name="evaluation">What to measure on; may be empty.</param>
    /// <param name="output">The output folder.</param>
    /// <param name="settings">Everything else by name, JSON.</param>
    /// <param name="watch">Gets progress and text, and stops the call.</param>
    /// <returns>The result, JSON.</returns>
    public static string Train(string task, string checkpoint, string[] data, string[] evaluation, string output, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        TrainingOptions options = TrainingSettings.ForTraining(TrainingSettings.TaskOf(task), checkpoint, data, evaluation, output, given);
        given.Finish("train");
        Trainer trainer = new(options);
        trainer.Reported += e =>
        {
            watch.OnText?.Invoke(e.ToJson());
            if (e.Kind == TrainingEventKind.Step)
                watch.OnProgress?.Invoke((int)e.Step, (int)e.TotalSteps, e.Tokens);
        };
        return trainer.Run(watch.Token).ToJson();
    }

    /// <summary>Measures.</summary>
    /// <param name="task">Its name.</param>
    /// <param name="checkpoint">A folder with the head.</param>
    /// <param name="data">What to measure on.</param>
    /// <param name="settings">Everything else by name, JSON.</param>
    /// <param name="watch">Gets progress and text, and stops the call.</param>
    /// <returns>The metrics as a JSON object, then a JSON object for each example.</returns>
    public static string[] Evaluate(string task, string checkpoint, string[] data, string settings, PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(watch);
        using JsonSettings given = new(settings);
        EvaluatorOptions options = TrainingSettings.ForEvaluation(TrainingSettings.TaskOf(task), checkpoint, data, given);
        given.Finish("evaluate");
        Evaluation found = Evaluator.Run(options, watch, watch.Token);
        return [found.MetricsJson(), .. found.Predictions];
    }

    /// <summary>Settings from a JSON object; remembers what was asked for.</summary>
    private sealed class JsonSettings(string text) : ISettingValues, IDisposable
    {
        private readonly JsonDocument _values = JsonDocument.Parse(text);
        private readonly HashSet<string> _known = [];

        public long? Integer(string name) => Find(name) is not { } value ? null
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) ? number : throw Wrong(name, "an int", value);

        public double? Number(string name) => Find(name) is not { } value ? null
            : value.ValueKind == JsonValueKind.Number ? value.GetDouble() : throw Wrong(name, "a float", value);

        public bool? Flag(string name) => Find(name) is not { } value ? null : value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Wrong(name, "True or False", value),
        };

        public string? Text(string name) => Find(name) is not { } value ? null
            : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(name, "a text", value);

        public IReadOnlyList<string>? Texts(string name) => Find(name) is not { } value ? null
            : value.ValueKind == JsonValueKind.Array
                ? [.. value.EnumerateArray().Select(item => item.GetString()!)]
                : throw Wrong(name, "texts", value);

        /// <summary>Refuses settings that were not asked for.</summary>
        public void Finish(string function)
        {
            foreach (JsonProperty property in _values.RootElement.EnumerateObject())
            {
                if (!_known.Contains(property.Name))
                    throw new InputException($"options: {function} takes no \"{property.Name}\"; expected {string.Join(", ", _known)}");
            }
        }

        public void Dispose() => _values.Dispose();

        private JsonElement? Find(string name)
        {
            _known.Add(name);
            return _values.RootElement.TryGetProperty(name, out JsonElement value) ? value : null;
        }

        private static InputException Wrong(string name, string expected, JsonElement given) => new(name, expected, given.GetRawText());
    }
}
