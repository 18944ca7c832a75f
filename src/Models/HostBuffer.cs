using System.Runtime.InteropServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>Some of the values in a <see cref="HostBuffer"/>.</summary>
/// <param name="From">Where they begin, in 64-bit words.</param>
/// <param name="Count">How many values there are.</param>
/// <param name="AreBytes">Whether they are bytes, eight to a word; else int64.</param>
internal readonly record struct BufferPart(int From, int Count, bool AreBytes)
{
    private int Words => AreBytes ? (Count + 7) / 8 : Count;

    /// <summary>The values in the uploaded buffer, int64 or uint8, without a copy.</summary>
    /// <param name="buffer">What <see cref="HostBuffer.Upload(Device)"/> returned.</param>
    /// <param name="shape">Their shape.</param>
    public Tensor In(Tensor buffer, params ReadOnlySpan<long> shape)
    {
        using var scope = new TensorScope();
        Tensor words = buffer.Narrow(0, From, Words);
        return scope.Keep((AreBytes ? words.ViewAs(DType.UInt8).Narrow(0, 0, Count) : words).View(shape));
    }
}

/// <summary>
/// The ids, positions, masks and indices of one pass, which the host makes and checks: gathered in one piece of memory, so that they go to
/// the device in one copy that nobody waits for.
/// </summary>
internal sealed class HostBuffer
{
    private readonly List<long> _words = [];

    /// <summary>Adds integers.</summary>
    public BufferPart Add(ReadOnlySpan<long> values)
    {
        var part = new BufferPart(_words.Count, values.Length, false);
        _words.AddRange(values);
        return part;
    }

    /// <summary>Adds bytes: 1 is true.</summary>
    public BufferPart Add(ReadOnlySpan<byte> values)
    {
        var part = new BufferPart(_words.Count, values.Length, true);
        int words = (values.Length + 7) / 8;
        CollectionsMarshal.SetCount(_words, part.From + words);
        Span<long> added = CollectionsMarshal.AsSpan(_words)[part.From..];
        added.Clear();
        values.CopyTo(MemoryMarshal.AsBytes(added));
        return part;
    }

    /// <summary>Everything added so far, int64 [words], on a device. The host does not wait for the copy.</summary>
    public Tensor Upload(Device device) => Upload(CollectionsMarshal.AsSpan(_words), device);

    /// <summary>Integers on a device, int64 [count]. The host does not wait for the copy.</summary>
    public static unsafe Tensor Upload(ReadOnlySpan<long> values, Device device)
    {
        if (device == Device.Cpu)
            return Tensor.From(values, values.Length);
        using var scope = new TensorScope();
        Tensor near = Tensor.EmptyHost([values.Length], DType.Int64, device);
        values.CopyTo(new Span<long>((void*)near.DataPointer, values.Length));
        return scope.Keep(near.ToAsync(device));
    }
}
