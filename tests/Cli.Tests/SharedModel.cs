namespace LongformerInterop.Cli.Tests;

/// <summary>A real checkpoint beside the repository: a folder <c>shared/models/NAME</c> in one of the folders above it.</summary>
internal static class SharedModel
{
    /// <summary>The folder; the test is ignored, with the reason, where it is absent.</summary>
    internal static string Folder(string name)
    {
        string? configuration = Repository.FindAbove("shared", "models", name, "config.json");
        if (configuration is null)
            Assert.Ignore($"no folder shared/models/{name} beside the repository: its weights are not part of it");
        return Path.GetDirectoryName(configuration)!;
    }
}
