using System.Buffers.Binary;
using System.Text;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>A folder of a test's own, gone with it.</summary>
internal sealed class TestFolder : IDisposable
{
    public TestFolder() => Path = Directory.CreateTempSubdirectory("checkpoints").FullName;

    public string Path { get; }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public string Write(string name, ReadOnlySpan<byte> content)
    {
        File.WriteAllBytes(this[name], content);
        return this[name];
    }

    public string Write(string name, string content) => Write(name, Encoding.UTF8.GetBytes(content));

    /// <summary>A safetensors file from the text of its header and its data, right or wrong.</summary>
    public string WriteSafetensors(string name, string header, ReadOnlySpan<byte> data) =>
        Write(name, Safetensors(Encoding.UTF8.GetBytes(header), data));

    public static byte[] Safetensors(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data)
    {
        byte[] file = new byte[8 + header.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        header.CopyTo(file.AsSpan(8));
        data.CopyTo(file.AsSpan(8 + header.Length));
        return file;
    }

    /// <summary>The copied parity set.</summary>
    public static string Golden(string path)
    {
        for (DirectoryInfo? d = new(AppContext.BaseDirectory); d is not null; d = d.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(d.FullName, "LongformerInterop.sln")))
                return System.IO.Path.Combine(d.FullName, "parity-tests", "goldens", path);
        }
        throw new InvalidOperationException("no LongformerInterop.sln above the tests");
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
