using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>
/// Any operator of libtorch or of a loaded library, by name and overload. Keep it in a static field: looking up costs a
/// microsecond, calling about a tenth of one. Thread safe.
/// </summary>
/// <example><code>
/// static readonly Operator Roll = Operator.Find("aten::roll");
/// using Tensor rolled = Roll.Call(x, new long[] { 1 }, new long[] { 0 });
/// </code></example>
public sealed unsafe class Operator
{
    private const int StackArguments = 24, StackScratch = 1024, StackResults = 8;

    private readonly string baseName, overload;
    private readonly Action? prepare;
    private nint handle;
    private int resultCount;

    private Operator(string name, string overload, Action? prepare)
    {
        baseName = name;
        this.overload = overload;
        this.prepare = prepare;
        Name = overload.Length == 0 ? name : $"{name}.{overload}";
    }

    /// <summary>Name and overload, such as <c>aten::add.Tensor</c>.</summary>
    public string Name { get; }

    /// <summary>The schema as libtorch writes it.</summary>
    public string Schema
    {
        get
        {
            byte* text;
            Shim.Check(NativeMethods.OperatorSchema(Resolved(), &text, null, null));
            return Shim.Utf8(text);
        }
    }

    /// <summary>Looks up an operator.</summary>
    /// <param name="name">With its namespace: <c>aten::add</c>.</param>
    /// <param name="overload">Such as <c>Tensor</c>; empty for the unnamed one.</param>
    /// <exception cref="TorchException">There is none; the message lists the overloads that exist.</exception>
    public static Operator Find(string name, string overload = "")
    {
        Operator op = Lazy(name, overload);
        op.Resolved();
        return op;
    }

    /// <summary>Whether there is such an operator: which ones exist depends on the version of libtorch.</summary>
    public static bool Exists(string name, string overload = "")
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(overload);
        Shim.Ensure();
        nint found;
        fixed (byte* n = Shim.Utf8(name), o = Shim.Utf8(overload))
            return NativeMethods.OperatorFind(n, o, &found) == 0;
    }

    /// <summary>An operator that is looked up when first called, after running <paramref name="prepare"/>.</summary>
    internal static Operator Lazy(string name, string overload = "", Action? prepare = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(overload);
        return new Operator(name, overload, prepare);
    }

    /// <summary>Calls an operator whose one result is a tensor.</summary>
    /// <exception cref="InputException">Number or kind of the arguments does not fit the schema.</exception>
    /// <exception cref="TorchException">libtorch refuses the values, for example their shapes.</exception>
    /// <exception cref="DeviceException">An argument names a device that is not there.</exception>
    /// <exception cref="ObjectDisposedException">A tensor among the arguments is disposed.</exception>
    public Tensor Call(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue result;
        InvokeForTensors(arguments, &result, 1);
        return TensorOf(result);
    }

    /// <summary>Calls an operator whose results are two tensors. Errors as <see cref="Call"/>.</summary>
    public (Tensor First, Tensor Second) Call2(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue* results = stackalloc NativeValue[2];
        InvokeForTensors(arguments, results, 2);
        return (TensorOf(results[0]), TensorOf(results[1]));
    }

    /// <summary>Calls an operator whose results are three tensors. Errors as <see cref="Call"/>.</summary>
    public (Tensor First, Tensor Second, Tensor Third) Call3(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue* results = stackalloc NativeValue[3];
        InvokeForTensors(arguments, results, 3);
        return (TensorOf(results[0]), TensorOf(results[1]), TensorOf(results[2]));
    }

    /// <summary>Calls an operator whose one result is a list of tensors. Errors as <see cref="Call"/>.</summary>
    public Tensor[] CallList(params ReadOnlySpan<Argument> arguments)
    {
        NativeValue result;
        Expect(1);
        Invoke(arguments, &result, 1);
        return new OperatorResult(result).AsTensors();
    }

    /// <summary>Calls an operator for its effect, such as an in-place or out= one; its results are dropped. Errors as <see cref="Call"/>.</summary>
    public void Run(params ReadOnlySpan<Argument> arguments)
    {
        Resolved();
        NativeValue* results = stackalloc NativeValue[StackResults];
        if (resultCount > StackResults)
        {
            foreach (OperatorResult r in CallAll(arguments)) r.Drop();
            return;
        }
        Invoke(arguments, results, resultCount);
        for (int i = 0; i < resultCount; i++) Release(results[i]);
    }

    /// <summary>Calls any operator and gives all its results, whatever they are. Errors as <see cref="Call"/>.</summary>
    public OperatorResult[] CallAll(params ReadOnlySpan<Argument> arguments)
    {
        Resolved();
        NativeValue[] values = new NativeValue[resultCount];
        fixed (NativeValue* v = values) Invoke(arguments, v, resultCount);
        return Array.ConvertAll(values, static v => new OperatorResult(v));
    }

    /// <summary>Name, overload and schema.</summary>
    public override string ToString() => handle == 0 ? Name : Schema;

    private nint Resolved() => Volatile.Read(ref handle) is nint h && h != 0 ? h : Resolve();

    private nint Resolve()
    {
        Shim.Ensure();
        prepare?.Invoke();
        nint found;
        int results;
        fixed (byte* n = Shim.Utf8(baseName), o = Shim.Utf8(overload))
            Shim.Check(NativeMethods.OperatorFind(n, o, &found));
        Shim.Check(NativeMethods.OperatorSchema(found, null, null, &results));
        resultCount = results;
        Volatile.Write(ref handle, found);
        return found;
    }

    private void Expect(int results)
    {
        Resolved();
        if (resultCount != results)
            throw new InputException($"{Name}: has {resultCount} results, but was called for {results}; {Schema}");
    }

    [SkipLocalsInit]
    private void Invoke(ReadOnlySpan<Argument> arguments, NativeValue* results, int capacity)
    {
        nint op = Resolved();
        int scratchBytes = 0;
        foreach (ref readonly Argument a in arguments) scratchBytes = checked(scratchBytes + a.ScratchBytes);
        Span<NativeValue> valueMemory = arguments.Length <= StackArguments ? stackalloc NativeValue[StackArguments] : new NativeValue[arguments.Length];
        Span<byte> scratchMemory = scratchBytes <= StackScratch ? stackalloc byte[StackScratch] : new byte[scratchBytes];
        int status, count;
        fixed (NativeValue* values = valueMemory)
        fixed (byte* scratchStart = scratchMemory)
        {
            byte* scratch = scratchStart;
            for (int i = 0; i < arguments.Length; i++) arguments[i].Write(values + i, ref scratch, this, i);
            OperatorProfile? profile = OperatorProfile.Current;
            long start = profile is null ? 0 : Stopwatch.GetTimestamp();
            status = NativeMethods.Call(op, values, arguments.Length, results, capacity, &count);
            profile?.Wait();
            profile?.Add(Name, arguments.Length > 1 ? arguments[1].Source as Tensor : null, Stopwatch.GetTimestamp() - start);
        }
        // The native side borrowed the tensors; a finalizer must not have released them meanwhile.
        foreach (ref readonly Argument a in arguments) GC.KeepAlive(a.Source);
        Shim.Check(status);
    }

    // Calls for tensors only; where a result is none, all are given back.
    private void InvokeForTensors(ReadOnlySpan<Argument> arguments, NativeValue* results, int n)
    {
        Expect(n);
        Invoke(arguments, results, n);
        for (int i = 0; i < n; i++)
        {
            if (results[i].Tag == Tag.Tensor) continue;
            string given = results[i].Tag == Tag.None ? "an undefined tensor" : "no tensor";
            for (int k = 0; k < n; k++) Release(results[k]);
            throw new InputException($"{Name}: result number {i + 1} is {given}; {Schema}");
        }
    }

    private static Tensor TensorOf(in NativeValue value) => new((nint)value.Pointer, value.N);

    private static void Release(in NativeValue value)
    {
        if (value.Tag == Tag.Tensor) _ = NativeMethods.TensorRelease((nint)value.Pointer);
        if (value.Tag == Tag.TensorList)
            for (int i = 0; i < value.N; i++) _ = NativeMethods.TensorRelease(((nint*)value.Pointer)[i]);
    }
}

/// <summary>One result of <see cref="Operator.CallAll"/>.</summary>
public readonly unsafe struct OperatorResult
{
    private readonly Tag tag;
    private readonly long bits;
    private readonly object? content;

    internal OperatorResult(in NativeValue value)
    {
        tag = value.Tag;
        bits = value.Integer;
        content = value.Tag switch
        {
            Tag.Tensor => new Tensor((nint)value.Pointer, value.N),
            Tag.TensorList => Tensors(value),
            Tag.String => Encoding.UTF8.GetString((byte*)value.Pointer, value.N),
            Tag.IntList => new ReadOnlySpan<long>(value.Pointer, value.N).ToArray(),
            Tag.DoubleList => new ReadOnlySpan<double>(value.Pointer, value.N).ToArray(),
            Tag.BoolList => new ReadOnlySpan<bool>(value.Pointer, value.N).ToArray(),
            Tag.Device => Device.FromNative((int)value.Integer, value.N),
            _ => null,
        };
    }

    /// <summary>Whether the result is absent: None, or an undefined tensor.</summary>
    public bool IsNone => tag == Tag.None;

    /// <summary>The result as a tensor.</summary>
    /// <exception cref="InputException">It is none.</exception>
    public Tensor AsTensor() => content as Tensor ?? throw Wrong("a tensor");

    /// <summary>The result as a list of tensors.</summary>
    /// <exception cref="InputException">It is none.</exception>
    public Tensor[] AsTensors() => content as Tensor[] ?? throw Wrong("a list of tensors");

    /// <summary>The result as an integer.</summary>
    /// <exception cref="InputException">It is none.</exception>
    public long AsInt64() => tag == Tag.Int ? bits : throw Wrong("an integer");

    /// <summary>The result as a number.</summary>
    /// <exception cref="InputException">It is none.</exception>
    public double AsDouble() => tag switch
    {
        Tag.Double => BitConverter.Int64BitsToDouble(bits),
        Tag.Int => bits,
        _ => throw Wrong("a number"),
    };

    /// <summary>The result as a truth value.</summary>
    /// <exception cref="InputException">It is none.</exception>
    public bool AsBool() => tag == Tag.Bool ? bits != 0 : throw Wrong("a truth value");

    /// <summary>The result as text.</summary>
    /// <exception cref="InputException">It is none.</exception>
    public string AsString() => content as string ?? throw Wrong("text");

    /// <summary>The result as a list of integers.</summary>
    /// <exception cref="InputException">It is none.</exception>
    public long[] AsInt64s() => content as long[] ?? throw Wrong("a list of integers");

    internal void Drop()
    {
        (content as Tensor)?.Dispose();
        if (content is Tensor[] tensors)
            foreach (Tensor t in tensors) t.Dispose();
    }

    private static Tensor[] Tensors(in NativeValue value)
    {
        Tensor[] tensors = new Tensor[value.N];
        for (int i = 0; i < tensors.Length; i++) tensors[i] = new Tensor(((nint*)value.Pointer)[i], 0);
        return tensors;
    }

    private InputException Wrong(string expected) => new($"the operator's result was expected to be {expected}, it is {tag}");
}
