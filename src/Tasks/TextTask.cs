using LongformerInterop.Models;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.Tasks;

/// <summary>The base of every task: a checkpoint's model with its tokenizer. Thread-safe; dispose it to free the model.</summary>
public abstract class TextTask : IDisposable
{
    private readonly PretrainedModel _model;

    private protected TextTask(PretrainedModel model, TextInputs inputs, IReadOnlyList<string>? labels = null) =>
        (_model, Inputs, Labels) = (model, inputs, labels ?? []);

    /// <summary>The checkpoint's tokenizer.</summary>
    public Tokenizer Tokenizer => Inputs.Tokenizer;

    /// <summary>The longest input in tokens, special tokens included.</summary>
    public int MaxTokens => Inputs.MaxTokens;

    /// <summary>Label names in the order of their ids; empty for a task that has none.</summary>
    public IReadOnlyList<string> Labels { get; }

    /// <summary>Texts to checked inputs.</summary>
    private protected TextInputs Inputs { get; }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        _model.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Loads model and tokenizer of a folder side by side; each takes a good part of a second's start.</summary>
    /// <param name="folder">The checkpoint folder.</param>
    /// <param name="options">How to load the model.</param>
    /// <param name="load">Loads the model.</param>
    /// <param name="create">Makes the task; the model is freed where it fails.</param>
    private protected static TTask Load<TModel, TTask>(
        string folder, LoadOptions? options, Func<string, LoadOptions?, TModel> load, Func<TModel, TextInputs, TTask> create)
        where TModel : PretrainedModel
    {
        Task<Tokenizer> tokenizer = TextInputs.StartTokenizer(folder, options);
        TModel model = load(folder, options);
        try
        {
            return create(model, new TextInputs(tokenizer, model.Configuration));
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }
}
