using System.Diagnostics;

namespace LongformerInterop.Torch;

/// <summary>The cost of one operator, measured by <see cref="OperatorProfile"/>.</summary>
/// <param name="Operator">Name and overload, such as <c>longformer::linear</c>.</param>
/// <param name="Weight">The shape of the second argument where that is a matrix, so that products with different weights differ; else
/// null.</param>
/// <param name="Calls">How often it was called.</param>
/// <param name="Time">How long the calls took together.</param>
public sealed record OperatorCost(string Operator, IReadOnlyList<long>? Weight, int Calls, TimeSpan Time);

/// <summary>
/// Times every operator that the present thread calls from C#, until it is disposed. On the CPU a call returns when the work
/// is done; for another device, name it. One at a time per thread; while one runs, calls cost about a microsecond more.
/// </summary>
/// <example><code>
/// using OperatorProfile profile = OperatorProfile.Start();
/// model.Forward(inputs);
/// foreach (OperatorCost cost in profile.Costs) Console.WriteLine($"{cost.Operator} {cost.Time.TotalMilliseconds:F1} ms");
/// </code></example>
public sealed class OperatorProfile : IDisposable
{
    [ThreadStatic]
    private static OperatorProfile? _current;

    private readonly Dictionary<(string Name, long Rows, long Columns), (int Calls, long Ticks)> _costs = [];

    private readonly Device? _device;

    private OperatorProfile(Device? device) => _device = device;

    /// <summary>The profile of this thread, if one runs.</summary>
    internal static OperatorProfile? Current => _current;

    /// <summary>Every operator that was called so far, the dearest first.</summary>
    public IReadOnlyList<OperatorCost> Costs =>
    [
        .. _costs.OrderByDescending(c => c.Value.Ticks).Select(c => new OperatorCost(
            c.Key.Name, c.Key.Rows < 0 ? null : [c.Key.Rows, c.Key.Columns], c.Value.Calls, Stopwatch.GetElapsedTime(0, c.Value.Ticks))),
    ];

    /// <summary>Begins to time the operators that this thread calls.</summary>
    /// <exception cref="InvalidOperationException">A profile runs on this thread already.</exception>
    /// <param name="device">Waits for this device after every call, so that the time of its work counts and not that of asking for it.</param>
    public static OperatorProfile Start(Device? device = null)
    {
        if (_current is not null)
            throw new InvalidOperationException("a profile runs on this thread already");
        return _current = new OperatorProfile(device);
    }

    /// <summary>Ends the timing; <see cref="Costs"/> stays.</summary>
    public void Dispose()
    {
        if (_current == this)
            _current = null;
    }

    /// <summary>Counts a call that has returned, after waiting for the device.</summary>
    /// <param name="name">The operator.</param>
    /// <param name="second">Its second argument, where that is a tensor.</param>
    /// <param name="start">When it was called (<see cref="Stopwatch.GetTimestamp"/>).</param>
    internal void Add(string name, Tensor? second, long start)
    {
        if (_device is { } waited)
            TorchRuntime.Synchronize(waited);
        long ticks = Stopwatch.GetTimestamp() - start;
        (string, long, long) key = second is { Rank: 2 } ? (name, second.Size(0), second.Size(1)) : (name, -1, -1);
        (int calls, long before) = _costs.GetValueOrDefault(key);
        _costs[key] = (calls + 1, before + ticks);
    }
}
