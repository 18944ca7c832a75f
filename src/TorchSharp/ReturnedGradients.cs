namespace LongformerInterop.TorchSharp;

/// <summary>
/// The gradients that a backward function of this package returned last on this thread. libtorch copies the references as soon as the function has
/// returned, at an unknown time; left to the garbage collector, they would hold a second copy of all gradients for long. So they are let go at
/// the next call of any function of the package on the thread.
/// </summary>
internal static class ReturnedGradients
{
    [ThreadStatic] private static List<TorchTensor>? _held;

    /// <summary>Lets the earlier ones go and holds these, out of every dispose scope.</summary>
    public static List<TorchTensor> Hold(List<TorchTensor> gradients)
    {
        Release();
        foreach (TorchTensor? gradient in gradients)
            gradient?.DetachFromDisposeScope();
        return _held = gradients;
    }

    /// <summary>Lets them go.</summary>
    public static void Release()
    {
        foreach (TorchTensor? gradient in _held ?? [])
            gradient?.Dispose();
        _held = null;
    }
}
