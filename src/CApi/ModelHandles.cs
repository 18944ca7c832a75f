using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;

namespace LongformerInterop.CApi;

/// <summary>lf_task: any task, together with the memory of its texts that are handed out.</summary>
internal sealed unsafe class TaskHandle(TextTask task) : IDisposable
{
    private readonly BorrowedMemory _borrowed = new();

    public TextTask Task => task;

    /// <summary>A text of the task, which is the same at every call.</summary>
    public byte* Text(TaskText kind, int item, string text) => _borrowed.Text((int)kind, item, () => text, out _);

    public void Dispose()
    {
        task.Dispose();
        _borrowed.Dispose();
    }
}

/// <summary>The task behind a <see cref="TaskHandle"/>.</summary>
internal enum TaskText
{
    Label,
    ProblemType,
    Mask,
}

/// <summary>lf_model: any model class; of an LED also what generates.</summary>
internal sealed unsafe class ModelHandle : IDisposable
{
    private readonly BorrowedMemory _borrowed = new();

    public ModelHandle(PretrainedModel model, string folder)
    {
        Model = model;
        if (model is LedForConditionalGeneration led)
            Generator = new TextGenerator(led, GenerationOptions.FromCheckpoint(folder));
    }

    public PretrainedModel Model { get; }

    /// <summary>Null unless the model generates.</summary>
    public TextGenerator? Generator { get; }

    public byte* Architecture => _borrowed.Text(0, 0, () => Model.Architecture, out _);

    public static ModelHandle Load(string folder, LoadOptions? options)
    {
        PretrainedModel model = PretrainedModel.Load(folder, options);
        try
        {
            return new ModelHandle(model, folder);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Model.Dispose();
        _borrowed.Dispose();
    }
}
