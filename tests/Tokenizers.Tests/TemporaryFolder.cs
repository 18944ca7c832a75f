namespace LongformerInterop.Tokenizers.Tests;

/// <summary>A folder that goes when the test does.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("longformer-tokenizers-").FullName;

    public string PathOf(string file) => System.IO.Path.Combine(Path, file);

    public string Write(string file, string content)
    {
        File.WriteAllText(PathOf(file), content);
        return PathOf(file);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
