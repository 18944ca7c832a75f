using System.Buffers.Binary;
using System.Text;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>Safetensors files, right or wrong, from the text of their header and their data.</summary>
internal static class SafetensorsBytes
{
    public static string WriteSafetensors(this TestFolder folder, string name, string header, ReadOnlySpan<byte> data) =>
        folder.Write(name, Of(Encoding.UTF8.GetBytes(header), data));

    public static byte[] Of(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data)
    {
        byte[] file = new byte[8 + header.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        header.CopyTo(file.AsSpan(8));
        data.CopyTo(file.AsSpan(8 + header.Length));
        return file;
    }
}
