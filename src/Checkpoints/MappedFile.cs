using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using LongformerInterop.Checkpoints.Interop;
using LongformerInterop.Torch;
using Microsoft.Win32.SafeHandles;

namespace LongformerInterop.Checkpoints;

/// <summary>
/// A whole file in memory, copy on write: reading touches the file's pages, which processes share, and an in-place operation on a
/// tensor changes only this process's copy. Tensors that view the mapping keep it: it ends when the last of them is gone and the
/// file was disposed.
/// </summary>
/// <remarks>
/// The length is taken once, when the file is opened, and nothing outside it is ever viewed. A file that another process cuts short
/// afterwards makes the kernel end a process that reads the lost pages (SIGBUS): no reader of a mapped file can prevent it.
/// <see cref="View"/> and <see cref="Read"/> check the length again, so that only tensors already handed out are exposed to it.
/// Writers are safe to use beside a reader when they rename a new file over the old one, as <see cref="SafetensorsWriter"/> does.
/// </remarks>
internal sealed class MappedFile : IDisposable
{
    // Every mapping of this process, to recognise its memory.
    private static readonly List<MappedFile> Live = [];

    private readonly SafeFileHandle _handle;
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Lock _lock = new();

    // This object and every tensor that views the mapping; the last to go unmaps.
    private int _users = 1;
    private bool _disposed;

    private MappedFile(string path, SafeFileHandle handle, long length)
    {
        Path = path;
        Length = length;
        _handle = handle;
        _mapping = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.CopyOnWrite, HandleInheritability.None, leaveOpen: true);
        try
        {
            _view = _mapping.CreateViewAccessor(0, 0, MemoryMappedFileAccess.CopyOnWrite);
        }
        catch
        {
            _mapping.Dispose();
            throw;
        }
        lock (Live)
            Live.Add(this);
    }

    internal string Path { get; }

    internal long Length { get; }

    /// <summary>Maps a file that is not empty.</summary>
    /// <exception cref="CheckpointException">The file is absent, empty, unreadable or no regular file.</exception>
    internal static MappedFile Open(string path)
    {
        if (Directory.Exists(path))
            throw new CheckpointException($"{path}: a folder, not a file");
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            long length = RandomAccess.GetLength(handle);
            return length > 0 ? new MappedFile(path, handle, length) : throw new CheckpointException($"{path}: the file is empty");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or CheckpointException)
        {
            handle?.Dispose();
            throw e switch
            {
                CheckpointException => e,
                FileNotFoundException or DirectoryNotFoundException => new CheckpointException($"{path}: no such file", e),
                _ => new CheckpointException($"{path}: cannot be read: {e.Message}", e),
            };
        }
    }

    /// <summary>Reads bytes into a buffer without touching the mapping, so that they do not count as memory of this process.</summary>
    internal void Read(long offset, Span<byte> target)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        while (!target.IsEmpty)
        {
            int count;
            try
            {
                count = RandomAccess.Read(_handle, target, offset);
            }
            catch (IOException e)
            {
                throw new CheckpointException($"{Path}: cannot be read: {e.Message}", e);
            }
            if (count == 0)
                throw CutShort();
            offset += count;
            target = target[count..];
        }
    }

    /// <summary>Copies bytes into a file inside the kernel. Gives how many went that way: the rest is to be copied by hand.</summary>
    internal long CopyInto(long offset, long count, CountingStream target)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return target.CopyFrom(_handle, offset, count);
    }

    /// <summary>A tensor over bytes of the mapping; copied where they do not start at a multiple of the element's size.</summary>
    /// <param name="offset">The place of the first element, in bytes from the start of the file.</param>
    /// <param name="span">Bytes from there to the end of the last element.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="strides">Steps in elements; null for a contiguous tensor.</param>
    /// <param name="type">The dtype.</param>
    /// <param name="alignment">The multiple of bytes at which the elements must start to be read in place.</param>
    internal Tensor View(long offset, long span, ReadOnlySpan<long> shape, ReadOnlySpan<long> strides, DType type, int alignment)
    {
        if (offset < 0 || span < 0 || offset > Length - span)
            throw new CheckpointException($"{Path}: bytes {offset} to {offset + span} are outside the file's {Length} bytes");
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (RandomAccess.GetLength(_handle) < offset + span)
                throw CutShort();
            if (offset % alignment != 0)
            {
                NativeBuffer copy = new(span);
                ReadLarge(offset, copy);
                return Tensor.View(copy.Address, shape, type, strides, copy);
            }
            _users++;
            // The native side returns the lease also when it fails.
            return Tensor.View(_view.SafeMemoryMappedViewHandle.DangerousGetHandle() + (nint)offset, shape, type, strides, new Lease(this));
        }
    }

    /// <summary>Closes the file. The mapping stays as long as a tensor views it.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            _mapping.Dispose();
            _handle.Dispose();
        }
        Release();
    }

    private void Release()
    {
        lock (_lock)
        {
            if (--_users > 0)
                return;
        }
        lock (Live)
        {
            Live.Remove(this);
            _view.Dispose();
        }
    }

    /// <summary>Takes the whole pages of a range out of this process's memory if the range is in a mapped file; nothing otherwise.</summary>
    internal static void Leave(nint address, long bytes)
    {
        lock (Live)
        {
            foreach (MappedFile map in Live)
            {
                long offset = address - map._view.SafeMemoryMappedViewHandle.DangerousGetHandle();
                if (offset >= 0 && bytes <= map.Length - offset)
                {
                    MappedPages.Leave(address, bytes);
                    return;
                }
            }
        }
    }

    private unsafe void ReadLarge(long offset, NativeBuffer target)
    {
        const int chunk = 1 << 24;
        for (long done = 0; done < target.Length; done += chunk)
            Read(offset + done, new Span<byte>((byte*)target.Address + done, (int)Math.Min(chunk, target.Length - done)));
    }

    private CheckpointException CutShort() =>
        new($"{Path}: the file became shorter while it was in use: it had {Length} bytes when it was opened");

    /// <summary>Keeps the mapping for one storage of libtorch.</summary>
    private sealed class Lease(MappedFile map) : IMemoryLease
    {
        public void Return() => map.Release();
    }

    /// <summary>Aligned memory of our own, freed when libtorch is done with it (or by the collector, should it never be handed over).</summary>
    private sealed unsafe class NativeBuffer(long length) : IMemoryLease
    {
        private nint _address = (nint)NativeMemory.AlignedAlloc((nuint)Math.Max(length, 1), 64);

        internal nint Address => _address;

        internal long Length => length;

        ~NativeBuffer() => Return();

        public void Return() => NativeMemory.AlignedFree((void*)Interlocked.Exchange(ref _address, 0));
    }
}
