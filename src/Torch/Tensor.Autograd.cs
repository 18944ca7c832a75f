using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

public sealed unsafe partial class Tensor
{
    private const int RetainGraph = 1, CreateGraph = 2, AllowUnused = 4;

    /// <summary>Whether operations on this tensor are recorded for differentiation.</summary>
    /// <exception cref="TorchException">Set on a tensor that is no leaf or has no floating-point elements.</exception>
    public bool RequiresGrad
    {
        get => (Describe().Flags & NativeTensorInfo.RequiresGrad) != 0;
        set
        {
            Shim.Check(NativeMethods.TensorSetRequiresGrad(Handle, value ? 1 : 0));
            GC.KeepAlive(this);
        }
    }

    /// <summary>
    /// The gradient that <see cref="Backward"/> added up, same shape as the tensor; null if there is none. Each reading gives a new
    /// object, to be disposed as any tensor. Set it to null before the next step.
    /// </summary>
    /// <exception cref="InputException">Set to a tensor of another shape, dtype or device.</exception>
    public Tensor? Grad
    {
        get
        {
            nint grad;
            Shim.Check(NativeMethods.TensorGrad(Handle, &grad));
            GC.KeepAlive(this);
            return grad == 0 ? null : new Tensor(grad, 0);
        }
        set
        {
            Shim.Check(NativeMethods.TensorSetGrad(Handle, value?.Handle ?? 0));
            GC.KeepAlive(this);
            GC.KeepAlive(value);
        }
    }

    /// <summary>Sets <see cref="RequiresGrad"/> and gives the tensor itself.</summary>
    public Tensor WithGrad(bool requiresGrad = true)
    {
        RequiresGrad = requiresGrad;
        return this;
    }

    /// <summary>Adds the gradient of this tensor with respect to every leaf to that leaf's <see cref="Grad"/>.</summary>
    /// <param name="gradient">Gradient of the final result with respect to this tensor, same shape; may be left out for a tensor
    /// of one element (then 1).</param>
    /// <param name="retainGraph">Keep what was recorded, for another pass.</param>
    /// <exception cref="TorchException">Nothing was recorded, or the recording was used up by an earlier pass.</exception>
    public void Backward(Tensor? gradient = null, bool retainGraph = false)
    {
        nint output = Handle, seed = gradient?.Handle ?? 0;
        Shim.Check(NativeMethods.Autograd(&output, &seed, 1, null, 0, retainGraph ? RetainGraph : 0, null));
        GC.KeepAlive(this);
        GC.KeepAlive(gradient);
    }

    /// <summary>The gradients of this tensor with respect to some others, leaving every <see cref="Grad"/> alone.</summary>
    /// <param name="inputs">With respect to what; recorded ancestors of this tensor.</param>
    /// <param name="gradient">Gradient of the final result with respect to this tensor; may be left out for one element.</param>
    /// <param name="retainGraph">Keep what was recorded, for another pass.</param>
    /// <param name="createGraph">Record this pass too, for higher derivatives.</param>
    /// <param name="allowUnused">Give null for an input that this tensor does not depend on, in place of an error.</param>
    /// <returns>One gradient for each input, of its shape.</returns>
    /// <exception cref="TorchException">Nothing was recorded, or an input is unused.</exception>
    public Tensor?[] Gradients(ReadOnlySpan<Tensor> inputs, Tensor? gradient = null, bool retainGraph = false, bool createGraph = false,
        bool allowUnused = false)
    {
        if (inputs.IsEmpty) return [];
        nint output = Handle, seed = gradient?.Handle ?? 0;
        nint[] handles = new nint[inputs.Length], results = new nint[inputs.Length];
        for (int i = 0; i < handles.Length; i++) handles[i] = inputs[i].Handle;
        int flags = (retainGraph ? RetainGraph : 0) | (createGraph ? CreateGraph : 0) | (allowUnused ? AllowUnused : 0);
        fixed (nint* h = handles, r = results)
            Shim.Check(NativeMethods.Autograd(&output, &seed, 1, h, handles.Length, flags, r));
        GC.KeepAlive(this);
        GC.KeepAlive(gradient);
        foreach (Tensor input in inputs) GC.KeepAlive(input);
        return Array.ConvertAll(results, static r => r == 0 ? null : new Tensor(r, 0));
    }
}
