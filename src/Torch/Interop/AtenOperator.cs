using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>
/// An operator of libtorch, called through its dispatcher. The interface knows no schemas: every argument is passed, those with defaults
/// too, each of exactly its kind. On 2.10 an operator with a Scalar among its arguments cannot be called at all.
/// </summary>
internal sealed unsafe class AtenOperator
{
    private const int Capacity = 16;

    private readonly byte[] _name, _overload; // pinned

    public AtenOperator(string name, string overload = "")
    {
        _name = Native.PinnedUtf8(name);
        _overload = Native.PinnedUtf8(overload);
        Name = overload.Length == 0 ? name : $"{name}.{overload}";
    }

    /// <summary>Name and overload, such as <c>aten::mul.Tensor</c>.</summary>
    public string Name { get; }

    /// <summary>Calls an operator whose one result is a tensor with its own memory.</summary>
    /// <exception cref="TorchException">libtorch refuses the values, for example their shapes.</exception>
    /// <exception cref="ObjectDisposedException">A tensor among the arguments is disposed.</exception>
    [SkipLocalsInit]
    public Tensor Call(params ReadOnlySpan<Argument> arguments)
    {
        ulong* stack = stackalloc ulong[Capacity];
        Invoke(arguments, stack);
        return Tensor.Made((nint)stack[0]);
    }

    /// <summary>Calls an operator whose one result is a tensor on the memory of another. Errors as <see cref="Call"/>.</summary>
    [SkipLocalsInit]
    public Tensor CallView(params ReadOnlySpan<Argument> arguments)
    {
        ulong* stack = stackalloc ulong[Capacity];
        Invoke(arguments, stack);
        return Tensor.Viewing((nint)stack[0]);
    }

    /// <summary>Calls an operator whose results are two tensors. Errors as <see cref="Call"/>.</summary>
    [SkipLocalsInit]
    public (Tensor First, Tensor Second) Call2(params ReadOnlySpan<Argument> arguments)
    {
        ulong* stack = stackalloc ulong[Capacity];
        Invoke(arguments, stack);
        return (Tensor.Made((nint)stack[0]), Tensor.Made((nint)stack[1]));
    }

    /// <summary>Calls an operator whose one result is a truth value. Errors as <see cref="Call"/>.</summary>
    [SkipLocalsInit]
    public bool CallBool(params ReadOnlySpan<Argument> arguments)
    {
        ulong* stack = stackalloc ulong[Capacity];
        Invoke(arguments, stack);
        return (byte)stack[0] != 0;
    }

    /// <summary>Calls an operator that writes into its first argument and gives it back. Errors as <see cref="Call"/>.</summary>
    [SkipLocalsInit]
    public void Run(params ReadOnlySpan<Argument> arguments)
    {
        ulong* stack = stackalloc ulong[Capacity];
        Invoke(arguments, stack);
        _ = Libtorch.DeleteTensor((nint)stack[0]);
    }

    /// <summary>Calls an operator without results. Errors as <see cref="Call"/>.</summary>
    [SkipLocalsInit]
    public void RunVoid(params ReadOnlySpan<Argument> arguments)
    {
        ulong* stack = stackalloc ulong[Capacity];
        Invoke(arguments, stack);
    }

    private void Invoke(ReadOnlySpan<Argument> arguments, ulong* stack)
    {
        // All that can be refused is refused before anything is made that libtorch would own.
        for (int i = 0; i < arguments.Length; i++)
            arguments[i].Require(Name, i);
        Native.Ensure();
        OperatorProfile? profile = OperatorProfile.Current;
        long start = profile is null ? 0 : Stopwatch.GetTimestamp();
        for (int i = 0; i < arguments.Length; i++)
            stack[i] = arguments[i].ToStack();
        int error;
        fixed (byte* n = _name, o = _overload)
            error = Libtorch.CallDispatcher(n, o, stack, Libtorch.Interface);
        if (error != 0)
            throw Failure(arguments);
        profile?.Add(Name, arguments.Length > 1 ? arguments[1].Source as Tensor : null, start);
    }

    private LongformerException Failure(ReadOnlySpan<Argument> arguments)
    {
        string[] words = new string[arguments.Length];
        for (int i = 0; i < words.Length; i++)
            words[i] = arguments[i].ToString();
        return Native.TorchFailure($"{Name}({string.Join(", ", words)})");
    }
}
