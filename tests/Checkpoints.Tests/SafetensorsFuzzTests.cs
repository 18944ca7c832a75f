using System.Text;
using LongformerInterop.Torch;

namespace LongformerInterop.Checkpoints.Tests;

/// <summary>Whatever is done to a file, opening it gives tensors inside the file or a <see cref="CheckpointException"/>.</summary>
[TestFixture]
public class SafetensorsFuzzTests
{
    private const int Rounds = 2400;

    private const string Header =
        """{"__metadata__":{"format":"pt"},"a.b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"""
        + """ "c":{"dtype":"I64","shape":[],"data_offsets":[24,32]},"e":{"dtype":"F16","shape":[0,4],"data_offsets":[32,32]}}""";

    private static readonly string[] Pieces =
    [
        "0", "-1", "1", "8", "18446744073709551615", "9223372036854775807", "4294967296", "1e9", "0.5", "null", "true", "[]", "{}", "\"\"", "\"F32\"",
        "\"F64\"", "\"U8\"",
        "\"F4\"", "[", "]", "{", "}", ",", ":", "\\u0000", "\\ud800", "\"a.b\":", "\"dtype\":", "\"shape\":", "\"data_offsets\":",
        "\"__metadata__\":", " ", "\n",
    ];

    [Test]
    public void Mutated_files_give_a_tensor_or_a_message()
    {
        using TestFolder folder = new();
        Random random = new(20240607);
        byte[] valid = SafetensorsBytes.Of(Encoding.UTF8.GetBytes(Header), new byte[32]);
        long live = TorchRuntime.LiveTensorCount, memory = GC.GetTotalMemory(forceFullCollection: true);
        int opened = 0;
        HashSet<string> messages = [];
        for (int round = 0; round < Rounds; round++)
        {
            byte[] mutated = round % 3 == 0 ? MutateBytes(valid, random) : MutateText(random);
            string path = folder.Write("f.safetensors", mutated);
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                opened++;
                foreach (string name in file.Entries.Keys)
                {
                    TensorEntry entry = file.Entries[name];
                    Assert.That(entry.Begin + entry.ByteCount, Is.LessThanOrEqualTo(mutated.Length));
                    if (entry.Type.ToDType() is null)
                        continue;
                    using Tensor tensor = file.Get(name);
                    Assert.That(tensor.AsBytes().SequenceEqual(mutated.AsSpan((int)entry.Begin, (int)entry.ByteCount)), Is.True);
                }
            }
            catch (CheckpointException e)
            {
                Assert.That(e.Message.StartsWith(path + ": ", StringComparison.Ordinal), Is.True);
                string words = e.Message[(path.Length + 1)..].Split(':')[0];
                messages.Add(words[..Math.Min(12, words.Length)]);
            }
        }
        TestContext.Out.WriteLine($"{Rounds} files: {opened} opened, {messages.Count} kinds of message");
        Assert.That(opened, Is.InRange(Rounds / 100, Rounds / 2), "the mutations are neither all harmless nor all fatal");
        Assert.That(messages, Has.Count.GreaterThan(8));
        Assert.That(TorchRuntime.LiveTensorCount, Is.EqualTo(live));
        Assert.That(GC.GetTotalMemory(forceFullCollection: true) - memory, Is.LessThan(16 << 20));
    }

    [Test]
    public void A_short_file_that_promises_much_costs_little()
    {
        using TestFolder folder = new();
        string path = folder.Write("f.safetensors", [.. BitConverter.GetBytes(99_000_000L), .. "{\"a\""u8]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.That(() => SafetensorsFile.Open(path), Throws.TypeOf<CheckpointException>());
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));
    }

    private static byte[] MutateBytes(byte[] valid, Random random)
    {
        List<byte> bytes = [.. valid];
        for (int n = random.Next(1, 4); n > 0 && bytes.Count > 0; n--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, (byte)random.Next(256)); break;
                case 4: bytes.RemoveRange(at, bytes.Count - at); break;
                default: bytes[random.Next(Math.Min(8, bytes.Count))] = (byte)random.Next(256); break;
            }
        }
        return [.. bytes];
    }

    // The header's text with pieces put in, taken out and exchanged; the length in front is right, so that parsing reaches the content.
    private static byte[] MutateText(Random random)
    {
        string text = Header;
        for (int n = random.Next(3) == 0 ? 2 : 1; n > 0; n--)
        {
            string piece = Pieces[random.Next(Pieces.Length)];
            string other = Pieces[random.Next(Pieces.Length)];
            int at = random.Next(text.Length);
            text = random.Next(4) switch
            {
                0 => text.Insert(at, piece),
                1 => text.Remove(at, Math.Min(random.Next(1, 30), text.Length - at)),
                2 when text.IndexOf(piece, at, StringComparison.Ordinal) is >= 0 and int found =>
                    text.Remove(found, piece.Length).Insert(found, other),
                _ => ReplaceNumber(text, at, piece),
            };
            if (text.Length == 0)
                text = "{}";
        }
        return SafetensorsBytes.Of(Encoding.UTF8.GetBytes(text), new byte[random.Next(5) == 0 ? random.Next(64) : 32]);
    }

    private static string ReplaceNumber(string text, int from, string piece)
    {
        int at = text.AsSpan(from).IndexOfAnyInRange('0', '9') is >= 0 and int found ? from + found : -1;
        if (at < 0)
            return text;
        int end = at;
        while (end < text.Length && char.IsAsciiDigit(text[end]))
            end++;
        return string.Concat(text.AsSpan(0, at), piece, text.AsSpan(end));
    }
}
