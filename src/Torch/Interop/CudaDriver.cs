using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>Asks NVIDIA's driver for properties of CUDA devices that libtorch's C interface does not give: their number, their memory, and when their
/// work is done.</summary>
internal static unsafe class CudaDriver
{
    private static readonly Lock Gate = new();
    private static bool _asked;
    private static string? _failure;
    private static int _count;
    private static delegate* unmanaged<int, int> _initialize;
    private static delegate* unmanaged<int*, int> _deviceCount;
    private static delegate* unmanaged<int*, int, int> _getDevice;
    private static delegate* unmanaged<nint*, int, int> _retainContext;
    private static delegate* unmanaged<nint, int> _pushContext;
    private static delegate* unmanaged<nint*, int> _popContext;
    private static delegate* unmanaged<int> _synchronize;
    private static delegate* unmanaged<nuint*, nuint*, int> _memoryInfo;
    private static nint[] _contexts = [];

    /// <summary>How many devices the driver shows.</summary>
    public static int DeviceCount
    {
        get
        {
            Ask();
            return _count;
        }
    }

    /// <summary>Why the driver shows none; null where it shows some.</summary>
    public static string? Failure
    {
        get
        {
            Ask();
            return _failure;
        }
    }

    /// <summary>Free and total bytes of a device's memory.</summary>
    public static (long Free, long Total) Memory(int device)
    {
        nuint free = 0, total = 0;
        In(device, "asked for its memory", () =>
        {
            nuint f, t;
            int status = _memoryInfo(&f, &t);
            (free, total) = (f, t);
            return status;
        });
        return ((long)free, (long)total);
    }

    /// <summary>Waits for all work of a device.</summary>
    public static void Synchronize(int device) => In(device, "waited for", static () => _synchronize());

    // libtorch works in the primary context of each device, which is made current here for the length of one call.
    private static void In(int device, string what, Func<int> work)
    {
        nint before;
        int status = _pushContext(Context(device));
        if (status == 0)
        {
            status = work();
            _ = _popContext(&before);
        }
        if (status != 0)
            throw new DeviceException($"device \"cuda:{device}\", {what}: the CUDA driver fails with error {status}");
    }

    private static nint Context(int device)
    {
        lock (Gate)
        {
            if (_contexts[device] != 0)
                return _contexts[device];
            int handle;
            nint context;
            int status = _getDevice(&handle, device);
            if (status == 0)
                status = _retainContext(&context, handle);
            else
                context = 0;
            if (status != 0)
                throw new DeviceException($"device \"cuda:{device}\" cannot be opened: the CUDA driver fails with error {status}");
            return _contexts[device] = context;
        }
    }

    private static void Ask()
    {
        lock (Gate)
        {
            if (_asked)
                return;
            (_failure, _count) = Open();
            _contexts = new nint[_count];
            _asked = true;
        }
    }

    private static (string? Failure, int Count) Open()
    {
        string name = OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1";
        if (!NativeLibrary.TryLoad(name, out nint library))
            return ($"no NVIDIA driver is installed ({name} is not found)", 0);
        if (!NativeLibrary.TryGetExport(library, "cuDevicePrimaryCtxRetain", out nint retain))
            return ($"{name} is no CUDA driver", 0);
        _initialize = (delegate* unmanaged<int, int>)NativeLibrary.GetExport(library, "cuInit");
        _deviceCount = (delegate* unmanaged<int*, int>)NativeLibrary.GetExport(library, "cuDeviceGetCount");
        _getDevice = (delegate* unmanaged<int*, int, int>)NativeLibrary.GetExport(library, "cuDeviceGet");
        _retainContext = (delegate* unmanaged<nint*, int, int>)retain;
        _pushContext = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "cuCtxPushCurrent_v2");
        _popContext = (delegate* unmanaged<nint*, int>)NativeLibrary.GetExport(library, "cuCtxPopCurrent_v2");
        _synchronize = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "cuCtxSynchronize");
        _memoryInfo = (delegate* unmanaged<nuint*, nuint*, int>)NativeLibrary.GetExport(library, "cuMemGetInfo_v2");
        int status = _initialize(0), found = 0;
        if (status == 0)
            status = _deviceCount(&found);
        return status != 0 ? ($"the NVIDIA driver fails with error {status}", 0) : found == 0 ? ("the NVIDIA driver shows no device", 0)
            : (null, found);
    }
}
