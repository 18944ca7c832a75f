namespace LongformerInterop.Tokenizers.Text;

/// <summary>Lends scratch space to concurrent calls. Returned space that has no room here is left to the garbage collector.</summary>
internal sealed class Pool<T>(Func<T> create)
    where T : class
{
    private readonly T?[] _items = new T?[Math.Min(Environment.ProcessorCount, 16)];

    public T Rent()
    {
        for (int i = 0; i < _items.Length; i++)
        {
            if (Interlocked.Exchange(ref _items[i], null) is { } item)
                return item;
        }
        return create();
    }

    public void Return(T item)
    {
        for (int i = 0; i < _items.Length; i++)
        {
            if (Interlocked.CompareExchange(ref _items[i], item, null) is null)
                return;
        }
    }
}
