using LongformerInterop.Tasks;
using LongformerInterop.Tokenizers;

namespace LongformerInterop.CApi;

/// <summary>
/// The content of a handle: the number of a slot and the generation of its content, so that a handle which was freed is
/// recognised even after its slot serves another. An object is disposed when its handle is freed and no call uses it any more.
/// </summary>
internal static class Handles
{
    private static readonly Lock Gate = new();
    private static readonly List<Slot> Slots = [];
    private static readonly Stack<int> Spare = [];

    private static readonly Dictionary<Type, string> Names = new()
    {
        [typeof(LoadSettings)] = "lf_load_options",
        [typeof(CallSettings)] = "lf_options",
        [typeof(TensorHandle)] = "lf_tensor",
        [typeof(TensorMap)] = "lf_tensors",
        [typeof(ModelHandle)] = "lf_model",
        [typeof(CharacterHandle)] = "lf_character_model",
        [typeof(TaskHandle)] = "lf_task",
        [typeof(AnswerHandle)] = "lf_answer",
        [typeof(Tokenizer)] = "lf_tokenizer",
        [typeof(EncodingHandle)] = "lf_encoding",
    };

    // lf_text_classifier of TextClassifier.
    private static readonly Dictionary<Type, string> TaskNames = TaskKind.All.ToDictionary(kind => kind.Type,
        kind => "lf" + string.Concat(kind.Name.Select(c => char.IsUpper(c) ? $"_{char.ToLowerInvariant(c)}" : $"{c}")));

    /// <summary>Handles that are not freed.</summary>
    public static long Live
    {
        get
        {
            lock (Gate)
                return Slots.Count - Spare.Count;
        }
    }

    /// <summary>A new handle, which owns the object.</summary>
    public static nint Add(object value)
    {
        lock (Gate)
        {
            if (!Spare.TryPop(out int index))
            {
                index = Slots.Count;
                Slots.Add(new Slot());
            }
            Slot slot = Slots[index];
            slot.Generation = slot.Generation == int.MaxValue ? 1 : slot.Generation + 1;
            slot.Content = new Content(value);
            return ((nint)slot.Generation << 32) | (nint)(uint)(index + 1);
        }
    }

    /// <summary>The object, kept from being disposed until the lease ends.</summary>
    /// <exception cref="CallException">The handle is null, was freed, is of another type or is none.</exception>
    public static Lease<T> Use<T>(nint handle, string argument) where T : class
    {
        lock (Gate)
        {
            Content content = Find<T>(handle, argument, out _);
            content.Users++;
            return new Lease<T>(content, (T)content.Value);
        }
    }

    /// <summary>The task behind a handle, of the class that a function is for; as <see cref="Use"/>.</summary>
    public static Lease<TaskHandle> UseTask<T>(nint handle, string argument) where T : TextTask
    {
        lock (Gate)
        {
            Content content = Find<TaskHandle>(handle, argument, out _, typeof(T));
            content.Users++;
            return new Lease<TaskHandle>(content, (TaskHandle)content.Value);
        }
    }

    /// <summary>The same for an optional argument: null gives an empty lease.</summary>
    public static Lease<T> UseOptional<T>(nint handle, string argument) where T : class =>
        handle == 0 ? default : Use<T>(handle, argument);

    /// <summary>Frees a handle; null is allowed.</summary>
    public static void Free<T>(nint handle, string argument) where T : class => Free<T>(handle, argument, null);

    /// <summary>Frees the handle of a task of one class; null is allowed.</summary>
    public static void FreeTask<T>(nint handle, string argument) where T : TextTask => Free<TaskHandle>(handle, argument, typeof(T));

    private static void Free<T>(nint handle, string argument, Type? task) where T : class
    {
        if (handle == 0)
            return;
        Content content;
        lock (Gate)
        {
            content = Find<T>(handle, argument, out int index, task);
            Slots[index].Content = null;
            Spare.Push(index);
        }
        Return(content);
    }

    internal static void Return(Content content)
    {
        lock (Gate)
        {
            if (--content.Users > 0)
                return;
        }
        (content.Value as IDisposable)?.Dispose();
    }

    /// <param name="handle">The handle.</param>
    /// <param name="argument">Its name in messages.</param>
    /// <param name="index">Its slot.</param>
    /// <param name="task">Of a task: the class that is wanted; null: any.</param>
    private static Content Find<T>(nint handle, string argument, out int index, Type? task = null)
    {
        string expected = task is null ? Names[typeof(T)] : TaskNames[task];
        if (handle == 0)
            throw CallException.Argument($"{argument}: expected an {expected}, given NULL");
        index = (int)(handle & 0xFFFFFFFF) - 1;
        int generation = (int)(handle >> 32);
        if (index < 0 || index >= Slots.Count || generation < 1 || generation > Slots[index].Generation)
            throw CallException.Argument($"{argument}: expected an {expected}, given a value that is no handle");
        if (generation != Slots[index].Generation || Slots[index].Content is not { } content)
            throw CallException.Argument($"{argument}: expected an {expected}, given a handle that was freed");
        return content.Value is T && (task is null || ((TaskHandle)content.Value).Task.GetType() == task)
            ? content
            : throw CallException.Argument($"{argument}: expected an {expected}, given an {NameOf(content.Value)}");
    }

    // A tokenizer has its own kind of class.
    private static string NameOf(object value) => value is TaskHandle handle ? TaskNames[handle.Task.GetType()]
        : Names.GetValueOrDefault(value is Tokenizer ? typeof(Tokenizer) : value.GetType(), "object of another kind");

    private sealed class Slot
    {
        public int Generation { get; set; }

        public Content? Content { get; set; }
    }

    internal sealed class Content(object value)
    {
        public object Value { get; } = value;

        /// <summary>The handle itself and the calls that use it now.</summary>
        public int Users { get; set; } = 1;
    }
}

/// <summary>The use of a handle by one call.</summary>
internal readonly struct Lease<T>(Handles.Content content, T value) : IDisposable where T : class
{
    private readonly Handles.Content? _content = content;
    private readonly T? _value = value;

    /// <summary>The object.</summary>
    public T Value => _value!;

    /// <summary>The object; null for an optional argument that was not given.</summary>
    public T? OrNull => _value;

    public void Dispose()
    {
        if (_content is not null)
            Handles.Return(_content);
    }
}
