using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Torch;

namespace LongformerInterop.CApi;

/// <summary>lf_character_model: the model with its vocabulary, where the folder has one.</summary>
internal sealed unsafe class CharacterHandle : IDisposable
{
    private readonly BorrowedMemory _borrowed = new();
    private readonly CharacterVocabulary? _vocabulary;
    private readonly string _folder;

    private CharacterHandle(CharacterLanguageModel model, CharacterVocabulary? vocabulary, string folder) =>
        (Model, _vocabulary, _folder) = (model, vocabulary, folder);

    public CharacterLanguageModel Model { get; }

    /// <summary>The symbols.</summary>
    /// <exception cref="CheckpointException">The folder has no vocabulary.</exception>
    public CharacterVocabulary Vocabulary => _vocabulary
        ?? throw new CheckpointException($"{_folder}: no vocabulary.json; it says which byte or character each id is");

    /// <summary>Writes text; the model stays the handle's.</summary>
    public CharacterGenerator Generator => new(Model, Vocabulary);

    /// <summary>The symbols in the order of their ids.</summary>
    public int* Symbols(out int count) => _borrowed.Values(0, 0, () => Vocabulary.Symbols.ToArray(), out count);

    public static CharacterHandle Load(string folder, LoadOptions? options)
    {
        CharacterVocabulary? vocabulary = CharacterVocabulary.In(folder);
        CharacterLanguageModel model = CharacterLanguageModel.Load(folder, options);
        if (vocabulary is null || vocabulary.Count == model.Configuration.VocabularySize)
            return new CharacterHandle(model, vocabulary, folder);
        int size = model.Configuration.VocabularySize;
        model.Dispose();
        throw new CheckpointException($"{folder}: vocabulary.json: expected {size} symbols, those of the model, given {vocabulary.Count}");
    }

    /// <summary>Writes the model, and the vocabulary where there is one.</summary>
    public void Save(string folder)
    {
        Model.Save(folder);
        _vocabulary?.Save(folder);
    }

    public void Dispose()
    {
        Model.Dispose();
        _borrowed.Dispose();
    }
}
