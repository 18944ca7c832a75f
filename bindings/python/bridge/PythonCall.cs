using LongformerInterop.Tasks;

namespace LongformerInterop.PythonNet;

/// <summary>One running call as Python sees it: it can be stopped, and tells how far it is.</summary>
public sealed class CallWatch : IProgress<TaskProgress>, IProgress<SummaryProgress>, IDisposable
{
    private readonly CancellationTokenSource _source = new();

    /// <summary>Told inputs done, inputs in all, tokens so far.</summary>
    public Action<int, int, long>? OnProgress { get; set; }

    /// <summary>Told the pieces of a generated text.</summary>
    public Action<string>? OnText { get; set; }

    /// <summary>What the call looks at.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>Ends the call at its next step, which throws <see cref="OperationCanceledException"/>.</summary>
    public void Cancel() => _source.Cancel();

    void IProgress<TaskProgress>.Report(TaskProgress value) => OnProgress?.Invoke(value.Done, value.Total, value.Tokens);

    void IProgress<SummaryProgress>.Report(SummaryProgress value) => OnProgress?.Invoke(value.Done, value.Total, value.Step);

    /// <inheritdoc/>
    public void Dispose() => _source.Dispose();
}
