using System.Runtime.InteropServices;
using System.Text;

namespace LongformerInterop.Torch.Interop;

/// <summary>libtorch and the project's own library as a whole: found, loaded and checked once, statuses turned into exceptions.</summary>
internal static unsafe class Native
{
    private const int Ok = 0, Argument = 2, DeviceMissing = 3, DeviceMemory = 7;

    private static readonly Lock Gate = new();
    private static volatile bool _ready;
    private static bool _resolverSet;
    private static nint _ownLibrary;

    // Raised by each change of the number of threads; the second is the change that the calling thread has applied.
    private static volatile int _threadsChange;
    [ThreadStatic] private static int _threadsApplied;

    /// <summary>The loaded libtorch_cpu.</summary>
    public static nint Libtorch { get; private set; }

    /// <summary>Where libtorch was found.</summary>
    public static string LibtorchPath { get; private set; } = "";

    /// <summary>Where libtorch_cuda was found; null where there is none.</summary>
    public static string? CudaPath { get; private set; }

    /// <summary>Why libtorch_cuda, which is there, cannot be loaded; null where it can.</summary>
    public static string? CudaFailure { get; private set; }

    /// <summary>Loads and initialises both libraries the first time. Called wherever the first native call of a program can be.</summary>
    /// <exception cref="TorchException">One of them is not there or cannot be used.</exception>
    public static void Ensure()
    {
        if (!_ready)
            Load();
        ApplyThreads();
    }

    /// <summary>Makes the number of threads hold on this thread too.</summary>
    public static void ApplyThreads()
    {
        int change = _threadsChange;
        if (_threadsApplied == change)
            return;
        NativeMethods.ApplyThreads();
        _threadsApplied = change;
    }

    /// <summary>Sets the number of threads of one operator on every thread.</summary>
    public static void SetThreads(int threads)
    {
        Check(NativeMethods.SetThreads(threads));
        Interlocked.Increment(ref _threadsChange);
    }

    private static void Load()
    {
        lock (Gate)
        {
            if (_ready)
                return;
            LoadedLibtorch found = LibtorchLocator.Load();
            Interop.Libtorch.Bind(found.Handle);
            (Libtorch, LibtorchPath, CudaPath, CudaFailure) = (found.Handle, found.Path, found.CudaPath, found.CudaFailure);
            string path = NativeLibraries.Locate(NativeMethods.Library);
            try
            {
                _ownLibrary = NativeLibrary.Load(path);
                if (!_resolverSet)
                {
                    NativeLibrary.SetDllImportResolver(typeof(Native).Assembly,
                        static (name, _, _) => name == NativeMethods.Library ? _ownLibrary : 0);
                    _resolverSet = true;
                }
                int abi = NativeMethods.Abi();
                if (abi != NativeMethods.AbiVersion)
                {
                    throw new TorchException(
                        $"{path} has interface {abi}, this program needs {NativeMethods.AbiVersion}: both must be of one version");
                }
                Check(NativeMethods.Initialize());
                if (!OpenMpThreads())
                    SetThreads(Environment.ProcessorCount);
            }
            catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
            {
                throw new TorchException($"{path} cannot be loaded: {e.Message}", e);
            }
            _ready = true;
        }
    }

    // A user who sets OMP_NUM_THREADS means it; OpenMP reads it. ProcessorCount heeds affinity and control groups.
    private static bool OpenMpThreads() => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"));

    /// <summary>Throws the exception that belongs to a status of the own library other than success.</summary>
    public static void Check(int status)
    {
        if (status != Ok)
            throw Failure(status);
    }

    /// <summary>The exception for the call of the own library that failed last on this thread.</summary>
    /// <param name="status">The status that it returned.</param>
    /// <param name="what">The action that failed, put in front of the library's message.</param>
    public static LongformerException Failure(int status, string what = "")
    {
        string words = Utf8(NativeMethods.LastError());
        return Classified(status, what.Length == 0 ? words : $"{what}: {words}");
    }

    /// <summary>Throws where a function of libtorch's interface failed.</summary>
    /// <param name="error">The error that it returned.</param>
    /// <param name="what">The action that failed, put in front of libtorch's message.</param>
    public static void CheckTorch(int error, string what)
    {
        if (error != 0)
            throw TorchFailure(what);
    }

    /// <summary>The exception for the call of libtorch's interface that failed last on this thread.</summary>
    public static LongformerException TorchFailure(string what)
    {
        string words = Utf8(NativeMethods.TorchError());
        string message = words.Length == 0 ? $"{what}: libtorch failed without a message" : $"{what}: {words}";
        return DeviceMessages.IsTooLittleMemory(words) ? new DeviceException(DeviceMessages.TooLittleMemory(message)) { IsOutOfMemory = true }
            : DeviceMessages.NotSupported(message) is { } text ? new DeviceException(text) : new TorchException(message);
    }

    private static LongformerException Classified(int status, string message) => status switch
    {
        Argument => new InputException(message),
        DeviceMissing => new DeviceException(message),
        DeviceMemory => new DeviceException(DeviceMessages.TooLittleMemory(message)) { IsOutOfMemory = true },
        _ => DeviceMessages.NotSupported(message) is { } text ? new DeviceException(text) : new TorchException(message),
    };

    public static string Utf8(byte* text) =>
        text is null ? "" : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));

    /// <summary>Terminated UTF-8 that never moves, for names that are handed out again and again.</summary>
    public static byte[] PinnedUtf8(string text)
    {
        byte[] bytes = GC.AllocateArray<byte>(Encoding.UTF8.GetByteCount(text) + 1, pinned: true);
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }
}
