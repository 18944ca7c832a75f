using System.IO.MemoryMappedFiles;
using System.Security.Cryptography;
using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.Training.CharacterLm;

/// <summary>
/// A text as ids of a vocabulary, memory-mapped: bytes in the file itself, characters in a file of int32 ids that is made of it once. Any number of
/// threads may read.
/// </summary>
public sealed class CharacterText : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly int[]? _ids;  // of each byte, -1: none; null: the file holds ids

    private CharacterText(string path, CharacterVocabulary vocabulary, string mapped, long bytes)
    {
        (Path, Vocabulary) = (path, vocabulary);
        Length = vocabulary.IsBytes ? bytes : bytes / sizeof(int);
        _ids = vocabulary.IsBytes ? [.. Enumerable.Range(0, 256).Select(vocabulary.IdOf)] : null;
        _file = MemoryMappedFile.CreateFromFile(mapped, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        _view = _file.CreateViewAccessor(0, bytes, MemoryMappedFileAccess.Read);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Its symbols.</summary>
    public CharacterVocabulary Vocabulary { get; }

    /// <summary>Characters.</summary>
    public long Length { get; }

    /// <summary>Opens a text.</summary>
    /// <param name="path">The file: bytes, or UTF-8.</param>
    /// <param name="vocabulary">Bytes or characters.</param>
    /// <param name="work">A folder for the ids of characters, which stay there.</param>
    /// <exception cref="InputException">The file is absent or empty, or holds a character outside the vocabulary: which and where.</exception>
    public static CharacterText Open(string path, CharacterVocabulary vocabulary, string work)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(vocabulary);
        try
        {
            long bytes = new FileInfo(path).Length;
            if (bytes == 0)
                throw new InputException($"{path}: expected a text, given an empty file");
            if (vocabulary.IsBytes)
            {
                RequireKnown(path, vocabulary);
                return new CharacterText(path, vocabulary, path, bytes);
            }
            string mapped = Convert(path, vocabulary, work);
            return new CharacterText(path, vocabulary, mapped, new FileInfo(mapped).Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Reads characters.</summary>
    /// <param name="from">The first.</param>
    /// <param name="ids">Is filled.</param>
    /// <exception cref="InputException">The text ends before, or a byte is none of the vocabulary.</exception>
    public void Read(long from, Span<int> ids)
    {
        if (from < 0 || from + ids.Length > Length)
            throw new InputException($"{Path}: expected characters {from} to {from + ids.Length}, given a text of {Length}");
        if (_ids is null)
        {
            for (int i = 0; i < ids.Length; i++)
                ids[i] = _view.ReadInt32((from + i) * sizeof(int));
            return;
        }
        for (int i = 0; i < ids.Length; i++)
        {
            byte symbol = _view.ReadByte(from + i);
            ids[i] = _ids[symbol] >= 0 ? _ids[symbol] : throw Foreign(symbol, from + i);
        }
    }

    /// <summary>SHA-256 of the file and the vocabulary, by which a resumed run knows its data.</summary>
    public string Hash()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData([Vocabulary.IsBytes ? (byte)1 : (byte)0]);
        foreach (int symbol in Vocabulary.Symbols)
            hash.AppendData(BitConverter.GetBytes(symbol));
        using FileStream stream = File.OpenRead(Path);
        byte[] buffer = new byte[1 << 20];
        for (int read; (read = stream.Read(buffer)) > 0;)
            hash.AppendData(buffer, 0, read);
        return System.Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Unmaps the file.</summary>
    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }

    private InputException Foreign(int symbol, long place) => Foreign(Path, Vocabulary, symbol, place);

    private static InputException Foreign(string path, CharacterVocabulary vocabulary, int symbol, long place) =>
        new($"{path}: {vocabulary.Describe(symbol)} at {(vocabulary.IsBytes ? "byte" : "character")} {place} is not among the vocabulary's "
            + $"{vocabulary.Count} symbols");

    /// <summary>Looks at every byte once, so that a foreign one is reported before any work.</summary>
    private static void RequireKnown(string path, CharacterVocabulary vocabulary)
    {
        if (vocabulary.Count == 256)
            return;
        byte[] known = [.. vocabulary.Symbols.Select(symbol => (byte)symbol)], buffer = new byte[1 << 20];
        System.Buffers.SearchValues<byte> allowed = System.Buffers.SearchValues.Create(known);
        long before = 0;
        using FileStream stream = File.OpenRead(path);
        for (int read; (read = stream.Read(buffer)) > 0; before += read)
        {
            int at = buffer.AsSpan(0, read).IndexOfAnyExcept(allowed);
            if (at >= 0)
                throw Foreign(path, vocabulary, buffer[at], before + at);
        }
    }

    private static string Convert(string path, CharacterVocabulary vocabulary, string work)
    {
        Directory.CreateDirectory(work);
        string target = System.IO.Path.Combine(work, System.IO.Path.GetFileName(path) + ".ids"),
            part = $"{target}.{System.IO.Path.GetRandomFileName()}.part";
        try
        {
            using (BinaryWriter writer = new(new BufferedStream(File.Create(part), 1 << 20)))
            {
                long place = 0;
                foreach (int symbol in CharacterVocabulary.CodePoints(path))
                {
                    int id = vocabulary.IdOf(symbol);
                    writer.Write(id >= 0 ? id : throw Foreign(path, vocabulary, symbol, place));
                    place++;
                }
            }
            File.Move(part, target, overwrite: true);
        }
        finally
        {
            File.Delete(part);
        }
        return target;
    }
}

/// <summary>A part of a text.</summary>
/// <param name="Text">The text; it stays the caller's.</param>
/// <param name="From">The first character.</param>
/// <param name="Length">How many.</param>
public sealed record CharacterSpan(CharacterText Text, long From, long Length)
{
    private const long Hundred = 100_000_000, Ninety = 90_000_000, Five = 5_000_000;

    /// <summary>
    /// The parts for training, development and test. Without lengths those of text8 and enwik8 where the text has 100 million characters (90, 5 and
    /// 5 million), else 90, 5 and 5 percent.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="lengths">Three lengths in this order, of which the last may be 0; null: as above.</param>
    /// <exception cref="InputException">There are not three, or the text is shorter.</exception>
    public static CharacterSpan[] Split(CharacterText text, IReadOnlyList<long>? lengths = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        long five = text.Length / 20;
        IReadOnlyList<long> used = lengths ?? (text.Length == Hundred ? [Ninety, Five, Five] : [text.Length - (2 * five), five, five]);
        if (used.Count != 3 || used[0] < 1 || used.Any(n => n < 0))
            throw new InputException($"split: expected three lengths, the first at least 1, given {string.Join(", ", used)}");
        if (used.Sum() > text.Length)
            throw new InputException($"split: expected at most {text.Length} characters, those of {text.Path}, given {used.Sum()}");
        return [new(text, 0, used[0]), new(text, used[0], used[1]), new(text, used[0] + used[1], used[2])];
    }

    /// <summary>Reads characters.</summary>
    /// <param name="from">The first, counted from the part's own.</param>
    /// <param name="ids">Is filled.</param>
    public void Read(long from, Span<int> ids)
    {
        if (from < 0 || from + ids.Length > Length)
            throw new InputException($"{Text.Path}: expected characters {from} to {from + ids.Length} of a part, given one of {Length}");
        Text.Read(From + from, ids);
    }
}
