using LongformerInterop.Training;

namespace LongformerInterop.CApi;

/// <summary>One call of which the settings are read by name: its options first, then its callbacks.</summary>
internal sealed class SettingsCall : ISettingValues, IDisposable
{
    private readonly Lease<CallSettings> _settings;
    private readonly OptionReader _reader;
    private CallContext? _watch;

    public SettingsCall(nint options, bool streams)
    {
        _settings = Handles.UseOptional<CallSettings>(options, "options");
        _reader = new OptionReader(_settings.OrNull) { TakesWatch = true, TakesText = streams };
    }

    public long? Integer(string name) => _reader.Long(name);

    public double? Number(string name) => _reader.Float(name);

    public bool? Flag(string name) => _reader.Flag(name);

    public string? Text(string name) => _reader.Text(name);

    public IReadOnlyList<string>? Texts(string name) => _reader.Texts(name);

    /// <summary>All options are read: refuses the others, and asks the cancel callback for the first time.</summary>
    public CallContext Start(string function)
    {
        _reader.Finish(function);
        return _watch = new CallContext(_settings.OrNull);
    }

    public void Dispose()
    {
        _watch?.Dispose();
        _settings.Dispose();
    }
}
