using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Tasks.Generation;
using LongformerInterop.Tokenizers;
using LongformerInterop.Torch;

namespace LongformerInterop.Cli.Parity.Groups;

/// <summary>
/// LED: one pass of a model under the reference's names, or generation where case.json has a "generation" object (HF's arguments of
/// <c>generate</c>) and "sequences" are expected.
/// </summary>
internal sealed class LedGroup : ParityGroup
{
    internal override string Name => "led";

    internal override void Run(ParityCase parityCase, ParityCall call, ParityReport report)
    {
        if (parityCase.Description.TryGetProperty("generation", out JsonElement generation))
        {
            using LedForConditionalGeneration generator = LedForConditionalGeneration.Load(parityCase.Folder, call.Load);
            Generate(generator, parityCase, generation, report);
            return;
        }
        using PretrainedModel model = PretrainedModel.Load(parityCase.Folder, call.Load);
        report.Compare(model.Run(parityCase.Inputs(), report.ExpectsAny("encoder_hidden_states.") || report.ExpectsAny("decoder_hidden_states."),
            report.ExpectsAny("encoder_attentions.") || report.ExpectsAny("decoder_attentions.") || report.ExpectsAny("cross_attentions.")));
    }

    private static void Generate(LedForConditionalGeneration model, ParityCase parityCase, JsonElement arguments, ParityReport report)
    {
        GenerationOptions options =
            GenerationOptions.Parse(arguments.GetRawText(), parityCase.PathOf("case.json")) with { KeepLogits = report.Expects("logits") };
        // Stop strings need a tokenizer; most cases have none.
        Tokenizer? tokenizer = options.StopStrings is { Count: > 0 } ? Tokenizer.Load(parityCase.Folder) : null;
        TextGenerator generator = new(model, GenerationOptions.FromCheckpoint(parityCase.Folder), tokenizer);
        IReadOnlyList<GeneratedSequence> sequences = [.. generator.Generate(Documents(parityCase.Inputs()), options).SelectMany(s => s)];

        // Rows are filled with padding up to the longest, as HF returns them.
        int length = sequences.Max(s => s.Ids.Count), padding = model.Configuration.PadTokenId;
        long[] ids = [.. sequences.SelectMany(s => s.Ids.Concat(Enumerable.Repeat(padding, length - s.Ids.Count))).Select(id => (long)id)];
        report.Compare("sequences", Tensor.From<long>(ids, sequences.Count, length));
        if (report.Expects("sequences_scores"))
            report.Compare("sequences_scores", Tensor.From<float>([.. sequences.Select(s => s.Score)], sequences.Count));
        if (report.Expects("logits"))
        {
            float[] logits = [.. sequences.SelectMany(s => s.Logits!).SelectMany(step => step)];
            report.Compare("logits", Tensor.From<float>(logits, sequences.Count, sequences[0].Logits!.Count, model.Configuration.VocabSize));
        }
    }

    /// <summary>
    /// The rows of the padded inputs. Without attention_mask every position is seen, padding ids too: transformers 5.12 infers a mask for
    /// decoders alone, not for encoder-decoders.
    /// </summary>
    private static GenerationDocument[] Documents(Dictionary<string, Tensor> inputs)
    {
        Tensor ids = inputs["input_ids"];
        (int rows, int length) = ((int)ids.Shape[0], (int)ids.Shape[1]);
        long[] tokens = Values(ids);
        long[]? mask = inputs.TryGetValue("attention_mask", out Tensor? m) ? Values(m) : null;
        long[]? global = inputs.TryGetValue("global_attention_mask", out Tensor? g) ? Values(g) : null;
        long[]? prompt = inputs.TryGetValue("decoder_input_ids", out Tensor? d) ? Values(d) : null;
        GenerationDocument[] documents = new GenerationDocument[rows];
        for (int row = 0; row < rows; row++)
        {
            Range range = (row * length)..((row + 1) * length);
            documents[row] = new GenerationDocument(Array.ConvertAll(tokens[range], id => (int)id))
            {
                Visible = mask is null ? null : Array.ConvertAll(mask[range], v => v != 0),
                GlobalPositions = global is null ? [] : [.. global[range].Index().Where(v => v.Item != 0).Select(v => v.Index)],
                DecoderPrompt = prompt is null
                    ? null
                    : Array.ConvertAll(prompt[(row * prompt.Length / rows)..((row + 1) * prompt.Length / rows)], id => (int)id),
            };
        }
        return documents;
    }

    private static long[] Values(Tensor tensor) => tensor.To(DType.Int64).ToArray<long>();
}
