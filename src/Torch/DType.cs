namespace LongformerInterop.Torch;

/// <summary>The type of a tensor's elements. The values are those of <c>c10::ScalarType</c>.</summary>
public enum DType
{
    /// <summary>Unsigned 8-bit integer.</summary>
    UInt8 = 0,
    /// <summary>Signed 8-bit integer.</summary>
    Int8 = 1,
    /// <summary>Signed 16-bit integer.</summary>
    Int16 = 2,
    /// <summary>Signed 32-bit integer.</summary>
    Int32 = 3,
    /// <summary>Signed 64-bit integer.</summary>
    Int64 = 4,
    /// <summary>IEEE 754 half precision.</summary>
    Float16 = 5,
    /// <summary>IEEE 754 single precision.</summary>
    Float32 = 6,
    /// <summary>IEEE 754 double precision.</summary>
    Float64 = 7,
    /// <summary>Complex number of two half-precision parts.</summary>
    Complex32 = 8,
    /// <summary>Complex number of two single-precision parts.</summary>
    Complex64 = 9,
    /// <summary>Complex number of two double-precision parts.</summary>
    Complex128 = 10,
    /// <summary>Truth value, one byte.</summary>
    Bool = 11,
    /// <summary>Single precision cut to 16 bits: 8 bits of exponent, 7 of fraction.</summary>
    BFloat16 = 15,
    /// <summary>8-bit float with 5 bits of exponent.</summary>
    Float8E5M2 = 23,
    /// <summary>8-bit float with 4 bits of exponent and no infinities.</summary>
    Float8E4M3 = 24,
    /// <summary>Unsigned 16-bit integer.</summary>
    UInt16 = 27,
    /// <summary>Unsigned 32-bit integer.</summary>
    UInt32 = 28,
    /// <summary>Unsigned 64-bit integer.</summary>
    UInt64 = 29,
}

/// <summary>Properties of dtypes.</summary>
public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    /// <exception cref="InputException">The value names no dtype.</exception>
    public static int ElementSize(this DType dtype) => dtype switch
    {
        DType.UInt8 or DType.Int8 or DType.Bool or DType.Float8E5M2 or DType.Float8E4M3 => 1,
        DType.Int16 or DType.Float16 or DType.BFloat16 or DType.UInt16 => 2,
        DType.Int32 or DType.Float32 or DType.Complex32 or DType.UInt32 => 4,
        DType.Int64 or DType.Float64 or DType.Complex64 or DType.UInt64 => 8,
        DType.Complex128 => 16,
        _ => throw new InputException($"no dtype has the number {(int)dtype}"),
    };

    /// <summary>Whether the dtype holds real floating-point numbers.</summary>
    public static bool IsFloatingPoint(this DType dtype) => dtype is DType.Float16 or DType.Float32 or DType.Float64
        or DType.BFloat16 or DType.Float8E5M2 or DType.Float8E4M3;

    /// <summary>The dtype whose elements are laid out as the C# type <typeparamref name="T"/>.</summary>
    /// <exception cref="InputException">No dtype is.</exception>
    public static DType Of<T>() where T : unmanaged =>
        typeof(T) == typeof(float) ? DType.Float32
        : typeof(T) == typeof(double) ? DType.Float64
        : typeof(T) == typeof(long) ? DType.Int64
        : typeof(T) == typeof(int) ? DType.Int32
        : typeof(T) == typeof(bool) ? DType.Bool
        : typeof(T) == typeof(byte) ? DType.UInt8
        : typeof(T) == typeof(sbyte) ? DType.Int8
        : typeof(T) == typeof(short) ? DType.Int16
        : typeof(T) == typeof(Half) ? DType.Float16
        : typeof(T) == typeof(ushort) ? DType.UInt16
        : typeof(T) == typeof(uint) ? DType.UInt32
        : typeof(T) == typeof(ulong) ? DType.UInt64
        : throw new InputException($"no dtype has elements of the C# type {typeof(T)}");
}
