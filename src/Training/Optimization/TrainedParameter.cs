using System.Runtime.InteropServices;
using LongformerInterop.Checkpoints;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.Optimization;

/// <summary>
/// A parameter that an optimizer changes. Where the model computes in half precision, the optimizer works on a Float32 master and the model gets
/// its rounded values after every step. A BFloat16 tensor on the CPU is itself the upper half of its master: only the lower halves are kept
/// beside it.
/// </summary>
public sealed class TrainedParameter : IDisposable
{
    private readonly bool _splits;
    // The whole master, where it is not in halves.
    private Tensor? _master;
    // The lower halves, and what SplitFloats lists for each block of rows.
    private Tensor? _low;
    private int[][] _down = [];

    /// <summary>A parameter of a model that was loaded with <see cref="LoadOptions.Trainable"/>.</summary>
    /// <param name="name">HF's name.</param>
    /// <param name="model">The model's tensor.</param>
    /// <param name="rateFactor">The factor of a step's learning rate.</param>
    /// <param name="weightDecay">Decay in each step, as a part of the rate.</param>
    public TrainedParameter(string name, Tensor model, double rateFactor = 1, double weightDecay = 0)
    {
        ArgumentNullException.ThrowIfNull(model);
        (Name, Model, RateFactor, WeightDecay) = (name, model, rateFactor, weightDecay);
        NeedsMaster = model.DType is DType.BFloat16 or DType.Float16;
        _splits = model.DType == DType.BFloat16 && model.Device.Type == DeviceType.Cpu && model.IsContiguous;
    }

    /// <summary>HF's name.</summary>
    public string Name { get; }

    /// <summary>The model's tensor.</summary>
    public Tensor Model { get; }

    /// <summary>
    /// The values that the optimizer changes: the model's tensor, or its master in Float32, in halves put together into a new tensor. For reading
    /// where <see cref="NeedsMaster"/>: <see cref="SetMaster"/> changes them.
    /// </summary>
    public Tensor Master => !NeedsMaster ? Model : _splits ? Joined() : Whole();

    /// <summary>The dtype of <see cref="Master"/>.</summary>
    public DType MasterType => NeedsMaster ? DType.Float32 : Model.DType;

    /// <summary>Whether the model's tensor is in half precision, and what the optimizer changes is not.</summary>
    public bool NeedsMaster { get; }

    /// <summary>
    /// Whether there is more than the model's tensor. A parameter that no gradient reaches (global projections where nothing is global) costs
    /// no memory.
    /// </summary>
    public bool HasMaster => (_master ?? _low) is not null;

    /// <summary>The bytes of the master beside the model's tensor.</summary>
    public long MasterBytes => (_master ?? _low)?.ByteCount ?? 0;

    /// <summary>The factor of a step's learning rate.</summary>
    public double RateFactor { get; }

    /// <summary>Decay in each step, as a part of the rate.</summary>
    public double WeightDecay { get; }

    /// <summary>The first row that is trained; the rows before it stay as they are. 0: all are.</summary>
    public long FirstRow { get; init; }

    /// <summary>Parameters of one number are clipped together, by the norm of their gradients alone.</summary>
    public int ClipGroup { get; init; }

    /// <summary>Whether AdamW is BERT's for it: epsilon 1e-6, and means that are not corrected for having begun at 0.</summary>
    public bool IsBerts { get; init; }

    /// <summary>Changes the master some rows at a time, so that little of it is there at once, and gives the model the rounded
    /// values.</summary>
    /// <param name="change">Called with each block of rows, as first row and number of rows, and with their values, which it changes in
    /// place.</param>
    internal void Update(Action<(long First, long Count), Tensor> change)
    {
        int at = 0;
        foreach ((long First, long Count) block in RowBlocks.Of(Model.Shape))
        {
            using TensorScope scope = new();
            Tensor rows = _splits ? Tensor.Empty(Model.Rows(block).Shape, DType.Float32) : NeedsMaster ? Whole().Rows(block) : Model.Rows(block);
            if (_splits)
                Join(block, at, rows);
            change(block, rows);
            if (_splits)
                Split(block, at, rows);
            else if (NeedsMaster)
                Model.Rows(block).CopyInPlace(rows);
            at++;
        }
    }

    /// <summary>Gives the master new values, and the model the rounded ones.</summary>
    /// <param name="values">In <see cref="MasterType"/>.</param>
    public void SetMaster(Tensor values) => Update((block, rows) => rows.CopyInPlace(values.Rows(block)));

    /// <summary>The master for a file; put together when its turn comes.</summary>
    internal TensorSource MasterSource(string name) =>
        _splits ? TensorSource.Deferred(name, DType.Float32, Model.Shape, Joined) : TensorSource.From(name, Master);

    /// <summary>Frees the master; the model's tensor is the model's.</summary>
    public void Dispose()
    {
        _master?.Dispose();
        _low?.Dispose();
        (_master, _low, _down) = (null, null, []);
    }

    private Tensor Whole() => _master ??= Model.To(DType.Float32).Keep();

    private Tensor Joined()
    {
        Tensor all = Tensor.Empty(Model.Shape, DType.Float32);
        int at = 0;
        foreach ((long First, long Count) block in RowBlocks.Of(Model.Shape))
        {
            using TensorScope scope = new();
            Join(block, at++, all.Rows(block));
        }
        return all;
    }

    private void Join((long First, long Count) block, int at, Tensor rows)
    {
        if (_low is null)
            rows.CopyInPlace(Model.Rows(block));
        else
            SplitFloats.Join(Values<ushort>(Model.Rows(block)), Values<ushort>(_low.Rows(block)), _down[at], Values<float>(rows));
    }

    private void Split((long First, long Count) block, int at, Tensor rows)
    {
        if (_low is null)
        {
            _low = Tensor.Zeros(Model.Shape, DType.Int16).Keep();
            _down = [.. RowBlocks.Of(Model.Shape).Select(_ => Array.Empty<int>())];
        }
        _down[at] = SplitFloats.Split(Values<float>(rows), Values<ushort>(Model.Rows(block)), Values<ushort>(_low.Rows(block)));
    }

    /// <summary>The elements of a block, to be written too.</summary>
    private static Span<T> Values<T>(Tensor tensor) where T : unmanaged
    {
        ReadOnlySpan<T> values = MemoryMarshal.Cast<byte, T>(tensor.AsBytes());
        return MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(values), values.Length);
    }
}
