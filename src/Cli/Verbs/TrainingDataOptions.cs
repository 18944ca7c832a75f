using System.CommandLine;
using LongformerInterop.Training;
using LongformerInterop.Training.Recipes;

namespace LongformerInterop.Cli.Verbs;

/// <summary>The options of <c>train</c> and <c>evaluate</c> that say how records become examples.</summary>
internal sealed class TrainingDataOptions
{
    internal static readonly (string Name, TrainingTask Task, string Description)[] Tasks =
    [
        ("masked-lm", TrainingTask.MaskedLanguage, "Masked language modelling: continue pretraining on texts (column: text)"),
        ("classify", TrainingTask.Classify, "Classes or numbers for texts (columns: text, label; label a name, a list of names, or a number)"),
        ("tag", TrainingTask.Tag, "Tags of words (columns: tokens and tags, or text and entities)"),
        ("answer", TrainingTask.Answer, "Extractive question answering (columns: question, context, answers; SQuAD's files as they are)"),
        ("choose", TrainingTask.Choose, "Multiple choice (columns: document, question, choices, answer)"),
        ("summarize", TrainingTask.Summarize, "Texts from texts, by an LED (columns: document, summary)"),
        ("wikihop", TrainingTask.WikiHop, "The paper's WikiHop: the right candidate, from many documents (qangaroo's train.json and dev.json)"),
        ("triviaqa", TrainingTask.TriviaQa, "The paper's TriviaQA, domain Wikipedia: answers in long pages (wikipedia-train.json and the evidence)"),
        ("hotpotqa", TrainingTask.HotpotQA, "The paper's HotpotQA, distractor setting: answers with supporting facts (hotpot_train_v1.1.json)"),
        ("coref", TrainingTask.Coreference, "The paper's OntoNotes coreference (CoNLL-2012 files *_gold_conll)"),
        ("imdb", TrainingTask.Imdb, "The paper's IMDB: good and bad reviews (aclImdb/train, aclImdb/test)"),
        ("hyperpartisan", TrainingTask.Hyperpartisan, "The paper's Hyperpartisan news (articles-*.xml and ground-truth-*.xml, by article)"),
        ("arxiv", TrainingTask.Arxiv, "The paper's arXiv summaries, by an LED (train.txt, val.txt and test.txt of arxiv-dataset)"),
    ];

    private readonly Option<string[]> _column = new("--column") { Description = "A column that is called otherwise, as text=review (repeatable)",
        HelpName = "PURPOSE=NAME", Arity = ArgumentArity.OneOrMore };
    private readonly Option<string?> _cache = new("--cache") { Description = "Where tokenized data is kept (default: .longformer-cache beside the "
        + "data)", HelpName = "FOLDER" };
    private readonly Option<int?> _maxTokens = new("--max-tokens") { Description = "Most tokens of an example (default: the checkpoint's positions)",
        HelpName = "N" };
    private readonly Option<int> _tokensPerBatch = new("--tokens-per-batch")
    {
        Description = "Most tokens in one pass, as memory allows", HelpName = "N", DefaultValueFactory = _ => 8_192,
    };

    private readonly Option<string?> _labels = new("--labels") { Description = "The labels in the order of their numbers (default: the "
        + "checkpoint's where they fit, else the data's)", HelpName = "A,B,..." };
    private readonly Option<string?> _problem = new("--problem") { Description = "single_label_classification, multi_label_classification or "
        + "regression (default: as the data look)", HelpName = "KIND" };
    private readonly Option<int> _stride = new("--stride") { Description = "Tokens that two windows of a long context share", HelpName = "N",
        DefaultValueFactory = _ => 128 };
    private readonly Option<bool> _noAnswerIsNothing = new("--ignore-windows-without-answer") { Description = "A window without an answer says "
        + "nothing, as for TriviaQA (default: it points at the first token, as for SQuAD)" };
    private readonly Option<int> _maxAnswer = new("--max-answer-tokens") { Description = "Longest answer of an evaluation", HelpName = "N",
        DefaultValueFactory = _ => 30 };
    private readonly Option<int> _maxTarget = new("--max-target-tokens") { Description = "Most tokens of a target", HelpName = "N",
        DefaultValueFactory = _ => 256 };
    private readonly Option<bool> _lossOnly = new("--loss-only") { Description = "Evaluations measure the loss alone and write no texts" };
    private readonly Option<double> _mask = new("--mask-probability") { Description = "Part of the tokens that is hidden", HelpName = "P",
        DefaultValueFactory = _ => 0.15 };
    private readonly Option<bool> _join = new("--join-texts") { Description = "Put texts behind one another and cut them into examples of full "
        + "length" };

    private readonly Option<bool> _noGlobal = new("--no-global-attention") { Description = "Give no token global attention: an ablation" };
    private readonly Option<bool> _firstChunk = new("--first-chunk-only") { Description = "Leave out the supports beyond the first chunk" };

    private readonly Option<string?> _evidence = new("--evidence") { Description = "The folder of the pages (default: evidence/wikipedia beside the "
        + "folder of the questions)", HelpName = "FOLDER" };
    private readonly Option<int> _maxDocument = new("--max-document-tokens") { Description = "Words of a page that are read, and tokens of these",
        HelpName = "N", DefaultValueFactory = _ => 4_096 };
    private readonly Option<bool> _firstWindow = new("--first-window-only") { Description = "Read no further than the first window of a page, as "
        + "the paper did (default: all of it, in windows)" };

    private readonly Option<int> _maxSegments = new("--max-training-segments") { Description = "Most segments of a document that a step learns from",
        HelpName = "N", DefaultValueFactory = _ => 3 };

    private readonly Option<int?> _heldOut = new("--held-out") { Description = "Reviews that are held out where there is no --eval (default: 5000, "
        + "of fewer than 25000 a fifth)", HelpName = "N" };
    private readonly Option<string?> _splits = new("--splits") { Description = "The parts by name, as hp-splits.json has them (default: 80, 10 and "
        + "10 percent, which share no article)", HelpName = "FILE" };
    private readonly Option<int> _beams = new("--beams") { Description = "Beams of the search that writes in an evaluation", HelpName = "N",
        DefaultValueFactory = _ => 1 };
    private readonly Option<double?> _lengthPenalty = new("--length-penalty") { Description = "Its exponent of the length (default: the "
        + "checkpoint's)", HelpName = "P" };

    internal TrainingDataOptions(Command command, TrainingTask task)
    {
        Option[] own = task switch
        {
            TrainingTask.MaskedLanguage => [_mask, _join],
            TrainingTask.Classify => [_labels, _problem],
            TrainingTask.Tag => [_labels],
            TrainingTask.Answer => [_stride, _noAnswerIsNothing, _maxAnswer],
            TrainingTask.Summarize => [_maxTarget, _lossOnly],
            TrainingTask.WikiHop => [_firstChunk],
            TrainingTask.HotpotQA => [_maxAnswer],
            TrainingTask.Coreference => [_maxSegments],
            TrainingTask.Imdb => [_heldOut],
            TrainingTask.Hyperpartisan => [_splits],
            TrainingTask.Arxiv => [_maxTarget, _lossOnly, _beams, _lengthPenalty],
            TrainingTask.TriviaQa => [_evidence, _stride, _maxDocument, _firstWindow, _maxAnswer],
            _ => [],
        };
        foreach (Option option in (Option[])[TrainingSettings.IsPaper(task) ? _noGlobal : _column, _cache, _maxTokens, _tokensPerBatch, .. own])
            command.Add(option);
    }
}
