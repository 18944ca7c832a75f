using System.Text.Encodings.Web;
using System.Text.Json;

namespace LongformerInterop.Cli.Output;

/// <summary>JSON for machines: indented for a result on standard output, one line for JSON lines.</summary>
internal static class JsonOutput
{
    private static readonly JsonWriterOptions Pretty = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly JsonWriterOptions Line = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Prints one object on standard output.</summary>
    internal static void Print(Action<Utf8JsonWriter> properties)
    {
        using Stream output = Console.OpenStandardOutput();
        Write(output, Pretty, properties);
        output.Write("\n"u8);
    }

    /// <summary>Writes one object and a line feed.</summary>
    internal static void WriteLine(Stream stream, Action<Utf8JsonWriter> properties)
    {
        Write(stream, Line, properties);
        stream.Write("\n"u8);
    }

    private static void Write(Stream stream, JsonWriterOptions options, Action<Utf8JsonWriter> properties)
    {
        using Utf8JsonWriter json = new(stream, options);
        json.WriteStartObject();
        properties(json);
        json.WriteEndObject();
    }

    /// <summary>A number, or null where JSON has none (NaN, infinities).</summary>
    internal static void WriteFinite(this Utf8JsonWriter json, string name, double value)
    {
        json.WritePropertyName(name);
        json.WriteFiniteValue(value);
    }

    /// <summary>A number in its shortest float32 form, or null.</summary>
    internal static void WriteFinite(this Utf8JsonWriter json, string name, float value)
    {
        json.WritePropertyName(name);
        json.WriteFiniteValue(value);
    }

    internal static void WriteFiniteValue(this Utf8JsonWriter json, double value)
    {
        if (double.IsFinite(value))
            json.WriteNumberValue(value);
        else
            json.WriteNullValue();
    }

    internal static void WriteFiniteValue(this Utf8JsonWriter json, float value)
    {
        if (float.IsFinite(value))
            json.WriteNumberValue(value);
        else
            json.WriteNullValue();
    }

    /// <summary>An array of numbers.</summary>
    internal static void WriteNumbers(this Utf8JsonWriter json, ReadOnlySpan<float> values)
    {
        json.WriteStartArray();
        foreach (float value in values)
            json.WriteFiniteValue(value);
        json.WriteEndArray();
    }
}
