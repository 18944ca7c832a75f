using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// The element types of the safetensors format, in the order in which the safetensors library (0.8) sorts them: a file begins with
/// the last of these, so that every tensor of a file that it or <see cref="SafetensorsWriter"/> wrote is aligned.
/// </summary>
public enum StoredType
{
    /// <summary>Booleans, one byte each.</summary>
    Bool,

    /// <summary>4-bit floats (2 exponent bits, 1 mantissa bit), two to the byte.</summary>
    F4,

    /// <summary>6-bit floats, 2 exponent and 3 mantissa bits.</summary>
    F6E2M3,

    /// <summary>6-bit floats, 3 exponent and 2 mantissa bits.</summary>
    F6E3M2,

    /// <summary>Unsigned bytes.</summary>
    U8,

    /// <summary>Signed bytes.</summary>
    I8,

    /// <summary>8-bit floats, 5 exponent and 2 mantissa bits.</summary>
    F8E5M2,

    /// <summary>8-bit floats, 4 exponent and 3 mantissa bits, without infinities.</summary>
    F8E4M3,

    /// <summary>8-bit powers of two (scales).</summary>
    F8E8M0,

    /// <summary>8-bit floats, 4 exponent and 3 mantissa bits, without infinities and negative zero.</summary>
    F8E4M3Fnuz,

    /// <summary>8-bit floats, 5 exponent and 2 mantissa bits, without infinities and negative zero.</summary>
    F8E5M2Fnuz,

    /// <summary>Signed 16-bit integers.</summary>
    I16,

    /// <summary>Unsigned 16-bit integers.</summary>
    U16,

    /// <summary>IEEE half precision.</summary>
    F16,

    /// <summary>The upper half of a float32.</summary>
    BF16,

    /// <summary>Signed 32-bit integers.</summary>
    I32,

    /// <summary>Unsigned 32-bit integers.</summary>
    U32,

    /// <summary>IEEE single precision.</summary>
    F32,

    /// <summary>Complex numbers of two float32.</summary>
    C64,

    /// <summary>IEEE double precision.</summary>
    F64,

    /// <summary>Signed 64-bit integers.</summary>
    I64,

    /// <summary>Unsigned 64-bit integers.</summary>
    U64,
}

/// <summary>Names, sizes and libtorch counterparts of the <see cref="StoredType"/>s.</summary>
public static class StoredTypes
{
    // Indexed by StoredType. Scalar: the value of c10::ScalarType (c10/core/ScalarType.h); Since: the first libtorch 2 minor version
    // that has it, 0 for those of 1.13, -1 where DType has no counterpart.
    private static readonly (string Name, int Bits, int Scalar, int Since)[] Table =
    [
        ("BOOL", 8, 11, 0), ("F4", 4, -1, -1), ("F6_E2M3", 6, -1, -1), ("F6_E3M2", 6, -1, -1), ("U8", 8, 0, 0), ("I8", 8, 1, 0),
        ("F8_E5M2", 8, 23, 1), ("F8_E4M3", 8, 24, 1), ("F8_E8M0", 8, -1, -1), ("F8_E4M3FNUZ", 8, -1, -1), ("F8_E5M2FNUZ", 8, -1, -1),
        ("I16", 16, 2, 0), ("U16", 16, 27, 3), ("F16", 16, 5, 0), ("BF16", 16, 15, 0), ("I32", 32, 3, 0), ("U32", 32, 28, 3),
        ("F32", 32, 6, 0), ("C64", 64, 9, 0), ("F64", 64, 7, 0), ("I64", 64, 4, 0), ("U64", 64, 29, 3),
    ];

    private static readonly Dictionary<string, StoredType> ByName =
        Enum.GetValues<StoredType>().ToDictionary(t => Table[(int)t].Name, StringComparer.Ordinal);

    /// <summary>The name in a safetensors header, such as <c>F32</c> or <c>F8_E4M3</c>.</summary>
    public static string Name(this StoredType type) => Table[(int)type].Name;

    /// <summary>Bits of one element.</summary>
    public static int Bits(this StoredType type) => Table[(int)type].Bits;

    /// <summary>The type with this name in a safetensors header; false for a name that the format does not have.</summary>
    public static bool TryParse(string name, out StoredType type) => ByName.TryGetValue(name, out type);

    /// <summary>The dtype of a tensor of these elements, or null where the libtorch at hand has none.</summary>
    public static DType? ToDType(this StoredType type)
    {
        (_, _, int scalar, int since) = Table[(int)type];
        return since == 0 || (since > 0 && Loaded.MinorVersion >= since) ? (DType)scalar : null;
    }

    /// <summary>The stored type of a dtype, or null for one that the format cannot hold (quantised types, complex128).</summary>
    public static StoredType? FromDType(DType type)
    {
        for (int i = 0; i < Table.Length; i++)
        {
            if (Table[i].Scalar == (int)type)
                return (StoredType)i;
        }
        return null;
    }

    // Apart, so that libtorch is loaded when a tensor is taken, and not by reading a header.
    private static class Loaded
    {
        // 0 for libtorch 1.x, else the minor version of 2.x (a later major version has everything).
        internal static readonly int MinorVersion = Parse(TorchRuntime.Version);

        private static int Parse(string text)
        {
            Version version = Version.TryParse(new string([.. text.TakeWhile(c => char.IsAsciiDigit(c) || c == '.')]).Trim('.'), out Version? parsed)
                ? parsed
                : new Version(1, 13);
            return version.Major switch { < 2 => 0, 2 => version.Minor, _ => int.MaxValue };
        }
    }
}
