using LongformerInterop.Models;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// The parameters of a model as members of nested TorchSharp modules, so that their full names are HF's. The modules own them; a conversion
/// (<c>to</c>) replaces them, so they are asked for anew at every pass.
/// </summary>
internal sealed class ParameterTree
{
    private readonly List<Leaf> _leaves = [];

    /// <summary>Registers the parameters below a module. The TorchSharp parameters share the memory of the model's tensors.</summary>
    public ParameterTree(torch.nn.Module root, IReadOnlyList<NamedParameter> parameters)
    {
        Dictionary<string, torch.nn.Module> branches = new(StringComparer.Ordinal) { [""] = root };
        foreach (NamedParameter parameter in parameters)
        {
            string[] path = parameter.Name.Split('.');
            torch.nn.Module holder = Branch(branches, path.AsSpan(0, path.Length - 1));
            TorchTensor tensor = parameter.Tensor.ToTorchSharp();
            if (parameter.IsTrained)
            {
                global::TorchSharp.Modules.Parameter trained = new(tensor);
                trained.DetachFromDisposeScope();
                holder.register_parameter(path[^1], trained);
            }
            else
            {
                holder.register_buffer(path[^1], tensor.DetachFromDisposeScope());
            }

            _leaves.Add(new Leaf(parameter.Name, holder, path[^1], !parameter.IsTrained));
        }
    }

    /// <summary>HF's names, in the order of the computation.</summary>
    public IEnumerable<string> Names => _leaves.Select(leaf => leaf.Name);

    /// <summary>The parameters and buffers as they are now, in the order of the names.</summary>
    /// <exception cref="InputException">One is disposed.</exception>
    public TorchTensor[] Current()
    {
        TorchTensor[] tensors = new TorchTensor[_leaves.Count];
        for (int i = 0; i < tensors.Length; i++)
        {
            Leaf leaf = _leaves[i];
            TorchTensor? tensor = leaf.IsBuffer ? leaf.Holder.get_buffer(leaf.Last) : leaf.Holder.get_parameter(leaf.Last);
            if (tensor is null || tensor.IsInvalid)
                throw new InputException(leaf.Name, "a parameter that is alive", "one that is disposed");
            tensors[i] = tensor;
        }
        return tensors;
    }

    private static torch.nn.Module Branch(Dictionary<string, torch.nn.Module> branches, ReadOnlySpan<string> path)
    {
        string name = string.Join('.', path!);
        if (branches.TryGetValue(name, out torch.nn.Module? branch))
            return branch;
        torch.nn.Module above = Branch(branches, path[..^1]);
        branch = new ParameterBranch(path[^1]);
        above.register_module(path[^1], branch);
        return branches[name] = branch;
    }

    private sealed record Leaf(string Name, torch.nn.Module Holder, string Last, bool IsBuffer);

    /// <summary>A part of a name: it holds parameters and computes nothing.</summary>
    private sealed class ParameterBranch(string name) : torch.nn.Module(name);
}
