using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

/// <summary>
/// A gradient on its way back. Several values may hold views of one memory (a sum hands its gradient to both terms), so that code
/// may only add to it in place where it is the only holder.
/// </summary>
internal sealed class Gradient
{
    private readonly Users _users;

    private Gradient(Tensor tensor, Users users)
    {
        Tensor = tensor;
        _users = users;
        users.Count++;
    }

    /// <summary>The gradient of a tensor, of its shape and dtype.</summary>
    public Tensor Tensor { get; }

    /// <summary>Whether nobody else holds this memory.</summary>
    public bool IsAlone => _users.Count == 1;

    /// <summary>A tensor that was made for this and that nobody else holds.</summary>
    public static Gradient Own(Tensor tensor) => new(tensor.Keep(), new Users());

    /// <summary>A tensor of a caller's, which is read only.</summary>
    public static Gradient Borrow(Tensor tensor) => new(tensor.Alias().Keep(), new Users { Count = 1 });

    /// <summary>The same memory for another holder, seen as <paramref name="view"/> if given.</summary>
    public Gradient Share(Tensor? view = null) => new((view ?? Tensor.Alias()).Keep(), _users);

    /// <summary>Gives it up. The last holder frees the memory.</summary>
    public void Release()
    {
        _users.Count--;
        Tensor.Dispose();
    }

    private sealed class Users
    {
        public int Count { get; set; }
    }
}

/// <summary>Where the gradient of one tensor gathers.</summary>
internal sealed class GradientSum
{
    private Gradient? _held;

    /// <summary>The gradient so far, borrowed; null: none arrived.</summary>
    public Tensor? Tensor => _held?.Tensor;

    /// <summary>Whether it stays when the backward pass has used it: the caller asked for it.</summary>
    public bool IsWatched { get; set; }

    /// <summary>A gradient that arrived and that nobody else holds, which an operator may add to by itself; null: there is none.</summary>
    public Tensor? Own => _held is { IsAlone: true } held && held.Tensor.IsContiguous ? held.Tensor : null;

    /// <summary>Adds a gradient that was made for this call.</summary>
    public void Add(Tensor fresh)
    {
        if (_held is { IsAlone: false } shared && fresh.IsContiguous)
        {
            _held = Gradient.Own(fresh.AddInPlace(shared.Tensor));
            shared.Release();
        }
        else if (_held is null)
        {
            _held = Gradient.Own(fresh);
        }
        else
        {
            Accumulate(fresh);
        }
    }

    /// <summary>Adds a gradient that others hold too, seen as <paramref name="view"/> if given.</summary>
    public void Share(Gradient gradient, Tensor? view = null)
    {
        if (_held is null)
            _held = gradient.Share(view);
        else
            Accumulate(view ?? gradient.Tensor);
    }

    /// <summary>Adds a gradient of a part of the tensor, such as some rows.</summary>
    /// <param name="shape">Of the tensor.</param>
    /// <param name="dimension">Of which only a part is meant.</param>
    /// <param name="from">Where the part begins.</param>
    /// <param name="part">Its gradient.</param>
    public void AddPart(long[] shape, int dimension, long from, Tensor part)
    {
        if (_held is null)
            _held = Gradient.Own(Torch.Tensor.Zeros(shape, part.DType, part.Device));
        MakeOwn();
        _held.Tensor.Narrow(dimension, from, part.Size(dimension)).AddInPlace(part);
    }

    /// <summary>Returns the gradient, which the caller releases; null where none arrived.</summary>
    public Gradient? Take()
    {
        if (IsWatched)
            return _held?.Share();
        Gradient? taken = _held;
        _held = null;
        return taken;
    }

    /// <summary>Copies what others hold too: the caller may change it from now on.</summary>
    public void MakeOwn()
    {
        if (_held is null || _held.IsAlone)
            return;
        Gradient shared = _held;
        _held = Gradient.Own(shared.Tensor.Clone());
        shared.Release();
    }

    /// <summary>Forgets the gradient.</summary>
    public void Clear()
    {
        _held?.Release();
        _held = null;
    }

    private void Accumulate(Tensor more)
    {
        if (_held!.IsAlone)
        {
            _held.Tensor.AddInPlace(more);
            return;
        }
        Gradient shared = _held;
        _held = Gradient.Own(shared.Tensor + more);
        shared.Release();
    }
}
