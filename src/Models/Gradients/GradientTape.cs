using System.Runtime.CompilerServices;
using LongformerInterop.Torch;

namespace LongformerInterop.Models.Gradients;

/// <summary>
/// Records what the operators of <see cref="Differentiable"/> and the models made of them do on this thread, from the tensors of a
/// <see cref="GradientSet"/> on, and runs it backward. Where no tape is open, and for tensors that do not depend on the set, the operators
/// record nothing and take their fast ways.
/// <para>
/// This is no general autograd: only those operators are recorded. Whatever else is done with a tensor ends the recording of it.
/// </para>
/// <para>
/// A tape holds what the backward pass will need, also when the <see cref="TensorScope"/> that it was made in has ended, and frees it
/// during that pass. Tapes nest; the innermost records. As a scope, a tape belongs to its thread and must not span an <c>await</c>.
/// </para>
/// </summary>
/// <example><code>
/// using GradientSet gradients = model.CreateGradients();
/// using (GradientTape tape = new(gradients))
/// {
///     Tensor loss = model.Forward(inputs).Loss!;
///     tape.Backward(loss);
/// }
/// Tensor? gradient = gradients[model.NamedParameters[0].Tensor];
/// </code></example>
public sealed class GradientTape : IDisposable
{
    [ThreadStatic] private static GradientTape? _current;

    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly GradientTape? _outer;
    private readonly GradientTape? _parent;
    private readonly bool _keepsNothing;
    private readonly GradientSet _gradients;
    private readonly Dictionary<Tensor, GradientSum> _sums = new(ReferenceEqualityComparer.Instance);
    // outputs that are cheaper to make again than to keep
    private readonly Dictionary<Tensor, Step> _remakes = new(ReferenceEqualityComparer.Instance);
    // of a layer that is run again: another tape's
    private readonly Dictionary<Tensor, GradientSum> _inputs = new(ReferenceEqualityComparer.Instance);
    private readonly List<Step> _steps = [];
    private readonly Queue<Step> _postponed = new();
    private readonly List<Tensor> _held = [];
    // How many have begun, of those that may be run again.
    private int _layers;
    private bool _isOpen = true;
    private bool _isUsed;

    /// <summary>Begins to record on this thread.</summary>
    /// <param name="gradients">The tensors to differentiate by; it must live as long as the tape.</param>
    public GradientTape(GradientSet gradients)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        _gradients = gradients;
        _outer = _current;
        _current = this;
    }

    private GradientTape(GradientTape parent, bool keepsNothing)
        : this(parent._gradients)
    {
        _parent = parent;
        _keepsNothing = keepsNothing;
    }

    /// <summary>The tape that records on this thread; null: nothing is recorded.</summary>
    public static GradientTape? Current => _current;

    /// <summary>
    /// Whether of every layer of a model only the input is kept: the backward pass runs the layer again, which costs about a third more
    /// time and leaves the memory of one layer instead of all. The gradients are the same, bit for bit: dropouts are functions of their seeds.
    /// </summary>
    public bool RecomputesLayers { get; init; }

    /// <summary>With <see cref="RecomputesLayers"/>: only so many layers, the first ones, are run again (an LED's encoder comes before its decoder);
    /// null: all are.</summary>
    public int? RecomputedLayers { get; init; }

    /// <summary>How many operators have been recorded and not yet been run backward.</summary>
    public int Count => _steps.Count;

    /// <summary>Bytes that the recorded operators hold for their backward: memory that several hold counts once, the set's own tensors not.</summary>
    public long KeptBytes
    {
        get
        {
            Dictionary<nint, long> blocks = [];
            HashSet<nint> parameters = [.. _gradients.Tensors.Select(t => t.DataPointer)];
            foreach (Tensor tensor in _steps.SelectMany(step => step.Held).Concat(_held))
            {
                if (!parameters.Contains(tensor.DataPointer))
                    blocks[tensor.DataPointer] = Math.Max(tensor.ByteCount, blocks.GetValueOrDefault(tensor.DataPointer));
            }
            return blocks.Values.Sum();
        }
    }

    /// <summary>Whether an operator on these tensors is recorded now; its fast ways, which overwrite tensors, are then no ways.</summary>
    public static bool Records(params ReadOnlySpan<Tensor?> tensors)
    {
        if (_current is not { } tape)
            return false;
        foreach (Tensor? tensor in tensors)
        {
            if (tape.Find(tensor) is not null)
                return true;
        }
        return false;
    }

    /// <summary>Adds a tensor to the set that was made while recording, such as looked-up word vectors: its gradient is kept besides those behind
    /// it.</summary>
    public void Watch(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        _gradients.Add(tensor, Find(tensor) ?? new GradientSum());
    }

    /// <summary>
    /// Ends the recording and keeps what was recorded: the backward pass may then come at any time, on any thread. Does nothing where the recording
    /// has ended.
    /// </summary>
    /// <exception cref="InvalidOperationException">Called on another thread, or while a tape inside this one is open.</exception>
    public void Stop()
    {
        if (_isOpen)
            Close();
    }

    /// <summary>
    /// Runs what was recorded backward and adds the gradients of <paramref name="output"/> to those of the set. The tape is used up by it:
    /// it records nothing more.
    /// </summary>
    /// <param name="output">The loss, or any other tensor that was recorded.</param>
    /// <param name="gradient">The end result's gradient with respect to <paramref name="output"/>, of its shape; null: 1, for a tensor of one
    /// element.</param>
    /// <exception cref="InvalidOperationException">The output depends on no tensor of the set, or the tape is used up.</exception>
    /// <exception cref="InputException">The gradient has another shape than the output, or none is given for many elements.</exception>
    public void Backward(Tensor output, Tensor? gradient = null)
    {
        ArgumentNullException.ThrowIfNull(output);
        if (gradient is null && output.ElementCount != 1)
            throw new InputException("gradient", $"one for an output of {output.ElementCount} elements", "none");
        using TensorScope scope = new();
        Backward([(output, gradient ?? output.OnesLike())]);
    }

    /// <summary>The same for several outputs at once, as of a model whose results are used elsewhere.</summary>
    /// <param name="outputs">Tensors that were recorded, each with its gradient, of its shape.</param>
    /// <exception cref="InvalidOperationException">An output depends on no tensor of the set, or the tape is used up.</exception>
    /// <exception cref="InputException">A gradient has another shape than its output.</exception>
    public void Backward(params ReadOnlySpan<(Tensor Output, Tensor Gradient)> outputs)
    {
        if (_isUsed)
            throw new InvalidOperationException("the tape is used up by an earlier backward pass");
        foreach ((Tensor output, Tensor gradient) in outputs)
        {
            if (!output.Shape.AsSpan().SequenceEqual(gradient.Shape))
            {
                throw new InputException("gradient", $"shape {InputReader.Show(output.Shape)}, that of the output",
                    $"{InputReader.Show(gradient.Shape)}");
            }
            if (Find(output) is null)
            {
                throw new InvalidOperationException(
                    "the output depends on no tensor of the set: was it made by recorded operators while the tape was open?");
            }
        }
        Stop();
        _isUsed = true;
        foreach ((Tensor output, Tensor gradient) in outputs)
        {
            Gradient borrowed = Gradient.Borrow(gradient);
            Find(output)!.Share(borrowed);
            borrowed.Release();
        }
        GradientTape? recording = _current;
        _current = null;
        try
        {
            while (_steps.Count > 0)
            {
                Step step = _steps[^1];
                _steps.RemoveAt(_steps.Count - 1);
                step.Run();
            }
            while (_postponed.TryDequeue(out Step? late))
                late.Run();
            if (_parent is null)
                _gradients.MakeOwn();
        }
        finally
        {
            _current = recording;
            Release();
        }
    }

    /// <summary>Ends the recording and frees what is left of it.</summary>
    /// <exception cref="InvalidOperationException">Called on another thread, or while a tape inside this one is open.</exception>
    public void Dispose()
    {
        Stop();
        _isUsed = true;
        Release();
    }

    /// <summary>
    /// A layer: computed as it is where nothing is recorded or all is kept; else run again in the backward pass (<see cref="RecomputesLayers"/>).
    /// </summary>
    /// <param name="inputs">Its inputs, as far as they may have a gradient. Other tensors that it uses must last
    /// (<see cref="Hold"/>).</param>
    /// <param name="layer">Gives the same output for the same inputs whenever it is run.</param>
    internal static Tensor Layer(Tensor[] inputs, Func<Tensor[], Tensor> layer)
    {
        if (_current is not { RecomputesLayers: true } tape || tape._layers++ >= (tape.RecomputedLayers ?? int.MaxValue))
            return layer(inputs);
        Tensor output;
        using (GradientTape dry = new(tape, keepsNothing: true))
        {
            output = layer(inputs);
            if (dry.Find(output) is null)
                return output;
        }
        GradientSum?[] sums = Array.ConvertAll(inputs, tape.Find);
        tape.Record(output, inputs, (gradient, saved) =>
        {
            using GradientTape again = new(tape, keepsNothing: false);
            for (int i = 0; i < saved.Length; i++)
            {
                if (sums[i] is { } sum)
                    again._inputs[saved[i]] = sum;
            }
            again.Backward(layer(saved), gradient.Tensor);
        });
        return output;
    }

    /// <summary>Records nothing until the result is disposed, on this thread: for what is computed only to choose by.</summary>
    internal static IDisposable Pause() => new Paused();

    /// <summary>Tensors that recomputed layers read: they live until the backward pass is over.</summary>
    internal void Hold(params IEnumerable<Tensor?> tensors)
    {
        foreach (Tensor? tensor in tensors)
        {
            if (tensor is not null)
                _held.Add(tensor.Keep());
        }
    }

    /// <summary>Where the gradient of a tensor gathers; null: it depends on nothing of the set.</summary>
    internal GradientSum? Find(Tensor? tensor) =>
        tensor is null ? null : _sums.GetValueOrDefault(tensor) ?? _inputs.GetValueOrDefault(tensor) ?? _gradients.Find(tensor)
            ?? _parent?.Find(tensor);

    /// <summary>Records that an operator made a tensor.</summary>
    /// <param name="output">The tensor, just made.</param>
    /// <param name="saved">The tensors that the operator's backward needs; held until it has run.</param>
    /// <param name="backward">Adds the gradients of the inputs, given that of the output and the saved tensors.</param>
    /// <param name="remake">
    /// Makes the output again, to the bit, of what was saved, at little cost; null: there is no such way. The output is then not kept for the
    /// operators that save it, unless what was saved is itself to be made again.
    /// </param>
    internal void Record(Tensor output, ReadOnlySpan<Tensor?> saved, BackwardStep backward, Func<Tensor[], Tensor>? remake = null)
    {
        GradientSum sum = new();
        _sums.Add(output, sum);
        if (_keepsNothing)
            return;
        Saved[] held = new Saved[saved.Length];
        for (int i = 0; i < held.Length; i++)
            held[i] = saved[i] is not { } tensor ? default : _remakes.TryGetValue(tensor, out Step? maker) ? Saved.Remade(maker) : Saved.Kept(tensor);
        Step step = new(sum, held, backward, remake);
        _steps.Add(step);
        if (remake is not null && Array.TrueForAll(held, s => !s.IsRemade))
            _remakes.Add(output, step);
    }

    /// <summary>
    /// Called by a backward step: has a part of it that gives gradients to tensors of the set alone run when all steps have, so that a large gradient
    /// which is cheaper kept as what it is made of comes into being when the layers' memory is free again. Parts run in the order of the calls.
    /// </summary>
    /// <param name="gradient">Handed to <paramref name="part"/>, and kept until then.</param>
    /// <param name="saved">As <paramref name="gradient"/>.</param>
    /// <param name="part">Adds to gradients for which <see cref="IsMade"/> is false.</param>
    internal void Postpone(Gradient gradient, ReadOnlySpan<Tensor?> saved, BackwardStep part)
    {
        GradientSum waiting = new();
        waiting.Share(gradient);
        Saved[] held = new Saved[saved.Length];
        for (int i = 0; i < held.Length; i++)
            held[i] = saved[i] is { } tensor ? Saved.Kept(tensor) : default;
        _postponed.Enqueue(new Step(waiting, held, part, null));
    }

    /// <summary>Whether a recorded operator made the tensor, so that its gradient must be whole before that operator's turn.</summary>
    internal bool IsMade(Tensor? tensor) =>
        tensor is not null && (_sums.ContainsKey(tensor) || _inputs.ContainsKey(tensor) || _parent?.IsMade(tensor) == true);

    private void Close()
    {
        if (_thread != Environment.CurrentManagedThreadId)
            throw new InvalidOperationException("a GradientTape ends on the thread that opened it; it must not span an await");
        if (!ReferenceEquals(_current, this))
            throw new InvalidOperationException("a GradientTape ends before the one around it: a tape inside this one is still open");
        _current = _outer;
        _isOpen = false;
    }

    private void Release()
    {
        // The last first: a step holds what it made for those behind it.
        for (int i = _steps.Count - 1; i >= 0; i--)
            _steps[i].Release();
        _steps.Clear();
        foreach (Step late in _postponed)
            late.Abandon();
        _postponed.Clear();
        _remakes.Clear();
        foreach (Tensor tensor in _held)
            tensor.Dispose();
        _held.Clear();
        foreach (GradientSum sum in _sums.Values)
        {
            if (!sum.IsWatched)
                sum.Clear();
        }
        _sums.Clear();
    }

    private sealed class Paused : IDisposable
    {
        private readonly GradientTape? _tape = _current;

        public Paused() => _current = null;

        public void Dispose() => _current = _tape;
    }

    /// <summary>One operator that ran.</summary>
    private sealed class Step(GradientSum output, Saved[] saved, BackwardStep backward, Func<Tensor[], Tensor>? remake)
    {
        private Tensor? _remade;
        private int _users;

        /// <summary>The tensors that it holds by itself.</summary>
        public IEnumerable<Tensor> Held => saved.Select(s => s.Tensor).OfType<Tensor>();

        /// <summary>Its backward, if a gradient of its output arrived; its tensors are freed afterwards.</summary>
        public void Run()
        {
            Gradient? gradient = output.Take();
            try
            {
                using TensorScope scope = new();
                if (gradient is not null)
                    backward(gradient, Array.ConvertAll(saved, s => s.Get()));
            }
            finally
            {
                gradient?.Release();
                Release();
            }
        }

        public void Release()
        {
            foreach (Saved one in saved)
                one.Release();
        }

        /// <summary>Frees its tensors and the gradient that it waits with.</summary>
        public void Abandon()
        {
            output.Clear();
            Release();
        }

        /// <summary>A step behind this one will ask for its output.</summary>
        public void AddUser() => _users++;

        /// <summary>Its output, made again for the first who asks.</summary>
        public Tensor Remade() => _remade ??= remake!(Array.ConvertAll(saved, s => s.Get())).Keep();

        /// <summary>A step that asked for its output, or would have, is over.</summary>
        public void RemoveUser()
        {
            if (--_users > 0)
                return;
            _remade?.Dispose();
            _remade = null;
        }
    }

    /// <summary>An input of a step: a tensor, or the step that makes it again. The default means null.</summary>
    private readonly struct Saved
    {
        private readonly Step? _maker;

        private Saved(Tensor? tensor, Step? maker) => (Tensor, _maker) = (tensor, maker);

        public Tensor? Tensor { get; }

        public bool IsRemade => _maker is not null;

        public static Saved Kept(Tensor tensor) => new(tensor.Alias().Keep(), null);

        public static Saved Remade(Step maker)
        {
            maker.AddUser();
            return new(null, maker);
        }

        /// <summary>Null where a null was saved.</summary>
        public Tensor Get() => _maker?.Remade() ?? Tensor!;

        public void Release()
        {
            Tensor?.Dispose();
            _maker?.RemoveUser();
        }
    }
}

/// <summary>The backward of one operator: adds to the gradients of its inputs.</summary>
/// <param name="gradient">Of the output.</param>
/// <param name="saved">The saved tensors, in their order; null where a null was given.</param>
internal delegate void BackwardStep(Gradient gradient, Tensor[] saved);
