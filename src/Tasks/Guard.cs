namespace LongformerInterop.Tasks;

internal static class Guard
{
    /// <summary>Builds something around a resource, and frees the resource if that fails.</summary>
    internal static TResult DisposeOnError<T, TResult>(T resource, Func<T, TResult> build)
        where T : IDisposable
    {
        try
        {
            return build(resource);
        }
        catch
        {
            resource.Dispose();
            throw;
        }
    }
}
