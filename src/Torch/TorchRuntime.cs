using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>libtorch as a whole: where it is, its version, threads and devices.</summary>
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

    /// <summary>
    /// Folders where files that belong to the program may be, in order: its own (of a library compiled ahead of time: the library's), the
    /// share/longformer of its prefix, and the clone that holds it.
    /// </summary>
    public static IReadOnlyList<string> ProgramFolders() => NativeLibraries.ProgramFolders();

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
            if (value < 1)
                throw new InputException($"threads must be at least 1, given {value}");
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
        if (device.Type is DeviceType.Cpu or DeviceType.Meta)
            return;
        int count = DeviceCount(device.Type);
        if ((uint)device.Index < (uint)count)
            return;
        if (count > 0)
            throw new DeviceException($"device \"{device}\" is not available: this machine has {count} of them, numbered from 0");
        string name = device.Type == DeviceType.Cuda ? "cuda" : device.ToString(),
            libtorch = $"libtorch {Version} in {Path.GetDirectoryName(LibraryPath)}";
        string reason = device.Type != DeviceType.Cuda ? "this program knows no such device"

            : Native.CudaPath is null
            ? $"{libtorch} was built without cuda; set {LibtorchLocator.Variable}= to the folder of one that has it, for example "
                                        + "the torch folder of a Python with PyTorch for CUDA"
            : Native.CudaFailure is { } failure ? $"{libtorch} has a part for it that cannot be loaded: {failure}"
            : $"{libtorch} serves it, but {CudaDriver.Failure} (nvidia-smi lists what the driver sees; CUDA_VISIBLE_DEVICES hides devices)";
        throw new DeviceException($"device \"{name}\" is not available: {reason}");
    }

    /// <summary>
    /// Whether a GPU may round the factors of Float32 matrix products to TF32, which has 10 bits of fraction, for the whole process:
    /// several times faster, with errors of about 3e-4. Off at the start.
    /// </summary>
    /// <exception cref="DeviceException">Set to true with a libtorch that has no such switch.</exception>
    public static bool AllowTF32
    {
        get => TensorFloat.Allowed;
        set
        {
            Native.Ensure();
            TensorFloat.Allow(value);
        }
    }

    /// <summary>
    /// The memory of a device in bytes: the part that no process has taken, and all of it. Memory that this process holds unused for its next tensors
    /// counts as taken. Zeros on the CPU.
    /// </summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static (long Free, long Total) DeviceMemory(Device device)
    {
        RequireDevice(device);
        return device.Type == DeviceType.Cuda ? CudaDriver.Memory(device.Index) : (0, 0);
    }

    /// <summary>
    /// Until the result is disposed the CPU's memory that tensors leave is kept for the next ones, however much it is, but never more beside the
    /// tensors than they took at their peak: for work that repeats itself, as the steps of a training. Else at most 1 GiB is kept.
    /// </summary>
    public static IDisposable HoldMemory() => new MemoryHold(onePass: false);

    /// <summary>The same for one pass through the layers of a model: beside the tensors at least the usual 1 GiB is kept.</summary>
    public static IDisposable HoldMemoryOfPass() => new MemoryHold(onePass: true);

    /// <summary>Gives the CPU's memory that tensors have left, and that is kept for the next ones, back to the system.</summary>
    public static void ReleaseMemory()
    {
        Native.Ensure();
        Native.Check(NativeMethods.ReleaseMemory());
    }

    /// <summary>
    /// Gives memory that malloc holds unused between blocks in use back to the system, some milliseconds for 100 MB: after work whose small tensors
    /// came and went beside larger ones, before work that needs all the memory. Does nothing where tensors took no more than 512 MiB at one time
    /// since memory was held (<see cref="HoldMemory"/>): there is little to give, and it would be taken anew.
    /// </summary>
    public static void TrimMalloc()
    {
        Native.Ensure();
        Native.Check(NativeMethods.TrimMalloc());
    }

    /// <summary>Waits until a device has done everything that was asked of it. Nothing to do on the CPU.</summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static void Synchronize(Device device)
    {
        if (device.Type == DeviceType.Cpu)
            return;
        RequireDevice(device);
        if (device.Type == DeviceType.Cuda)
            CudaDriver.Synchronize(device.Index);
    }

    private sealed class MemoryHold : IDisposable
    {
        private readonly int _onePass;
        private bool _ended;

        public MemoryHold(bool onePass)
        {
            _onePass = onePass ? 1 : 0;
            Native.Ensure();
            Native.Check(NativeMethods.HoldMemory(1, _onePass));
        }

        public void Dispose()
        {
            if (_ended)
                return;
            _ended = true;
            Native.Check(NativeMethods.HoldMemory(0, _onePass));
        }
    }
}
