using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace LongformerInterop.Cli.Output;

/// <summary>
/// Writes a float32 matrix in NumPy's .npy format, version 1.0, row by row. The number of rows is known only at the end, so
/// the header keeps room for it and is written twice.
/// </summary>
internal sealed class NpyWriter(Stream stream, int columns)
{
    private const int HeaderLength = 128;
    private long _rows;
    private bool _started;

    /// <summary>Appends rows: a multiple of the column count.</summary>
    internal void Append(ReadOnlySpan<float> values)
    {
        if (values.Length % columns != 0)
            throw new ArgumentException($"{values.Length} values are no whole number of rows of {columns}", nameof(values));
        Start();
        stream.Write(MemoryMarshal.AsBytes(values));
        _rows += values.Length / columns;
    }

    internal void Finish()
    {
        Start();
        stream.Position = 0;
        stream.Write(Header(_rows));
        stream.Seek(0, SeekOrigin.End);
    }

    private void Start()
    {
        if (_started)
            return;
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("the .npy writer is written for little-endian machines");
        stream.Write(Header(0));
        _started = true;
    }

    private byte[] Header(long rows)
    {
        string dictionary = string.Create(CultureInfo.InvariantCulture,
            $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        byte[] header = new byte[HeaderLength];
        header.AsSpan().Fill((byte)' ');
        header[0] = 0x93;
        "NUMPY"u8.CopyTo(header.AsSpan(1));
        header[6] = 1;
        header[7] = 0;
        header[8] = HeaderLength - 10;
        header[9] = 0;
        Encoding.ASCII.GetBytes(dictionary, header.AsSpan(10));
        header[^1] = (byte)'\n';
        return header;
    }
}
