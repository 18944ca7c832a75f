using System.Runtime.InteropServices;
using System.Text;

namespace LongformerInterop.Torch.Interop;

/// <summary>The shim library as a whole: found and checked once, statuses turned into exceptions.</summary>
internal static unsafe class Shim
{
    private const int Ok = 0, Argument = 2, DeviceMissing = 3, DeviceMemory = 7;

    private static readonly Lock Gate = new();
    private static volatile bool ready;
    private static bool resolverSet;

    /// <summary>Loads and initialises the shim the first time. Called wherever the first native call of a program can be.</summary>
    public static void Ensure()
    {
        if (!ready) Load();
    }

    private static void Load()
    {
        lock (Gate)
        {
            if (ready) return;
            string path = NativeLibraries.Locate(NativeMethods.Library);
            if (!resolverSet)
            {
                NativeLibrary.SetDllImportResolver(typeof(Shim).Assembly,
                    static (name, _, _) => name == NativeMethods.Library ? NativeLibrary.Load(NativeLibraries.Locate(name)) : 0);
                resolverSet = true;
            }
            try
            {
                Check(NativeMethods.Initialize(NativeMethods.AbiVersion, OpenMpThreads() ? 0 : Environment.ProcessorCount));
            }
            catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
            {
                throw new TorchException($"{path} cannot be loaded, most likely because libtorch is absent or is not the one that it " +
                                         $"was built against: {e.Message}", e);
            }
            ready = true;
        }
    }

    // Who sets OMP_NUM_THREADS means it; the shim reads it. ProcessorCount heeds affinity and control groups.
    private static bool OpenMpThreads() => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"));

    /// <summary>Throws the exception that belongs to a status other than success.</summary>
    public static void Check(int status)
    {
        if (status != Ok) Throw(status);
    }

    private static void Throw(int status)
    {
        string message = Utf8(NativeMethods.LastError());
        throw status switch
        {
            Argument => new InputException(message),
            DeviceMissing => new DeviceException(message),
            DeviceMemory => new DeviceException(DeviceMessages.TooLittleMemory(message)) { IsOutOfMemory = true },
            _ => DeviceMessages.NotSupported(message) is { } text ? new DeviceException(text) : new TorchException(message),
        };
    }

    public static string Utf8(byte* text) => Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));

    /// <summary>Terminated UTF-8, for names and paths.</summary>
    public static byte[] Utf8(string text)
    {
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }
}
