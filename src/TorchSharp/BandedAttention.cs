using LongformerInterop.Torch;

namespace LongformerInterop.TorchSharp;

/// <summary>Longformer's attention on TorchSharp tensors, differentiable.</summary>
public static class BandedAttention
{
    /// <summary>
    /// Windowed, dilated and global attention in one, as <see cref="LongformerOps.BandedAttention"/>, with gradients for query, key and value. A
    /// second backward pass of one call (<c>retain_graph</c>) is served; gradients of gradients are not.
    /// </summary>
    /// <param name="query">[B, T, H, D], or [N, H, D] when packed.</param>
    /// <param name="key">As the query.</param>
    /// <param name="value">As the query.</param>
    /// <param name="options">What each query sees. Its mask and global index are this project's tensors:
    /// <see cref="TensorExchange.ToLongformer"/>.</param>
    /// <returns>As the query; a query that sees nothing gives zeros.</returns>
    /// <exception cref="InputException">A tensor is disposed, or its shape, dtype, device or an option does not fit; the message names
    /// it.</exception>
    public static TorchTensor Apply(TorchTensor query, TorchTensor key, TorchTensor value, BandedAttentionOptions options)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(options);
        using DisposeScope scope = torch.NewDisposeScope();
        Call call = new(query, key, value, options);
        TorchTensor output = call.Output;
        if (torch.is_grad_enabled() && (query.requires_grad || key.requires_grad || value.requires_grad))
            output = Function.apply(call, query, key, value);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>One call: the state that the backward pass needs besides libtorch's tensors.</summary>
    private sealed class Call
    {
        private readonly BandedAttentionOptions _options;
        private readonly Tensor _logSumExp;

        public Call(TorchTensor query, TorchTensor key, TorchTensor value, BandedAttentionOptions options)
        {
            using TensorScope scope = new();
            Tensor q = TensorExchange.Borrow(query, "query"), k = TensorExchange.Borrow(key, "key"), v = TensorExchange.Borrow(value, "value");
            Shapes = [null, q.Shape, k.Shape, v.Shape];
            (Tensor output, _logSumExp) = LongformerOps.BandedAttention(q, k, v, options);
            _logSumExp.Keep();
            // The caller may end its mask before the backward pass.
            _options = options with { Mask = options.Mask?.Alias().Keep(), GlobalIndex = options.GlobalIndex?.Alias().Keep() };
            Output = output.ToTorchSharp();
        }

        public IReadOnlyList<long[]?> Shapes { get; }

        public TorchTensor Output { get; }

        public List<TorchTensor> Backward(TorchTensor gradient, List<TorchTensor> saved)
        {
            using TensorScope scope = new();
            Tensor[] tensors = [.. saved.Select(t => TensorExchange.Borrow(t, "saved"))];
            (Tensor q, Tensor k, Tensor v) = LongformerOps.BandedAttentionBackward(TensorExchange.Borrow(gradient, "gradient").Contiguous(),
                tensors[0], tensors[1], tensors[2], tensors[3], _logSumExp, _options);
            return ReturnedGradients.Hold([null!, .. new[] { q, k, v }.Select(t => t.ToTorchSharp())]);
        }
    }

    private sealed class Function : torch.autograd.SingleTensorFunction<Function>
    {
        public override string Name => "longformer::banded_attention";

        public override TorchTensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            Call call = (Call)vars[0];
            // libtorch's variables notice where one of them is changed before the backward pass.
            ctx.save_for_backward([(TorchTensor)vars[1], (TorchTensor)vars[2], (TorchTensor)vars[3], call.Output]);
            ctx.save_data("call", call);
            return call.Output;
        }

        public override List<TorchTensor> backward(torch.autograd.AutogradContext ctx, TorchTensor grad_output)
        {
            Call call = (Call)ctx.get_data("call");
            try
            {
                using DisposeScope scope = torch.NewDisposeScope();
                using IDisposable off = torch.no_grad();
                return call.Backward(grad_output, ctx.get_saved_variables());
            }
            catch (Exception e)
            {
                return BackwardPass.Fail(e, call.Shapes);
            }
        }
    }
}
