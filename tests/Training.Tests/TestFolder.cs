using LongformerInterop.Training.Data;

namespace LongformerInterop.Training.Tests;

/// <summary>A folder that is deleted when the test ends.</summary>
internal sealed class TestFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("longformer-training-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>Writes a file and gives its path.</summary>
    public string Write(string name, string text)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(this[name])!);
        File.WriteAllText(this[name], text);
        return this[name];
    }

    public List<DataRow> Read(string name, string text) => [.. DataFiles.Read([Write(name, text)])];

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
