using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch;

/// <summary>libtorch as a whole: version, threads, seeds, modes, devices, libraries.</summary>
public static unsafe class TorchRuntime
{
    private static readonly Lock OperatorsGate = new();
    private static volatile bool operatorsLoaded;

    /// <summary>The version of the libtorch that is loaded, such as <c>1.13.0</c>.</summary>
    public static string Version => Versions().Loaded;

    /// <summary>The version of the libtorch that the native library was built against; major and minor equal those of <see cref="Version"/>.</summary>
    public static string BuiltVersion => Versions().Built;

    /// <summary>How many tensors are neither disposed nor collected, in the whole process.</summary>
    public static long LiveTensorCount
    {
        get
        {
            Shim.Ensure();
            long count;
            Shim.Check(NativeMethods.TensorCount(&count));
            return count;
        }
    }

    /// <summary>
    /// How many threads one operator may use, for the whole process. At the start the number of cores this process may run on,
    /// or what the environment variable <c>OMP_NUM_THREADS</c> says.
    /// </summary>
    /// <exception cref="InputException">Set to less than 1.</exception>
    public static int ThreadCount
    {
        get
        {
            Shim.Ensure();
            int threads;
            Shim.Check(NativeMethods.GetThreads(&threads));
            return threads;
        }
        set
        {
            Shim.Ensure();
            Shim.Check(NativeMethods.SetThreads(value));
        }
    }

    /// <summary>Whether this libtorch serves CUDA and the machine has such a device.</summary>
    public static bool CudaAvailable => DeviceCount(DeviceType.Cuda) > 0;

    /// <summary>Whether operations on this thread are recorded for differentiation.</summary>
    public static bool IsGradEnabled => Modes().Grad;

    /// <summary>Whether this thread is in inference mode.</summary>
    public static bool IsInferenceMode => Modes().Inference;

    /// <summary>How many devices of a kind there are: 1 for the CPU.</summary>
    public static int DeviceCount(DeviceType type)
    {
        Shim.Ensure();
        int count;
        Shim.Check(NativeMethods.DeviceCount((int)type, &count));
        return count;
    }

    /// <summary>Throws unless the device exists here.</summary>
    /// <exception cref="DeviceException">It does not; the message says whether libtorch or the machine lacks it.</exception>
    public static void RequireDevice(Device device)
    {
        // Any operator with a device argument checks it; a tensor without elements is the cheapest.
        Tensor.Empty([0], DType.UInt8, device).Dispose();
    }

    /// <summary>
    /// Whether a GPU may round the factors of Float32 matrix products to TF32, which has 10 bits of fraction, for the whole process:
    /// several times faster, with errors of about 3e-4. Off at the start.
    /// </summary>
    public static bool AllowTF32
    {
        get
        {
            Shim.Ensure();
            int allowed;
            Shim.Check(NativeMethods.GetTF32(&allowed));
            return allowed != 0;
        }
        set
        {
            Shim.Ensure();
            Shim.Check(NativeMethods.SetTF32(value ? 1 : 0));
        }
    }

    /// <summary>
    /// The memory of a device in bytes: what no process has taken, and all of it. What this process holds unused for its next tensors
    /// counts as taken. Zeros where nobody says, and on the CPU.
    /// </summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static (long Free, long Total) DeviceMemory(Device device)
    {
        Shim.Ensure();
        long free, total;
        Shim.Check(NativeMethods.DeviceMemory((int)device.Type, device.Index, &free, &total));
        return (free, total);
    }

    /// <summary>Waits until a device has done everything that was asked of it. Nothing to do on the CPU.</summary>
    /// <exception cref="DeviceException">There is no such device.</exception>
    public static void Synchronize(Device device)
    {
        Shim.Ensure();
        Shim.Check(NativeMethods.DeviceSynchronize((int)device.Type, device.Index));
    }

    /// <summary>Seeds the random numbers of every device, for the whole process.</summary>
    public static void ManualSeed(long seed)
    {
        Shim.Ensure();
        Shim.Check(NativeMethods.ManualSeed(seed));
    }

    /// <summary>Stops recording for differentiation on this thread until the result is disposed. Not across an <c>await</c>.</summary>
    public static IDisposable NoGrad() => new ModeGuard(0);

    /// <summary>Records for differentiation on this thread until the result is disposed. Not across an <c>await</c>.</summary>
    public static IDisposable EnableGrad() => new ModeGuard(1);

    /// <summary>
    /// As <see cref="NoGrad"/>, and cheaper: tensors made meanwhile can never take part in differentiation. Not across an
    /// <c>await</c>.
    /// </summary>
    public static IDisposable InferenceMode() => new ModeGuard(2);

    /// <summary>Loads a library that registers operators.</summary>
    /// <param name="path">The absolute path. Loading it again does nothing.</param>
    /// <exception cref="TorchException">It is not found or cannot be loaded.</exception>
    /// <exception cref="InputException">The path is not absolute, or a library of the same file name is loaded from elsewhere.</exception>
    public static void LoadLibrary(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Shim.Ensure();
        fixed (byte* p = Shim.Utf8(path)) Shim.Check(NativeMethods.LoadLibrary(p));
    }

    /// <summary>
    /// Loads the project's own operators (<c>longformer::*</c>) if nothing loaded them before. <see cref="LongformerOps"/> does it by
    /// itself when first used.
    /// </summary>
    /// <exception cref="TorchException">The library is not found or cannot be loaded.</exception>
    public static void LoadOperators()
    {
        if (operatorsLoaded) return;
        lock (OperatorsGate)
        {
            // Python's torch in this process may have loaded them from its own copy; a second copy would end the process.
            if (!operatorsLoaded && !Operator.Exists("longformer::banded_attention"))
                LoadLibrary(NativeLibraries.Locate("longformer_ops"));
            operatorsLoaded = true;
        }
    }

    private static (string Built, string Loaded) Versions()
    {
        Shim.Ensure();
        byte* built, loaded;
        Shim.Check(NativeMethods.Version(&built, &loaded));
        return (Shim.Utf8(built), Shim.Utf8(loaded));
    }

    private static (bool Grad, bool Inference) Modes()
    {
        Shim.Ensure();
        int grad, inference;
        Shim.Check(NativeMethods.ModeQuery(&grad, &inference));
        return (grad != 0, inference != 0);
    }

    private sealed class ModeGuard : IDisposable
    {
        private readonly int thread = Environment.CurrentManagedThreadId;
        private nint guard;

        public ModeGuard(int mode)
        {
            Shim.Ensure();
            nint entered;
            Shim.Check(NativeMethods.ModeEnter(mode, &entered));
            guard = entered;
        }

        public void Dispose()
        {
            if (guard == 0) return;
            if (thread != Environment.CurrentManagedThreadId)
                throw new InvalidOperationException("a grad mode ends on the thread that entered it; it must not span an await");
            nint entered = guard;
            guard = 0;
            Shim.Check(NativeMethods.ModeExit(entered));
        }
    }
}
