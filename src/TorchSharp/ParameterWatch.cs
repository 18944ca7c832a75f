using System.Runtime.InteropServices;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// Notices where a parameter has been written to, so that a packed copy of it can be used while none has. libtorch counts the writes to a tensor and
/// reports them in one place: a variable that a function saved refuses to be read where it was written to since.
/// </summary>
internal sealed class ParameterWatch : IDisposable
{
    private readonly TorchTensor _node;
    private readonly Function.Saved _saved;

    /// <summary>Watches from now on.</summary>
    public ParameterWatch(TorchTensor[] parameters)
    {
        using DisposeScope scope = torch.NewDisposeScope();
        using IDisposable on = torch.enable_grad();
        _saved = new Function.Saved(parameters);
        _node = Function.apply(_saved, torch.zeros(1, requires_grad: true)).DetachFromDisposeScope();
    }

    /// <summary>Whether nothing was written to any of them.</summary>
    public bool IsCurrent()
    {
        using DisposeScope scope = torch.NewDisposeScope();
        try
        {
            foreach (TorchTensor tensor in _saved.Context!.get_saved_variables())
                tensor.Dispose();
            return true;
        }
        catch (ExternalException)
        {
            return false;
        }
    }

    /// <summary>Ends the watch.</summary>
    public void Dispose() => _node.Dispose();

    private sealed class Function : torch.autograd.SingleTensorFunction<Function>
    {
        public override string Name => "LongformerInterop.ParameterWatch";

        public override TorchTensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            Saved saved = (Saved)vars[0];
            saved.Context = ctx;
            ctx.save_for_backward([.. saved.Parameters]);
            return ((TorchTensor)vars[1]).clone();
        }

        public override List<TorchTensor> backward(torch.autograd.AutogradContext ctx, TorchTensor grad_output) => [null!, null!];

        public sealed class Saved(TorchTensor[] parameters)
        {
            public TorchTensor[] Parameters { get; } = parameters;

            public torch.autograd.AutogradContext? Context { get; set; }
        }
    }
}
