using System.Text.Json;
using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Training.Data;

namespace LongformerInterop.Training.Paper;

/// <summary>
/// The objects of a long list in a JSON file, one after the other, so that a file of gigabytes takes the memory of its largest object: the list
/// is the whole file, or is under a key of its outermost object.
/// </summary>
internal sealed class JsonRecords : IDisposable
{
    private readonly string _file;
    private readonly string? _key;
    private readonly Stream _stream;
    private byte[] _buffer = new byte[1 << 20];
    private int _start, _end;
    private long _number;
    private bool _isLast, _isInside, _ended;
    private JsonReaderState _state = new(new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip });

    private JsonRecords(string file, string? key, Stream stream) => (_file, _key, _stream) = (file, key, stream);

    /// <summary>Reads a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="key">The key of the list; null: the list is the whole file.</param>
    /// <param name="cancellation">Looked at before every record.</param>
    /// <exception cref="InputException">It cannot be read, is not JSON, or holds no such list; the message names the record.</exception>
    public static IEnumerable<DataRow> Read(string file, string? key, CancellationToken cancellation)
    {
        using JsonRecords records = new(file, key, Open(file));
        while (records.Next() is { } json)
        {
            CancelPoll.ThrowIfStopped(cancellation, often: true);
            yield return JsonRows.Row($"{file}: record {records._number}", json);
        }
        if (records._number == 0)
            throw new InputException($"{file}: no record in it");
    }

    public void Dispose() => _stream.Dispose();

    private static FileStream Open(string file)
    {
        try
        {
            return new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The bytes of the next object; null: the list ends.</summary>
    private byte[]? Next()
    {
        while (true)
        {
            bool finished;
            byte[]? found;
            try
            {
                finished = _isInside ? TryTake(out found) : TryEnter(out found);
            }
            catch (JsonException e)
            {
                throw new InputException($"{_file}: behind record {_number}: not JSON: {e.Message}", e);
            }
            if (finished && _isInside && found is null && !_ended)
                continue;
            if (finished)
                return found;
            Fill();
        }
    }

    /// <summary>Enters the list; false: more bytes are needed.</summary>
    private bool TryEnter(out byte[]? found)
    {
        found = null;
        Utf8JsonReader reader = new(_buffer.AsSpan(_start, _end - _start), _isLast, _state);
        // Everything before the list is small, or is passed over as a whole: begin again with more bytes until the list is reached.
        if (!reader.Read())
            return Missing();
        if (_key is null)
        {
            if (reader.TokenType != JsonTokenType.StartArray)
                throw new InputException($"{_file}: expected a JSON list of objects, given {Named(reader.TokenType)}");
            return Enter(ref reader);
        }
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new InputException($"{_file}: expected a JSON object with the list \"{_key}\", given {Named(reader.TokenType)}");
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.EndObject)
                throw new InputException($"{_file}: expected the list \"{_key}\", which is not there");
            bool here = reader.ValueTextEquals(_key);
            if (here)
            {
                if (!reader.Read())
                    return Missing();
                if (reader.TokenType != JsonTokenType.StartArray)
                    throw new InputException($"{_file}: expected a list under \"{_key}\", given {Named(reader.TokenType)}");
                return Enter(ref reader);
            }
            if (!reader.TrySkip())
                return Missing();
        }
        return Missing();
    }

    private bool Enter(ref Utf8JsonReader reader)
    {
        Advance(ref reader);
        return _isInside = true;
    }

    /// <summary>Takes an object of the list; false: more bytes are needed.</summary>
    private bool TryTake(out byte[]? found)
    {
        found = null;
        Utf8JsonReader reader = new(_buffer.AsSpan(_start, _end - _start), _isLast, _state);
        if (!reader.Read())
            return Missing();
        if (reader.TokenType == JsonTokenType.EndArray)
            return _ended = true;
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new InputException($"{_file}: record {_number + 1}: expected a JSON object, given {Named(reader.TokenType)}");
        int from = (int)reader.TokenStartIndex;
        if (!reader.TrySkip())
            return Missing();
        found = _buffer.AsSpan(_start + from, (int)reader.BytesConsumed - from).ToArray();
        _number++;
        Advance(ref reader);
        return true;
    }

    private void Advance(ref Utf8JsonReader reader)
    {
        _start += (int)reader.BytesConsumed;
        _state = reader.CurrentState;
    }

    private bool Missing() => !_isLast ? false : throw new InputException($"{_file}: behind record {_number}: the file ends inside its list");

    private void Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        if (_end == _buffer.Length)
            Array.Resize(ref _buffer, checked(_buffer.Length * 2));
        int read = _stream.Read(_buffer, _end, _buffer.Length - _end);
        bool isFirst = _number == 0 && !_isInside && _end == 0;
        _isLast = read == 0;
        _end += read;
        if (isFirst && _buffer.AsSpan(0, _end).StartsWith("\uFEFF"u8))
            _start = 3;
    }

    private static string Named(JsonTokenType type) => type switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "a list",
        JsonTokenType.String => "a text",
        JsonTokenType.Number => "a number",
        _ => "another value",
    };
}
