using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.PythonNet;

/// <summary>The properties of a tensor that numpy needs.</summary>
/// <param name="Address">Of the first element.</param>
/// <param name="Shape">The sizes.</param>
/// <param name="Strides">In elements.</param>
/// <param name="DType">Such as <c>float32</c>.</param>
/// <param name="Device">Such as <c>cuda:0</c>.</param>
public sealed record TensorInfo(long Address, long[] Shape, long[] Strides, string DType, string Device);

/// <summary>Tensors by their names.</summary>
/// <param name="Names">As many as tensors.</param>
/// <param name="Tensors">In no scope: the receiver disposes them.</param>
public sealed record NamedTensors(string[] Names, Tensor[] Tensors);

/// <summary>Tensors and models in terms that pythonnet can pass: arrays in place of spans.</summary>
public static class TensorBridge
{
    /// <summary>Reads <c>float32</c> and its like.</summary>
    /// <exception cref="InputException">There is no such dtype.</exception>
    public static DType ParseDType(string name) => Enum.TryParse(name, ignoreCase: true, out DType dtype) && Enum.IsDefined(dtype)
        ? dtype : throw new InputException($"\"{name}\" names no dtype");

    /// <summary>A tensor over the caller's memory, which must outlive it.</summary>
    /// <param name="address">Of the first element.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="strides">In elements.</param>
    /// <param name="dtype">Such as <c>float32</c>.</param>
    /// <param name="device">Such as <c>cpu</c>.</param>
    /// <param name="keepAlive">Rooted until libtorch frees the storage; null: nothing.</param>
    public static Tensor View(long address, long[] shape, long[] strides, string dtype, string device, object? keepAlive) =>
        Tensor.View((nint)address, shape, ParseDType(dtype), strides, keepAlive, Device.Parse(device));

    /// <summary>Returns the properties that numpy needs.</summary>
    public static TensorInfo Describe(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
#pragma warning disable CA1308 // the names of numpy and torch are in lower case
        return new TensorInfo(tensor.DataPointer, tensor.Shape, tensor.Strides, tensor.DType.ToString().ToLowerInvariant(), tensor.Device.ToString());
#pragma warning restore CA1308
    }

    /// <summary>A row-major copy on the CPU, or the tensor's own memory where it is that already.</summary>
    public static Tensor ToCpu(Tensor tensor, string dtype)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        using TensorScope scope = new();
        return tensor.To(ParseDType(dtype)).To(Device.Cpu).Contiguous().Alias().Keep();
    }

    /// <summary>Runs a model on named tensors, which are disposed. Nothing is recorded for differentiation.</summary>
    public static NamedTensors Run(PretrainedModel model, string[] names, Tensor[] tensors, bool hiddenStates, bool attentions,
        PythonCall watch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(watch);
        try
        {
            using TensorScope scope = new();
            Dictionary<string, Tensor> inputs = [];
            for (int i = 0; i < names.Length; i++)
                inputs[names[i]] = tensors[i];
            IReadOnlyDictionary<string, Tensor> outputs = model.Run(inputs, hiddenStates, attentions, watch.Token);
            foreach (Tensor output in outputs.Values)
                output.Keep();
            return new NamedTensors([.. outputs.Keys], [.. outputs.Values]);
        }
        finally
        {
            foreach (Tensor tensor in tensors)
                tensor.Dispose();
        }
    }
}
