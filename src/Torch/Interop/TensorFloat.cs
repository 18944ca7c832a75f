using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>
/// The one switch of libtorch that its C interface lacks and that is wanted all the same: two plain C++ functions, which every libtorch from
/// 1.7 on exports under these names.
/// </summary>
internal static unsafe class TensorFloat
{
    private static readonly string Context = OperatingSystem.IsWindows() ? "?globalContext@at@@YAAEAVContext@1@XZ" : "_ZN2at13globalContextEv";

    private static readonly string Setter = OperatingSystem.IsWindows()
        ? "?setAllowTF32CuBLAS@Context@at@@QEAAX_N@Z" : "_ZN2at7Context18setAllowTF32CuBLASEb";

    /// <summary>The value that was last set here.</summary>
    public static bool Allowed { get; private set; }

    /// <summary>Sets it for the whole process.</summary>
    /// <exception cref="DeviceException">This libtorch has no such switch.</exception>
    public static void Allow(bool allowed)
    {
        nint library = Native.Libtorch;
        if (NativeLibrary.TryGetExport(library, Context, out nint context) && NativeLibrary.TryGetExport(library, Setter, out nint setter))
            ((delegate* unmanaged<nint, byte, void>)setter)(((delegate* unmanaged<nint>)context)(), allowed ? (byte)1 : (byte)0);
        else if (allowed)
            throw new DeviceException($"libtorch {TorchRuntime.Version} offers no switch for TF32");
        Allowed = allowed;
    }
}
