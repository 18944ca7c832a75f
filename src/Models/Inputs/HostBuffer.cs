using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>Some of the values in a <see cref="HostBuffer"/>.</summary>
/// <param name="From">Where they begin, in 64-bit words.</param>
/// <param name="Count">How many values there are.</param>
/// <param name="AreBytes">Whether they are bytes, eight to a word; else int64.</param>
internal readonly record struct BufferPart(int From, int Count, bool AreBytes)
{
    /// <summary>How many words they take.</summary>
    public int Words => AreBytes ? (Count + 7) / 8 : Count;

    /// <summary>The values in the uploaded buffer, int64 or uint8, without a copy.</summary>
    /// <param name="buffer">The tensor that <see cref="HostBuffer.Upload(Device)"/> returned.</param>
    /// <param name="shape">Their shape.</param>
    public Tensor In(Tensor buffer, params ReadOnlySpan<long> shape)
    {
        using TensorScope scope = new();
        Tensor words = buffer.Narrow(0, From, Words);
        return scope.Keep((AreBytes ? words.ViewAs(DType.UInt8).Narrow(0, 0, Count) : words).View(shape));
    }
}

/// <summary>
/// The ids, positions, masks and indices of one pass, which the host makes and checks where they stay: gathered in one piece of memory, which
/// a CPU uses as it is, and which is sent to another device in one copy that nobody waits for.
/// </summary>
internal sealed class HostBuffer
{
    private long[] _words;
    private int _count;

    /// <summary>An empty buffer.</summary>
    /// <param name="capacity">About how many words it will hold.</param>
    public HostBuffer(int capacity = 16) => _words = new long[capacity];

    /// <summary>Makes room for integers; <see cref="Longs"/> is where to write them.</summary>
    public BufferPart Reserve(int count) => Reserve(new BufferPart(_count, count, false));

    /// <summary>Makes room for bytes, all 0.</summary>
    public BufferPart ReserveBytes(int count) => Reserve(new BufferPart(_count, count, true));

    /// <summary>Adds integers.</summary>
    public BufferPart Add(ReadOnlySpan<long> values)
    {
        BufferPart part = Reserve(values.Length);
        values.CopyTo(Longs(part));
        return part;
    }

    /// <summary>Adds bytes: 1 is true.</summary>
    public BufferPart Add(ReadOnlySpan<byte> values)
    {
        BufferPart part = ReserveBytes(values.Length);
        values.CopyTo(Bytes(part));
        return part;
    }

    /// <summary>Integers where they are; not valid once more is added.</summary>
    public Span<long> Longs(BufferPart part) => _words.AsSpan(part.From, part.Count);

    /// <summary>Bytes where they are; not valid once more is added.</summary>
    public Span<byte> Bytes(BufferPart part) => MemoryMarshal.AsBytes(_words.AsSpan(part.From, part.Words))[..part.Count];

    /// <summary>Everything added so far, int64 [words], on a device. Nothing may be added afterwards. The host does not wait for a copy.</summary>
    public Tensor Upload(Device device)
    {
        if (device != Device.Cpu)
            return Upload(_words.AsSpan(0, _count), device);
        // The device is the host: the tensor is this memory.
        Array.Resize(ref _words, _count);
        return Tensor.View(_words, _count);
    }

    /// <summary>Integers on a device, int64 [count]. The host does not wait for the copy.</summary>
    public static unsafe Tensor Upload(ReadOnlySpan<long> values, Device device)
    {
        if (device == Device.Cpu)
            return Tensor.From(values, values.Length);
        using TensorScope scope = new();
        Tensor near = Tensor.EmptyHost([values.Length], DType.Int64, device);
        values.CopyTo(new Span<long>((void*)near.DataPointer, values.Length));
        return scope.Keep(near.ToAsync(device));
    }

    private BufferPart Reserve(BufferPart part)
    {
        _count += part.Words;
        if (_count > _words.Length)
            Array.Resize(ref _words, Math.Max(_count, 2 * _words.Length));
        return part;
    }
}
