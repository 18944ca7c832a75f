using LongformerInterop.Torch;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.TorchSharp;

/// <summary>A model of this project's over the memory of a module's parameters. It is made anew where they are replaced.</summary>
internal sealed class BoundModel<TModel> : IDisposable where TModel : IDisposable
{
    private readonly TorchTensor[] _parameters;
    private readonly nint[] _addresses;

    /// <summary>A model that is over the parameters.</summary>
    /// <param name="model">It is disposed with this.</param>
    /// <param name="tensors">Its tensors, in the order of the module's parameters.</param>
    /// <param name="parameters">The same as TorchSharp knows them.</param>
    public BoundModel(TModel model, IEnumerable<Tensor> tensors, TorchTensor[] parameters) =>
        (Model, Tensors, _parameters, _addresses) = (model, [.. tensors], parameters, Array.ConvertAll(parameters, Address));

    /// <summary>The model.</summary>
    public TModel Model { get; }

    /// <summary>Its parameters, in the order of the module's.</summary>
    public Tensor[] Tensors { get; }

    /// <summary>Makes a model over parameters.</summary>
    /// <param name="names">Their names.</param>
    /// <param name="parameters">One for each name.</param>
    /// <param name="over">Makes it over tensors by name.</param>
    /// <exception cref="InputException">The parameters are not all of one dtype and on one device.</exception>
    public static BoundModel<TModel> Over(IEnumerable<string> names, TorchTensor[] parameters, Func<IReadOnlyDictionary<string, Tensor>, TModel> over)
    {
        Dictionary<string, Tensor> tensors = new(StringComparer.Ordinal);
        try
        {
            foreach ((string name, TorchTensor parameter) in names.Zip(parameters))
                tensors[name] = TensorExchange.Borrow(parameter, name).Keep();
            return new BoundModel<TModel>(over(tensors), tensors.Values, parameters);
        }
        catch
        {
            foreach (Tensor tensor in tensors.Values)
                tensor.Dispose();
            throw;
        }
    }

    /// <summary>Whether these are still the parameters, in the same place.</summary>
    public bool IsOver(TorchTensor[] parameters)
    {
        for (int i = 0; i < parameters.Length; i++)
        {
            if (!ReferenceEquals(parameters[i], _parameters[i]) || Address(parameters[i]) != _addresses[i])
                return false;
        }
        return true;
    }

    /// <summary>Frees the model; the memory of the parameters lives as long as they do.</summary>
    public void Dispose()
    {
        Model.Dispose();
        foreach (Tensor tensor in Tensors)
            tensor.Dispose();
    }

    private static unsafe nint Address(TorchTensor tensor)
    {
        void* data;
        Native.CheckTorch(Libtorch.GetDataPointer(tensor.Handle, &data), "the address of a parameter");
        GC.KeepAlive(tensor);
        return (nint)data;
    }
}
