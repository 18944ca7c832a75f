using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

// The operators of libtorch that an optimizer's step needs.
public static partial class Functional
{
    private static readonly AtenOperator FusedAdamWOp = new("aten::_fused_adamw_"), NormExceptOp = new("aten::norm_except_dim");

    /// <summary>One step of AdamW over many parameters, in place, one pass over each: libtorch's <c>_fused_adamw_</c>.</summary>
    /// <param name="parameters">All of one dtype and device.</param>
    /// <param name="gradients">As the parameters.</param>
    /// <param name="means">Running means of the gradients, as the parameters.</param>
    /// <param name="squares">Running means of the squared gradients, as the parameters.</param>
    /// <param name="steps">The number of this step, from 1, for each parameter: Float32 [].</param>
    /// <param name="rate">The learning rate.</param>
    /// <param name="beta1">Decay of the means.</param>
    /// <param name="beta2">Decay of the squares.</param>
    /// <param name="weightDecay">Decay as a part of the rate.</param>
    /// <param name="epsilon">Added to the root of the corrected square.</param>
    public static void FusedAdamW(Tensor[] parameters, Tensor[] gradients, Tensor[] means, Tensor[] squares, Tensor[] steps,
        double rate, double beta1, double beta2, double weightDecay, double epsilon) =>
        FusedAdamWOp.RunVoid(parameters, gradients, means, squares, Array.Empty<Tensor>(), steps, (double?)rate, (double?)beta1, (double?)beta2,
            (double?)weightDecay, (double?)epsilon, false, false, Argument.None, Argument.None);

    /// <summary>The 2-norm of all elements.</summary>
    /// <param name="tensor">Floating-point.</param>
    public static double Norm(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        using TensorScope scope = new();
        // The one norm among libtorch's operators that takes no Scalar; with the dimension -1 it leaves none out.
        return NormExceptOp.Call(tensor, 2L, -1L).ToDouble();
    }
}
