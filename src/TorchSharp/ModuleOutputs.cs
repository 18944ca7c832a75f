namespace LongformerInterop.TorchSharp;

/// <summary>
/// The results of a module, under HF's names. The tensors joined TorchSharp's dispose scope that the forward pass was called in; outside every scope,
/// <see cref="Dispose"/> ends them all.
/// </summary>
public sealed class ModuleOutputs : IDisposable
{
    internal ModuleOutputs(IReadOnlyDictionary<string, TorchTensor> all) => All = all;

    /// <summary>Every output by name: <c>last_hidden_state</c>, <c>logits</c>, <c>loss</c>, <c>hidden_states.0</c>...</summary>
    public IReadOnlyDictionary<string, TorchTensor> All { get; }

    /// <summary>One output by name.</summary>
    /// <exception cref="KeyNotFoundException">This module did not return it; the message names what it did.</exception>
    public TorchTensor this[string name] => All.TryGetValue(name, out TorchTensor? tensor) ? tensor
        : throw new KeyNotFoundException($"{name}: not among the outputs of this module, which are {string.Join(", ", All.Keys)}");

    /// <summary>Output of the last layer (of an LED: of its decoder), [B, T, C].</summary>
    public TorchTensor LastHiddenState => this["last_hidden_state"];

    /// <summary>Pooled first token of each sequence, [B, C]; null where there is no pooler.</summary>
    public TorchTensor? PoolerOutput => All.GetValueOrDefault("pooler_output");

    /// <summary>The head's scores.</summary>
    public TorchTensor Logits => this["logits"];

    /// <summary>Question answering: score of every token as the first of the answer, [B, T].</summary>
    public TorchTensor StartLogits => this["start_logits"];

    /// <summary>Question answering: score of every token as the last of the answer, [B, T].</summary>
    public TorchTensor EndLogits => this["end_logits"];

    /// <summary>Scalar loss; null without labels.</summary>
    public TorchTensor? Loss => All.GetValueOrDefault("loss");

    /// <summary>LED: output of the last encoder layer, [B, T, C].</summary>
    public TorchTensor EncoderLastHiddenState => this["encoder_last_hidden_state"];

    /// <summary>Embeddings, then the output of every layer, each [B, T, C]; empty unless asked for.</summary>
    public IReadOnlyList<TorchTensor> HiddenStates =>
        [.. Enumerable.Range(0, All.Count).Select(i => All.GetValueOrDefault($"hidden_states.{i}")).TakeWhile(t => t is not null).Select(t => t!)];

    /// <summary>Disposes every output.</summary>
    public void Dispose()
    {
        foreach (TorchTensor tensor in All.Values)
            tensor.Dispose();
    }
}
