using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace LongformerInterop.Checkpoints.Pickling;

/// <summary>The bytes of a pickle, read forward in small pieces, with a bound on how many there may be.</summary>
internal sealed class PickleStream
{
    /// <summary>
    /// The state dict of a model of a thousand tensors takes about a hundred kilobytes; a larger one is data in
    /// disguise, or an attempt on memory.
    /// </summary>
    internal const long MaximumBytes = 64 << 20;

    private const int MaximumLine = 1 << 16;

    private readonly byte[] _buffer = new byte[1 << 14];
    private readonly UTF8Encoding _utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private readonly MappedFile _map;
    private readonly long _begin;
    private readonly long _end;
    private long _next;
    private int _position;
    private int _filled;

    internal PickleStream(MappedFile map, long begin, long end)
    {
        _map = map;
        _begin = begin;
        _end = end;
        _next = begin;
    }

    internal string File => _map.Path;

    /// <summary>The position in the file of the next byte.</summary>
    internal long Position => _next - (_filled - _position);

    internal byte ReadByte()
    {
        if (_position == _filled)
            Fill();
        return _buffer[_position++];
    }

    internal ushort ReadUInt16() => BinaryPrimitives.ReadUInt16LittleEndian(ReadSmall(stackalloc byte[2]));

    internal int ReadInt32() => BinaryPrimitives.ReadInt32LittleEndian(ReadSmall(stackalloc byte[4]));

    internal uint ReadUInt32() => BinaryPrimitives.ReadUInt32LittleEndian(ReadSmall(stackalloc byte[4]));

    internal ulong ReadUInt64() => BinaryPrimitives.ReadUInt64LittleEndian(ReadSmall(stackalloc byte[8]));

    internal double ReadDoubleBigEndian() => BinaryPrimitives.ReadDoubleBigEndian(ReadSmall(stackalloc byte[8]));

    /// <summary>Bytes whose number the pickle gives: checked against what is left before anything is allocated.</summary>
    internal byte[] ReadBytes(ulong count)
    {
        if (count > (ulong)Math.Min(_end - Position, Left()))
            throw Failure(string.Create(CultureInfo.InvariantCulture, $"a value of {count} bytes would end beyond the pickle's end"));
        byte[] bytes = new byte[count];
        ReadSmall(bytes);
        return bytes;
    }

    internal string ReadText(ulong count) => Decode(ReadBytes(count));

    /// <summary>Text up to a line feed, as the old opcodes have it.</summary>
    internal string ReadLine()
    {
        List<byte> line = [];
        for (byte b = ReadByte(); b != (byte)'\n'; b = ReadByte())
        {
            if (line.Count == MaximumLine)
                throw Failure("a line of the pickle does not end");
            line.Add(b);
        }
        if (line.Count > 0 && line[^1] == (byte)'\r')
            line.RemoveAt(line.Count - 1);
        return Decode([.. line]);
    }

    internal CheckpointException Failure(string what) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{File}: damaged pickle, or none, at byte {Position}: {what}"));

    private string Decode(byte[] bytes)
    {
        try
        {
            return _utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Failure("a string is not UTF-8 text");
        }
    }

    private Span<byte> ReadSmall(Span<byte> target)
    {
        for (Span<byte> rest = target; !rest.IsEmpty;)
        {
            if (_position == _filled)
                Fill();
            int count = Math.Min(rest.Length, _filled - _position);
            _buffer.AsSpan(_position, count).CopyTo(rest);
            _position += count;
            rest = rest[count..];
        }
        return target;
    }

    private long Left() => MaximumBytes - (Position - _begin);

    private void Fill()
    {
        if (Left() <= 0)
            throw Failure(string.Create(CultureInfo.InvariantCulture, $"it has more than {MaximumBytes} bytes"));
        int count = (int)Math.Min(_buffer.Length, _end - _next);
        if (count <= 0)
            throw Failure("it ends in the middle");
        _map.Read(_next, _buffer.AsSpan(0, count));
        _next += count;
        _position = 0;
        _filled = count;
    }
}
