using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>libtorch as a whole: where it lies, its version, threads and devices.</summary>
public static class TorchRuntime
{
    /// <summary>The version of the libtorch that is loaded, such as <c>2.10.0</c>.</summary>
    public static string Version
    {
        get
        {
            Native.Ensure();
            return Libtorch.Version.ToString();
        }
    }

    /// <summary>The file of the libtorch that is loaded.</summary>
    public static string LibraryPath
    {
        get
        {
            Native.Ensure();
            return Native.LibtorchPath;
        }
    }

    /// <summary>How many tensors are neither disposed nor collected, in the whole process.</summary>
    public static long LiveTensorCount => Tensor.Live;

    /// <summary>
    /// How many threads one operator may use, for the whole process. At the start the number of cores this process may run on,
    /// or what the environment variable <c>OMP_NUM_THREADS</c> says.
    /// </summary>
    /// <exception cref="InputException">Set to less than 1.</exception>
    public static int ThreadCount
    {
        get
        {
            Native.Ensure();
            return NativeMethods.GetThreads();
        }
        set
        {
            if (value < 1) throw new InputException($"threads must be at least 1, given {value}");
            Native.Ensure();
            Native.SetThreads(value);
            Native.ApplyThreads();
        }
    }

    /// <summary>Whether this libtorch serves CUDA and the machine has such a device.</summary>
    public static bool CudaAvailable => DeviceCount(DeviceType.Cuda) > 0;

    /// <summary>How many devices of a kind there are: 1 for the CPU.</summary>
    public static int DeviceCount(DeviceType type)
    {
        Native.Ensure();
        return type switch
        {
            DeviceType.Cpu => 1,
            DeviceType.Cuda when Native.CudaPath is not null && Native.CudaFailure is null => CudaDriver.DeviceCount,
            _ => 0,
        };
    }

    /// <summary>Throws unless the device exists here.</summary>
    /// <exception cref="DeviceException">It does not; the message says whether libtorch or the machine lacks it.</exception>
    public static void RequireDevice(Device device)
    {
        if (device.Type is DeviceType.Cpu or DeviceType.Meta) return;
        int count = DeviceCount(device.Type);
        if ((uint)device.Index < (uint)count) return;
        string reason = device.Type != DeviceType.Cuda ? "this program knows no such device"
            : Native.CudaPath is null ? $"the libtorch in {Path.GetDirectoryName(Native.LibtorchPath)} was built without CUDA: there is no {LibtorchLocator.CudaName} beside it"
            : Native.CudaFailure is { } failure ? $"{Native.CudaPath} cannot be loaded: {failure}"
            : CudaDriver.Failure is { } driver ? driver
            : $"this machine has {count}";
        throw new DeviceException($"device \"{device}\" is not available: {reason}");
    }

    /// <summary>
    /// The memory of a device in bytes: what no process has taken, and all of it. What this process holds unused for its next tensors
    /// counts as taken. Zeros on the CPU.
    /// </summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static (long Free, long Total) DeviceMemory(Device device)
    {
        RequireDevice(device);
        return device.Type == DeviceType.Cuda ? CudaDriver.Memory(device.Index) : (0, 0);
    }

    /// <summary>Waits until a device has done everything that was asked of it. Nothing to do on the CPU.</summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static void Synchronize(Device device)
    {
        if (device.Type == DeviceType.Cpu) return;
        RequireDevice(device);
        if (device.Type == DeviceType.Cuda) CudaDriver.Synchronize(device.Index);
    }
}
