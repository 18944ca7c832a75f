using System.Reflection;
using System.Runtime.InteropServices;
using LongformerInterop.Torch;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// One libtorch for this project and for TorchSharp: the first of them loads it, and the other must use the same. TorchSharp's native
/// code is compiled against one version and would end the process on another.
/// </summary>
internal static class OneLibtorch
{
    private static readonly Lock Gate = new();
    private static volatile bool _ready;

    /// <summary>Loads both the first time.</summary>
    /// <exception cref="TorchException">The process has loaded another libtorch than TorchSharp's, or two of them, or none is found.</exception>
    public static void Ensure()
    {
        if (!_ready)
            Load();
    }

    /// <summary>
    /// The version that TorchSharp is compiled against, from a constant of its assembly: whatever runs in its class <c>torch</c>, its property
    /// <c>__version__</c> too, first loads its native library, which beside another libtorch ends the process.
    /// </summary>
    internal static string Wanted { get; } = typeof(torch).GetField("libtorchPackageVersion", BindingFlags.Static | BindingFlags.NonPublic
        | BindingFlags.Public)?.GetRawConstantValue() as string ?? "2.10.0.0";

    /// <summary>Whether TorchSharp can work on a libtorch: its major and minor version are TorchSharp's.</summary>
    /// <param name="given">The version that is loaded.</param>
    /// <param name="path">Its file.</param>
    /// <param name="wanted">TorchSharp's, such as 2.10.0.0.</param>
    /// <exception cref="TorchException">It cannot.</exception>
    internal static void Require(Version given, string path, string wanted)
    {
        Version expected = Version.Parse(wanted);
        if ((given.Major, given.Minor) != (expected.Major, expected.Minor))
        {
            throw new TorchException(
                $"libtorch: TorchSharp needs {expected.Major}.{expected.Minor}, and this process has loaded {given} from {path}. "
                + "Use a module before anything else of LongformerInterop, or let LIBTORCH name the folder of TorchSharp's libtorch");
        }
    }

    private static void Load()
    {
        lock (Gate)
        {
            if (_ready)
                return;
            // One may be loaded already, by LIBTORCH for example, or by a Python around this.
            if (Native.LibtorchPath.Length > 0 || LoadedLibraries.Paths().Any(path => LibtorchLocator.IsCpu(Path.GetFileName(path))))
            {
                RequireLoaded();
                LoadBeside();
            }
            try
            {
                torch.InitializeDeviceType(global::TorchSharp.DeviceType.CPU);
            }
            catch (Exception e) when (e is NotSupportedException or DllNotFoundException or TypeInitializationException)
            {
                throw new TorchException($"TorchSharp cannot be loaded: {e.Message}", e);
            }
            RequireLoaded();
            // Refuses where there are two by now.
            _ = LibtorchLocator.Find(LoadedLibraries.Paths(), null, [], Folder.System);
            _ready = true;
        }
    }

    /// <summary>
    /// Loads TorchSharp's library from where a build puts it, once libtorch is there: a host that reads no deps.json (pythonnet, a plug-in) does not
    /// find it there, and TorchSharp takes one that is loaded.
    /// </summary>
    private static void LoadBeside()
    {
        string name = OperatingSystem.IsWindows() ? "LibTorchSharp.dll" : "libLibTorchSharp.so";
        string path = Path.Combine(Path.GetDirectoryName(typeof(torch).Assembly.Location) ?? "", "runtimes", RuntimeInformation.RuntimeIdentifier,
            "native", name);
        if (File.Exists(path))
            NativeLibrary.TryLoad(path, out _);
    }

    private static void RequireLoaded() => Require(Version.Parse(TorchRuntime.Version), TorchRuntime.LibraryPath, Wanted);
}
