using LongformerInterop.Torch;

namespace LongformerInterop.Models;

/// <summary>The outputs of a model: tensors, some of them only on request, under HF's names.</summary>
public abstract record ModelOutputs
{
    /// <summary>
    /// All outputs that are present, under HF's names: <c>logits</c>, <c>hidden_states.0</c>, <c>attentions.0</c>, of an LED
    /// <c>encoder_hidden_states.0</c>...
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> ToDictionary()
    {
        Dictionary<string, Tensor> outputs = [];
        foreach ((string name, Tensor? tensor) in Named())
        {
            if (tensor is not null)
                outputs[name] = tensor;
        }
        foreach ((string name, IReadOnlyList<Tensor>? tensors) in Lists())
        {
            for (int i = 0; tensors is not null && i < tensors.Count; i++)
                outputs[$"{name}.{i}"] = tensors[i];
        }
        return outputs;
    }

    /// <summary>The outputs of the head by name.</summary>
    private protected abstract IEnumerable<(string Name, Tensor? Tensor)> Named();

    /// <summary>The outputs that are a tensor per layer, by name.</summary>
    private protected abstract IEnumerable<(string Name, IReadOnlyList<Tensor>? Tensors)> Lists();
}
