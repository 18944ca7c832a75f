namespace LongformerInterop.Models;

/// <summary>
/// The check of a pass whether it is to stop. Callers stop it with a <see cref="CancellationToken"/>. A caller that can only be asked on its own
/// thread (the cancel callback of the C library) opens a poll around the call, which every look at a token on this thread runs first.
/// </summary>
internal sealed class CancelPoll : IDisposable
{
    [ThreadStatic] private static CancelPoll? _current;

    private readonly CancelPoll? _outer;
    private readonly Action<bool> _poll;

    /// <summary>Begins to poll on this thread; polls nest, and end in the reverse order.</summary>
    /// <param name="poll">
    /// Cancels the source of the call's token where the call is to stop; its exceptions end the call. The argument: whether it is called many times
    /// a second (between two layers) or seldom (before a batch, after a token).
    /// </param>
    public CancelPoll(Action<bool> poll)
    {
        _poll = poll;
        _outer = _current;
        _current = this;
    }

    /// <summary>Ends the work where it is to stop: asks the poll of this thread, then looks at the token.</summary>
    /// <param name="cancellation">The token of the call.</param>
    /// <param name="often">Whether this place comes by many times a second.</param>
    /// <exception cref="OperationCanceledException">The token is cancelled.</exception>
    public static void ThrowIfStopped(CancellationToken cancellation, bool often = false)
    {
        _current?._poll(often);
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>Ends polling.</summary>
    public void Dispose() => _current = _outer;
}
