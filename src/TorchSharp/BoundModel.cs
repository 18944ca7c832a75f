using LongformerInterop.Models;
using LongformerInterop.Torch;
using LongformerInterop.Torch.Interop;

namespace LongformerInterop.TorchSharp;

/// <summary>A model of this project's over the memory of a module's parameters. It is made anew where they are replaced.</summary>
internal sealed class BoundModel : IDisposable
{
    private readonly TorchTensor[] _parameters;
    private readonly nint[] _addresses;

    /// <summary>A model that is over the parameters already.</summary>
    /// <param name="model">It is disposed with this.</param>
    /// <param name="parameters">In the order of its own.</param>
    public BoundModel(PretrainedModel model, TorchTensor[] parameters)
    {
        (Model, _parameters, _addresses) = (model, parameters, Array.ConvertAll(parameters, Address));
        Tensors = [.. model.NamedParameters.Select(p => p.Tensor)];
    }

    /// <summary>The model.</summary>
    public PretrainedModel Model { get; }

    /// <summary>Its parameters, in the order of the module's.</summary>
    public Tensor[] Tensors { get; private init; }

    /// <summary>Makes a model over parameters.</summary>
    /// <param name="like">A model of the class.</param>
    /// <param name="names">HF's names.</param>
    /// <param name="parameters">One for each name.</param>
    /// <param name="options">How; device and dtype are the parameters'.</param>
    /// <exception cref="InputException">The parameters are not all of one dtype and on one device.</exception>
    public static BoundModel Over(PretrainedModel like, IEnumerable<string> names, TorchTensor[] parameters, LoadOptions options)
    {
        Dictionary<string, Tensor> tensors = new(StringComparer.Ordinal);
        try
        {
            foreach ((string name, TorchTensor parameter) in names.Zip(parameters))
                tensors[name] = TensorExchange.Borrow(parameter, name).Keep();
            Architecture architecture = Architecture.Find(like.Architecture, like.Configuration.Family)!;
            PretrainedModel model = ModelLoader.Over(architecture, like.Configuration, tensors, options);
            return new BoundModel(model, parameters) { Tensors = [.. tensors.Values] };
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
