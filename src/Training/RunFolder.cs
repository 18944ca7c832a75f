using System.Globalization;
using System.Text.Json;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Optimization;

namespace LongformerInterop.Training;

/// <summary>The state of a run beside its weights.</summary>
internal sealed record RunState
{
    /// <summary>Steps done.</summary>
    public required long Step { get; init; }

    /// <summary>SHA-256 of the tokenized data.</summary>
    public required string Data { get; init; }

    /// <summary>The settings that the numbers depend on.</summary>
    public required IReadOnlyDictionary<string, string> Settings { get; init; }

    /// <summary>The best step so far; null: nothing was measured.</summary>
    public long? BestStep { get; init; }

    /// <summary>The best metric so far.</summary>
    public double? BestValue { get; init; }

    /// <summary>Evaluations since that were no better.</summary>
    public int Waiting { get; init; }

    /// <summary>The epoch of an evaluation after this step that was stopped before its end; null: none is due.</summary>
    public double? Due { get; init; }

    /// <summary>Whether the run came to its end.</summary>
    public bool Finished { get; init; }
}

/// <summary>
/// The output folder of a run: <c>checkpoints/step-000000100/</c> with all that is needed to continue, and files for people beside it. A checkpoint
/// appears under its name only when it is whole.
/// </summary>
internal sealed class RunFolder
{
    private const string StateFile = "state.json", OptimizerFile = "optimizer.safetensors", MasterPrefix = "master/";
    private readonly string _checkpoints;

    public RunFolder(string path)
    {
        Path = System.IO.Path.GetFullPath(path);
        _checkpoints = System.IO.Path.Combine(Path, "checkpoints");
        Work = System.IO.Path.Combine(Path, ".work");
    }

    public string Path { get; }

    /// <summary>For what is made on the way.</summary>
    public string Work { get; }

    public string LogPath => System.IO.Path.Combine(Path, "log.jsonl");

    public string CheckpointOf(long step) => System.IO.Path.Combine(_checkpoints, string.Create(CultureInfo.InvariantCulture, $"step-{step:D9}"));

    /// <summary>Makes the folder, or checks that it may be used.</summary>
    /// <exception cref="InputException">It is a file, or not empty and not resumed, or resumed and empty.</exception>
    public void Open(bool resume)
    {
        if (File.Exists(Path))
            throw new InputException($"{Path}: expected a folder for the output, given a file");
        // The files of a run that ended before its first checkpoint are worth nothing.
        bool begun = Directory.Exists(_checkpoints) && Directory.EnumerateFileSystemEntries(_checkpoints).Any();
        bool used = begun || (Directory.Exists(Path) && Directory.EnumerateFileSystemEntries(Path).Any(e =>
            System.IO.Path.GetFileName(e) is not (".work" or "cache" or "checkpoints" or "log.jsonl")));
        if (used && !resume)
            throw new InputException($"{Path}: the output folder is not empty; resume the run that is in it, or give another folder");
        if (resume && !Directory.Exists(_checkpoints) && !File.Exists(LogPath))
            throw new InputException($"{Path}: there is no run to resume: expected the folder checkpoints in it");
        try
        {
            Directory.CreateDirectory(_checkpoints);
            // A killed run was writing these.
            foreach (string part in Directory.GetDirectories(_checkpoints, ".*.part"))
                Directory.Delete(part, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{Path}: cannot be written: {e.Message}", e);
        }
    }

    /// <summary>The last whole checkpoint; null: there is none.</summary>
    public (string Folder, RunState State)? Last()
    {
        foreach (string folder in Steps().Reverse())
        {
            if (File.Exists(System.IO.Path.Combine(folder, StateFile)))
                return (folder, ReadState(folder));
        }
        return null;
    }

    /// <summary>Writes a checkpoint with a model and the tokenizer of a folder.</summary>
    public void Save(RunState state, PretrainedModel model, IReadOnlyList<TrainedParameter> parameters, IOptimizer optimizer, string tokenizer) =>
        Save(state, folder =>
        {
            TokenizerFiles.Copy(tokenizer, folder);
            model.Save(folder);
        }, parameters, optimizer);

    /// <summary>Writes a checkpoint; the model writes itself into the folder that it is given.</summary>
    public void Save(RunState state, Action<string> model, IReadOnlyList<TrainedParameter> parameters, IOptimizer optimizer)
    {
        string target = CheckpointOf(state.Step);
        if (Directory.Exists(target))
            Directory.Delete(target, recursive: true);
        using StagedFolder staged = new(target);
        try
        {
            IEnumerable<TensorSource> masters = parameters.Where(p => p.HasMaster).Select(p => p.MasterSource(MasterPrefix + p.Name));
            SafetensorsWriter.Write(System.IO.Path.Combine(staged.Path, OptimizerFile),
                [.. optimizer.State.Select(s => TensorSource.From(s.Key, s.Value)), .. masters]);
            model(staged.Path);
            WriteState(System.IO.Path.Combine(staged.Path, StateFile), state);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{target}: cannot be written: {e.Message}; the checkpoints before it are whole", e);
        }
        staged.Commit();
    }

    /// <summary>Marks the run as ended in its last checkpoint.</summary>
    public void Finish(RunState state) => WriteState(System.IO.Path.Combine(CheckpointOf(state.Step), StateFile), state with { Finished = true });

    /// <summary>Puts back what a checkpoint holds besides the model's weights.</summary>
    public static void Restore(string folder, IReadOnlyList<TrainedParameter> parameters, IOptimizer optimizer)
    {
        using TensorScope scope = new();
        using SafetensorsFile file = SafetensorsFile.Open(System.IO.Path.Combine(folder, OptimizerFile));
        optimizer.Restore(file.Entries.Keys.Where(n => !n.StartsWith(MasterPrefix, StringComparison.Ordinal)).ToDictionary(n => n, file.Get),
            parameters);
        foreach (TrainedParameter parameter in parameters.Where(p => p.NeedsMaster && HasMaster(p)))
            parameter.SetMaster(file.Get(MasterPrefix + parameter.Name));

        // A parameter that no gradient has reached yet has neither a state nor a master.
        bool HasMaster(TrainedParameter parameter) => file.Entries.ContainsKey(MasterPrefix + parameter.Name)
            || file.Entries.Keys.Any(name => name.StartsWith(parameter.Name + "/", StringComparison.Ordinal));
    }

    /// <summary>Removes all checkpoints but the last ones and the best.</summary>
    public void Rotate(int keep, long? best)
    {
        string[] all = [.. Steps()];
        foreach (string folder in all.Take(Math.Max(0, all.Length - keep)).Where(f => best is null || f != CheckpointOf(best.Value)))
            Directory.Delete(folder, recursive: true);
    }

    /// <summary>Puts the model of a checkpoint into the output folder itself.</summary>
    public void Publish(long step)
    {
        using StagedFolder staged = new(Path);
        foreach (string file in Directory.GetFiles(CheckpointOf(step)))
        {
            string name = System.IO.Path.GetFileName(file);
            if (name is not (StateFile or OptimizerFile))
                File.Copy(file, System.IO.Path.Combine(staged.Path, name));
        }
        staged.Commit();
    }

    /// <summary>Writes a text file whole or not at all.</summary>
    public void Write(string name, string text) => WholeFile.Write(System.IO.Path.Combine(Path, name), text);

    /// <summary>Removes what was made on the way, and the folders themselves where nothing came into them.</summary>
    public void Clean()
    {
        if (Directory.Exists(Work))
            Directory.Delete(Work, recursive: true);
        foreach (string folder in (string[])[_checkpoints, Path])
        {
            if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any())
                Directory.Delete(folder);
        }
    }

    private IEnumerable<string> Steps() => Directory.GetDirectories(_checkpoints, "step-*").Order(StringComparer.Ordinal);

    private static void WriteState(string path, RunState state)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("step", state.Step);
            json.WriteString("data", state.Data);
            if (state.BestStep is { } step)
                json.WriteNumber("best_step", step);
            if (state.BestValue is { } best)
                json.WriteNumber("best_value", best);
            json.WriteNumber("waiting", state.Waiting);
            if (state.Due is { } due)
                json.WriteNumber("evaluation_due", due);
            json.WriteBoolean("finished", state.Finished);
            json.WriteStartObject("settings");
            foreach ((string name, string value) in state.Settings)
                json.WriteString(name, value);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        string temporary = path + ".part";
        File.WriteAllBytes(temporary, stream.ToArray());
        File.Move(temporary, path, overwrite: true);
    }

    private static RunState ReadState(string folder)
    {
        string path = System.IO.Path.Combine(folder, StateFile);
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement json = document.RootElement;
            return new RunState
            {
                Step = json.GetProperty("step").GetInt64(),
                Data = json.GetProperty("data").GetString()!,
                BestStep = json.TryGetProperty("best_step", out JsonElement step) ? step.GetInt64() : null,
                BestValue = json.TryGetProperty("best_value", out JsonElement best) ? best.GetDouble() : null,
                Waiting = json.GetProperty("waiting").GetInt32(),
                Due = json.TryGetProperty("evaluation_due", out JsonElement due) ? due.GetDouble() : null,
                Finished = json.GetProperty("finished").GetBoolean(),
                Settings = json.GetProperty("settings").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!),
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new CheckpointException($"{path}: not the state of a run: {e.Message}", e);
        }
    }
}
