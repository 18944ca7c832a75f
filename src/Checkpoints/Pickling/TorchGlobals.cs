using System.Text;

namespace LongformerInterop.Checkpoints.Pickling;

/// <summary>
/// The classes and functions that a state dict's pickle may name, and what they make here. This is the complete list: nothing is
/// ever looked up or called by a name from a file.
/// </summary>
internal static class TorchGlobals
{
    private static readonly Dictionary<string, StoredType?> DTypes = new(StringComparer.Ordinal)
    {
        ["float64"] = StoredType.F64, ["double"] = StoredType.F64, ["float32"] = StoredType.F32, ["float"] = StoredType.F32,
        ["float16"] = StoredType.F16, ["half"] = StoredType.F16, ["bfloat16"] = StoredType.BF16, ["int64"] = StoredType.I64,
        ["long"] = StoredType.I64, ["int32"] = StoredType.I32, ["int"] = StoredType.I32, ["int16"] = StoredType.I16,
        ["short"] = StoredType.I16, ["int8"] = StoredType.I8, ["uint8"] = StoredType.U8, ["bool"] = StoredType.Bool,
        ["uint16"] = StoredType.U16, ["uint32"] = StoredType.U32, ["uint64"] = StoredType.U64, ["complex64"] = StoredType.C64,
        ["cfloat"] = StoredType.C64, ["float8_e4m3fn"] = StoredType.F8E4M3, ["float8_e5m2"] = StoredType.F8E5M2,
        ["float8_e4m3fnuz"] = StoredType.F8E4M3Fnuz, ["float8_e5m2fnuz"] = StoredType.F8E5M2Fnuz, ["float8_e8m0fnu"] = StoredType.F8E8M0,
        ["complex128"] = null, ["complex32"] = null, ["qint8"] = null, ["quint8"] = null, ["qint32"] = null,
    };

    // Ways to make tensors of kinds that no model here takes.
    private static readonly Dictionary<string, string> ForeignTensors = new(StringComparer.Ordinal)
    {
        ["torch._utils._rebuild_sparse_tensor"] = "sparse", ["torch._utils._rebuild_sparse_csr_tensor"] = "sparse",
        ["torch._utils._rebuild_qtensor"] = "quantized", ["torch._utils._rebuild_nested_tensor"] = "nested",
        ["torch._utils._rebuild_meta_tensor_no_storage"] = "without data",
    };

    private static readonly Dictionary<string, StoredType?> Storages = new(StringComparer.Ordinal)
    {
        ["DoubleStorage"] = StoredType.F64, ["FloatStorage"] = StoredType.F32, ["HalfStorage"] = StoredType.F16,
        ["BFloat16Storage"] = StoredType.BF16, ["LongStorage"] = StoredType.I64, ["IntStorage"] = StoredType.I32,
        ["ShortStorage"] = StoredType.I16, ["CharStorage"] = StoredType.I8, ["ByteStorage"] = StoredType.U8,
        ["BoolStorage"] = StoredType.Bool, ["ComplexFloatStorage"] = StoredType.C64, ["UntypedStorage"] = null, ["ComplexDoubleStorage"] = null,
        ["QInt8Storage"] = null, ["QUInt8Storage"] = null, ["QInt32Storage"] = null, ["QUInt4x2Storage"] = null, ["QUInt2x4Storage"] = null,
    };

    // No checkpoint has a use for these, even outside of its state dict: a file with one is an attack, and is refused.
    private static readonly HashSet<string> HostileModules = new(StringComparer.Ordinal)
    {
        "os", "posix", "nt", "sys", "subprocess", "commands", "socket", "shutil", "runpy", "importlib", "ctypes", "pty", "code",
        "webbrowser", "pip", "asyncio", "multiprocessing", "threading", "pickle", "_pickle", "marshal", "urllib", "http", "requests",
    };

    private static readonly HashSet<string> HostileBuiltins = new(StringComparer.Ordinal)
    {
        "eval", "exec", "execfile", "compile", "open", "__import__", "input", "breakpoint", "exit", "quit", "apply",
    };

    /// <summary>Whether a name belongs to no honest checkpoint at all.</summary>
    internal static bool IsHostile(PickleGlobal global)
    {
        string module = global.Module.Split('.')[0];
        return HostileModules.Contains(module)
            || (module is "builtins" or "__builtin__" && HostileBuiltins.Contains(global.Name.Split('.')[0]));
    }

    /// <summary>The storage class's element type (null: plain bytes); false for what is no storage class.</summary>
    internal static bool TryStorage(PickleGlobal global, out StoredType? type)
    {
        type = null;
        return global.Module is "torch" or "torch.storage" or "torch.cuda" && Storages.TryGetValue(global.Name, out type);
    }

    /// <summary>A global that is a value by itself, or the global unchanged.</summary>
    internal static object Resolve(PickleGlobal global) =>
        global.Module == "torch" && DTypes.TryGetValue(global.Name, out StoredType? type) ? new PickleDType(type, global.FullName) : global;

    /// <summary>Whether the name is that of a plain container, a shape, a device: what may be in a state dict.</summary>
    internal static bool IsKnown(PickleGlobal global) => TryStorage(global, out _) || global.FullName is
        "torch._utils._rebuild_tensor" or "torch._utils._rebuild_tensor_v2" or "torch._utils._rebuild_tensor_v3"
        or "torch._utils._rebuild_parameter" or "torch._utils._rebuild_parameter_with_state" or "torch.nn.parameter.Parameter"
        or "torch.nn.parameter.Buffer" or "torch._tensor._rebuild_from_type_v2" or "torch._tensor._rebuild_from_type"
        or "torch.per_tensor_affine" or "torch.per_channel_affine" or "torch.sparse_coo" or "torch.sparse_csr" or "torch.strided"
        or "collections.OrderedDict" or "builtins.dict" or "__builtin__.dict" or "builtins.set" or "__builtin__.set"
        or "builtins.frozenset" or "__builtin__.frozenset" or "builtins.list" or "__builtin__.list" or "builtins.tuple" or "__builtin__.tuple"
        or "torch.Size" or "torch.device" or "torch.serialization._get_layout" or "_codecs.encode" or "torch.Tensor" or "torch._tensor.Tensor"
        || ForeignTensors.ContainsKey(global.FullName);

    /// <summary>Returns the result of a call: a value of this reader, or an opaque one for an unknown name.</summary>
    /// <exception cref="FormatException">The arguments are not those that torch writes.</exception>
    internal static object? Call(PickleGlobal global, IReadOnlyList<object?> arguments) => global.FullName switch
    {
        "torch._tensor._rebuild_from_type_v2" or "torch._tensor._rebuild_from_type" => RebuildFromType(global, arguments),
        "torch._utils._rebuild_tensor" => RebuildTensor(global, arguments, 4, null),
        "torch._utils._rebuild_tensor_v2" => RebuildTensor(global, arguments, 6, null),
        "torch._utils._rebuild_tensor_v3" => RebuildTensor(global, arguments, 7, arguments.Count > 6 ? arguments[6] as PickleDType : null),
        "torch._utils._rebuild_parameter" or "torch._utils._rebuild_parameter_with_state" or "torch.nn.parameter.Parameter"
            or "torch.nn.parameter.Buffer" =>
            arguments is [PickleTensor or PickleForeignTensor, ..]
                ? arguments[0]
                : throw new FormatException($"{global.FullName} is given no tensor"),
        "collections.OrderedDict" or "builtins.dict" or "__builtin__.dict" => MakeDictionary(arguments),
        "builtins.set" or "__builtin__.set" or "builtins.frozenset" or "__builtin__.frozenset" or "builtins.list" or "__builtin__.list"
            or "builtins.tuple" or "__builtin__.tuple" or "torch.Size" =>
            new PickleSequence(arguments is [PickleSequence items, ..] ? [.. items.Items] : []),
        "torch.device" or "torch.serialization._get_layout" => arguments.Count > 0 ? arguments[0] : null,
        "_codecs.encode" => arguments is [string text, ..]
            ? Encoding.Latin1.GetBytes(text)
            : throw new FormatException("_codecs.encode is given no text"),
        var name when ForeignTensors.TryGetValue(name, out string? kind) => new PickleForeignTensor(kind),
        _ => new PickleOpaque(global),
    };

    // (function, type, its arguments, the attributes that Python hung on the tensor): torch/_tensor.py. The attributes are none of its values.
    private static object? RebuildFromType(PickleGlobal global, IReadOnlyList<object?> arguments)
    {
        if (arguments is not [PickleGlobal function, _, PickleSequence given, ..])
            throw new FormatException($"{global.FullName} is not given a function, a type and arguments");
        return function.FullName == global.FullName ? throw new FormatException($"{global.FullName} is given itself") : Call(function, given.Items);
    }

    private static PickleDictionary MakeDictionary(IReadOnlyList<object?> arguments)
    {
        PickleDictionary made = new();
        switch (arguments)
        {
            case []:
                break;
            case [PickleDictionary pairs]:
                made.Pairs.AddRange(pairs.Pairs);
                break;
            case [PickleSequence pairs]:
                foreach (object? pair in pairs.Items)
                {
                    if (pair is not PickleSequence { Items: [var key, var value] })
                        throw new FormatException("a dictionary is given something else than pairs");
                    made.Pairs.Add((key, value));
                }
                break;
            default:
                throw new FormatException("a dictionary is given something else than pairs");
        }
        return made;
    }

    // (storage, offset, size, stride[, requires_grad, backward_hooks[, dtype][, metadata]]): torch/_utils.py.
    private static object RebuildTensor(PickleGlobal global, IReadOnlyList<object?> arguments, int needed, PickleDType? dtype)
    {
        if (arguments.Count < needed || arguments[0] is not PickleStorage storage || arguments[1] is not long offset
            || arguments[2] is not PickleSequence size || arguments[3] is not PickleSequence stride)
        {
            throw new FormatException($"{global.FullName} is not given a storage, an offset, a size and a stride");
        }
        if (needed == 7 && dtype is null)
            throw new FormatException($"{global.FullName} is given no dtype");
        return (dtype is null ? storage.Type : dtype.Type) is { } type
            ? new PickleTensor(storage, type, offset, Integers(size), Integers(stride))
            : new PickleForeignTensor($"elements of type {dtype?.Name ?? "bytes"}");
    }

    private static long[] Integers(PickleSequence sequence)
    {
        if (sequence.Items.Count > SafetensorsHeader.MaximumRank)
            throw new FormatException("a tensor has more dimensions than libtorch takes");
        return [.. sequence.Items.Select(i => i is long value ? value : throw new FormatException("a size or a stride is not an integer"))];
    }
}
