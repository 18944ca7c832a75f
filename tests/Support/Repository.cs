namespace LongformerInterop.Tests;

/// <summary>The tree that the tests were built from.</summary>
internal static class Repository
{
    /// <summary>The folder of LongformerInterop.sln.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The folder of the goldens.</summary>
    public static string Goldens { get; } = Path.Combine(Root, "parity-tests", "goldens");

    /// <summary>The path of a file or folder of the goldens.</summary>
    public static string Golden(params ReadOnlySpan<string> names) => Path.Combine([Goldens, .. names]);

    /// <summary>The path of <paramref name="names"/> below the nearest folder above the tests that has it; null where none has.</summary>
    public static string? FindAbove(params ReadOnlySpan<string> names)
    {
        string below = Path.Combine(names);
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, below);
            if (Path.Exists(path))
                return path;
        }
        return null;
    }

    private static string FindRoot() => Path.GetDirectoryName(FindAbove("LongformerInterop.sln"))
        ?? throw new InvalidOperationException($"no LongformerInterop.sln above {AppContext.BaseDirectory}");
}
