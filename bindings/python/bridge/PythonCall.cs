using LongformerInterop.Tasks;

namespace LongformerInterop.PythonNet;

/// <summary>One running call of Python, which can stop it and hears of its progress.</summary>
public sealed class PythonCall : IProgress<TaskProgress>, IProgress<SummaryProgress>, IDisposable
{
    private readonly CancellationTokenSource _source = new();

    /// <summary>Called with the inputs done, all inputs, and the tokens so far.</summary>
    public Action<int, int, long>? OnProgress { get; set; }

    /// <summary>Called with each piece of a generated text.</summary>
    public Action<string>? OnText { get; set; }

    /// <summary>The token that the call checks.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>Ends the call at its next step, which throws <see cref="OperationCanceledException"/>.</summary>
    public void Cancel() => _source.Cancel();

    void IProgress<TaskProgress>.Report(TaskProgress value) => OnProgress?.Invoke(value.Done, value.Total, value.Tokens);

    void IProgress<SummaryProgress>.Report(SummaryProgress value) => OnProgress?.Invoke(value.Done, value.Total, value.Step);

    /// <inheritdoc/>
    public void Dispose() => _source.Dispose();
}
