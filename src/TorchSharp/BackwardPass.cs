using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// Backward passes that fail. An exception must not leave a backward function into libtorch's native frames: it would end the process. So it is
/// caught, and a gradient of an impossible shape makes libtorch give the pass up, which TorchSharp reports with an
/// <see cref="ExternalException"/> about that shape. <see cref="RunBackward"/> gives the reason instead.
/// </summary>
public static class BackwardPass
{
    private static Exception? _failure;

    /// <summary>
    /// <c>loss.backward()</c>, but where a function of this package fails in it, its own exception is thrown with its own message.
    /// </summary>
    /// <param name="loss">What to differentiate: a scalar.</param>
    /// <exception cref="InvalidOperationException">A module's forward pass was differentiated before.</exception>
    /// <exception cref="ExternalException">libtorch refuses for another reason.</exception>
    public static void RunBackward(this TorchTensor loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        if (loss.IsInvalid)
            throw new InputException("loss", "a tensor that is alive", "one that is disposed");
        Interlocked.Exchange(ref _failure, null);
        try
        {
            loss.backward();
            ReturnedGradients.Release();
        }
        catch (ExternalException) when (_failure is not null)
        {
            // Its reason follows.
        }
        if (Interlocked.Exchange(ref _failure, null) is { } reason)
            ExceptionDispatchInfo.Throw(reason);
    }

    /// <summary>Returns to libtorch a failure of a backward function: for one input a gradient of an impossible shape.</summary>
    /// <param name="reason">Why.</param>
    /// <param name="inputs">The function's inputs, in order; null for those that are no tensors.</param>
    internal static List<TorchTensor> Fail(Exception reason, IReadOnlyList<long[]?> inputs)
    {
        Interlocked.Exchange(ref _failure, reason);
        List<TorchTensor> gradients = [.. new TorchTensor[inputs.Count]];
        // No tensor with a dimension has a gradient without one: libtorch would have to make up the others.
        int at = inputs.ToList().FindIndex(shape => shape is { Length: > 0 });
        if (at >= 0)
            gradients[at] = torch.zeros([]);
        return ReturnedGradients.Hold(gradients);
    }
}
