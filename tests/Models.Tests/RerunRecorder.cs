using LongformerInterop.Torch;

namespace LongformerInterop.Models.Tests;

/// <summary>
/// Stands in for CUDA graphs: a record is the work itself, done again into the same output, with whatever its tensors hold then. What
/// such work would bake into a graph (a number that the host computed) stays as it was in this one too.
/// </summary>
internal sealed class RerunRecorder : IWorkRecorder
{
    /// <summary>Records that were not disposed.</summary>
    public int Live { get; private set; }

    /// <summary>How often a record was used.</summary>
    public int Replays { get; private set; }

    /// <summary>Whether recording fails.</summary>
    public bool Fails { get; init; }

    public IRecordedWork Record(Device device, Func<Tensor> work)
    {
        work().Dispose();
        if (Fails) throw new TorchException("this cannot be recorded");
        Live++;
        return new Rerun(this, work, work().Keep());
    }

    private sealed class Rerun(RerunRecorder owner, Func<Tensor> work, Tensor output) : IRecordedWork
    {
        public Tensor Output => output;

        public void Replay()
        {
            owner.Replays++;
            using IDisposable mode = TorchRuntime.InferenceMode();
            using Tensor again = work();
            output.CopyInPlace(again);
        }

        public void Dispose()
        {
            owner.Live--;
            output.Dispose();
        }
    }
}
