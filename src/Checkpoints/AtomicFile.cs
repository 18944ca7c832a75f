using LongformerInterop.Checkpoints.Interop;
using Microsoft.Win32.SafeHandles;

namespace LongformerInterop.Checkpoints;

/// <summary>A file that appears under its name only when it is complete and on the disk: written beside, flushed, renamed.</summary>
internal static class AtomicFile
{
    internal static FileStream Open(string path) => new(path, new FileStreamOptions
    {
        Mode = FileMode.CreateNew,
        Access = FileAccess.Write,
        BufferSize = 1 << 20,
    });

    internal static void Write(string path, Action<Stream> content, Func<string, Stream>? open = null)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path)) ?? throw new CheckpointException($"{path}: not a file name");
        string temporary = Path.Combine(folder, $".{Path.GetFileName(path)}.{Path.GetRandomFileName()}.part");
        try
        {
            using (Stream stream = (open ?? Open)(temporary))
            {
                content(stream);
                stream.Flush();
                // Without this, a crash after the rename could leave the new name with the old disk blocks.
                (stream as FileStream)?.Flush(flushToDisk: true);
            }
            Replacement.Move(temporary, path);
            FolderSync.Flush(folder);
        }
        catch (Exception e)
        {
            // The first failure is the one to report; a part file that cannot be removed does no harm.
            try
            {
                File.Delete(temporary);
            }
            catch (Exception cleanup) when (cleanup is IOException or UnauthorizedAccessException)
            {
            }
            // .NET says ArgumentOutOfRangeException where a file grows beyond what its file system, or the user's limit, allows.
            if (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentOutOfRangeException)
                throw new CheckpointException($"{path}: cannot be written: {e.Message} Nothing was changed.", e);
            throw;
        }
    }
}

/// <summary>Passes everything on and counts the bytes.</summary>
internal sealed class CountingStream(Stream target) : Stream
{
    internal long Count { get; private set; }

    /// <summary>Copies inside the kernel where the target is a plain file; gives how many bytes that were.</summary>
    internal long CopyFrom(SafeFileHandle source, long offset, long count)
    {
        // A stream derived from FileStream may watch what is written: it gets every byte.
        long copied = target is FileStream file && file.GetType() == typeof(FileStream) ? FileRange.Copy(source, offset, file, count) : 0;
        Count += copied;
        return copied;
    }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => Count;
        set => throw new NotSupportedException();
    }

    public override void Flush() => target.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        target.Write(buffer);
        Count += buffer.Length;
    }
}
