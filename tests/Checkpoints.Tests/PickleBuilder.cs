using System.IO.Compression;
using System.Numerics;
using System.Text;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>Writes pickles opcode by opcode, honest and other ones, and the two file formats of torch around them.</summary>
internal sealed class PickleBuilder
{
    private readonly List<byte> _bytes = [];

    public PickleBuilder(int protocol = 2) => Raw(0x80, (byte)protocol);

    public byte[] ToArray() => [.. _bytes];

    public PickleBuilder Raw(params ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public PickleBuilder Op(char opcode) => Raw((byte)opcode);

    public PickleBuilder Stop() => Op('.');

    public PickleBuilder Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        return Op('X').Raw(BitConverter.GetBytes(utf8.Length)).Raw(utf8);
    }

    public PickleBuilder Number(long value) => Raw(0x8a, 8).Raw(BitConverter.GetBytes(value));

    public PickleBuilder Big(BigInteger value)
    {
        byte[] bytes = value.ToByteArray();
        return Raw(0x8a, (byte)bytes.Length).Raw(bytes);
    }

    public PickleBuilder Global(string module, string name) => Op('c').Raw(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));

    public PickleBuilder Tuple(params ReadOnlySpan<long> values)
    {
        Op('(');
        foreach (long value in values)
            Number(value);
        return Op('t');
    }

    public PickleBuilder Storage(string kind, string key, long count, string module = "torch") =>
        Op('(').Text("storage").Global(module, kind).Text(key).Text("cpu").Number(count).Op('t').Op('Q');

    /// <summary>A tensor as torch writes it.</summary>
    public PickleBuilder Tensor(string kind, string key, long count, long offset, long[] shape, long[] strides) =>
        Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage(kind, key, count).Number(offset).Tuple(shape).Tuple(strides)
            .Raw(0x89).Global("collections", "OrderedDict").Op(')').Op('R').Op('t').Op('R');

    /// <summary>A state dict with one entry, whose value the caller pushes.</summary>
    public static PickleBuilder Dict(string name, Func<PickleBuilder, PickleBuilder> value) =>
        value(new PickleBuilder().Op('}').Text(name)).Op('s').Stop();

    /// <summary>A zip archive as torch.save makes it, entries stored.</summary>
    public static byte[] Zip(byte[] pickle, params (string Key, byte[] Data)[] storages) =>
        ZipOf([("archive/data.pkl", pickle), .. storages.Select(s => ($"archive/data/{s.Key}", s.Data)), ("archive/version", "3\n"u8.ToArray())]);

    public static byte[] ZipOf((string Name, byte[] Data)[] entries, CompressionLevel compression = CompressionLevel.NoCompression)
    {
        using MemoryStream stream = new();
        using (ZipArchive archive = new(stream, ZipArchiveMode.Create))
        {
            foreach ((string name, byte[] data) in entries)
            {
                using Stream entry = archive.CreateEntry(name, compression).Open();
                entry.Write(data);
            }
        }
        return stream.ToArray();
    }

    /// <summary>The older format: magic, version, system, value, keys, then each storage with its length in elements.</summary>
    public static byte[] Legacy(byte[] pickle, params (string Key, int Elements, byte[] Data)[] storages)
    {
        PickleBuilder keys = new PickleBuilder().Op(']').Op('(');
        foreach ((string key, _, _) in storages)
            keys.Text(key);
        using MemoryStream file = new();
        file.Write(new PickleBuilder().Big(BigInteger.Parse("119547037146038801333356")).Stop().ToArray());
        file.Write(new PickleBuilder().Number(1001).Stop().ToArray());
        file.Write(new PickleBuilder().Op('}').Text("little_endian").Raw(0x88).Op('s').Stop().ToArray());
        file.Write(pickle);
        file.Write(keys.Op('e').Stop().ToArray());
        foreach ((_, int elements, byte[] data) in storages)
        {
            file.Write(BitConverter.GetBytes((long)elements));
            file.Write(data);
        }
        return file.ToArray();
    }
}
