namespace LongformerInterop.Torch;

/// <summary>Turns libtorch's messages about devices into messages that say what to do.</summary>
internal static class DeviceMessages
{
    private static readonly (string Name, DType Type)[] Halves =
        [("Half", DType.Float16), ("BFloat16", DType.BFloat16), ("Float8_e5m2", DType.Float8E5M2), ("Float8_e4m3fn", DType.Float8E4M3)];

    /// <summary>Whether libtorch says that a device's memory does not do.</summary>
    public static bool IsTooLittleMemory(string message) =>
        message.Contains("CUDA out of memory", StringComparison.Ordinal) || message.Contains("CUDNN_STATUS_ALLOC_FAILED", StringComparison.Ordinal)
        || message.Contains("CUBLAS_STATUS_ALLOC_FAILED", StringComparison.Ordinal);

    /// <summary>The message of an allocator that found too little memory, shortened to what was needed and what is free.</summary>
    public static string TooLittleMemory(string message)
    {
        // PyTorch 2: "Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.23 GiB is free. ...";
        // PyTorch 1.13: "Tried to allocate 20.00 GiB (GPU 0; 79.10 GiB total capacity; ...; 1.23 GiB free; ...".
        string? needed = Size(message, "Tried to allocate ", after: true);
        string? free = Size(message, " is free", after: false) ?? Size(message, " free;", after: false);
        string? total = Size(message, "total capacity of ", after: true) ?? Size(message, " total capacity;", after: false);
        if (needed is null)
            return $"the device has too little memory: {message}";
        string known = free is null ? "" : total is null ? $", {free} free" : $", {free} of {total} free";
        return $"the device has too little memory: {needed} more needed{known}; smaller batches, shorter documents and bfloat16 need less";
    }

    /// <summary>The message where libtorch has no kernel for a dtype or a GPU; null for any other message.</summary>
    public static string? NotSupported(string message)
    {
        if (message.Contains("no kernel image is available", StringComparison.Ordinal))
            return $"this libtorch was not built for a GPU of this kind; another build of PyTorch may be: {message}";
        foreach ((string name, DType type) in Halves)
        {
            if (!message.Contains($"not implemented for '{name}'", StringComparison.Ordinal))
                continue;
            string device = message.Contains(" on cuda", StringComparison.Ordinal) ? "GPU" : "CPU";
            return $"{type.ToString().ToLowerInvariant()} is not supported on the {device} by libtorch {TorchRuntime.Version}; choose another "
                + $"dtype: {message}";
        }
        return null;
    }

    /// <summary>A size such as "20.00 GiB" right behind, or right in front of, some words.</summary>
    private static string? Size(string message, string words, bool after)
    {
        int at = message.IndexOf(words, StringComparison.Ordinal);
        if (at < 0)
            return null;
        string[] near = (after ? message[(at + words.Length)..] : message[..at]).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (near.Length < 2)
            return null;
        (string number, string unit) = after ? (near[0], near[1]) : (near[^2], near[^1]);
        unit = unit.TrimEnd('.', ';', ',');
        return char.IsAsciiDigit(number[^1]) && unit is "bytes" or "KiB" or "MiB" or "GiB" ? $"{number} {unit}" : null;
    }
}
