using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;
using LongformerInterop.Training.Heads;
using LongformerInterop.Training.Paper;

namespace LongformerInterop.Training.Recipes;

/// <summary>The task to learn.</summary>
public enum TrainingTask
{
    /// <summary>Hidden tokens, from those around them: <c>masked-lm</c>.</summary>
    MaskedLanguage,
    /// <summary>A class, several classes or numbers for a text: <c>classify</c>.</summary>
    Classify,
    /// <summary>A tag for every word: <c>tag</c>.</summary>
    Tag,
    /// <summary>The stretch of a text that answers a question: <c>answer</c>.</summary>
    Answer,
    /// <summary>The right one of several choices: <c>choose</c>.</summary>
    Choose,
    /// <summary>A text from a text, by an LED: <c>summarize</c>.</summary>
    Summarize,
    /// <summary>The paper's WikiHop, from its official files: <c>wikihop</c>.</summary>
    WikiHop,
    /// <summary>The paper's TriviaQA, from its official files: <c>triviaqa</c>.</summary>
    TriviaQa,
    /// <summary>The paper's IMDB, from its official folders: <c>imdb</c>.</summary>
    Imdb,
    /// <summary>The paper's Hyperpartisan news, from its official files: <c>hyperpartisan</c>.</summary>
    Hyperpartisan,
    /// <summary>The paper's arXiv summaries, from their official files: <c>arxiv</c>.</summary>
    Arxiv,
    /// <summary>The paper's HotpotQA, from its official files: <c>hotpotqa</c>.</summary>
    HotpotQA,
    /// <summary>The paper's OntoNotes coreference, from CoNLL-2012 files: <c>coref</c>.</summary>
    Coreference,
}

/// <summary>A part of a data set that a task divides by itself.</summary>
public enum DataPart
{
    /// <summary>Everything.</summary>
    All,
    /// <summary>The data to learn from.</summary>
    Training,
    /// <summary>The data to measure on while training.</summary>
    Development,
    /// <summary>The data to measure on once.</summary>
    Test,
}

/// <summary>How records become examples.</summary>
public sealed record RecipeOptions
{
    /// <summary>The columns of the data by what they are for, where they are called otherwise: <c>text</c> = <c>review</c>.</summary>
    public IReadOnlyDictionary<string, string> Columns { get; init; } = new Dictionary<string, string>();

    /// <summary>The labels in the order of their numbers; null: the checkpoint's where they fit the data, else those of the data.</summary>
    public IReadOnlyList<string>? Labels { get; init; }

    /// <summary>Classify: <c>single_label_classification</c>, <c>multi_label_classification</c> or <c>regression</c>; null: as the data
    /// look.</summary>
    public string? ProblemType { get; init; }

    /// <summary>The most tokens of an example; null: the checkpoint's positions.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Answer: how many tokens of the context two windows of a long one share.</summary>
    public int Stride { get; init; } = 128;

    /// <summary>Answer: whether a window without an answer points at the first token, as for SQuAD 2; else it says nothing.</summary>
    public bool FirstTokenIsNoAnswer { get; init; } = true;

    /// <summary>Answer: the longest answer in tokens that an evaluation gives.</summary>
    public int MaxAnswerTokens { get; init; } = 30;

    /// <summary>Summarize: the most tokens of what is to be written.</summary>
    public int MaxTargetTokens { get; init; } = 256;

    /// <summary>Summarize: whether an evaluation writes texts, greedily, and measures ROUGE; else the loss alone.</summary>
    public bool Generates { get; init; } = true;

    /// <summary>Masked LM: the part of the tokens that is hidden.</summary>
    public double MaskProbability { get; init; } = 0.15;

    /// <summary>Masked LM: whether texts are put behind one another and cut into examples of the full length; else each is an example (a long one
    /// several).</summary>
    public bool JoinsTexts { get; init; }

    /// <summary>Tasks of the paper: whether no token has global attention, for an ablation.</summary>
    public bool NoGlobalAttention { get; init; }

    /// <summary>WikiHop: whether supports beyond the first chunk are left out.</summary>
    public bool FirstChunkOnly { get; init; }

    /// <summary>arXiv: beams of the search that writes in an evaluation; 1: greedily.</summary>
    public int Beams { get; init; } = 1;

    /// <summary>arXiv: the exponent of the length that the beams' scores are divided by; null: the checkpoint's.</summary>
    public double? LengthPenalty { get; init; }

    /// <summary>IMDB: how many reviews a training without data to measure on holds out; null: 5,000, of fewer than 25,000 a fifth.</summary>
    public int? HeldOut { get; init; }

    /// <summary>Hyperpartisan: a file of the parts by name, such as allenai's <c>hp-splits.json</c>; null: 80, 10 and 10 percent of the
    /// articles.</summary>
    public string? Splits { get; init; }

    /// <summary>TriviaQA: the folder of the pages; null: <c>evidence/wikipedia</c> beside the folder of the questions.</summary>
    public string? Evidence { get; init; }

    /// <summary>TriviaQA: how many words of a page are read, and how many tokens of these.</summary>
    public int MaxDocumentTokens { get; init; } = 4_096;

    /// <summary>TriviaQA: whether a page that is longer than the model is read in its first window alone, as the paper did; else in all.</summary>
    public bool FirstWindowOnly { get; init; }

    /// <summary>HotpotQA: whether an evaluation that shortens the questions keeps the gold paragraphs whatever their scores, for a
    /// training.</summary>
    public bool KeepsGoldParagraphs { get; init; }

    /// <summary>Coreference: the most segments of a document that a step learns from; of a longer one a random run.</summary>
    public int MaxTrainingSegments { get; init; } = 3;

    /// <summary>Tasks of the paper: what is read of data that the task divides by itself; a training takes its parts by
    /// itself.</summary>
    public DataPart Part { get; init; }
}

/// <summary>The result of an evaluation.</summary>
/// <param name="Metrics">By name: <c>loss</c>, <c>accuracy</c>, <c>f1</c> and so on.</param>
/// <param name="Predictions">A JSON object for each example, in the order of the data.</param>
public sealed record Evaluation(IReadOnlyDictionary<string, double> Metrics, IReadOnlyList<string> Predictions)
{
    /// <summary>The predictions as the file that the official scorer of the task reads; null: the task has none but
    /// <see cref="Predictions"/>, an object a line.</summary>
    public string? OfficialFile { get; init; }

    /// <summary>HotpotQA: the questions with the paragraphs that a first stage keeps, in the official format; null: another task.</summary>
    public string? ShortenedFile { get; init; }

    /// <summary>The text of a prediction file: <see cref="OfficialFile"/>, else an object a line.</summary>
    public string PredictionFile() => OfficialFile ?? string.Concat(Predictions.Select(p => p + "\n"));

    /// <summary>The metrics as a JSON object; a number that is none is null.</summary>
    public string MetricsJson() => TrainingLog.Json(json =>
    {
        foreach ((string name, double value) in Metrics)
            TrainingLog.Number(json, name, value);
    });
}

/// <summary>The inputs of an evaluation.</summary>
/// <param name="Head">The model.</param>
/// <param name="Data">Examples made for an evaluation.</param>
/// <param name="TokensPerBatch">The most tokens that pass through the model at once.</param>
/// <param name="Cancellation">Looked at before every layer.</param>
/// <param name="Report">Called with the number of examples done; null: nobody looks.</param>
public sealed record EvaluationCall(TrainingHead Head, TokenizedData Data, int TokensPerBatch, Action<int>? Report = null,
    CancellationToken Cancellation = default)
{
    /// <summary>The journal of finished examples, where a task can be resumed; null: none.</summary>
    internal EvaluationJournal? Journal { get; init; }

    /// <summary>Returns the batches, and reports each when it is done.</summary>
    internal IEnumerable<TrainingExample[]> Batches()
    {
        int done = 0;
        foreach (int[] batch in BatchPlan.InOrder(Data, TokensPerBatch))
        {
            yield return Array.ConvertAll(batch, i => Data[i]);
            Report?.Invoke(done += batch.Length);
        }
    }
}

/// <summary>One kind of training: it makes examples of records and measures the trained model.</summary>
public abstract class Recipe
{
    private protected Recipe(RecipeOptions options) => Options = options;

    /// <summary>The settings.</summary>
    public RecipeOptions Options { get; }

    /// <summary>The name on the command line.</summary>
    public abstract string Name { get; }

    /// <summary>HF's class of the model.</summary>
    public abstract string Architecture { get; }

    /// <summary>The metric that says which checkpoint is best.</summary>
    public abstract string BestMetric { get; }

    /// <summary>Whether more of <see cref="BestMetric"/> is better.</summary>
    public virtual bool MoreIsBetter => true;

    /// <summary>Its title, such as "Sequence classification".</summary>
    public abstract string Title { get; }

    /// <summary>The recipe of a task.</summary>
    public static Recipe Of(TrainingTask task, RecipeOptions? options = null)
    {
        options ??= new RecipeOptions();
        return task switch
        {
            TrainingTask.MaskedLanguage => new MaskedLanguageRecipe(options),
            TrainingTask.Classify => new ClassifyRecipe(options),
            TrainingTask.Tag => new TagRecipe(options),
            TrainingTask.Answer => new AnswerRecipe(options),
            TrainingTask.Choose => new ChooseRecipe(options),
            TrainingTask.Summarize => new SummarizeRecipe(options),
            TrainingTask.WikiHop => new WikiHopRecipe(options),
            TrainingTask.TriviaQa => new TriviaQaRecipe(options),
            TrainingTask.Imdb => new ImdbRecipe(options),
            TrainingTask.Hyperpartisan => new HyperpartisanRecipe(options),
            TrainingTask.Arxiv => new ArxivRecipe(options),
            TrainingTask.HotpotQA => new HotpotRecipe(options),
            TrainingTask.Coreference => new CorefRecipe(options),
            _ => throw new ArgumentOutOfRangeException(nameof(task), task, "not a task"),
        };
    }

    /// <summary>The tokens of its own that the task marks its inputs with. Those that the checkpoint lacks are added to its tokenizer, and their
    /// rows to its embeddings.</summary>
    public virtual IReadOnlyList<string> Markers => [];

    /// <summary>Whether the task divides its data by itself: without data to measure on, a training measures on
    /// <see cref="DataPart.Development"/>.</summary>
    public virtual bool DividesData => false;

    /// <summary>Whether body and head are trained apart, as <see cref="Optimization.ParameterPlan.HeadApart"/>.</summary>
    public virtual bool TrainsHeadApart => false;

    /// <summary>The settings that examples depend on besides the files, the tokenizer and those that all tasks have.</summary>
    internal virtual IEnumerable<object?> DataSettings => [Options.NoGlobalAttention];

    /// <summary>The files that some names stand for.</summary>
    /// <param name="names">Files, folders, patterns.</param>
    /// <exception cref="InputException">A name means no file.</exception>
    internal virtual IReadOnlyList<string> FindFiles(IReadOnlyList<string> names) => DataFiles.Find(names);

    /// <summary>The records of files.</summary>
    /// <param name="files">Those of <see cref="FindFiles"/>.</param>
    /// <param name="part">Of a task that divides its data; else all.</param>
    /// <param name="cancellation">Looked at before every record.</param>
    /// <exception cref="InputException">A file is malformed; the message names it, and line or record.</exception>
    internal virtual IEnumerable<DataRow> ReadFiles(IReadOnlyList<string> files, DataPart part, CancellationToken cancellation) =>
        DataFiles.Read(files, cancellation);

    /// <summary>The labels of some records; null for a task without labels.</summary>
    /// <param name="rows">All records to train on.</param>
    /// <param name="checkpoint">The labels of the checkpoint if it has the head already, else null.</param>
    /// <exception cref="InputException">The labels do not fit together.</exception>
    public virtual LabelSet? FindLabels(IEnumerable<DataRow> rows, LabelSet? checkpoint) => null;

    /// <summary>The examples that records make.</summary>
    /// <param name="rows">The records.</param>
    /// <param name="text">The tokenizer and the room.</param>
    /// <param name="labels">The result of <see cref="FindLabels"/>.</param>
    /// <param name="forEvaluation">Whether they are to be measured on: then they carry what that needs.</param>
    /// <exception cref="InputException">A record lacks a column or makes no example; the message names file and line.</exception>
    public abstract IEnumerable<TrainingExample> Examples(IEnumerable<DataRow> rows, ExampleText text, LabelSet? labels, bool forEvaluation);

    /// <summary>An example as it is learned in one pass; masked LM hides other tokens each time.</summary>
    /// <param name="example">The example.</param>
    /// <param name="text">The tokenizer.</param>
    /// <param name="seed">Of this pass and this example.</param>
    public virtual TrainingExample ForPass(TrainingExample example, ExampleText text, ulong seed) => example;

    /// <summary>Measures a model.</summary>
    public abstract Evaluation Evaluate(EvaluationCall call, ExampleText text, LabelSet? labels);

    /// <summary>The column for a purpose: as the options name it, else the first of the usual names that the record has.</summary>
    private protected string Column(DataRow row, string purpose, params ReadOnlySpan<string> usual)
    {
        if (Options.Columns.TryGetValue(purpose, out string? given))
            return given;
        if (row.Columns.Contains(purpose))
            return purpose;
        foreach (string name in usual)
        {
            if (row.Columns.Contains(name))
                return name;
        }
        throw new InputException($"{row.Source}: no column for the {purpose}: expected "
            + $"\"{purpose}\"{string.Concat(usual.ToArray().Select(u => $", \"{u}\""))} or another by the setting column, {purpose}=NAME; "
            + $"there are {string.Join(", ", row.Columns.Select(c => $"\"{c}\""))}");
    }

    /// <summary>The column for a purpose that may be absent.</summary>
    private protected string? OptionalColumn(DataRow row, string purpose, params ReadOnlySpan<string> usual)
    {
        if (Options.Columns.TryGetValue(purpose, out string? given))
            return given;
        if (row.Has(purpose))
            return purpose;
        foreach (string name in usual)
        {
            if (row.Has(name))
                return name;
        }
        return null;
    }

    /// <summary>A JSON object.</summary>
    private protected static string Json(Action<Utf8JsonWriter> write) => TrainingLog.Json(write);

    /// <summary>The content of a JSON object of <see cref="Json"/>.</summary>
    private protected static JsonElement NotesOf(TrainingExample example)
    {
        if (example.Notes is null)
            throw new InputException($"{example.Source}: the example was not made for an evaluation");
        using JsonDocument document = JsonDocument.Parse(example.Notes);
        return document.RootElement.Clone();
    }
}

/// <summary>Labels in the order of their numbers.</summary>
public sealed record LabelSet(IReadOnlyList<string> Names)
{
    /// <summary>Of a classifier; null: none is.</summary>
    public string? ProblemType { get; init; }

    /// <summary>The number of a label; -1: there is none of that name.</summary>
    public int IndexOf(string name)
    {
        for (int i = 0; i < Names.Count; i++)
        {
            if (Names[i] == name)
                return i;
        }
        return -1;
    }
}
