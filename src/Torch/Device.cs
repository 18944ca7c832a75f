using System.Globalization;

namespace LongformerInterop.Torch;

/// <summary>A kind of device. The values are those of <c>c10::DeviceType</c>; others than these pass through by number.</summary>
public enum DeviceType
{
    /// <summary>The processor and its memory.</summary>
    Cpu = 0,
    /// <summary>An NVIDIA GPU.</summary>
    Cuda = 1,
    /// <summary>Shapes and dtypes without memory.</summary>
    Meta = 14,
}

/// <summary>The device of a tensor.</summary>
/// <param name="Type">The kind of device.</param>
/// <param name="Index">Which one of that kind, from 0; -1 for kinds that are not numbered (CPU, meta).</param>
public readonly record struct Device(DeviceType Type, int Index)
{
    /// <summary>The processor.</summary>
    public static Device Cpu => new(DeviceType.Cpu, -1);

    /// <summary>The device of tensors that have a shape and a dtype but no memory.</summary>
    public static Device Meta => new(DeviceType.Meta, -1);

    /// <summary>An NVIDIA GPU. Whether it exists is checked where it is first used.</summary>
    /// <param name="index">Which one, from 0.</param>
    /// <exception cref="InputException"><paramref name="index"/> is negative.</exception>
    public static Device Cuda(int index = 0) =>
        index >= 0 ? new(DeviceType.Cuda, index) : throw new InputException($"a CUDA device is numbered from 0, given {index}");

    /// <summary>Reads <c>cpu</c>, <c>cuda</c>, <c>cuda:1</c> or <c>meta</c>.</summary>
    /// <exception cref="InputException">The text names no device.</exception>
    public static Device Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text == "cpu")
            return Cpu;
        if (text == "meta")
            return Meta;
        if (text == "cuda")
            return Cuda();
        if (text.StartsWith("cuda:", StringComparison.Ordinal) &&
            int.TryParse(text.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int index) && index <= sbyte.MaxValue)
        {
            return Cuda(index);
        }
        throw new InputException($"\"{text}\" names no device: expected cpu, cuda or cuda:N");
    }

    /// <summary>The text that <see cref="Parse"/> reads.</summary>
    public override string ToString()
    {
        string name = Type switch
        {
            DeviceType.Cpu => "cpu",
            DeviceType.Cuda => "cuda",
            DeviceType.Meta => "meta",
            _ => string.Create(CultureInfo.InvariantCulture, $"device type {(int)Type}"),
        };
        return Index < 0 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}:{Index}");
    }

    internal static Device FromNative(int type, int index) =>
        new((DeviceType)type, type is (int)DeviceType.Cpu or (int)DeviceType.Meta ? -1 : index);
}
