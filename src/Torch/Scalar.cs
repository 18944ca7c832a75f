namespace LongformerInterop.Torch;

/// <summary>
/// A number given to an operator in place of a tensor. Integers stay integers, so that adding 1 to an Int64 tensor gives Int64.
/// </summary>
public readonly struct Scalar
{
    internal Scalar(Argument argument) => Argument = argument;

    internal Argument Argument { get; }

    /// <summary>A 32-bit integer.</summary>
    public static implicit operator Scalar(int value) => new((long)value);

    /// <summary>A 64-bit integer.</summary>
    public static implicit operator Scalar(long value) => new(value);

    /// <summary>A single-precision number.</summary>
    public static implicit operator Scalar(float value) => new((double)value);

    /// <summary>A double-precision number.</summary>
    public static implicit operator Scalar(double value) => new(value);

    /// <summary>A truth value.</summary>
    public static implicit operator Scalar(bool value) => new(value);
}
