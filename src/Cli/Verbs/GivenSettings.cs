using System.CommandLine;
using System.CommandLine.Parsing;
using LongformerInterop.Torch;
using LongformerInterop.Training;

namespace LongformerInterop.Cli.Verbs;

/// <summary>The options on the command line, under the names that C and Python use too: <c>--learning-rate</c> is
/// <c>learning_rate</c>.</summary>
internal sealed class GivenSettings : ISettingValues
{
    private readonly ParseResult _parsed;
    private readonly Dictionary<string, Option> _options;

    private GivenSettings(ParseResult parsed, Command command)
    {
        _parsed = parsed;
        _options = command.Options.ToDictionary(o => o.Name);
    }

    /// <summary>Reads settings; one that has no such value is a mistake on the command line, under its name there.</summary>
    public static T Read<T>(ParseResult parsed, Command command, Func<ISettingValues, T> read)
    {
        try
        {
            return read(new GivenSettings(parsed, command));
        }
        catch (InputException e) when (e.Argument is not null)
        {
            throw new UsageException(e.Rename(argument => argument with { Name = NameOf(argument.Name) }).Message);
        }
    }

    public long? Integer(string name) => Value(name) switch
    {
        null => null,
        int value => value,
        long value => value,
        object value => throw new InvalidOperationException($"{name} is {value.GetType()}"),
    };

    public double? Number(string name) => (double?)Value(name);

    public bool? Flag(string name) => (bool?)Value(name);

    public string? Text(string name) => (string?)Value(name);

    public IReadOnlyList<string>? Texts(string name) => Value(name) switch
    {
        null => null,
        string[] values => values,
        object value => ((string)value).Split(',', StringSplitOptions.TrimEntries),
    };

    private static string NameOf(string setting) => "--" + setting.Replace('_', '-');

    // Null: not given, also where help shows a default.
    private object? Value(string name) => _options.TryGetValue(NameOf(name), out Option? option)
        && _parsed.GetResult(option) is { Implicit: false } result ? result.GetValueOrDefault<object?>() : null;
}
