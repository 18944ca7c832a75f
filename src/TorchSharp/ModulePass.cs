using LongformerInterop.Models;
using LongformerInterop.Models.Gradients;
using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>
/// One forward pass of a module as one differentiable function of libtorch's: the pass is recorded on this project's own tape, which the backward
/// pass runs.
/// </summary>
internal sealed class ModulePass
{
    private readonly string _module;
    private readonly TorchTensor[] _arguments;  // what is differentiated by, as libtorch knows it
    private readonly long[][] _shapes;          // of the arguments, which may be gone when the backward pass comes
    private readonly Tensor[] _leaves;          // the same as the tape knows it
    private readonly GradientSet _gradients;
    private readonly GradientTape _tape;
    private readonly List<Tensor> _outputs = [];
    private bool _isUsed;

    private ModulePass(string module, TorchTensor[] arguments, Tensor[] leaves, GradientSet gradients, GradientTape tape) =>
        (_module, _arguments, _shapes, _leaves, _gradients, _tape) =
            (module, arguments, Array.ConvertAll(arguments, a => a.shape), leaves, gradients, tape);

    /// <summary>A seed for the dropouts of a pass, from torch's generator.</summary>
    public static long DrawSeed()
    {
        using TorchTensor drawn = torch.randint(long.MaxValue, 1, dtype: torch.ScalarType.Int64);
        return drawn.item<long>();
    }

    /// <summary>Runs a model; results that depend on the leaves are differentiable.</summary>
    /// <param name="module">Its name, for messages.</param>
    /// <param name="arguments">What to differentiate by.</param>
    /// <param name="leaves">The same tensors as the model uses them.</param>
    /// <param name="recompute">Whether layers run again in the backward pass instead of keeping their results.</param>
    /// <param name="run">The forward pass; its outputs join the current scope.</param>
    public static Dictionary<string, TorchTensor> Run(string module, TorchTensor[] arguments, Tensor[] leaves, bool recompute,
        Func<IReadOnlyDictionary<string, Tensor>> run)
    {
        GradientSet gradients = new(leaves);
        GradientTape tape = new(gradients) { RecomputesLayers = recompute };
        try
        {
            IReadOnlyDictionary<string, Tensor> results = run();
            tape.Stop();
            ModulePass pass = new(module, arguments, leaves, gradients, tape);
            List<string> names = [];
            Dictionary<string, TorchTensor> outputs = new(StringComparer.Ordinal);
            foreach ((string name, Tensor tensor) in results)
            {
                if (tape.Find(tensor) is null)
                {
                    outputs[name] = tensor.ToTorchSharp();
                    continue;
                }
                names.Add(name);
                pass._outputs.Add(tensor.Keep());
            }
            if (names.Count == 0)
            {
                tape.Dispose();
                return outputs;
            }
            List<TorchTensor> differentiable = Function.apply([pass, .. arguments]);
            for (int i = 0; i < names.Count; i++)
                outputs[names[i]] = differentiable[i];
            return results.Keys.ToDictionary(name => name, name => outputs[name]);
        }
        catch
        {
            tape.Dispose();
            throw;
        }
    }

    private List<TorchTensor> Backward(List<TorchTensor> gradients)
    {
        if (_isUsed)
        {
            throw new InvalidOperationException($"{_module}: a second backward pass through one forward pass, whose memory the first one freed: run "
                + "forward again (retain_graph keeps only what libtorch itself recorded)");
        }
        _isUsed = true;
        try
        {
            using TensorScope scope = new();
            List<(Tensor, Tensor)> given = [];
            for (int i = 0; i < _outputs.Count; i++)
            {
                if (!gradients[i].IsInvalid)
                    given.Add((_outputs[i], TensorExchange.Borrow(gradients[i], "gradient").Contiguous()));
            }
            if (given.Count > 0)
                _tape.Backward([.. given]);
            List<TorchTensor> results = [null!];
            foreach (Tensor leaf in _leaves)
                results.Add(_gradients[leaf]?.ToTorchSharp()!);
            return ReturnedGradients.Hold(results);
        }
        finally
        {
            _gradients.Dispose();
            _tape.Dispose();
            foreach (Tensor output in _outputs)
                output.Dispose();
        }
    }

    private sealed class Function : torch.autograd.MultiTensorFunction<Function>
    {
        public override string Name => "LongformerInterop.Module";

        public override List<TorchTensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            ModulePass pass = (ModulePass)vars[0];
            List<TorchTensor> outputs = pass._outputs.ConvertAll(tensor => tensor.ToTorchSharp());
            ctx.set_materialize_grads(false);
            // libtorch's variables notice where a parameter or an output is changed before the backward pass.
            ctx.save_for_backward([.. pass._arguments, .. outputs]);
            ctx.save_data("pass", pass);
            return outputs;
        }

        public override List<TorchTensor> backward(torch.autograd.AutogradContext ctx, List<TorchTensor> grad_outputs)
        {
            ModulePass pass = (ModulePass)ctx.get_data("pass");
            try
            {
                using DisposeScope scope = torch.NewDisposeScope();
                using IDisposable off = torch.no_grad();
                foreach (TorchTensor saved in ctx.get_saved_variables())
                    saved.Dispose();
                List<TorchTensor> gradients = pass.Backward(grad_outputs);
                foreach (TorchTensor gradient in grad_outputs)
                    gradient.Dispose();
                return gradients;
            }
            catch (Exception e)
            {
                return BackwardPass.Fail(e, [null, .. pass._shapes]);
            }
        }
    }
}
