using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>
/// One of the project's own operators, called directly: libtorch's dispatcher is not asked. All arguments are passed in the order of the
/// schema, those with defaults too; the library checks their kinds.
/// </summary>
internal sealed unsafe class OwnOperator(string name)
{
    private const int StackArguments = 24, StackScratch = 1024, MostResults = 8;

    private nint _handle;
    private int _resultCount;

    /// <summary>Such as <c>longformer::linear</c>.</summary>
    public string Name { get; } = $"longformer::{name}";

    /// <summary>Calls an operator whose one result is a tensor.</summary>
    /// <exception cref="InputException">An argument does not fit.</exception>
    /// <exception cref="TorchException">libtorch refuses or fails.</exception>
    /// <exception cref="DeviceException">The device has too little memory, or cannot compute in this dtype.</exception>
    /// <exception cref="ObjectDisposedException">A tensor among the arguments is disposed.</exception>
    public Tensor Call(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue* results = stackalloc NativeValue[1];
        Invoke(arguments, results, 1);
        return Required(results, 0, 1);
    }

    /// <summary>Calls an operator whose results are two tensors. Errors as <see cref="Call"/>.</summary>
    public (Tensor First, Tensor Second) Call2(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue* results = stackalloc NativeValue[2];
        Invoke(arguments, results, 2);
        return (Required(results, 0, 2), Required(results, 1, 2));
    }

    /// <summary>Calls an operator whose results are three tensors. Errors as <see cref="Call"/>.</summary>
    public (Tensor First, Tensor Second, Tensor Third) Call3(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue* results = stackalloc NativeValue[3];
        Invoke(arguments, results, 3);
        return (Required(results, 0, 3), Required(results, 1, 3), Required(results, 2, 3));
    }

    /// <summary>Calls an operator for tensors of which some may be undefined: null. Errors as <see cref="Call"/>.</summary>
    /// <param name="results">Receives them all.</param>
    /// <param name="arguments">All arguments.</param>
    public void CallInto(Span<Tensor?> results, params ReadOnlySpan<Argument> arguments)
    {
        NativeValue* values = stackalloc NativeValue[MostResults];
        Invoke(arguments, values, results.Length);
        for (int i = 0; i < results.Length; i++)
            results[i] = values[i].Tag == Tag.Tensor ? Tensor.Made((nint)values[i].Pointer) : null;
    }

    /// <summary>Calls an operator whose one result is a number. Errors as <see cref="Call"/>.</summary>
    public double CallDouble(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue result;
        Invoke(arguments, &result, 1);
        return result.Real;
    }

    /// <summary>Calls an operator whose one result is a bool. Errors as <see cref="Call"/>.</summary>
    public bool CallBool(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue result;
        Invoke(arguments, &result, 1);
        return result.Integer != 0;
    }

    /// <summary>Calls an operator without results. Errors as <see cref="Call"/>.</summary>
    public void Run(params ReadOnlySpan<Argument> arguments) => Invoke(arguments, null, 0);

    private nint Resolved() => Volatile.Read(ref _handle) is nint h && h != 0 ? h : Resolve();

    private nint Resolve()
    {
        Native.Ensure();
        nint found;
        int results;
        fixed (byte* n = Native.PinnedUtf8(Name[(Name.LastIndexOf(':') + 1)..]))
            Native.Check(NativeMethods.Find(n, &found, null, &results));
        _resultCount = results;
        Volatile.Write(ref _handle, found);
        return found;
    }

    [SkipLocalsInit]
    private void Invoke(ReadOnlySpan<Argument> arguments, NativeValue* results, int count)
    {
        nint op = Resolved();
        if (_resultCount != count)
            throw new TorchException($"{Name}: has {_resultCount} results, this program expects {count}: both libraries must be of one version");
        int scratchBytes = 0;
        foreach (ref readonly Argument a in arguments)
            scratchBytes = checked(scratchBytes + a.ScratchBytes);
        NativeValue* values = stackalloc NativeValue[StackArguments];
        Span<byte> scratchMemory = scratchBytes <= StackScratch ? stackalloc byte[StackScratch] : new byte[scratchBytes];
        int status;
        fixed (byte* scratchStart = scratchMemory)
        {
            byte* scratch = scratchStart;
            for (int i = 0; i < arguments.Length; i++)
                arguments[i].Write(values + i, ref scratch, Name, i);
            OperatorProfile? profile = OperatorProfile.Current;
            long start = profile is null ? 0 : Stopwatch.GetTimestamp();
            status = NativeMethods.Call(op, values, arguments.Length, results);
            profile?.Add(Name, arguments.Length > 1 ? arguments[1].Source as Tensor : null, start);
        }
        // The native side borrowed the tensors; a finalizer must not have released them meanwhile.
        foreach (ref readonly Argument a in arguments)
            GC.KeepAlive(a.Source);
        Native.Check(status);
    }

    private Tensor Required(NativeValue* results, int index, int count)
    {
        if (results[index].Tag == Tag.Tensor)
            return Tensor.Made((nint)results[index].Pointer);
        for (int i = index + 1; i < count; i++)
        {
            if (results[i].Tag == Tag.Tensor)
                _ = Libtorch.DeleteTensor((nint)results[i].Pointer);
        }
        throw new TorchException($"{Name}: result number {index + 1} is undefined");
    }
}
