using LongformerInterop.Models;
using LongformerInterop.Tasks;
using LongformerInterop.Tasks.Generation;

namespace LongformerInterop.CApi;

/// <summary>lf_mask_filler: the task, with the memory of its mask's text.</summary>
internal sealed unsafe class MaskFillerHandle(MaskFiller filler) : IDisposable
{
    private readonly Borrowed _borrowed = new();

    public MaskFiller Filler => filler;

    public byte* MaskText => _borrowed.Text(0, 0, () => filler.MaskText, out _);

    public void Dispose()
    {
        filler.Dispose();
        _borrowed.Dispose();
    }
}

/// <summary>lf_model: any model class; of an LED also what generates.</summary>
internal sealed unsafe class ModelHandle : IDisposable
{
    private readonly Borrowed _borrowed = new();

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
