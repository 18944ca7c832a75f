using LongformerInterop.Checkpoints;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Models.Layers;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>
/// A score for each candidate of a question, read from the marker in front of it: a product without bias, as the paper's WikiHop has it (allenai's
/// <c>answer_score</c>). No token is global by default. HF has no such class.
/// </summary>
public sealed class LongformerForCandidateScoring : LongformerPretrained<LogitsOutputs>
{
    private readonly Tensor _score;

    internal LongformerForCandidateScoring(LongformerLoader loader)
        : base(loader, GlobalRule.None) => _score = (loader.Root / "answer_score").Get("weight", 1, loader.Configuration.HiddenSize);

    /// <summary>Loads a model that scores candidates.</summary>
    /// <exception cref="CheckpointException">The head is missing, or configuration or weights do not fit; everything is listed.</exception>
    public static new LongformerForCandidateScoring Load(string folder, LoadOptions? options = null) =>
        ModelLoader.Load<LongformerForCandidateScoring>(folder, options);

    /// <summary>Scores in the shape of <see cref="LongformerInputs.EntityStartPositions"/>; with labels [B], the right candidate of each sequence,
    /// the mean cross entropy over the candidates.</summary>
    private protected override LogitsOutputs Compute(LongformerInputs inputs, SequenceBatch batch, Tensor hidden, Dropout dropout)
    {
        const string name = "entity_start_positions";
        Tensor positions = inputs.EntityStartPositions ?? throw new InputException(name, "the marker of every candidate", "none");
        bool fits = batch.IsPacked ? positions.Rank == 1 : positions.Rank == 2 && positions.Size(0) == batch.SequenceCount;
        if (!fits || positions.ElementCount == 0)
        {
            throw new InputException(name, $"shape {(batch.IsPacked ? "[candidates]" : $"[{batch.SequenceCount}, candidates]")} of at least one "
                + $"candidate", InputReader.Show(positions.Shape));
        }
        if (positions.DType is not (DType.Int64 or DType.Int32))
            throw new InputException(name, "int64 positions", $"{positions.DType}");
        if (inputs.Labels is not null && batch.IsPacked)
            throw new InputException("labels", "none for packed documents, whose candidates belong to no one sequence", "some");
        long[] rows = HostValues.ToInt64(positions);
        long each = positions.Size(-1);
        for (int i = 0; i < rows.Length; i++)
        {
            (long from, long length) = batch.IsPacked ? (0, batch.TokenCount) : (batch.Offsets[i / each], batch.TokenShape[1]);
            if ((ulong)rows[i] >= (ulong)length)
            {
                throw new InputException(new ArgumentName(name, batch.IsPacked ? [i] : [i / each, i % each]), $"a token, 0..{length - 1}",
                    $"{rows[i]}");
            }
            rows[i] += from;
        }
        Tensor markers = Differentiable.SelectRows(hidden, HostBuffer.Upload(rows, hidden.Device));
        Tensor logits = Differentiable.Reshape(Differentiable.Linear(markers, _score), positions.Shape);
        return new LogitsOutputs
        {
            Logits = logits, Loss = inputs.Labels is null ? null : Losses.Classes(logits, inputs.Labels, [positions.Size(0)], (int)each),
        };
    }
}
