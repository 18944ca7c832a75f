using System.Runtime.CompilerServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

/// <summary>
/// The gradients of chosen tensors: a model's parameters, or the inputs of an operator. Every backward pass of a
/// <see cref="GradientTape"/> over the set adds to them in place, so that the gradients of several batches add up until <see cref="Clear"/>.
/// Tensors are compared as objects: a second object for the same memory is another tensor. Not for several threads at once.
/// </summary>
public sealed class GradientSet : IDisposable
{
    private readonly Dictionary<Tensor, GradientSum> _sums = new(ReferenceEqualityComparer.Instance);

    /// <summary>A set of tensors without gradients as yet. They stay the caller's.</summary>
    /// <param name="tensors">Floating-point tensors of any shape.</param>
    public GradientSet(params IEnumerable<Tensor> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        foreach (Tensor tensor in tensors)
            Add(tensor, new GradientSum());
    }

    /// <summary>The tensors.</summary>
    public IReadOnlyCollection<Tensor> Tensors => _sums.Keys;

    /// <summary>
    /// The gradient of a tensor of the set, of its shape and dtype; null where no backward pass has reached it since the set was made or
    /// cleared. It is the set's: the caller may change it in place, and must not use it after <see cref="Clear"/> or <see cref="Dispose"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The tensor is none of the set.</exception>
    public Tensor? this[Tensor tensor]
    {
        get
        {
            ArgumentNullException.ThrowIfNull(tensor);
            return Find(tensor) is { } sum
                ? sum.Tensor
                : throw new ArgumentException("expected a tensor of the set: another object, even for the same memory, is another tensor",
                    nameof(tensor));
        }
    }

    /// <summary>Frees the gradients; the tensors stay in the set.</summary>
    public void Clear()
    {
        foreach (GradientSum sum in _sums.Values)
            sum.Clear();
    }

    /// <summary>Frees the gradients.</summary>
    public void Dispose() => Clear();

    internal GradientSum? Find(Tensor tensor) => _sums.GetValueOrDefault(tensor);

    internal void Add(Tensor tensor, GradientSum sum)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        sum.IsWatched = true;
        _sums[tensor] = sum;
    }

    /// <summary>After a pass: no two gradients share their memory, so that one may be changed without another.</summary>
    internal void MakeOwn()
    {
        foreach (GradientSum sum in _sums.Values)
            sum.MakeOwn();
    }
}
